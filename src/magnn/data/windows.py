"""Samples (users, history windows, targets) as indices into the flat event array, gathered batch by batch.

Shapes: B = batch, W = window (|H|max + |L|), T = targets. Nothing here grows with samples times W: a sample is two numbers.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from magnn.data.interactions import Histories


class Batch(NamedTuple):
    """What the model sees of B samples.

    Attributes:
        users_B: int64 user numbers.
        history_BW: int64 item numbers, oldest first, aligned to the right; `n_items` where there is none. The last |L|
            columns are the short term, those before are the long term.
        targets_BT: int64 item numbers that came next; `n_items` where there is none. T is 0 for queries.
    """

    users_B: NDArray[np.int64]
    history_BW: NDArray[np.int64]
    targets_BT: NDArray[np.int64]


@dataclass(frozen=True)
class Windows:
    """Samples over `histories`.

    Attributes:
        user_S: (samples,) user number.
        next_S: (samples,) index, in the flat event array, of the first event after the history.
        width: W, how many events of history a sample has at most.
        n_targets: T.
    """

    histories: Histories
    user_S: NDArray[np.int32]
    next_S: NDArray[np.int64]
    width: int
    n_targets: int

    def __len__(self) -> int:
        return len(self.next_S)

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """Gather the samples `rows`, (B,)."""
        users, following = self.user_S[rows].astype(np.int64), self.next_S[rows][:, None]
        start, end = self.histories.offsets[users][:, None], self.histories.offsets[users + 1][:, None]
        history = following + np.arange(-self.width, 0)
        targets = following + np.arange(self.n_targets)
        return Batch(users, self._items(history, history >= start), self._items(targets, targets < end))

    def _items(self, index: NDArray[np.int64], real: NDArray[np.bool_]) -> NDArray[np.int64]:
        items = self.histories.items
        if len(items) == 0:
            return np.full(index.shape, self.histories.n_items, np.int64)
        return np.where(real, items[np.clip(index, 0, len(items) - 1)], self.histories.n_items).astype(np.int64)


def training_windows(histories: Histories, short: int, long: int, targets: int, *, whole: bool = True) -> Windows:
    """All windows of |L| = `short` events followed by |T| = `targets`, one step apart, with up to `long` events before.

    A user with fewer than |L| + |T| events gives one sample, its targets the last of the events (at most |T|, and
    never all of two or more), its short window what comes before. A user with a single event gives it as the target of an
    empty history, so that taste is learned from it all the same.

    Unless `whole`, one event before the first target is enough, and short windows are filled up with padding.
    """
    lengths = histories.lengths
    width, short = short + long, short if whole else 1
    first_target = np.where(
        lengths >= short + targets, short, np.maximum(lengths - targets, np.minimum(lengths - 1, 1))
    )
    samples = np.maximum(lengths - first_target - targets, 0) + 1
    samples[lengths == 0] = 0
    user = np.repeat(np.arange(histories.n_users, dtype=np.int32), samples)
    nth = np.arange(len(user)) - np.repeat(np.cumsum(samples) - samples, samples)
    following = histories.offsets[user] + first_target[user] + nth
    return Windows(histories, user, following, width, targets)


def query_windows(histories: Histories, short: int, long: int) -> Windows:
    """One sample per user, the present: all that the user did, and no targets. Sample u is user u."""
    users = np.arange(histories.n_users, dtype=np.int32)
    return Windows(histories, users, histories.offsets[1:].copy(), short + long, 0)
