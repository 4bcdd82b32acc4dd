"""From a log in whatever form to `Interactions`: columns, types, filters, order, numbers.

The one place where outside ids become integers. Everything dropped is counted, every choice made is noted.
"""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import polars as pl

from magnn.data.columns import find, listed
from magnn.data.interactions import Histories, Interactions
from magnn.data.sources import Source, open_source
from magnn.errors import InputError

Repeats = Literal["first", "all"]

DATE_FORMATS = (
    "%Y-%m-%dT%H:%M:%S%.f%:z",
    "%Y-%m-%dT%H:%M%:z",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d",
)


def read_events(
    source: Any,
    *,
    query: str | None = None,
    user_col: str | None = None,
    item_col: str | None = None,
    time_col: str | None = None,
    rating_col: str | None = None,
    min_rating: float | None = None,
    repeats: Repeats = "first",
    min_user_events: int = 1,
    min_item_events: int = 1,
    k_core: bool = False,
    items: Any = None,
) -> Interactions:
    """Read an event log.

    Args:
        source: a path (.csv, .csv.gz, .tsv, .parquet, .jsonl), a SQLAlchemy URL (with `query`), a polars or pandas
            frame, or an Arrow table.
        query: SQL that selects the needed columns; only with a URL.
        user_col, item_col, time_col, rating_col: column names. What is not given is recognised by its usual names, and
            the choice stands in `notes`. Without a time column the log is taken in its own order.
        min_rating: drop events rated lower.
        repeats: `"first"` keeps a user's first event with an item, as the paper's data does; `"all"` keeps each.
        min_user_events, min_item_events: drop users, then items, with fewer events; once, or with `k_core` until
            nothing more falls.
        items: an item table with an id column and any others (title, genres ...): a path, frame or table.

    Returns:
        The events, each user's in time order; ties in time keep the order of the log.

    Raises:
        InputError: the source cannot be read, a column is missing, or a value is null, negative or no number; the
            message names file and line. Also where nothing, one user or one item is left.

    Example:
        >>> log = pl.DataFrame({"user": ["a", "a", "b"], "item": ["x", "y", "x"], "timestamp": [2, 1, 3]})
        >>> events = read_events(log)
        >>> events.histories.of(0).tolist()  # user "a": y (1), then x (0)
        [1, 0]
    """
    if repeats not in ("first", "all"):
        raise InputError(f"repeats must be 'first' or 'all', not {repeats!r}")
    raw = open_source(source, query)
    columns = {
        role: _column(raw, role, given, needed=role in ("user", "item"))
        for role, given in (("user", user_col), ("item", item_col), ("time", time_col), ("rating", rating_col))
    }
    _check_distinct(raw, columns)
    notes = ["columns: " + ", ".join(f"{role} = {name}" for role, name in columns.items() if name is not None)]
    if columns["time"] is None:
        notes.append("no time column: the log is taken in its own order")
    if min_rating is not None and columns["rating"] is None:
        raise InputError(f"{raw.name}: a rating threshold needs a rating column; name it, or drop the threshold")

    frame = _typed(raw, columns)
    steps = _filters(frame, min_rating, repeats, min_user_events, min_item_events, k_core)
    dropped: dict[str, int] = {}
    for reason, kept in steps:
        if kept.height < frame.height:
            dropped[reason] = dropped.get(reason, 0) + frame.height - kept.height
        frame = kept
    _check_enough(frame, raw.name, dropped)

    user_ids, users = _numbered(frame["user"])
    item_ids, item_numbers = _numbered(frame["item"])
    offsets = np.concatenate([[0], np.cumsum(np.bincount(users, minlength=len(user_ids)))]).astype(np.int64)
    item_table = None
    if items is not None:
        item_table, more_notes = _item_table(open_source(items), item_ids)
        notes += more_notes
    return Interactions(
        histories=Histories(item_numbers, offsets, len(item_ids)),
        times=frame["time"].to_numpy(),
        user_ids=user_ids,
        item_ids=item_ids,
        item_table=item_table,
        dropped=dropped,
        notes=tuple(notes),
    )


def _column(raw: Source, role: str, given: str | None, needed: bool = False) -> str | None:
    try:
        name = find(raw.frame.columns, role, given)
    except InputError as error:
        raise InputError(f"{raw.name} {error}") from None
    if name is None and needed:
        raise InputError(
            f"{raw.name}: no {role} column among {listed(raw.frame.columns)}; name it with --{role}-col ({role}_col=...)"
        )
    return name


def _check_distinct(raw: Source, columns: dict[str, str | None]) -> None:
    roles: dict[str, str] = {}
    for role, name in columns.items():
        if name in roles:
            raise InputError(
                f"{raw.name}: column {name!r} is given for both {roles[name]} and {role}; each needs its own"
            )
        if name is not None:
            roles[name] = role


def _typed(raw: Source, columns: dict[str, str | None]) -> pl.DataFrame:
    """Columns user, item, time, rating (where there is one), checked, and sorted by user, then time, then position."""
    used = [name for name in columns.values() if name is not None]
    frame, rows = raw.frame.select(used), pl.int_range(raw.frame.height, eager=True)
    if raw.csv_path:  # a blank line in a text file comes as a row of nulls
        real = raw.frame.select(~pl.all_horizontal(pl.all().is_null())).to_series()
        frame, rows = frame.filter(real), rows.filter(real)
        if frame.height == 0:
            raise InputError(f"{raw.name} has no rows")
    user, item, time, rating = (columns[role] for role in ("user", "item", "time", "rating"))
    assert user is not None and item is not None  # `_column` saw to it
    typed = {"user": _ids(raw, frame[user], rows, "user"), "item": _ids(raw, frame[item], rows, "item")}
    typed["time"] = _seconds(raw, frame[time], rows) if time else pl.Series(rows, dtype=pl.Float64)
    if rating:
        typed["rating"] = _numbers(raw, frame[rating], rows, "rating")
    return pl.DataFrame(typed).sort("user", "time", maintain_order=True)


def _ids(raw: Source, column: pl.Series, rows: pl.Series, role: str) -> pl.Series:
    """Integers where every id is one as it stands ("007" is not), strings otherwise."""
    if column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object):
        raise InputError(f"{raw.name}, column {column.name!r} holds {column.dtype}; ids are integers or text")
    _refuse(raw, _missing(column), column, rows, f"the {role} id is missing; drop the row or give it an id")
    if column.dtype.is_integer():
        integers = column.cast(pl.Int64, strict=False)
        if not integers.has_nulls():  # larger ones stay text, as they do in a text file
            return integers
    if column.dtype.is_float():
        as_integers = column.cast(pl.Int64, strict=False)
        _refuse(
            raw, (as_integers != column).fill_null(True), column, rows, f"is no {role} id; ids are integers or text"
        )
        return as_integers
    text = column.cast(pl.String)
    numbers = text.cast(pl.Int64, strict=False)
    return numbers if bool((numbers.cast(pl.String) == text).fill_null(False).all()) else text


def _missing(ids: pl.Series) -> pl.Series:
    """Null, NaN (how pandas says null) or empty text (how a quoted CSV does)."""
    if ids.dtype.is_float():
        return ids.is_null() | ids.is_nan()
    return (ids == "").fill_null(True) if ids.dtype == pl.String else ids.is_null()


def _numbers(raw: Source, column: pl.Series, rows: pl.Series, role: str) -> pl.Series:
    _refuse(raw, column.is_null(), column, rows, f"the {role} is missing; drop the row or give it a {role}")
    if not (column.dtype.is_numeric() or column.dtype in (pl.String, pl.Categorical, pl.Enum, pl.Boolean)):
        raise InputError(f"{raw.name}, column {column.name!r} holds {column.dtype}, which is no {role}; give numbers")
    numbers = column.cast(pl.Float64, strict=False)
    wrong = numbers.is_null() | numbers.is_nan() | numbers.is_infinite()
    _refuse(raw, wrong, column, rows, f"is not a usable {role}; a number is needed")
    _refuse(raw, numbers < 0, column, rows, f"is a negative {role}; correct or drop the row")
    return numbers


def _seconds(raw: Source, column: pl.Series, rows: pl.Series) -> pl.Series:
    """Seconds since the epoch. Integers too large for seconds are read as milli-, micro- or nanoseconds."""
    _refuse(raw, column.is_null(), column, rows, "the timestamp is missing; drop the row or give it a timestamp")
    if column.dtype in (pl.Date, pl.Datetime):
        return column.cast(pl.Datetime("us")).dt.epoch("us") / 1e6
    if column.dtype == pl.String and _is_date(column):
        text = column.str.replace(" ", "T").str.replace("Z$", "+00:00").str.replace(r"(T.*[+-]\d{2})$", "${1}:00")
        parsed = [text.str.to_datetime(form, strict=False, time_unit="us").dt.epoch("us") for form in DATE_FORMATS]
        microseconds = (
            pl.DataFrame([p.alias(str(i)) for i, p in enumerate(parsed)]).select(pl.coalesce(pl.all())).to_series()
        )
        _refuse(
            raw,
            microseconds.is_null(),
            column,
            rows,
            "is not an ISO 8601 date; write it as 2014-07-21 or 2014-07-21T10:30:00",
        )
        return microseconds / 1e6
    numbers = _numbers(raw, column, rows, "timestamp")
    largest = numbers.max()
    assert isinstance(largest, float)
    # 1e11 seconds is the year 5138, 1e11 milliseconds is 1973: a log of clicks lies between.
    return numbers / (1e9 if largest > 1e17 else 1e6 if largest > 1e14 else 1e3 if largest > 1e11 else 1.0)


def _is_date(column: pl.Series) -> bool:
    return bool(column.head(1).str.contains(r"^\d{4}-\d{2}-\d{2}").any())


def _refuse(raw: Source, bad: pl.Series, column: pl.Series, rows: pl.Series, problem: str) -> None:
    if bad.any():
        first = bad.arg_max()
        assert first is not None
        value = "" if "missing" in problem else f"{column[first]!r} "
        raise InputError(f"{raw.place(int(rows[first]))}, column {column.name!r}: {value}{problem}")


def _filters(
    frame: pl.DataFrame,
    min_rating: float | None,
    repeats: Repeats,
    min_user_events: int,
    min_item_events: int,
    k_core: bool,
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Yields (reason, what is left) after each step."""
    if min_rating is not None:
        frame = frame.filter(pl.col("rating") >= min_rating)
        yield f"rating below {min_rating:g}", frame
    if repeats == "first":
        frame = frame.unique(["user", "item"], keep="first", maintain_order=True)
        yield "repeated user and item", frame
    while True:
        before = frame.height
        for role, least in (("user", min_user_events), ("item", min_item_events)):
            if least > 1:
                frame = frame.filter(pl.len().over(role) >= least)
                yield f"{role} with fewer than {least} events", frame
        if not k_core or frame.height == before:
            return


def _check_enough(frame: pl.DataFrame, name: str, dropped: dict[str, int]) -> None:
    if frame.height == 0:
        reasons = "; ".join(f"{count:,}: {reason}" for reason, count in dropped.items())
        raise InputError(f"{name}: no event is left after filtering ({reasons}); loosen the thresholds")
    for role in ("user", "item"):
        if frame[role].n_unique() == 1:
            raise InputError(
                f"{name}: only one {role} ({frame[role][0]!r}) is left; a recommender needs at least two. "
                f"Is the {role} column the right one, or a threshold too strict?"
            )


def _numbered(column: pl.Series) -> tuple[pl.Series, np.ndarray[Any, np.dtype[np.int32]]]:
    """The sorted outside ids, and the position of each value in them."""
    ids = column.unique().sort()
    numbers = pl.DataFrame({"id": ids, "number": np.arange(len(ids), dtype=np.int32)})
    joined = pl.DataFrame({"id": column}).join(numbers, on="id", how="left", maintain_order="left")
    return ids, joined["number"].to_numpy()


def _item_table(raw: Source, item_ids: pl.Series) -> tuple[pl.DataFrame, list[str]]:
    """The item table in item order, its id column replaced by `item`, a title column named `title`; and notes on it."""
    name = _column(raw, "item", None, needed=True)
    title = find(raw.frame.columns, "title")
    assert name is not None
    # Ids as in the events: 30, "30" and 30.0 are one item.
    known = ~_missing(raw.frame[name])
    table = raw.frame.filter(known)
    keys = _ids(raw, table[name], pl.int_range(len(known), eager=True).filter(known), "item").cast(pl.String)
    if title is not None and title != "title":
        table = table.drop("title", strict=False).rename({title: "title"})
    table = table.drop(name).drop("item", strict=False).insert_column(0, keys.alias("item"))
    table = table.unique("item", keep="first", maintain_order=True)
    wanted = pl.DataFrame({"item": item_ids.cast(pl.String)})
    unknown = wanted.join(table, on="item", how="anti").height
    notes = [f"item table: {name} is the item" + (f", {title} is the title" if title else ", no title column")]
    if unknown:
        notes.append(f"item table: {unknown:,} of {len(item_ids):,} items are not in it")
    table = wanted.join(table, on="item", how="left", maintain_order="left")
    return table.with_columns(item_ids.alias("item")), notes
