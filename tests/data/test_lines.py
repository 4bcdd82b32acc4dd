"""Files of lines in blocks of any size: what was written comes back, and a malformed line is known by its number."""

import gzip
import json
import random
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from magnn.data import lines
from magnn.data.lines import Column, Layout, read_lines
from magnn.errors import InputError

NUMBER = pl.when(pl.col("n").is_between(0, 5)).then(pl.col("n")).alias("number")
COLUMNS = (Column("who", pl.String, pl.col("who"), "a name"), Column("n", pl.Float64, NUMBER, "a number from 0 to 5"))
CSV = Layout(COLUMNS)
HEADED = Layout(COLUMNS, header=True)
JSON = Layout(COLUMNS, json=True)

RNG = random.Random(0)
ROWS = [(RNG.choice(["a", "é", "日本" * 9, '"q"', "x y"]), RNG.randint(0, 10) / 2) for _ in range(300)]


def csv(rows: list[tuple[str, float]], end: str = "\n") -> bytes:
    return "".join(f"{who},{n}{end}" for who, n in rows).encode()


def objects(rows: list[tuple[str, float]], end: str = "\n") -> bytes:
    return "".join(json.dumps({"more": [1, {}], "n": n, "who": who}) + end for who, n in rows).encode()


def write(path: Path, content: bytes, packed: str) -> tuple[Path, dict[str, Any]]:
    """Plain, with gzip, or as a member of a zip archive; and how to read it."""
    if packed == "zip":
        with zipfile.ZipFile(path.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("in/log", content)
        return path.with_suffix(".zip"), {"member": "in/log"}
    path = path.with_suffix(".gz" if packed == "gzip" else ".txt")
    path.write_bytes(gzip.compress(content) if packed == "gzip" else content)
    return path, {}


KINDS: dict[str, tuple[Layout, Callable[..., bytes]]] = {
    "CSV": (CSV, csv),
    "CSV with a header": (HEADED, lambda rows, end="\n": f"who,n{end}".encode() + csv(rows, end)),
    "JSON": (JSON, objects),
}


@pytest.mark.parametrize("block", [200, 331, 1000, 1 << 25])
@pytest.mark.parametrize("packed", ["plain", "gzip", "zip"])
@pytest.mark.parametrize("kind", list(KINDS))
def test_every_line_is_read_once_and_in_order(
    kind: str, packed: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, text = KINDS[kind]
    monkeypatch.setattr(lines, "BLOCK", block)
    path, options = write(tmp_path / "log", text(ROWS), packed)
    records = read_lines(path, layout, **options)
    assert records.frame.rows() == ROWS and records.frame.columns == ["who", "number"]
    assert (records.read, records.malformed) == (300, 0)


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("shape", ["ends without a line break", "line breaks of Windows", "blank lines"])
def test_line_breaks_come_in_all_forms(kind: str, shape: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout, text = KINDS[kind]
    monkeypatch.setattr(lines, "BLOCK", 200)
    content = text(ROWS, "\r\n") if shape.startswith("line breaks") else text(ROWS)
    if shape.startswith("ends"):
        content = content[:-1]
    elif shape == "blank lines":
        header, rest = content.split(b"\n", 1) if layout.header else (b"", content)
        content = header + b"\n" + rest.replace(b"\n", b"\n\n  \n") + b"\n\n"
    path, options = write(tmp_path / "log", content, "gzip")
    records = read_lines(path, layout, **options)
    assert records.frame.rows() == ROWS and (records.read, records.malformed) == (300, 0)


def test_only_what_is_kept_is_held_and_all_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BLOCK", 100)
    path, _ = write(tmp_path / "log", csv(ROWS), "plain")
    records = read_lines(path, CSV, keep=lambda frame: frame.filter(pl.col("number") >= 4).select("number"))
    assert records.frame["number"].to_list() == [n for _, n in ROWS if n >= 4] and records.read == 300


@pytest.mark.parametrize("packed", ["plain", "gzip", "zip"])
def test_progress_grows_to_the_whole(packed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BLOCK", 500)
    path, options = write(tmp_path / "log", csv(ROWS), packed)
    seen: list[tuple[int, int | None]] = []
    read_lines(path, CSV, progress=lambda done, total: seen.append((done, total)), **options)
    size = len(csv(ROWS)) if packed == "zip" else path.stat().st_size
    done = [so_far for so_far, _ in seen]
    assert len(seen) > 5 and done == sorted(done) and done[-1] == size and {total for _, total in seen} == {size}


# Malformed lines ------------------------------------------------------------------------------------------------------

BAD_CSV = {
    b"a": "'a' has 1 fields, not the 2 of who,n",
    b"a,1,2": "'a,1,2' has 3 fields, not the 2 of who,n",
    b"a,": "column 'n': '' is not a number from 0 to 5",
    b",3": "column 'who': '' is not a name",
    b"a,many": "column 'n': 'many' is not a number from 0 to 5",
    b"a,5.5": "column 'n': '5.5' is not a number from 0 to 5",
    b"a,nan": "column 'n': 'nan' is not a number from 0 to 5",
    b"a,-1": "column 'n': '-1' is not a number from 0 to 5",
    b"<html>" + b"long " * 99: "'<html>" + ("long " * 99)[:54] + "...' has 1 fields",
    b"\xff\xfe,3": ": '\ufffd\ufffd,3' is not UTF-8 text",
}
BAD_JSON = {
    b'{"who": "a", "n"': """: '{"who": "a", "n"' is not a JSON object""",
    b"[1]": ": '[1]' is not a JSON object",
    b'"who"': """: '"who"' is not a JSON object""",
    b"null": ": 'null' is not a JSON object",
    b'{"who": "a"}': "column 'n' is missing; it holds a number from 0 to 5",
    b'{"who": null, "n": 1}': "column 'who': 'None' is not a name",
    b'{"who": "a", "n": "many"}': "column 'n': 'many' is not a number from 0 to 5",
    b'{"who": "a", "n": 6}': "column 'n': '6' is not a number from 0 to 5",
    b'{"who": "a", "n": NaN}': "column 'n': 'nan' is not a number from 0 to 5",
    b'{"who": "a", "n": 1} {"who": "a", "n": 1}': "is not a JSON object",
    b'{"who": "\xff", "n": 1}': "is not UTF-8 text",
}
BAD = [(kind, line, said) for kind in ("CSV", "CSV with a header") for line, said in BAD_CSV.items()]
BAD += [("JSON", line, said) for line, said in BAD_JSON.items()]


@pytest.mark.parametrize("at", [0, 1, 150, 300])
@pytest.mark.parametrize(("kind", "line", "said"), BAD)
def test_a_malformed_line_is_an_error_with_its_number_and_the_reason(
    kind: str, line: bytes, said: str, at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, text = KINDS[kind]
    monkeypatch.setattr(lines, "BLOCK", 1000)
    good = text(ROWS).splitlines(keepends=True)
    index = at + layout.header  # of the malformed line
    whole = [*good[:index], line + b"\n", *good[index:]]
    path, _ = write(tmp_path / "log", b"".join(whole), "plain")
    with pytest.raises(InputError) as caught:
        read_lines(path, layout)
    assert str(caught.value).startswith(f"{path}, line {index + 1}")
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert str(caught.value).endswith("; the file is damaged or another one: delete it and fetch it again")

    records = read_lines(path, layout, skip_malformed=True)
    assert records.frame.rows() == ROWS and (records.read, records.malformed) == (300, 1)


def test_of_several_malformed_lines_the_first_is_named_and_all_are_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "BLOCK", 700)
    bad = {7, 8, 9, 100, 299}
    rows = csv(ROWS).splitlines(keepends=True)
    path, _ = write(tmp_path / "log", b"".join(b"?\n" if n in bad else row for n, row in enumerate(rows)), "plain")
    with pytest.raises(InputError, match=r"log\.txt, line 8: '\?' has 1 fields"):
        read_lines(path, CSV)
    records = read_lines(path, CSV, skip_malformed=True)
    assert records.frame.rows() == [row for n, row in enumerate(ROWS) if n not in bad]
    assert (records.read, records.malformed) == (295, 5)


@pytest.mark.parametrize("content", [b"", b"\n \n", b"?\n" * 50], ids=["empty", "blank", "all malformed"])
def test_a_file_without_a_good_line_is_refused(content: bytes, tmp_path: Path) -> None:
    path, _ = write(tmp_path / "log", content, "gzip")
    with pytest.raises(InputError, match=re.escape(f"{path} has no records; the file is damaged")):
        read_lines(path, CSV, skip_malformed=True)


def test_another_header_is_refused(tmp_path: Path) -> None:
    path, options = write(tmp_path / "log", b"who,when\na,1\n", "zip")
    with pytest.raises(InputError) as caught:
        read_lines(path, HEADED, **options)
    assert str(caught.value).startswith(f"{path}: in/log, line 1: the header is 'who,when', not 'who,n'; ")


def test_a_file_without_line_breaks_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BLOCK", 1 << 20)
    path, _ = write(tmp_path / "log", bytes(3 << 20), "gzip")
    with pytest.raises(InputError, match="a line is longer than 1 MiB"):
        read_lines(path, JSON)


# Damaged files --------------------------------------------------------------------------------------------------------

GZIP = gzip.compress(objects(ROWS))
DAMAGES = {
    "truncated": GZIP[:-100],
    "without its last byte": GZIP[:-1],
    "another checksum": GZIP[:-8] + bytes([GZIP[-8] ^ 1]) + GZIP[-7:],
    "one bit": GZIP[:500] + bytes([GZIP[500] ^ 1]) + GZIP[501:],
    "a page that asks to log in": b"<html>please log in</html>",
}


@pytest.mark.parametrize("damage", list(DAMAGES))
def test_a_damaged_gzip_is_never_read_in_part(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "log.gz"
    path.write_bytes(DAMAGES[damage])
    with pytest.raises(InputError) as caught:
        read_lines(path, JSON, skip_malformed=True)
    assert str(caught.value).startswith(f"{path}: cannot be read to its end (") and "\n" not in str(caught.value)


def test_a_damaged_or_missing_member_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("log", csv(ROWS))
    with pytest.raises(InputError, match=re.escape(f"{path} has no other; ")):
        read_lines(path, CSV, member="other")
    content = path.read_bytes()
    path.write_bytes(content[:200] + bytes([content[200] ^ 1]) + content[201:])
    with pytest.raises(InputError, match="cannot be read to its end"):
        read_lines(path, CSV, member="log", skip_malformed=True)
    path.write_bytes(b"PK")
    with pytest.raises(InputError, match="cannot be read to its end"):
        read_lines(path, CSV, member="log")
