"""Small things to test on."""

from collections.abc import Sequence
from itertools import chain

import numpy as np

from magnn.data.interactions import Histories


def histories_of(sequences: Sequence[Sequence[int]], n_items: int) -> Histories:
    """User 0 did `sequences[0]`, user 1 `sequences[1]`, and so on."""
    items = np.fromiter(chain.from_iterable(sequences), np.int32)
    return Histories(items, np.cumsum([0, *map(len, sequences)]).astype(np.int64), n_items)
