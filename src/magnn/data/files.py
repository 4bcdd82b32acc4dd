"""Which files are meant, of which kind they are, and what is wrong with one, at which line."""

import csv
import glob
import gzip
import io
import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Literal

from magnn.errors import InputError

Kind = Literal["text", "json", "parquet"]

SEPARATORS = ",\t;|"
RECBOLE = (".inter", ".item")  # with tabs, and quotes that are part of the text
KINDS: dict[str, Kind] = {
    **dict.fromkeys((".csv", ".txt", ".tsv", *RECBOLE), "text"),
    **dict.fromkeys((".jsonl", ".ndjson"), "json"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
}


def files_of(given: str | Path) -> list[Path]:
    """The file of that name or, where there is none, the files that match it as a pattern, sorted by name.

    Raises:
        InputError: there is none, or no right to look.
    """
    if is_there(given):  # one file is meant, even where its name holds the * or [ of a pattern
        return [Path(given)]
    if not glob.has_magic(str(given)):
        raise InputError(f"{given}: no such file")
    # Unlike Path.glob it leaves hidden files out, as a shell does.
    matching = map(Path, glob.glob(str(given), recursive=True))  # noqa: PTH207
    found = sorted(path for path in matching if is_there(path) and path.is_file())
    if not found:
        raise InputError(f"{given}: no file matches this pattern; see what is there, and quote the pattern in a shell")
    return found


def is_there(path: str | Path) -> bool:
    """Whether there is a file or folder of that name.

    Raises:
        InputError: no right to look, or a name too long.
    """
    try:
        return Path(path).exists()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def kind_of(path: Path) -> Kind:
    """How to read a file, by its name.

    Raises:
        InputError: it is a directory, empty, or of no supported kind.
    """
    if path.is_dir():
        raise InputError(
            f"{path} is a directory; give a file, or a pattern such as '{path}/*.parquet', or '{path}/**/*.parquet' where "
            "the files are in folders of it"
        )
    *others, last = ["", *(suffix.lower() for suffix in path.suffixes)]
    kind = KINDS.get(others[-1] if last == ".gz" else last)
    if kind is None or (last == ".gz" and kind != "text"):
        raise InputError(f"{path}: unknown kind of file; supported are .csv, .csv.gz, .tsv, .parquet and .jsonl")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty")
    return kind


def separator_of(path: Path) -> str:
    """What separates the fields of a text file, judged by its header.

    Raises:
        InputError: its lines do not end as lines do today.
    """
    with _open_bytes(path) as file:
        header = next((line for line in file if line.strip()), b"")  # blank lines before it do not count
    if b"\r" in header and b"\n" not in header:
        raise InputError(
            f"{path}: its lines end in carriage returns alone; convert it, for example with tr '\\r' '\\n'"
        )
    return max(SEPARATORS, key=header.decode("utf-8").count)


def quote_of(path: Path) -> str | None:
    """What a field with separators in it stands between, if anything does."""
    name = path.with_suffix("") if _is_packed(path) else path
    return None if name.suffix.lower() in RECBOLE else '"'


def problem_with(path: Path, error: Exception) -> str:
    """One line on a file whose reading ended in `error`: the place, as far as it can be found, and a remedy."""
    if isinstance(error, PermissionError) or (isinstance(error, OSError) and error.strerror):
        # What the system says, of the file and not of what is in it; polars has it as text alone.
        return f"{path}: cannot be read: {error.strerror or 'Permission denied'}"
    text = first_line(error).replace(f": {path}", "").replace(str(path), "it")
    if isinstance(error, UnicodeDecodeError) or "utf-8" in text.lower() or "utf8" in text.lower():
        return f"{path}{_not_utf8_at(path)}: not UTF-8 text; convert it first, for example with iconv -t utf-8"
    known = ""
    if kind_of(path) == "json":
        known = _not_json_at(path)
    elif "more fields" in text:  # polars does not say where
        known = _too_wide_at(path)
    elif "CSV malformed" in text or "could not parse" in text:
        known = _stray_quote_at(path)
    if known:
        return f"{path}{known}"
    if _is_packed(path):
        return f"{path}: damaged or truncated gzip ({text}); fetch or compress it again"
    return f"{path}: cannot be read ({text}); it may be damaged or truncated"


def line_of_row(path: Path, row: int) -> int | None:
    """Line where data row `row` begins; read again on the way to an error only, since quoted fields hold line breaks."""
    line, _ = next(islice(_records(path), row + 1, None), (None, None))
    return line


def first_line(error: Exception) -> str:
    """An error's message, cut to one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _is_packed(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _open_bytes(path: Path) -> "IO[bytes] | gzip.GzipFile":
    return gzip.open(path, "rb") if _is_packed(path) else path.open("rb")


def _not_utf8_at(path: Path) -> str:
    with _open_bytes(path) as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return f", line {number}"
    return ""


def _not_json_at(path: Path) -> str:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                good = not line.strip() or isinstance(
                    json.loads(line.decode("utf-8-sig"), parse_constant=_refused), dict
                )
            except ValueError:
                good = False
            if not good:
                return f", line {number}: not a JSON object; write one object on each line, null for NaN"
    return ""


def _refused(constant: str) -> None:
    """NaN and Infinity, which Python writes and reads, are no JSON."""
    raise ValueError(constant)


def _too_wide_at(path: Path) -> str:
    records = _records(path)
    _, header = next(records, (0, []))
    for line, fields in records:
        if len(fields) > len(header):
            remedy = "quote fields with separators" if quote_of(path) else "take the separators out of fields"
            return f", line {line}: {len(fields)} fields, but the header has {len(header)}; {remedy}"
    return ""


def _stray_quote_at(path: Path) -> str:
    separator = re.escape(separator_of(path))
    field = rf'(?:"(?:[^"]|"")*"|[^"{separator}\n]*)'
    row = re.compile(rf"{field}(?:{separator}{field})*")
    begins, held, is_open = 1, "", False
    with _open_text(path) as file:
        for number, line in enumerate(file, start=1):
            held += line
            is_open ^= line.count('"') % 2 == 1
            if is_open and len(held) < csv.field_size_limit():
                continue  # in a field that goes on in the next line, as it seems
            if is_open or not row.fullmatch(held.rstrip("\r\n")):
                break
            begins, held = number + 1, ""
    return f', line {begins}: a stray quote; close it, or write the field as "12"" vinyl"' if held else ""


def _open_text(path: Path) -> io.TextIOWrapper:
    return io.TextIOWrapper(_open_bytes(path), "utf-8-sig", errors="replace", newline="")


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yields (line where it begins, fields) of the header and each row, as far as the csv module can read."""
    with _open_text(path) as file:
        quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quote_of(path) else csv.QUOTE_NONE
        reader = csv.reader(file, delimiter=separator_of(path), quoting=quoting)
        begins, started = 1, False
        try:
            for fields in reader:
                started = started or bool(fields)
                if started:
                    yield begins, fields
                begins = reader.line_num + 1
        except csv.Error:  # a field of more than 128 KiB, most often an open quote
            return
