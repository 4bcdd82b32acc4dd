"""From any supported source to raw columns, read when asked for; and from a row back to its place in the source."""

import codecs
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from polars.exceptions import PolarsError

from magnn.data.columns import listed
from magnn.data.databases import read_database
from magnn.data.files import files_of, first_line, kind_of, line_of_row, problem_with, quote_of, separator_of
from magnn.errors import InputError

STORES = {"s3", "s3a", "gs", "gcs", "az", "adl", "abfs", "abfss", "hdfs", "dbfs", "hf", "http", "https", "ftp", "sftp"}
PROBE = 1_000  # rows in which most columns show what they do not hold
TEXT = (pl.String, pl.Categorical, pl.Enum)
# A filter on every column, pushed down into the reader, costs the square of their number: seconds for 800.
WIDE = pl.QueryOptFlags(predicate_pushdown=False)
UNREADABLE = (PolarsError, OSError, EOFError, zlib.error, UnicodeDecodeError)

Form = Callable[[pl.Expr], pl.Expr]  # text -> values, null where the text is none


@dataclass(frozen=True)
class Part:
    """One file, or a table in memory.

    Attributes:
        name: for messages.
        table: not yet read where it is a CSV or Parquet file.
        schema: its columns and their types.
        path: of the file.
        in_lines: whether it is a text file, in which a row has a line.
    """

    name: str
    table: pl.LazyFrame
    schema: pl.Schema
    path: Path | None = None
    in_lines: bool = False

    @property
    def rows(self) -> pl.LazyFrame:
        """The table without blank lines, which come as rows of nulls."""
        return self.table.filter(~_blank()) if self.in_lines else self.table

    def collect(self, forms: Mapping[str, Sequence[Form]], limit: int | None = None) -> pl.DataFrame:
        """The columns named, text in the first of its forms or as String, of the first `limit` rows."""
        columns = []
        for name, some in forms.items():
            column = pl.col(name)
            if self.schema[name] in TEXT:
                column = column.cast(pl.String)
                column = some[0](column).alias(name) if some else column
            columns.append(column)
        rows = self.rows if limit is None else self.rows.head(limit)
        try:
            return rows.select(columns).collect(engine="streaming", optimizations=WIDE)
        except UNREADABLE as error:
            if self.path is None:
                raise
            raise InputError(problem_with(self.path, error)) from error

    def place(self, row: int) -> str:
        """Where row `row` (0-based) of `rows` stands, as a person would look for it."""
        if self.path is None or not self.in_lines:
            return f"{self.name}, row {row + 1}"
        row = int(self.table.select(~_blank()).collect().to_series().arg_true()[row])
        line = line_of_row(self.path, row)
        return f"{self.name}, row {row + 1}" if line is None else f"{self.name}, line {line}"


@dataclass(frozen=True)
class Source:
    """A raw table in one or several parts, one after the other."""

    name: str
    parts: tuple[Part, ...]

    @property
    def columns(self) -> list[str]:
        """Names of the columns of the first part; others may have more, and in another order."""
        return self.parts[0].schema.names()

    def read(self, forms: Mapping[str, Sequence[Form]]) -> pl.DataFrame:
        """The columns named in `forms`, and no others.

        Text comes in the first of its column's forms that leaves no null in the column, and as it stands where none
        does. A form is applied while a file is read, so that the text of numbers and dates never is in memory as a whole.

        Raises:
            InputError: there are no rows, a part cannot be read, lacks a column, or has it in another type.
        """
        for part in self.parts:
            missing = [name for name in forms if name not in part.schema]
            if missing:
                raise InputError(
                    f"{part.name} has no column {missing[0]!r}, unlike {self.parts[0].name}; "
                    f"its columns are {listed(part.schema.names())}"
                )
        left = {
            name: list(some) if any(part.schema[name] in TEXT for part in self.parts) else []
            for name, some in forms.items()
        }
        # The first rows refute most forms at little cost; what they let pass, all rows must.
        while _refuted(left, self.parts[0].collect(left, PROBE)) or _refuted(left, frame := self._collect(left)):
            pass
        if frame.height == 0:
            raise InputError(f"{self.name} has no rows")
        return frame

    def place(self, row: int) -> str:
        """Where row `row` (0-based) of what `read` gave stands: its file, and its line or row in there."""
        *before, last = self.parts
        for part in before:  # counted on the way to an error only
            height = part.rows.select(pl.len()).collect(optimizations=WIDE).item()
            if row < height:
                return part.place(row)
            row -= height
        return last.place(row)

    def _collect(self, forms: Mapping[str, Sequence[Form]]) -> pl.DataFrame:
        frames = [part.collect(forms) for part in self.parts]
        try:
            return pl.concat(frames, how="vertical_relaxed")
        except PolarsError as error:
            raise InputError(
                f"{self.name}: the files cannot be joined: {first_line(error)}; give each column one type"
            ) from error


def open_source(source: Any, query: str | None = None) -> Source:
    """Open a path, a pattern or list of paths, a database URL with a query, a polars or pandas frame, or an Arrow table.

    Text files have columns of text: what is an id and what a number is decided by who reads them, not by a guess at the
    first rows. CSV and Parquet files are read column by column when asked; other sources are in memory from here on.

    Raises:
        InputError: the source is missing, empty, unreadable, truncated, not UTF-8, or of no supported kind.
    """
    if isinstance(source, str) and "://" in source:
        scheme = source.partition("://")[0].lower()
        if scheme == "file":
            raise InputError("a file is named by its path, without file://")
        if scheme in STORES:
            raise InputError(f"{scheme}:// is no database: fetch the file first, and give its path")
        return _in_memory(*read_database(source, query))
    if query is not None:
        given = repr(source) if isinstance(source, str) else type(source).__name__
        raise InputError(f"a query needs a database URL such as sqlite:///shop.db, not {given}")
    if isinstance(source, (str, Path)):
        return _in_files([source])
    if isinstance(source, (list, tuple)) and source and all(isinstance(one, (str, Path)) for one in source):
        return _in_files(source)
    if isinstance(source, pl.LazyFrame):
        try:
            source = source.collect(engine="streaming")
        except (PolarsError, OSError) as error:
            raise InputError(f"the lazy frame cannot be collected: {first_line(error)}") from error
    if isinstance(source, pl.DataFrame):
        return _in_memory("the data frame", source)
    if hasattr(source, "__arrow_c_stream__"):  # Arrow tables, and pandas frames: neither library is imported here
        try:
            return _in_memory("the table", pl.DataFrame(source))
        except ImportError as error:
            raise InputError(
                f"this data frame cannot be converted: {first_line(error)}; pip install pyarrow"
            ) from error
        except (ValueError, TypeError, PolarsError) as error:  # Arrow's own errors are Value- and TypeErrors
            raise InputError(
                f"this data frame cannot be converted: {first_line(error)}; give each column one type and its own name"
            ) from error
    raise InputError(
        f"cannot read events from {type(source).__name__}; give a path, a database URL and query, "
        "a polars or pandas frame, or an Arrow table"
    )


def _in_memory(name: str, frame: pl.DataFrame) -> Source:
    if frame.height == 0:
        raise InputError(f"{name} has no rows")
    return Source(name, (Part(name, frame.lazy(), frame.schema),))


def _in_files(given: Sequence[str | Path]) -> Source:
    paths = [path for one in given for path in files_of(one)]
    for path in paths:
        if kind_of(path) != kind_of(paths[0]):
            raise InputError(
                f"{path} is of another kind than {paths[0]}; files that are read as one must be of one kind"
            )
    name = str(given[0]) if len(given) == 1 else f"{given[0]} and {len(given) - 1} more"
    return Source(name, tuple(_in_file(path) for path in paths))


def _in_file(path: Path) -> Part:
    kind = kind_of(path)
    try:
        if kind == "parquet":
            table = pl.scan_parquet(path, glob=False)
        elif kind == "json":
            content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
            table = pl.read_ndjson(content, infer_schema_length=None).lazy()
        else:
            table = pl.scan_csv(
                path, separator=separator_of(path), quote_char=quote_of(path), infer_schema=False, glob=False
            )
        return Part(str(path), table, table.collect_schema(), path, in_lines=kind == "text")
    except UNREADABLE as error:
        raise InputError(problem_with(path, error)) from error


def _blank() -> pl.Expr:
    return pl.all_horizontal(pl.all().is_null())


def _refuted(forms: dict[str, list[Form]], frame: pl.DataFrame) -> bool:
    """Takes from each column of `frame` that has a null the form it came in; whether there was any."""
    wrong = [some for name, some in forms.items() if some and frame[name].has_nulls()]
    for some in wrong:
        del some[0]
    return bool(wrong)
