"""From any supported source to one raw polars frame, and from a row of that frame back to its place in the source."""

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from magnn.errors import InputError

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
        if self.csv_path is None:
            return f"{self.name}, row {row + 1}"
        return f"{self.name}, line {_line_of_row(self.csv_path, row)}"


def open_source(source: Any, query: str | None = None) -> Source:
    """Read a path, a database URL with a query, a polars or pandas frame, or an Arrow table, untyped where the format is.

    Text formats give string columns: what is an id and what a number is decided by the reader of the events, not by a
    guess at the first rows.

    Raises:
        InputError: the source is missing, empty, unreadable, truncated, not UTF-8, or of no supported kind.
    """
    if isinstance(source, pl.LazyFrame):
        source = source.collect()
    if isinstance(source, pl.DataFrame):
        return _not_empty(Source(source, "the data frame"))
    if isinstance(source, str) and "://" in source:
        return _not_empty(_read_database(source, query))
    if query is not None:
        raise InputError(f"a query needs a database URL such as sqlite:///shop.db, not {source!r}")
    if isinstance(source, (str, Path)):
        return _not_empty(_read_file(Path(source)))
    if hasattr(source, "__arrow_c_stream__"):  # Arrow tables, and pandas frames: neither library is imported here
        try:
            return _not_empty(Source(pl.DataFrame(source), "the table"))
        except ImportError as error:
            raise InputError(
                f"this data frame cannot be converted: {_first_line(error)}; pip install pyarrow"
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
        if suffix in PARQUET_SUFFIXES:
            return Source(pl.read_parquet(path), str(path))
        if suffix in JSON_SUFFIXES:
            return Source(pl.read_ndjson(path, infer_schema_length=None), str(path))
        return _read_text(path, packed)
    except (PolarsError, OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(_reading_problem(path, packed, error)) from error


def _read_text(path: Path, packed: bool) -> Source:
    with gzip.open(path, "rb") if packed else path.open("rb") as file:
        header = file.readline().decode("utf-8")
    separator = max(SEPARATORS, key=header.count)
    frame = pl.read_csv(path, separator=separator, infer_schema=False)
    return Source(frame, str(path), csv_path=path)


def _read_database(url: str, query: str | None) -> Source:
    try:
        import sqlalchemy
    except ImportError as error:
        raise InputError("reading from a database needs SQLAlchemy: pip install 'magnn[database]'") from error
    if query is None:
        raise InputError("a database URL needs a query that selects user, item and time columns (--query)")
    try:
        engine = sqlalchemy.create_engine(url)
        name = engine.url.render_as_string(hide_password=True)
    except (sqlalchemy.exc.ArgumentError, ImportError) as error:
        raise InputError(f"{url.split('://')[0]}://...: not a usable database URL: {_first_line(error)}") from error
    try:
        with engine.connect() as connection:
            return Source(pl.read_database(query, connection, infer_schema_length=None), name)
    except (sqlalchemy.exc.SQLAlchemyError, PolarsError) as error:
        raise InputError(f"{name}: the query failed: {_first_line(error)}") from error
    finally:
        engine.dispose()


def _not_empty(source: Source) -> Source:
    if source.frame.height == 0:
        raise InputError(f"{source.name} has no rows")
    return source


def _reading_problem(path: Path, packed: bool, error: Exception) -> str:
    text = _first_line(error)
    if isinstance(error, UnicodeDecodeError) or "utf-8" in text.lower() or "utf8" in text.lower():
        return f"{path}{_not_utf8_at(path, packed)}: not UTF-8 text; convert it first, for example with iconv -t utf-8"
    if packed:
        return f"{path}: damaged or truncated gzip ({text}); fetch or compress it again"
    return f"{path}: cannot be read ({text}); it may be damaged or truncated"


def _not_utf8_at(path: Path, packed: bool) -> str:
    with gzip.open(path, "rb") if packed else path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return f", line {number}"
    return ""


def _line_of_row(path: Path, row: int) -> int:
    """Line of data row `row`; read again on the way to an error only, since quoted fields may hold line breaks."""
    open_text = gzip.open if path.suffix.lower() == ".gz" else open
    with open_text(path, "rt", newline="", encoding="utf-8") as file:
        separator = max(SEPARATORS, key=file.readline().count)
        reader = csv.reader(file, delimiter=separator)
        for seen, _ in enumerate(reader):
            if seen == row:
                break
        return reader.line_num + 1  # + 1: the header


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
