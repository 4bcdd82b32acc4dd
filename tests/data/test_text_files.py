"""Text files: a bad value is shown with its line; and files of any kind that are none: one line says why."""

import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magnn.data.events import read_events
from magnn.data.sources import open_source
from tests.data.logs import LOG, flat, refusal, saved

HEADER = "user,item,timestamp,rating\n"
GOOD = HEADER + "a,x,1,5\nb,y,2,4\n"


def test_quotes_in_a_recbole_file_are_text(tmp_path: Path) -> None:
    items = ['"Heat" (1995)', '12" vinyl', '"unclosed', "plain"]
    rows = "".join(f"{user}\t{item}\n" for user, item in enumerate(items))
    path = saved(tmp_path, "log.inter", "user_id:token\titem_id:token\n" + rows)
    assert flat(read_events(path)) == [(user, item, user) for user, item in enumerate(items)]
    path.write_text(path.read_text() + "\tplain\n")
    assert "log.inter, line 6, column 'user_id:token': the user id is missing" in refusal(path)
    path.write_text(path.read_text() + "7\tplain\tmore\n")
    assert refusal(path).endswith("line 7: 3 fields, but the header has 2; take the separators out of fields")


STRAY = "a stray quote; close it, or write the field as"


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ('1,12" vinyl\n2,b\n', 2),
        ('1,a\n2,"Heat" (1995)\n3,b\n', 3),
        ('1,"a\nb"\n2,"c""d"\n3,e"f"g"\n4,h\n', 5),
        ('1,"open\n' + "2,b\n" * 9, 2),
        ('1,"open\n' + "2,b\n" * 50_000, 2),
    ],
    ids=["inches", "after-the-quote", "after-good-ones", "never-closed", "never-closed-in-a-long-file"],
)
def test_a_stray_quote_is_shown_with_its_line(rows: str, line: int, tmp_path: Path) -> None:
    path = saved(tmp_path, "log.csv", "user,item\n" + rows)
    assert refusal(path) == f'{path}, line {line}: {STRAY} "12"" vinyl"'


def test_a_table_of_many_columns_is_read_without_its_blank_lines(tmp_path: Path) -> None:
    genres = [f"genre_{n}" for n in range(1_000)]
    rows = "".join(f"i{n}" + ",1" * len(genres) + "\n\n" for n in range(3))
    path = saved(tmp_path, "items.csv", ",".join(["item", *genres]) + "\n" + rows)
    table = open_source(path).read({"item": (), "genre_999": ()})
    assert table.rows() == [("i0", "1"), ("i1", "1"), ("i2", "1")]


@pytest.mark.parametrize("rating", ["", "good", "-1", "nan"])
def test_a_rating_matters_only_to_a_threshold(rating: str, tmp_path: Path) -> None:
    path = saved(tmp_path, "log.csv", GOOD + f"c,z,3,{rating}\n")
    assert len(flat(read_events(path))) == 3
    assert "line 4, column 'rating'" in refusal(path, min_rating=0)


@pytest.mark.parametrize("packed", [False, True], ids=["csv", "csv.gz"])
@pytest.mark.parametrize(
    ("content", "place", "problem"),
    [
        (GOOD + "c,z,soon,3\n", "line 4, column 'timestamp'", "'soon' is not a usable timestamp; write seconds since"),
        (GOOD + "c,z,3,good\n", "line 4, column 'rating'", "'good' is not a usable rating; a number is needed"),
        (GOOD + "c,z,-3,3\n", "line 4, column 'timestamp'", "'-3' is a negative timestamp; correct or drop the row"),
        (GOOD + "c,z,3,-1\n", "line 4, column 'rating'", "'-1' is a negative rating; correct or drop the row"),
        (GOOD + "c,z,NaN,3\n", "line 4, column 'timestamp'", "'NaN' is not a usable timestamp"),
        (GOOD + "c,z,3,nan\n", "line 4, column 'rating'", "'nan' is not a usable rating"),
        (GOOD + "c,z,inf,3\n", "line 4, column 'timestamp'", "'inf' is not a usable timestamp"),
        (GOOD + "c,z,3,-Infinity\n", "line 4, column 'rating'", "'-Infinity' is not a usable rating"),
        (GOOD + "c,z,,3\n", "line 4, column 'timestamp'", "the timestamp is missing; drop the row or give it a timestamp"),
        (GOOD + "c,z,3,\n", "line 4, column 'rating'", "the rating is missing; drop the row or give it a rating"),
        (GOOD + "c,z,1_0,3\n", "line 4, column 'timestamp'", "'1_0' is not a usable timestamp"),
        (GOOD + "c,z,2014-05-13,3\n", "line 4, column 'timestamp'", "'2014-05-13' is not a usable timestamp"),
        (GOOD + ",z,3,3\n", "line 4, column 'user'", "the user id is missing; drop the row or give it an id"),
        (GOOD + '"",z,3,3\n', "line 4, column 'user'", "the user id is missing; drop the row or give it an id"),
        (GOOD + "\\N,z,3,3\n", "line 4, column 'user'", "the user id is missing; drop the row or give it an id"),
        (GOOD + "c,,3,3\n", "line 4, column 'item'", "the item id is missing; drop the row or give it an id"),
        (GOOD + "c\n", "line 4, column 'item'", "the item id is missing"),
        (GOOD + "c,z\n", "line 4, column 'timestamp'", "the timestamp is missing"),
        (GOOD + 'c,z,"so\non",3\n', "line 4, column 'timestamp'", r"'so\non' is not a usable timestamp"),
        (GOOD + "c,z,3,3,3\nd,d,d\n", "line 4: 5 fields, but the header has 4", "quote fields with separators"),
        ("\n\n" + GOOD + "\n\nc,z,soon,3\n", "line 8, column 'timestamp'", "'soon'"),
        (GOOD.replace("x", '"x\n\n1"') + "c,z,soon,3\n", "line 6, column 'timestamp'", "'soon'"),
        (GOOD.replace("x", '"x\n\n1"') + "c,z,3,3,\n", "line 6: 5 fields, but the header has 4", "quote fields"),
        (GOOD.replace("\n", "\r\n") + "\r\nc,z,soon,3\r\n", "line 5, column 'timestamp'", "'soon'"),
        ('\ufeff"no\nte",user,item,ts\n,a,x,1\n,b,y,no\n', "line 4, column 'ts'", "'no'"),
        (GOOD.replace(",", "\t") + "c\tz\tsoon\t3\n", "line 4, column 'timestamp'", "'soon'"),
        (HEADER + "a,x,2014-05-13,5\nb,y,2014-02-30,4\n", "line 3, column 'timestamp'", "'2014-02-30' is not an ISO 8601"),
        (HEADER + "a,x,2014-05-13,5\nb,y,13/05/2014,4\n", "line 3, column 'timestamp'", "2014-07-21T10:30:00"),
        (HEADER + "a,x,2014-05-13,5\nb,y,,4\n", "line 3, column 'timestamp'", "the timestamp is missing"),
        (HEADER + "a,x,,5\nb,y,2014-05-13,4\n", "line 2, column 'timestamp'", "the timestamp is missing"),
    ],
)  # fmt: skip
def test_a_bad_value_is_shown_with_its_line(
    packed: bool, content: str, place: str, problem: str, tmp_path: Path
) -> None:
    data = content.encode()
    path = saved(tmp_path, "log.csv.gz" if packed else "log.csv", gzip.compress(data) if packed else data)
    message = refusal(path, **({"min_rating": 0} if "rating" in content else {}))
    assert message.startswith(f"{path}, {place}") and problem in message


@settings(deadline=None, max_examples=60)
@given(
    rows=st.lists(st.text("ab\n,\"';\r", max_size=6), min_size=2, max_size=8),
    blank=st.lists(st.integers(0, 2), min_size=9, max_size=9),
    bad=st.integers(0, 7),
    line_end=st.sampled_from(["\n", "\r\n"]),
    packed=st.booleans(),
)
def test_the_line_is_where_the_row_begins_whatever_stands_before(
    rows: list[str], blank: list[int], bad: int, line_end: str, packed: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bad %= len(rows)
    content = "note,user,item,ts" + line_end
    for row, note in enumerate(rows):
        content += line_end * blank[row]
        if row == bad:
            expected = len(content.encode().splitlines(keepends=True)) + 1
        quoted = note.replace('"', '""')
        content += f'"{quoted}",u{row},i{row},{"bad" if row == bad else row}{line_end}'
    data = content.encode()
    path = saved(
        tmp_path_factory.mktemp("lines"), "a.csv.gz" if packed else "a.csv", gzip.compress(data) if packed else data
    )
    assert refusal(path).startswith(f"{path}, line {expected}, column 'ts': 'bad'")


def test_a_value_behind_a_field_too_long_for_the_csv_module_is_shown_with_its_row(tmp_path: Path) -> None:
    path = saved(tmp_path, "log.csv", GOOD + f'c,"{"z" * 200_000}",3,3\nd,w,soon,3\n')
    assert refusal(path).startswith(f"{path}, row 4, column 'timestamp': 'soon'")


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz", "log.tsv", "log.jsonl"])
def test_text_that_is_not_utf8_is_refused_with_its_line(name: str, tmp_path: Path) -> None:
    lines = {"log.jsonl": ['{"user": 1, "item": "x"}', '{"user": 2, "item": "caf\xe9"}']}
    content = "\n".join(lines.get(name, ["user\titem", "1\tx", "2\tcaf\xe9"])).encode("latin-1")
    path = saved(tmp_path, name, gzip.compress(content) if name.endswith("gz") else content)
    line = 2 if name == "log.jsonl" else 3
    assert refusal(path).startswith(f"{path}, line {line}: not UTF-8 text; convert it first, for example with iconv")


def test_utf16_is_refused_as_not_utf8(tmp_path: Path) -> None:
    assert "line 1: not UTF-8 text" in refusal(saved(tmp_path, "log.csv", GOOD.encode("utf-16")))


def test_a_row_that_is_short_of_unused_fields_only_is_an_event(tmp_path: Path) -> None:
    path = saved(tmp_path, "log.csv", "user,item,note\na,x\nb,y,hello\n")
    assert flat(read_events(path)) == [("a", "x", 0), ("b", "y", 1)]


# Files that are none --------------------------------------------------------------------------------------------------

PACKED = gzip.compress(b"user,item\n" + b"".join(b"%d,%d\n" % (i, i * i) for i in range(20_000)))
PARQUET = io.BytesIO()
LOG.write_parquet(PARQUET)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("log.csv", b"", "{path} is empty"),
        ("log.csv.gz", b"", "{path} is empty"),
        ("log.parquet", b"", "{path} is empty"),
        ("log.jsonl", b"", "{path} is empty"),
        ("log.csv", b"user,item,timestamp\n", "{path} has no rows"),
        ("log.csv", b"user,item,timestamp", "{path} has no rows"),
        ("log.csv", b"user,item,timestamp\n\n\n", "{path} has no rows"),
        ("log.csv", b"user,item,timestamp\n,,\n", "{path} has no rows"),
        ("log.csv.gz", gzip.compress(b"user,item\n"), "{path} has no rows"),
        ("log.csv", b"\n\n", "{path}: cannot be read"),
        ("log.csv", b"user,film,timestamp\na,x,1\n", "{path}: no item column among user, film, timestamp; name it"),
        ("log.csv", b"who,item\na,x\n", "{path}: no user column among who, item; name it with --user-col"),
        ("log.csv", b'who,"it\nem"\na,x\n', "{path}: no user column among who, it em; name it"),
        ("log.csv", b'user,item\na,x\n"b,y\nc,z\n', "{path}, line 3: a stray quote; close it, or"),
        ("log.csv.gz", PACKED[:100], "{path}: damaged or truncated gzip"),
        ("log.csv.gz", PACKED[:-20], "{path}: damaged or truncated gzip"),
        ("log.csv.gz", PACKED[:5], "{path}: damaged or truncated gzip"),
        ("log.csv.gz", PACKED[:10] + b"\xff\xff" + PACKED[12:], "{path}: damaged or truncated gzip"),
        ("log.csv.gz", PACKED[:-8] + b"checksum", "{path}: damaged or truncated gzip"),
        ("log.csv.gz", GOOD.encode(), "{path}: damaged or truncated gzip"),
        ("log.parquet", PARQUET.getvalue()[:-30], "{path}: cannot be read"),
        ("log.parquet", PARQUET.getvalue()[:30], "{path}: cannot be read"),
        ("log.parquet", GOOD.encode(), "{path}: cannot be read"),
        ("log.jsonl", b'{"user": 1, "item": 2}\n\n{"user": 1, "it', "{path}, line 3: not a JSON object; write one"),
        ("log.jsonl", b'{"user": 1, "item": 2}\n{"user": 1,, "item": 3}\n{}', "{path}, line 2: not a JSON object"),
        ("log.csv", GOOD.replace("\n", "\r").encode(), "{path}: its lines end in carriage returns alone; convert it"),
        ("log.jsonl", b'[{"user": 1, "item": 2}]\n', "{path}, line 1: not a JSON object"),
        ("log.jsonl", b'{"user": 1, "item": 2}\n{"user": 1, "item": NaN}', "{path}, line 2: not a JSON object"),
        ("log.jsonl", b"user,item\n1,2\n", "{path}, line 1: not a JSON object"),
        ("log.jsonl", b"\n\n", "{path}: cannot be read"),
        ("log.jsonl", b'{"user": 1, "item": 2}\n{"user": 1}\n', "{path}, row 2, column 'item': the item id is missing"),
        ("log.jsonl", b'{"user": 1, "item": {"a": 2}}\n', "{path}, column 'item' holds Struct"),
        ("log.xlsx", GOOD.encode(), "{path}: unknown kind of file; supported are .csv, .csv.gz, .tsv, .parquet and .jsonl"),
        ("log", GOOD.encode(), "{path}: unknown kind of file"),
        ("log.gz", GOOD.encode(), "{path}: unknown kind of file"),
        ("log.jsonl.gz", gzip.compress(b'{"user": 1}'), "{path}: unknown kind of file"),
        ("log.parquet.gz", gzip.compress(PARQUET.getvalue()), "{path}: unknown kind of file"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_refused(name: str, content: bytes, problem: str, tmp_path: Path) -> None:
    path = saved(tmp_path, name, content)
    assert refusal(path).startswith(problem.format(path=path))


def test_a_file_that_is_not_there_or_a_directory_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "log.csv") == f"{tmp_path / 'log.csv'}: no such file"
    (tmp_path / "log.csv").mkdir()
    assert refusal(tmp_path / "log.csv").startswith(f"{tmp_path / 'log.csv'} is a directory; give a file, or a pattern")


def test_a_given_column_must_be_there(tmp_path: Path) -> None:
    path = saved(tmp_path, "log.csv", GOOD)
    for role in ("user", "item", "time", "rating"):
        message = refusal(path, **{f"{role}_col": "Item"})
        assert message == f"{path} has no column 'Item' for the {role}; its columns are user, item, timestamp, rating"


def test_a_rating_threshold_needs_ratings(tmp_path: Path) -> None:
    path = saved(tmp_path, "log.csv", "user,item\na,x\nb,y\n")
    assert refusal(path, min_rating=4).startswith(
        f"{path}: a rating threshold needs a rating column, and none is among user, item; name it with --rating-col"
    )


def test_a_log_with_nothing_left_says_what_took_it(tmp_path: Path) -> None:
    path = saved(tmp_path, "log.csv", GOOD + "b,y,3,1\n")
    assert refusal(path, min_rating=4, min_user_events=2) == (
        f"{path}: no event is left after filtering (1: rating below 4; 2: user with fewer than 2 events); "
        "loosen the thresholds"
    )


@pytest.mark.parametrize(("role", "rows"), [("user", "a,x\na,y\n"), ("item", "a,x\nb,x\n"), ("user", '"a\nb",x\n')])
def test_one_user_or_one_item_is_too_few(role: str, rows: str, tmp_path: Path) -> None:
    message = refusal(saved(tmp_path, "log.csv", "user,item\n" + rows))
    assert f"only one {role} ('" in message and f"Is the {role} column the right one" in message
