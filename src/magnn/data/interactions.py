"""Who touched what, in order: the two containers that everything else reads.

U = users, N = items, events are flat arrays grouped by user, each user's in time order.
"""

from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from magnn.errors import UnknownIdError

Id = int | str


@dataclass(frozen=True, eq=False)
class Histories:
    """Item sequences of U users as one flat array: user u owns `items[offsets[u]:offsets[u + 1]]`.

    Attributes:
        items: (events,) int32, item numbers in [0, n_items).
        offsets: (U + 1,) int64, non-decreasing, from 0 to the number of events.
        n_items: size of the catalogue; also the number that stands for padding.

    Example:
        >>> h = Histories(np.array([2, 0, 1], np.int32), np.array([0, 2, 3]), n_items=3)
        >>> h.of(0).tolist(), h.lengths.tolist()
        ([2, 0], [2, 1])
    """

    items: NDArray[np.int32]
    offsets: NDArray[np.int64]
    n_items: int

    @property
    def n_users(self) -> int:
        """U."""
        return len(self.offsets) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of events of each user, (U,)."""
        return np.diff(self.offsets)

    @property
    def users(self) -> NDArray[np.int32]:
        """User number of each event, (events,)."""
        return np.repeat(np.arange(self.n_users, dtype=np.int32), self.lengths)

    @property
    def distinct_pairs(self) -> NDArray[np.int64]:
        """Every (user, item) that occurs as user * n_items + item, ascending and once."""
        # np.unique hashes since NumPy 2.3, which takes ten times as long as sorting.
        keys = np.sort(self.users.astype(np.int64) * self.n_items + self.items)
        distinct: NDArray[np.int64] = keys[np.diff(keys, prepend=-1) != 0]
        return distinct

    def of(self, user: int) -> NDArray[np.int32]:
        """Item numbers of one user, oldest first."""
        return self.items[self.offsets[user] : self.offsets[user + 1]]

    def take(self, users: NDArray[np.int64]) -> "Histories":
        """The histories of some users, renumbered 0, 1, ... in the order asked for."""
        start = self.offsets[users]
        length = self.offsets[users + 1] - start
        offsets = np.concatenate([[0], np.cumsum(length)])
        index = np.arange(offsets[-1]) + np.repeat(start - offsets[:-1], length)
        return Histories(self.items[index], offsets, self.n_items)

    def where(self, keep: NDArray[np.bool_]) -> "Histories":
        """The events marked in `keep`, (events,), as histories of the same users: a copy, so nothing else is in it."""
        kept_before = np.concatenate([[0], np.cumsum(keep, dtype=np.int64)])
        return Histories(self.items[keep], kept_before[self.offsets], self.n_items)


@dataclass(frozen=True, eq=False)
class Interactions:
    """An event log with integer ids. The outside ids live here and in no other object.

    Attributes:
        histories: the events, grouped by user, in time order.
        times: (events,) float64, seconds; without a time column, the position in the log.
        user_ids: (U,) outside user ids, sorted; a user's number is its position here.
        item_ids: (N,) outside item ids, sorted; an item's number is its position here.
        item_table: (N rows) whatever is known of the items, in item order, or None.
        dropped: events dropped on reading, by reason, in the order it was done.
        notes: what reading chose on its own (columns, order), one line each.
    """

    histories: Histories
    times: NDArray[np.float64]
    user_ids: pl.Series
    item_ids: pl.Series
    item_table: pl.DataFrame | None = None
    dropped: dict[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def n_users(self) -> int:
        """U."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """N, the catalogue."""
        return len(self.item_ids)

    @property
    def n_events(self) -> int:
        """Events of all users."""
        return len(self.times)

    def user_number(self, user: Id) -> int:
        """Number of an outside user id. Raises UnknownIdError if the log has no such user."""
        return _number(self.user_ids, user, "user")

    def item_number(self, item: Id) -> int:
        """Number of an outside item id. Raises UnknownIdError if the log has no such item."""
        return _number(self.item_ids, item, "item")

    def title(self, item: int) -> str | None:
        """Title of an item number, or None where the log carries no title for it."""
        if self.item_table is None or "title" not in self.item_table.columns:
            return None
        title = self.item_table["title"][item]
        return None if title is None else str(title)


def _number(ids: pl.Series, outside: Id, kind: str) -> int:
    # A command line only has strings, so "1" must find the integer 1; a program may hold the integer for ids read as text.
    wanted: Id = outside
    if ids.dtype == pl.String:
        wanted = str(outside)
    elif isinstance(outside, str):
        try:
            wanted = int(outside)
        except ValueError:
            raise _unknown(ids, outside, kind) from None
        if str(wanted) != outside.strip():  # "007" and "1_0" are numbers to Python, and to a log they are not
            raise _unknown(ids, outside, kind)
    if isinstance(wanted, str):
        position = int(ids.search_sorted(wanted))
    elif -(2**63) <= wanted < 2**63:
        position = int(np.searchsorted(ids.to_numpy(), wanted))  # no copy, and a tenth of the time
    else:
        position = len(ids)
    if position >= len(ids) or ids[position] != wanted:
        raise _unknown(ids, outside, kind)
    return position


def _unknown(ids: pl.Series, outside: Id, kind: str) -> UnknownIdError:
    examples = ", ".join(str(i) for i in ids.head(3).to_list())
    remedy = "; for somebody new give a history of items" if kind == "user" else ""
    return UnknownIdError(
        f"{kind} {outside!r} is not among the {len(ids):,} {kind}s of this log; known ones are for example {examples}"
        f"{remedy}"
    )
