"""Memory and time of `fit` on a catalogue of a million items with ten events each.

Not part of `make bench`, for it takes more than seven minutes: `python -m benchmarks catalogue`.
"""

from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.measure import GENERATED, Row, main
from benchmarks.memory import measured

USERS, ITEMS, EACH = 500_000, 1_000_000, 10


def write_even_log(path: Path) -> None:
    """Every item as often as every other, every user as active as every other, in random order."""
    items = np.random.default_rng(0).permutation(np.repeat(np.arange(ITEMS), EACH))
    users = np.repeat(np.arange(USERS), len(items) // USERS)
    frame = pl.DataFrame({"user_id": users, "item_id": items, "timestamp": np.arange(len(items)) + 1_000_000_000})
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(path)


def run() -> list[Row]:
    """Once: memory does not vary."""
    path = GENERATED / "catalogue.parquet"
    write_even_log(path)
    size = f"{ITEMS * EACH / 1e6:.0f} million events, {USERS:,} users, {ITEMS:,} items"
    return measured(path, size, "best", reach=24.0)


if __name__ == "__main__":
    main("catalogue", run)
