"""Small things to test on: histories, logs with known answers, settings that learn them in seconds."""

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import polars as pl
import torch

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


SMALL = {"dim": 16, "heads": 4, "memory_units": 4, "long_window": 6, "init_std": 0.1}
BEST: dict[str, Any] = {
    "preset": "best",
    "model": {**SMALL, "short_window": 3, "dropout": 0.1},
    "training": {"batch_size": 128, "learning_rate": 0.01},
    "graph": {"neighbours": 10},
}


def config(**training: Any) -> dict[str, Any]:
    return {
        "preset": "paper",
        "model": SMALL,
        "training": {"batch_size": 256, "learning_rate": 0.01, "l2": 1e-5, **training},
    }


def chain_world(n_users: int = 120, n_items: int = 20) -> Split:
    """Everybody walks round the same circle of items, from a place of their own: the last item decides the next."""
    walks = [[f"{(start + step) % n_items:02d}" for step in range(12)] for start in range(n_users)]
    return log_of(walks, "leave-one-out")


def partner_world(n_partners: int = 20) -> Split:
    """Items mostly have their partner behind them; odd users have met five alone when they meet the last one's partner.

    Where an odd user goes next is written in the last item only: the other four have partners just as good. Even users
    end on one more item, so that their validation event is a partner: the epoch is not chosen by chance.
    """
    rng = np.random.default_rng(2)
    sequences = []
    for user in range(240):
        *items, last = (f"{i:02d}" for i in rng.permutation(n_partners)[:10])
        pairs = [name for i in (items if user % 2 == 0 else items[:4]) for name in (f"a{i}", f"b{i}")]
        sequences.append(pairs + ([f"a{last}"] if user % 2 == 0 else [*(f"a{i}" for i in items[4:]), f"b{items[-1]}"]))
    return log_of(sequences, "leave-one-out")


def taste_world() -> Split:
    """Two tastes in random order: what the user likes decides, and nothing else does."""
    rng = np.random.default_rng(0)
    likes = [[f"{'ab'[user % 2]}{item:02d}" for item in rng.permutation(20)[:14]] for user in range(200)]
    return log_of(likes, "paper")


def small_world(protocol: Any = "paper") -> Split:
    rng = np.random.default_rng(1)
    return log_of([[f"{i:02d}" for i in rng.permutation(30)[: 4 + user % 12]] for user in range(60)], protocol)


def weights_equal(a: magnn.Recommender, b: magnn.Recommender) -> bool:
    left, right = a.model.state_dict(), b.model.state_dict()
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)
