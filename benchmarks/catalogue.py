"""Memory and time of `fit` on a catalogue of a million items with ten events each.

Not part of `make bench`, for it takes longer than all of that: `python -m benchmarks catalogue`.
"""

from benchmarks.logs import write_log
from benchmarks.measure import SCRATCH, Row, main
from benchmarks.memory import measured

SIZE = 500_000, 1_000_000, 10_000_000


def run() -> list[Row]:
    """Once: memory does not vary."""
    n_users, n_items, n_events = SIZE
    path = SCRATCH / "catalogue.parquet"
    SCRATCH.mkdir(exist_ok=True)
    write_log(path, *SIZE)
    size = f"{n_events / 1e6:.0f} million events, {n_users:,} users, a catalogue of {n_items:,} items"
    return measured(path, size, "best", reach=24.0)


if __name__ == "__main__":
    main("catalogue", run)
