"""Several files as one log, and files read in pieces: the events of one frame, and errors with file and line."""

import errno
import gzip
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magnn.data.events import read_events
from tests.data.logs import LOG, flat, refusal, whole

KINDS = ["csv", "csv.gz", "tsv", "parquet", "jsonl"]


def written(frame: pl.DataFrame, path: Path) -> Path:
    """`frame` in the kind of file that the name says."""
    match path.name.split(".", 1)[1]:
        case "csv":
            frame.write_csv(path)
        case "csv.gz":
            path.write_bytes(gzip.compress(frame.write_csv().encode()))
        case "tsv":
            frame.write_csv(path, separator="\t")
        case "parquet":
            frame.write_parquet(path, row_group_size=2)
        case "jsonl":
            frame.write_ndjson(path)
    return path


def pieces(frame: pl.DataFrame, cuts: list[int], folder: Path, kind: str) -> list[Path]:
    """`frame` cut before some rows, one file for each piece; in order of name."""
    edges = [0, *sorted(cuts), frame.height]
    parts = [frame[first:last] for first, last in pairwise(edges) if first < last]
    return [written(part, folder / f"part-{nth}.{kind}") for nth, part in enumerate(parts)]


def saved(folder: Path, **files: str) -> Path:
    """Text files; the folder of them."""
    for name, text in files.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


# The same log -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_several_files_are_one_log(kind: str, tmp_path: Path) -> None:
    paths = pieces(LOG, [3, 4], tmp_path, kind)
    expected = whole(read_events(LOG))
    for source in (str(tmp_path / f"*.{kind}"), tmp_path / f"part-[0-9].{kind}", paths, tuple(map(str, paths))):
        assert whole(read_events(source)) == expected


cells = st.sampled_from(["1", "2", "03", "-4", "x", "y, z", "é"])
some_rows = st.lists(st.tuples(cells, cells, st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=12)


@settings(deadline=None, max_examples=60)
@given(rows=some_rows, cuts=st.lists(st.integers(0, 12), max_size=3), kind=st.sampled_from(KINDS))
def test_where_a_log_is_cut_into_files_makes_no_difference(
    rows: list[Any], cuts: list[int], kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    rows += [("1", "1", 0, 0), ("2", "2", 0, 0)]  # enough to be a log
    log = pl.DataFrame(rows, schema=["user", "item", "time", "rating"], orient="row")
    folder = tmp_path_factory.mktemp("cut")
    pieces(log, [min(cut, log.height) for cut in cuts], folder, kind)
    assert whole(read_events(folder / f"*.{kind}", repeats="all")) == whole(read_events(log, repeats="all"))


def test_a_pattern_is_read_in_order_of_name_and_a_list_in_its_own(tmp_path: Path) -> None:
    a, b = (written(LOG[:1].with_columns(movieId=pl.lit(name)), tmp_path / f"{name}.csv") for name in "ab")
    written(LOG[1:2], tmp_path / "c.csv")
    ties = [item for user, item, _ in flat(read_events(tmp_path / "*.csv")) if user == 12]
    assert ties == ["a", "b"]
    ties = [item for user, item, _ in flat(read_events([b, a, tmp_path / "c.csv"])) if user == 12]
    assert ties == ["b", "a"]


def test_a_file_whose_name_is_a_pattern_is_meant_itself(tmp_path: Path) -> None:
    written(LOG, tmp_path / "[ab]*.csv")
    saved(tmp_path, a="none,of\nthis,is\nread,!\n")
    assert whole(read_events(tmp_path / "[ab]*.csv")) == whole(read_events(LOG))


def test_folders_and_hidden_files_do_not_match_a_pattern_but_files_below_do(tmp_path: Path) -> None:
    for folder in ("2024", "2025", "old.csv"):
        (tmp_path / folder).mkdir()
    saved(tmp_path, **{".hidden": "no log\n", "2024/a": LOG[:4].write_csv(), "2025/b": LOG[4:].write_csv()})
    assert whole(read_events(tmp_path / "**" / "*.csv")) == whole(read_events(LOG))


def test_files_may_differ_in_order_of_columns_and_in_what_is_not_used(tmp_path: Path) -> None:
    saved(
        tmp_path,
        a="note;user;item;ts\n;a;x;1\n",
        b="ts,item,user\n2,y,b\n",
        c="user\titem\tts\textra\tmore\na\tz\t3\t\t\n",
    )
    assert flat(read_events(tmp_path / "*.csv")) == [("a", "x", 1), ("a", "z", 3), ("b", "y", 2)]


def test_a_file_without_rows_adds_none(tmp_path: Path) -> None:
    saved(tmp_path, a="user,item\n", b="user,item\na,x\nb,y\n", c="user,item\n\n\n")
    assert flat(read_events(tmp_path / "*.csv")) == [("a", "x", 0), ("b", "y", 1)]


def test_an_id_that_is_text_in_one_file_is_text_in_all(tmp_path: Path) -> None:
    saved(tmp_path, a="user,item\n1,7\n2,7\n", b="user,item\n3,007\n")
    events = read_events(tmp_path / "*.csv")
    assert events.item_ids.to_list() == ["007", "7"] and events.user_ids.to_list() == [1, 2, 3]
    for nth, ids in enumerate(([7, 7], ["8", "9"], ["007", "7"])):
        pl.DataFrame({"user": [1, 2], "item": ids}).write_parquet(tmp_path / f"{nth}.parquet")
    assert read_events(tmp_path / "[01].parquet").item_ids.to_list() == [7, 8, 9]
    assert read_events(tmp_path / "*.parquet").item_ids.to_list() == ["007", "7", "8", "9"]


# Piece by piece ---------------------------------------------------------------------------------------------------------


def test_of_a_parquet_file_only_the_needed_columns_are_touched(tmp_path: Path) -> None:
    frame = LOG.select(pl.lit("aside").alias("before"), pl.all(), pl.lit("aside").alias("after"))
    frame.write_parquet(path := tmp_path / "a.parquet", compression="uncompressed")
    group, content = pq.ParquetFile(path).metadata.row_group(0), bytearray(path.read_bytes())
    for place in range(group.num_columns):
        column = group.column(place)
        if column.path_in_schema in ("before", "note", "after"):
            first = column.dictionary_page_offset or column.data_page_offset
            content[first : first + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(content)
    assert whole(read_events(path)) == whole(read_events(LOG))


LATER = 1_500  # rows after which something comes that the first thousand did not show


@pytest.mark.parametrize(
    ("first", "later"),
    [
        ("2014-05-13", "2014-05-14T10:30:00.5+02:00"),
        ("2014-05-13 10:30:00", "2014-05-14 10:30"),
        ("7", "7.5"),
        ("1e3", "7"),
    ],
)
def test_a_time_may_be_written_in_another_way_late_in_the_file(first: str, later: str, tmp_path: Path) -> None:
    log = pl.DataFrame({"user": range(LATER + 1), "item": range(LATER + 1), "ts": [first] * LATER + [later]})
    few = pl.DataFrame({"user": [1, 2], "item": [1, 2], "ts": [first, later]})
    log.write_csv(tmp_path / "a.csv")
    expected = read_events(few).times.tolist()
    assert expected[0] != expected[1]
    for source in (tmp_path / "a.csv", log):
        assert read_events(source).times.tolist() == [expected[0]] * LATER + [expected[1]]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("b,y,soon", "column 'ts': 'soon' is not a usable timestamp"),
        ("b,y,-1.50", "column 'ts': '-1.50' is a negative timestamp"),
        ("b,y,2014-05-13", "column 'ts': '2014-05-13' is not a usable timestamp"),
        ("b,y,", "column 'ts': the timestamp is missing"),
        (",y,1", "column 'user': the user id is missing"),
        ('"",y,1', "column 'user': the user id is missing"),
        ("b,y,1,1", "4 fields, but the header has 3"),
    ],
)
def test_a_bad_value_late_in_the_second_file_is_shown_with_that_file_and_its_line(
    row: str, problem: str, tmp_path: Path
) -> None:
    good = "user,item,ts\n" + "1,2,3\n\n" * LATER
    saved(tmp_path, a=good, b=good + row + "\n", c=good)
    message = refusal(tmp_path / "*.csv")
    assert message.startswith(f"{tmp_path / 'b.csv'}, line {2 * LATER + 2}") and problem in message


# Refused ----------------------------------------------------------------------------------------------------------------


def test_a_bad_value_in_the_second_of_several_tables_is_shown_with_that_file_and_its_row(tmp_path: Path) -> None:
    for nth, time in enumerate([[1, 2], [3, None], [4, 5]]):
        pl.DataFrame({"user": [1, 2], "item": [1, 2], "ts": time}).write_parquet(tmp_path / f"{nth}.parquet")
    message = refusal(tmp_path / "*.parquet")
    assert message.startswith(f"{tmp_path / '1.parquet'}, row 2, column 'ts': the timestamp is missing")


def test_a_column_that_one_file_lacks_is_named_with_the_file(tmp_path: Path) -> None:
    saved(tmp_path, a="user,item,ts\na,x,1\nb,y,2\n", b="user,film,ts\na,x,1\n")
    assert refusal([tmp_path / "a.csv", tmp_path / "b.csv"]) == (
        f"{tmp_path / 'b.csv'} has no column 'item', unlike {tmp_path / 'a.csv'}; its columns are user, film, ts"
    )


def test_files_whose_columns_cannot_be_joined_are_refused(tmp_path: Path) -> None:
    for nth, time in enumerate(([1, 2], [[3], [4]])):
        pl.DataFrame({"user": [1, 2], "item": [1, 2], "ts": time}).write_parquet(tmp_path / f"{nth}.parquet")
    assert refusal(tmp_path / "*.parquet").startswith(f"{tmp_path / '*.parquet'}: the files cannot be joined")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("b.csv", b"", "{path} is empty"),
        ("b.csv", b"user,item\na,caf\xe9\n", "{path}, line 2: not UTF-8 text"),
        ("b.csv", b"\n\n", "{path}: cannot be read"),
        ("b.csv.gz", gzip.compress(b"user,item\n" + b"1,2\n" * 9)[:-9], "{path}: damaged or truncated gzip"),
        ("b.txt", b"user\nb\n", "{path} has no column 'item', unlike"),
        ("b.jsonl", b'{"user": 1, "item": 2}\n', "{path} is of another kind than {first}; files that are read as one"),
        ("b.parquet", b"user,item\na,x\n", "{path} is of another kind than"),
        ("b.md", b"user,item\na,x\n", "{path}: unknown kind of file"),
    ],
)
def test_a_second_file_that_cannot_be_used_is_refused_by_name(
    name: str, content: bytes, problem: str, tmp_path: Path
) -> None:
    saved(tmp_path, a="user,item\na,x\nb,y\n")
    (tmp_path / name).write_bytes(content)
    expected = problem.format(path=tmp_path / name, first=tmp_path / "a.csv")
    assert refusal(tmp_path / "*.*").startswith(expected)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    assert refusal(f"{tmp_path}/2024-*.csv").startswith(f"{tmp_path}/2024-*.csv: no file matches this pattern")
    path = saved(tmp_path, a="user,item\na,x\nb,y\n") / "a.csv"
    assert refusal([path, tmp_path / "b.csv"]) == f"{tmp_path / 'b.csv'}: no such file"
    assert refusal([path, tmp_path]).startswith(
        f"{tmp_path} is a directory; give a file, or a pattern such as '{tmp_path}/*"
    )
    assert "cannot read events from list" in refusal([])
    assert refusal(tmp_path / f"{'x' * 300}.csv").endswith(".csv: cannot be read: File name too long")
    saved(tmp_path, a="user,item\n", b="user,item\n\n")
    assert refusal(tmp_path / "*.csv") == f"{tmp_path / '*.csv'} has no rows"
    assert refusal([path, tmp_path / "b.csv"]) == f"{path} and 1 more has no rows"


def test_bytes_that_are_no_text_are_refused_in_a_column_that_is_not_used_too(tmp_path: Path) -> None:
    (path := tmp_path / "log.csv").write_bytes(b"user_id,item_id,timestamp,title\n1,a,1,ok\n1,b,2,\xff\n2,a,3,x\n")
    assert "line 3: not UTF-8 text" in refusal(path)


@pytest.mark.parametrize("name", ["log.jsonl", "utf8.csv", "utf8.parquet"])
def test_a_file_that_may_not_be_read_is_not_said_to_be_damaged(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name

    def refused(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", name)

    def refused_by_polars(*_: Any, **__: Any) -> None:
        raise PermissionError(f"Permission denied (os error 13): {path}")

    path.write_text("x")
    monkeypatch.setattr(Path, "open", refused)
    monkeypatch.setattr(pl, "scan_parquet", refused_by_polars)
    assert refusal(path) == f"{path}: cannot be read: Permission denied"


def test_a_name_with_utf8_in_it_says_nothing_of_the_content(tmp_path: Path) -> None:
    (path := tmp_path / "utf8.parquet").write_text("no parquet")
    assert "UTF-8" not in refusal(path)
