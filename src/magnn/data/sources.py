"""From any supported source to one raw polars frame, and from a row of that frame back to its place in the source."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import polars as pl
from polars.exceptions import PolarsError

from magnn.errors import InputError

if TYPE_CHECKING:
    from sqlalchemy import Engine

SEPARATORS = ",\t;|"
TAB_SUFFIXES = {".tsv", ".inter", ".item"}  # .inter and .item: RecBole's tab-separated files
TEXT_SUFFIXES = {".csv", ".txt", *TAB_SUFFIXES}
JSON_SUFFIXES = {".jsonl", ".ndjson"}
PARQUET_SUFFIXES = {".parquet", ".pq"}


@dataclass(frozen=True)
class Source:
    """A raw table and what an error message needs to point into it."""

    frame: pl.DataFrame
    name: str
    csv_path: Path | None = None

    def place(self, row: int) -> str:
        """Where row `row` (0-based) of the frame stands, as a person would look for it."""
        line = _line_of_row(self.csv_path, row) if self.csv_path else None
        return f"{self.name}, row {row + 1}" if line is None else f"{self.name}, line {line}"


def open_source(source: Any, query: str | None = None) -> Source:
    """Read a path, a database URL with a query, a polars or pandas frame, or an Arrow table, untyped where the format is.

    Text formats give string columns: what is an id and what a number is decided by the reader of the events, not by a
    guess at the first rows.

    Raises:
        InputError: the source is missing, empty, unreadable, truncated, not UTF-8, or of no supported kind.
    """
    if isinstance(source, str) and "://" in source:
        return _not_empty(_read_database(source, query))
    if query is not None:
        given = repr(source) if isinstance(source, str) else type(source).__name__
        raise InputError(f"a query needs a database URL such as sqlite:///shop.db, not {given}")
    if isinstance(source, (str, Path)):
        return _not_empty(_read_file(Path(source)))
    if isinstance(source, pl.LazyFrame):
        try:
            source = source.collect()
        except (PolarsError, OSError) as error:
            raise InputError(f"the lazy frame cannot be collected: {_first_line(error)}") from error
    if isinstance(source, pl.DataFrame):
        return _not_empty(Source(source, "the data frame"))
    if hasattr(source, "__arrow_c_stream__"):  # Arrow tables, and pandas frames: neither library is imported here
        try:
            return _not_empty(Source(pl.DataFrame(source), "the table"))
        except ImportError as error:
            raise InputError(
                f"this data frame cannot be converted: {_first_line(error)}; pip install pyarrow"
            ) from error
        except (ValueError, TypeError, PolarsError) as error:  # Arrow's own errors are Value- and TypeErrors
            raise InputError(
                f"this data frame cannot be converted: {_first_line(error)}; give each column one type and its own name"
            ) from error
    raise InputError(
        f"cannot read events from {type(source).__name__}; give a path, a database URL and query, "
        "a polars or pandas frame, or an Arrow table"
    )


def _read_file(path: Path) -> Source:
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if path.is_dir():
        raise InputError(f"{path} is a directory; give one file")
    suffixes = [s.lower() for s in path.suffixes]
    packed = bool(suffixes) and suffixes[-1] == ".gz"
    kind = (suffixes[:-1] if packed else suffixes)[-1:]
    suffix = kind[0] if kind else ""
    if suffix not in TEXT_SUFFIXES | JSON_SUFFIXES | PARQUET_SUFFIXES or (packed and suffix not in TEXT_SUFFIXES):
        raise InputError(f"{path}: unknown kind of file; supported are .csv, .csv.gz, .tsv, .parquet and .jsonl")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty")
    try:
        # One file is meant, even where its name holds the * or [ of a pattern.
        if suffix in PARQUET_SUFFIXES:
            return Source(pl.read_parquet(path, glob=False), str(path))
        if suffix in JSON_SUFFIXES:
            with path.open("rb") as file:
                return Source(pl.read_ndjson(file, infer_schema_length=None), str(path))
        frame = pl.read_csv(path, separator=_separator(path), infer_schema=False, glob=False)
        return Source(frame, str(path), csv_path=path)
    except (PolarsError, OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(_reading_problem(path, packed, error)) from error


def _separator(path: Path) -> str:
    with _open_bytes(path) as file:
        header = next((line for line in file if line.strip()), b"")  # blank lines before it do not count
    return max(SEPARATORS, key=header.decode("utf-8").count)


def _open_bytes(path: Path) -> "IO[bytes] | gzip.GzipFile":
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")


def _read_database(url: str, query: str | None) -> Source:
    try:
        import sqlalchemy
    except ImportError as error:
        raise InputError("reading from a database needs SQLAlchemy: pip install 'magnn[database]'") from error
    if query is None:
        raise InputError("a database URL needs a query that selects user, item and time columns (--query)")
    engine = _engine(url)
    # Passwords also come in the part behind the "?" (odbc_connect), so that is not shown at all.
    name = engine.url.set(query={}).render_as_string(hide_password=True)
    try:
        with engine.connect() as connection:
            return Source(pl.read_database(query, connection, infer_schema_length=None), name)
    except (sqlalchemy.exc.SQLAlchemyError, PolarsError) as error:
        raise InputError(f"{name}: the query failed: {_first_line(error)}") from error
    except AttributeError as error:  # how polars meets a statement that returns nothing
        raise InputError(f"{name}: the query returns no rows; give a SELECT") from error
    finally:
        engine.dispose()


def _engine(url: str) -> "Engine":
    import sqlalchemy

    try:
        engine = sqlalchemy.create_engine(url)
    except (sqlalchemy.exc.NoSuchModuleError, ImportError) as error:
        raise InputError(
            f"the database URL needs a driver that is not here: {_first_line(error)}; install it"
        ) from error
    except (sqlalchemy.exc.ArgumentError, ValueError):
        engine = None  # the message may quote a piece of the password, so it is dropped, chain and all
    if engine is None or "@" in (engine.url.host or ""):
        raise InputError(
            "the database URL cannot be read; write dialect://user:password@host:port/database, "
            "with @, : and / in the password as %40, %3A and %2F"
        )
    return engine


def _not_empty(source: Source) -> Source:
    if source.frame.height == 0:
        raise InputError(f"{source.name} has no rows")
    return source


def _reading_problem(path: Path, packed: bool, error: Exception) -> str:
    text = _first_line(error)
    if isinstance(error, UnicodeDecodeError) or "utf-8" in text.lower() or "utf8" in text.lower():
        return f"{path}{_not_utf8_at(path)}: not UTF-8 text; convert it first, for example with iconv -t utf-8"
    known = ""
    if path.suffix.lower() in JSON_SUFFIXES:
        known = _not_json_at(path)
    elif "more fields" in text:  # polars does not say where
        known = _too_wide_at(path)
    if known:
        return f"{path}{known}"
    if packed:
        return f"{path}: damaged or truncated gzip ({text}); fetch or compress it again"
    return f"{path}: cannot be read ({text}); it may be damaged or truncated"


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
                good = not line.strip() or isinstance(json.loads(line), dict)
            except ValueError:
                good = False
            if not good:
                return f", line {number}: not a JSON object; write one object on each line"
    return ""


def _too_wide_at(path: Path) -> str:
    records = _records(path)
    _, header = next(records, (0, []))
    for line, fields in records:
        if len(fields) > len(header):
            return (
                f", line {line}: {len(fields)} fields, but the header has {len(header)}; quote fields with separators"
            )
    return ""


def _line_of_row(path: Path, row: int) -> int | None:
    """Line where data row `row` begins; read again on the way to an error only, since quoted fields hold line breaks."""
    line, _ = next(islice(_records(path), row + 1, None), (None, None))
    return line


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yields (line where it begins, fields) of the header and each row, as far as the csv module can read."""
    with io.TextIOWrapper(_open_bytes(path), "utf-8-sig", errors="replace", newline="") as file:
        reader = csv.reader(file, delimiter=_separator(path))
        begins, started = 1, False
        try:
            for fields in reader:
                started = started or bool(fields)
                if started:
                    yield begins, fields
                begins = reader.line_num + 1
        except csv.Error:  # a field of more than 128 KiB, most often an open quote
            return


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
