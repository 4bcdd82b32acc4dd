"""Negatives: items a user has not touched, drawn uniformly and exactly.

Shapes: B = batch, S = samples a row, N = items.
"""

import numpy as np
from numpy.typing import NDArray

from magnn.data.interactions import Histories


class UnseenItems:
    """Draws, for each user, uniformly among the items not in the user's history; without rejection.

    A user's r-th unseen item is r plus the number of seen items before it. With the seen items s_0 < s_1 < ..., that
    number is how many k have s_k - k <= r: one binary search in one sorted array for all users.

    Example:
        >>> h = Histories(np.array([0, 2], np.int32), np.array([0, 2]), n_items=3)
        >>> UnseenItems(h).draw(np.array([0]), 2, np.random.default_rng(0))
        array([[1, 1]])
    """

    def __init__(self, histories: Histories) -> None:
        n_items = histories.n_items
        seen = histories.distinct_pairs
        user, item = seen // n_items, seen % n_items
        self.n_items = n_items
        self.n_seen_U = np.bincount(user, minlength=histories.n_users)
        self.first_U = np.cumsum(self.n_seen_U) - self.n_seen_U
        # s_k - k lies in [0, N), so that the keys of a user end before the next user's begin.
        self.keys = user * n_items + item - (np.arange(len(seen)) - self.first_U[user])

    def draw(self, users_B: NDArray[np.int64], size: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """`size` unseen items for each user, (B, size), with replacement; `n_items` for a user who has seen everything."""
        unseen_B1 = (self.n_items - self.n_seen_U[users_B])[:, None]
        nth = (rng.random((len(users_B), size)) * unseen_B1).astype(np.int64)
        before = np.searchsorted(self.keys, users_B[:, None] * self.n_items + nth, side="right")
        # Where nothing is unseen, nth is 0 and every seen item counts, which gives n_items.
        return nth + before - self.first_U[users_B][:, None]
