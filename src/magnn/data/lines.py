"""Raw files of any length, a record a line: read in blocks, so that none is in memory as a whole; a bad line by its number.

Lines are CSV without quotes, or JSON objects. A file may be packed: with gzip, whose checksum is verified at its end, or
as a member of a zip archive.
"""

import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from gzip import GzipFile
from pathlib import Path
from typing import IO, NamedTuple

import polars as pl
from polars.exceptions import PanicException, PolarsError

from magnn.data.download import BytesProgress
from magnn.data.files import first_line
from magnn.errors import InputError

BLOCK = 1 << 25  # bytes, unpacked; a line in any one place is shorter than two of them
SHOWN = 60  # characters of a bad value in a message
AGAIN = "the file is damaged or another one: delete it and fetch it again"


class Column(NamedTuple):
    """What one column of a file holds.

    Attributes:
        name: in the file.
        dtype: as which it is read.
        value: what is made of it; null where the text is no value.
        what: the values, in words.
    """

    name: str
    dtype: type[pl.DataType]
    value: pl.Expr
    what: str


@dataclass(frozen=True)
class Layout:
    """What each line of a file holds.

    Attributes:
        columns: for CSV all of them, in their order; for JSON those that are needed.
        json: JSON objects, not CSV.
        header: the first line names the columns (CSV).

    Example:
        >>> layout = Layout((Column("n", pl.Int64, pl.col("n").alias("number"), "a number"),), json=True)
        >>> layout.parse(b'{"n": 1, "more": ""}\\n{"n": 2}\\n', 2)["number"].to_list()
        [1, 2]
        >>> layout.fault(b'{"n": "x"}')
        ", column 'n': 'x' is not a number"
    """

    columns: tuple[Column, ...]
    json: bool = False
    header: bool = False

    @property
    def names(self) -> str:
        """The names of the columns, as a header has them."""
        return ",".join(column.name for column in self.columns)

    def parse(self, block: bytes, lines: int) -> pl.DataFrame | None:
        """The values of whole lines, or None where one of them is malformed or blank."""
        schema = {column.name: column.dtype for column in self.columns}
        try:
            if self.json:
                raw = pl.read_ndjson(io.BytesIO(block), schema=schema)
            else:
                raw = pl.read_csv(block, has_header=False, schema=schema, quote_char=None)
        except (PolarsError, PanicException):  # early versions of polars panic over some broken JSON
            return None
        frame = raw.select(column.value for column in self.columns)
        return frame if frame.height == lines and not any(series.has_nulls() for series in frame) else None

    def fault(self, line: bytes) -> str:
        """What is wrong with a malformed line: the column, the value, what it should be."""
        try:
            text = line.decode().strip()
        except UnicodeDecodeError:
            return f": {_shown(line.decode('utf-8', 'replace').strip())} is not UTF-8 text"
        if self.json:
            try:
                record = json.loads(text)
            except (ValueError, RecursionError):
                record = None
            if not isinstance(record, dict):
                return f": {_shown(text)} is not a JSON object"
            cells = {name: json.dumps({name: value}) for name, value in record.items()}
        else:
            fields = text.split(",")
            if len(fields) != len(self.columns):
                return f": {_shown(text)} has {len(fields)} fields, not the {len(self.columns)} of {self.names}"
            cells = dict(zip(self.names.split(","), fields, strict=True))
            record = cells
        for column in self.columns:
            if column.name not in cells:
                return f", column {column.name!r} is missing; it holds {column.what}"
            if replace(self, columns=(column,)).parse(cells[column.name].encode() + b"\n", 1) is None:
                return f", column {column.name!r}: {_shown(str(record[column.name]))} is not {column.what}"
        return f": {_shown(text)} cannot be read"


class Records(NamedTuple):
    """What was read.

    Attributes:
        frame: the values that were kept, in the order of the file.
        read: how many good lines there were, kept or not.
        malformed: how many lines were skipped.
    """

    frame: pl.DataFrame
    read: int
    malformed: int


def read_lines(
    path: Path,
    layout: Layout,
    *,
    member: str | None = None,
    keep: Callable[[pl.DataFrame], pl.DataFrame] | None = None,
    skip_malformed: bool = False,
    progress: BytesProgress | None = None,
) -> Records:
    """Read a file of lines, a block at a time. Blank lines do not count.

    Args:
        path: .gz is unpacked on the way.
        member: of a zip archive.
        keep: applied to the values of each block, so that only what it leaves is held.
        skip_malformed: count malformed lines and go on, for a source that is known to have them.
        progress: called with the bytes read so far and in all.

    Raises:
        InputError: a line is malformed (the message has its number, the column and the value), the header is another
            one, or the file is damaged or truncated.
    """
    name = str(path) if member is None else f"{path}: {member}"
    frames: list[pl.DataFrame] = []
    read = malformed = 0
    line = 1  # number of the first line of the block
    try:
        with _opened(path, member) as (stream, position, size):
            if layout.header:
                _check_header(stream.readline(BLOCK), layout, name)
                line = 2
            for block in _blocks(stream, name):
                lines = block.count(b"\n") + (not block.endswith(b"\n"))
                whole = layout.parse(block, lines)
                good, bad = ([whole], 0) if whole is not None else _parts(block, layout, name, line, skip_malformed)
                read += sum(frame.height for frame in good)
                frames += good if keep is None else map(keep, good)
                malformed += bad
                line += lines
                if progress:
                    progress(position(), size)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise InputError(f"{name}: cannot be read to its end ({first_line(error)}); {AGAIN}") from error
    if not read:
        raise InputError(f"{name} has no records; {AGAIN}")
    return Records(pl.concat(frames), read, malformed)


@contextmanager
def _opened(path: Path, member: str | None) -> Iterator[tuple[IO[bytes], Callable[[], int], int]]:
    """Yields the unpacked bytes, and how far they are read, of how much; in packed bytes where it is gzip."""
    if member is not None:
        with zipfile.ZipFile(path) as archive:
            try:
                size = archive.getinfo(member).file_size
            except KeyError:
                raise InputError(f"{path} has no {member}; {AGAIN}") from None
            with archive.open(member) as stream:
                yield stream, stream.tell, size
        return
    with path.open("rb") as file:
        size = path.stat().st_size
        if path.suffix == ".gz":
            with GzipFile(fileobj=file) as unpacked:
                yield unpacked, file.tell, size  # type: ignore[misc]  # a GzipFile reads as any other
        else:
            yield file, file.tell, size


def _blocks(stream: IO[bytes], name: str) -> Iterator[bytes]:
    """Yields the bytes in blocks of whole lines; the last may end without a line break."""
    rest = b""
    while chunk := stream.read(BLOCK):
        end = chunk.rfind(b"\n") + 1
        if not end and len(rest) + len(chunk) > BLOCK:
            raise InputError(f"{name}: a line is longer than {BLOCK >> 20} MiB; {AGAIN}")
        if end:
            yield rest + chunk[:end]
            rest = chunk[end:]
        else:
            rest += chunk
    if rest:
        yield rest


def _check_header(header: bytes, layout: Layout, name: str) -> None:
    text = header.decode("utf-8", "replace").strip()
    if text != layout.names:
        raise InputError(f"{name}, line 1: the header is {_shown(text)}, not {layout.names!r}; {AGAIN}")


def _parts(block: bytes, layout: Layout, name: str, first: int, skip: bool) -> tuple[list[pl.DataFrame], int]:
    """The values of a block with blank or malformed lines, and how many malformed ones were skipped."""
    lines = [(number, line + b"\n") for number, line in enumerate(block.split(b"\n"), first) if line.strip()]
    return _halves(lines, layout, name, skip)


def _halves(lines: list[tuple[int, bytes]], layout: Layout, name: str, skip: bool) -> tuple[list[pl.DataFrame], int]:
    """Halves what cannot be parsed until the malformed lines stand alone; the first of them is met first."""
    if not lines:
        return [], 0
    frame = layout.parse(b"".join(line for _, line in lines), len(lines))
    if frame is not None:
        return [frame], 0
    if len(lines) == 1:
        number, line = lines[0]
        if skip:
            return [], 1
        raise InputError(f"{name}, line {number}{layout.fault(line)}; {AGAIN}")
    middle = len(lines) // 2
    before, bad_before = _halves(lines[:middle], layout, name, skip)
    after, bad_after = _halves(lines[middle:], layout, name, skip)
    return before + after, bad_before + bad_after


def _shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN else text[:SHOWN] + "...")
