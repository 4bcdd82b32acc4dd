"""Small things to test on."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import polars as pl

import magnn
from magnn.data.interactions import Histories
from magnn.data.split import Protocol, Split


def histories_of(sequences: Sequence[Sequence[int]], n_items: int) -> Histories:
    """User 0 did `sequences[0]`, user 1 `sequences[1]`, and so on."""
    items = np.fromiter(chain.from_iterable(sequences), np.int32)
    return Histories(items, np.cumsum([0, *map(len, sequences)]).astype(np.int64), n_items)


def log_of(sequences: Sequence[Sequence[str]], protocol: Protocol) -> Split:
    """The split of a log in which user 0 did `sequences[0]`, user 1 `sequences[1]`, and so on."""
    events = [(user, item) for user, items in enumerate(sequences) for item in items]
    frame = pl.DataFrame(events, schema=["user", "item"], orient="row")
    return magnn.split(magnn.read_events(frame), protocol)
