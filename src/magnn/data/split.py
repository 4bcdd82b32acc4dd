"""Which events train, which select, which test: the protocols `paper`, `leave-one-out`, `time` and `none`.

In every protocol the parts of a user follow each other in time, train before valid before test. Except by time, where
whoever comes after the cut is new, a user's first event is never held out: there is no history to predict it from.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from magnn.data.interactions import Histories, Interactions
from magnn.errors import InputError

Protocol = Literal["paper", "leave-one-out", "time", "none"]
TRAIN, VALID, TEST = 0, 1, 2


@dataclass(frozen=True, eq=False)
class Split:
    """An event log with each event's part.

    Attributes:
        events: the log.
        protocol: how it was split.
        part: (events,) uint8, 0 train, 1 valid, 2 test.

    The parts are handed out as copies: what trains holds no test event, not even out of sight.

    Raises:
        InputError: not a part for each event, another part, or one of a user that stands before an earlier part.
    """

    events: Interactions
    protocol: Protocol
    part: NDArray[np.uint8]

    def __post_init__(self) -> None:
        histories = self.events.histories
        if len(self.part) != self.events.n_events:
            raise InputError(f"the split has {len(self.part):,} parts for {self.events.n_events:,} events")
        if (self.part > TEST).any():
            raise InputError(f"the split has a part {self.part.max()}; parts are 0 (train), 1 (valid) and 2 (test)")
        back = self.part[1:] < self.part[:-1]
        begins = histories.offsets[(histories.offsets > 0) & (histories.offsets < len(self.part))]
        back[begins - 1] = False  # from one user to the next
        if back.any():
            raise InputError("the split puts a held-out event before a training event of the same user")

    @property
    def train(self) -> Histories:
        """Events to train on."""
        return self.events.histories.where(self.part == TRAIN)

    @property
    def valid(self) -> Histories:
        """Events that choose the epoch."""
        return self.events.histories.where(self.part == VALID)

    @property
    def test(self) -> Histories:
        """Events that are looked at once, at the end."""
        return self.events.histories.where(self.part == TEST)

    @property
    def train_and_valid(self) -> Histories:
        """Everything before the test."""
        return self.events.histories.where(self.part != TEST)


def split(events: Interactions, protocol: Protocol = "paper") -> Split:
    """Split an event log.

    Args:
        events: the log.
        protocol: `"paper"`: of each user's n events the last ceil(n / 5) test, of the m before them the last
            ceil(m / 10) validate, but never the first event.
            `"leave-one-out"`: the last tests, the one before validates, but never the first.
            `"time"`: one cut for all users; the last fifth of all events tests, the last tenth of the rest validates, and
            events of the same moment stay together.
            `"none"`: everything trains.

    Raises:
        InputError: unknown protocol, or a `"time"` split of a log in which too little time passes.

    Example:
        >>> import polars as pl
        >>> from magnn.data.events import read_events
        >>> log = pl.DataFrame({"user": list("aaaaab"), "item": list("vwxyzv")})
        >>> split(read_events(log), "leave-one-out").part.tolist()
        [0, 0, 0, 1, 2, 0]
    """
    if protocol not in get_args(Protocol):
        raise InputError(f"unknown split {protocol!r}; choose one of {', '.join(get_args(Protocol))}")
    if protocol == "time":
        return Split(events, protocol, _by_time(events))
    lengths = events.histories.lengths
    if protocol == "paper":
        n_test = np.minimum(_ceil_share(lengths, 5), lengths - 1)
        n_valid = np.minimum(_ceil_share(lengths - n_test, 10), lengths - n_test - 1)
    elif protocol == "leave-one-out":
        n_test = np.minimum(1, lengths - 1)
        n_valid = np.minimum(1, lengths - n_test - 1)
    else:
        n_test = n_valid = np.zeros_like(lengths)
    parts = np.tile(np.array([TRAIN, VALID, TEST], np.uint8), len(lengths))
    in_each = np.stack([lengths - n_valid - n_test, n_valid, n_test], axis=1)
    return Split(events, protocol, np.repeat(parts, in_each.ravel()))


def _ceil_share(lengths: NDArray[np.int64], divisor: int) -> NDArray[np.int64]:
    """ceil(length / divisor), in integers."""
    return -(-lengths // divisor)


def _by_time(events: Interactions) -> NDArray[np.uint8]:
    in_time = np.sort(events.times)
    test_from = in_time[len(in_time) - _ceil_share(np.array(len(in_time)), 5)]
    before = in_time[in_time < test_from]
    if len(before) < 2:
        raise InputError("a split by time needs events at different times; use the split paper or leave-one-out")
    valid_from = before[len(before) - _ceil_share(np.array(len(before)), 10)]
    part = np.where(events.times >= test_from, TEST, np.where(events.times >= valid_from, VALID, TRAIN))
    if not (part == TRAIN).any():
        raise InputError("a split by time needs events at different times; use the split paper or leave-one-out")
    return part.astype(np.uint8)
