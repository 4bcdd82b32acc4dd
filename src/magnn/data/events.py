"""From a log in whatever form to `Interactions`: columns, types, filters, order, numbers.

The one place where outside ids become integers. Everything dropped is counted, every choice made is noted.
"""

import io
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.exceptions import PolarsError

from magnn.data.columns import find, listed
from magnn.data.interactions import Histories, Interactions
from magnn.data.sources import Source, open_source
from magnn.data.values import FORMS, ids_of, missing, numbers_of, refuse, seconds_of
from magnn.errors import InputError

Repeats = Literal["first", "all"]


class Log(NamedTuple):
    """Events in parallel arrays, (events,): numbers of user and item, and seconds."""

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    times: NDArray[np.float64]

    def at(self, where: NDArray[Any]) -> "Log":
        """The events at an index, or marked in a mask."""
        return Log(self.users[where], self.items[where], self.times[where])


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
        source: a path (.csv, .csv.gz, .tsv, .parquet, .jsonl), several as a pattern ("logs/*.parquet", in order of name)
            or a list (in its order), a SQLAlchemy URL (with `query`), a polars or pandas frame, or an Arrow table.
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
        notes.append(f"no time column among {listed(raw.columns)}: the log is taken in its own order")
    if min_rating is not None and columns["rating"] is None:
        raise InputError(
            f"{raw.name}: a rating threshold needs a rating column, and none is among {listed(raw.columns)}; name it with "
            "--rating-col (rating_col=...), or do without the threshold"
        )

    # A rating decides only what a threshold drops; without one, gaps in it are nobody's business.
    used = columns if min_rating is not None else columns | {"rating": None}
    frame = _typed(raw, used)
    dropped: dict[str, int] = {}
    if min_rating is not None:
        read = frame.height
        frame = frame.filter(pl.col("rating") >= min_rating)
        dropped[f"rating below {min_rating:g}"] = read - frame.height
    # From here on an event is two numbers and a time, whatever its ids were.
    user_ids, users = _numbered(frame.drop_in_place("user"))
    item_ids, numbers = _numbered(frame.drop_in_place("item"))
    log = _in_order(Log(users, numbers, frame.drop_in_place("time").to_numpy()))
    for reason, kept in _filters(log, repeats, min_user_events, min_item_events, k_core):
        dropped[reason] = dropped.get(reason, 0) + len(log.users) - len(kept.users)
        log = kept
    dropped = {reason: count for reason, count in dropped.items() if count}
    user_ids, users = _renumbered(user_ids, log.users)
    item_ids, numbers = _renumbered(item_ids, log.items)
    _check_enough(raw.name, user_ids, item_ids, dropped)
    notes += _ties(log)
    item_table = None
    if items is not None:
        item_table, more_notes = _item_table(open_source(items), item_ids, columns["item"])
        notes += more_notes
    return Interactions(
        histories=Histories(numbers, np.cumsum(np.bincount(users + 1)), len(item_ids)),
        times=log.times,
        user_ids=user_ids,
        item_ids=item_ids,
        item_table=item_table,
        dropped=dropped,
        notes=tuple(notes),
    )


def _column(raw: Source, role: str, given: str | None, needed: bool = False) -> str | None:
    if given is not None and given not in raw.columns:
        raise InputError(f"{raw.name} has no column {given!r} for the {role}; its columns are {listed(raw.columns)}")
    name = find(raw.columns, role) if given is None else given
    if name is None and needed:
        raise InputError(
            f"{raw.name}: no {role} column among {listed(raw.columns)}; name it with --{role}-col ({role}_col=...)"
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
    """Columns user, item, time and, where there is one, rating, checked."""
    frame = raw.read({name: FORMS[role] for role, name in columns.items() if name is not None})
    typed = {}
    for role, name in columns.items():
        if name is None:
            continue
        column = frame.drop_in_place(name)
        if role in ("user", "item"):
            refuse(raw, missing(column), column, f"the {role} id is missing; drop the row or give it an id")
            typed[role] = ids_of(raw, column, role)
        else:
            typed[role] = seconds_of(raw, column) if role == "time" else numbers_of(raw, column, role)
    if "time" not in typed:
        typed["time"] = pl.int_range(len(typed["user"]), eager=True).cast(pl.Float64)
    return pl.DataFrame(typed)


def _numbered(column: pl.Series) -> tuple[pl.Series, NDArray[np.int32]]:
    """The sorted outside ids, and the position of each value in them."""
    ids = column.unique().sort()
    table = pl.LazyFrame({"id": ids, "number": np.arange(len(ids), dtype=np.int32)})
    joined = pl.LazyFrame({"id": column}).join(table, on="id", how="left", maintain_order="left").select("number")
    return ids, joined.collect().to_series().to_numpy()


def _renumbered(ids: pl.Series, numbers: NDArray[np.int32]) -> tuple[pl.Series, NDArray[np.int32]]:
    """Ids and numbers without the ids that no event has any more."""
    present = np.bincount(numbers, minlength=len(ids)) > 0
    if present.all():
        return ids, numbers
    return ids.filter(pl.Series(present)), (np.cumsum(present, dtype=np.int32) - 1)[numbers]


def _in_order(log: Log) -> Log:
    """By user, then time, then place in the log."""
    if (log.users[1:] < log.users[:-1]).any():
        by_user = pl.DataFrame({"user": log.users}).select(pl.arg_sort_by("user", maintain_order=True)).to_series()
        log = log.at(by_user.to_numpy())
    if ((log.users[1:] == log.users[:-1]) & (log.times[1:] < log.times[:-1])).any():
        # Complex numbers are ordered by their real, then by their imaginary part. With users together already, this takes
        # half the time of a sort by two columns, and a fifteenth of one that has to bring users together too.
        key = np.empty(len(log.users), np.complex128)
        key.real, key.imag = log.users, log.times
        log = log.at(np.argsort(key, kind="stable"))
    return log


def _filters(
    log: Log, repeats: Repeats, min_user_events: int, min_item_events: int, k_core: bool
) -> Iterator[tuple[str, Log]]:
    """Yields (reason, what is left) after each step."""
    if repeats == "first":
        log = log.at(_is_first(log))
        yield "repeated user and item", log
    while True:
        before = len(log.users)
        for role, least in (("user", min_user_events), ("item", min_item_events)):
            if least > 1:
                numbers = log.users if role == "user" else log.items
                log = log.at((np.bincount(numbers, minlength=1) >= least)[numbers])
                yield f"{role} with fewer than {least} events", log
        if not k_core or len(log.users) == before:
            return


def _is_first(log: Log) -> NDArray[np.bool_]:
    """Whether an event is the first of its user with its item."""
    pairs = log.users.astype(np.int64) << 32 | log.items
    order = np.argsort(pairs, kind="stable")
    first = np.ones(len(pairs), bool)
    pairs = pairs[order]
    first[order[1:]] = pairs[1:] != pairs[:-1]
    return first


def _ties(log: Log) -> list[str]:
    """A note, if events in order are of one user and one time."""
    tied = np.count_nonzero((log.users[1:] == log.users[:-1]) & (log.times[1:] == log.times[:-1]))
    events = len(log.users)
    found = f"ties in time: {tied:,} of {events:,} events ({tied / events:.1%}) have that of the user's event before"
    return [f"{found}; they keep the order of the log"] if tied else []


def _check_enough(name: str, user_ids: pl.Series, item_ids: pl.Series, dropped: dict[str, int]) -> None:
    if len(user_ids) == 0:
        reasons = "; ".join(f"{count:,}: {reason}" for reason, count in dropped.items())
        raise InputError(f"{name}: no event is left after filtering ({reasons}); loosen the thresholds")
    for role, ids in (("user", user_ids), ("item", item_ids)):
        if len(ids) == 1:
            raise InputError(
                f"{name}: only one {role} ({ids[0]!r}) is left; a recommender needs at least two. "
                f"Is the {role} column the right one, or a threshold too strict?"
            )


def _item_table(raw: Source, item_ids: pl.Series, in_log: str | None) -> tuple[pl.DataFrame, list[str]]:
    """The item table in item order, its id column replaced by `item`, a title column named `title`; and notes on it.

    The id column is that of the log's name, else one with a usual name of an item's id, else `id`, else a bare name.
    """
    name = in_log if in_log in raw.columns else find(raw.columns, "id")
    if name is None:
        raise InputError(
            f"{raw.name}: no item column among {listed(raw.columns)}; name it {in_log}, as it is in the log"
        )
    title = find([column for column in raw.columns if column != name], "title")
    table = raw.read(dict.fromkeys(raw.columns, ()) | {name: FORMS["item"]})
    # Ids as in the events: 30, "30" and, in a column of numbers, 30.0 are one item.
    known, keys = ~missing(table[name]), ids_of(raw, table[name], "item").cast(pl.String)
    table = table.drop(name)
    if title is not None and title != "title":
        table = table.drop("title", strict=False).rename({title: "title"})
    table = table.drop("item", strict=False).insert_column(0, keys.alias("item"))
    table = table.filter(known).unique("item", keep="first", maintain_order=True)
    wanted = pl.DataFrame({"item": item_ids.cast(pl.String)})
    unknown = wanted.join(table, on="item", how="anti").height
    notes = [f"item table: {name} is the item" + (f", {title} is the title" if title else ", no title column")]
    for column in _unwritable(table):
        notes.append(f"item table: {column} is left out, for no Parquet file can hold {table[column].dtype}")
        table = table.drop(column)
    if unknown:
        notes.append(f"item table: {unknown:,} of {len(item_ids):,} items are not in it")
    table = wanted.join(table, on="item", how="left", maintain_order="left")
    return table.with_columns(item_ids.alias("item")), notes


def _unwritable(table: pl.DataFrame) -> list[str]:
    """Columns that no Parquet file, and so no saved model, can hold: structs without a field, Python objects."""
    found = []
    for name in table.columns:
        try:
            table.select(name).clear().write_parquet(io.BytesIO())
        except PolarsError:
            found.append(name)
    return found
