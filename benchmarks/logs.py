"""Logs of any size with the shape of real ones, as a file or in memory.

Usage: python benchmarks/logs.py OUT.csv|OUT.parquet [USERS ITEMS EVENTS [SEED]]   (default: the size of MovieLens-20M)

Shaped after MovieLens-20M: lengths of histories are log-normal (mean twice the median, at least 5), popularity falls as
1 / (rank + N / 100)^2 (the first item has .4% of the events, 2,600 times those of the median item), nobody has an item
twice, and rows are grouped by user but not in time order. There is no taste in it: for measuring speed, not accuracy.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray

from magnn.data.interactions import Histories, Interactions

ML_20M = 138_493, 26_744, 20_000_263
LEAST = 5  # events of a user
BLOCK = 1_000_000  # events held at once


def write_log(path: Path, n_users: int, n_items: int, n_events: int, seed: int = 0) -> None:
    """Write a log as CSV or, where the name ends so, Parquet, a piece at a time: it never is in memory as a whole."""
    pieces = blocks(n_users, n_items, n_events, seed)
    if path.suffix == ".parquet":
        first = next(pieces).to_arrow()
        with pq.ParquetWriter(path, first.schema) as writer:
            writer.write_table(first)
            for piece in pieces:
                writer.write_table(piece.to_arrow())
        return
    with path.open("wb") as file:
        for nth, piece in enumerate(pieces):
            piece.write_csv(file, include_header=nth == 0)


def make_log(n_users: int, n_items: int, n_events: int, seed: int = 0) -> Interactions:
    """The same log as `read_events` would give it, but with all N items in the catalogue, touched or not."""
    pieces = [
        piece.select(pl.col("user_id", "item_id").cast(pl.Int32), "timestamp").sort(
            "user_id", "timestamp", maintain_order=True
        )
        for piece in blocks(n_users, n_items, n_events, seed)
    ]
    users = np.concatenate([piece["user_id"].to_numpy() for piece in pieces])
    items = np.concatenate([piece["item_id"].to_numpy() - 1 for piece in pieces])
    return Interactions(
        histories=Histories(items, np.cumsum(np.bincount(users, minlength=n_users + 1)), n_items),
        times=np.concatenate([piece["timestamp"].cast(pl.Float64).to_numpy() for piece in pieces]),
        user_ids=pl.Series(np.arange(1, n_users + 1)),
        item_ids=pl.Series(np.arange(1, n_items + 1)),
    )


def blocks(n_users: int, n_items: int, n_events: int, seed: int = 0) -> Iterator[pl.DataFrame]:
    """Yields the log in pieces of whole users: user_id, item_id (both from 1), rating (.5 to 5), timestamp (seconds)."""
    rng = np.random.default_rng(seed)
    lengths = lengths_of(n_users, n_items, n_events, rng)
    item_of_rank = rng.permutation(n_items) + 1
    shift = n_items / 100
    for users in np.array_split(np.arange(n_users), max(1, n_events // BLOCK)):
        n = lengths[users]
        nth_user, n_of = np.repeat(np.arange(len(users)), n), np.repeat(n, n)
        nth = np.arange(len(n_of)) - np.repeat(np.cumsum(n) - n, n)
        # One draw from each n-th of the popularity, so that ranks rise within a user; where one would come again, the next.
        share = (nth + rng.random(len(nth))) / n_of * n_items / (n_items + shift)
        rank = (shift * share / (1 - share)).astype(np.int64)
        rise = 2 * n_items * nth_user  # keeps the running maximum of a user apart from those before
        rank = np.maximum.accumulate(rank - nth + rise) - rise + nth
        rank = np.minimum(rank, n_items - n_of + nth)
        begins = rng.integers(800_000_000, 1_400_000_000, len(users))
        yield pl.DataFrame(
            {
                "user_id": users[nth_user] + 1,
                "item_id": item_of_rank[rank],
                "rating": rng.integers(1, 11, len(nth)) / 2,
                "timestamp": begins[nth_user] + (rng.random(len(nth)) * n_of * 3600).astype(np.int64),
            }
        )


def lengths_of(n_users: int, n_items: int, n_events: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Events of each user, (U,): at least 5, at most N, together `n_events`.

    Raises:
        ValueError: there cannot be so many, or so few.
    """
    if not LEAST * n_users < n_events <= n_users * n_items // 4:
        raise ValueError(
            f"{n_events:,} events are not more than {LEAST} and at most N / 4 a user ({n_users:,}, N {n_items:,})"
        )
    share = rng.lognormal(sigma=1.2, size=n_users)
    for _ in range(20):  # what the longest cannot hold goes to the others
        share = np.minimum(share * (n_events - LEAST * n_users) / share.sum(), n_items - LEAST - 1)
    ends = np.rint(np.cumsum(share)).astype(np.int64)
    lengths: NDArray[np.int64] = LEAST + np.ediff1d(ends, to_begin=ends[:1])
    return lengths


if __name__ == "__main__":
    if len(sys.argv) not in (2, 5, 6):
        sys.exit(__doc__)
    write_log(Path(sys.argv[1]), *(map(int, sys.argv[2:]) if sys.argv[2:] else ML_20M))
