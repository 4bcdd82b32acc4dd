"""Memory of `fit` on 20 million events: reading, splitting, one epoch, one validation."""

import json
import sys

import magnn
from benchmarks.logs import ML_20M
from benchmarks.measure import Row, in_new_process, main
from benchmarks.preparation import log_on_disk


def fit_once(path: str) -> dict[str, float]:
    """Read, split, and fit for one epoch."""
    split = magnn.split(magnn.read_events(path), "paper")
    log = magnn.fit(split, preset="paper", epochs=1, refit=False).logs[0]
    return {"epoch": log.train_seconds, "validation": log.valid_seconds}


def run() -> list[Row]:
    """Once: memory does not vary, and an epoch of so many samples takes minutes."""
    result = in_new_process("memory.fit_once", str(log_on_disk("20", "parquet")))
    print(json.dumps(result), file=sys.stderr, flush=True)
    n_users, n_items, n_events = ML_20M
    size = f"{n_events / 1e6:.0f} million events, {n_users:,} users, {n_items:,} items"
    peak, epoch, validation = result["peak_gib"], result["epoch"], result["validation"]
    return [
        Row("peak memory of reading and `fit`", size, "GiB", peak, peak, peak, 1, reach=8.0),
        Row("one epoch, preset `paper`", size, "s", epoch, epoch, epoch, 1),
        Row("validation of every user", size, "s", validation, validation, validation, 1),
    ]


if __name__ == "__main__":
    main("memory", run)
