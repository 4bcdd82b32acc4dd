"""Memory of `fit` on 20 million events: reading, splitting, one epoch, one validation."""

import json
import sys

from benchmarks.logs import ML_20M, write_log
from benchmarks.measure import SCRATCH, Row, in_new_process, main

FIT = """
import json, sys, time
import magnn
split = magnn.split(magnn.read_events(sys.argv[1]), "paper")
started = time.perf_counter()
logs = magnn.fit(split, preset="paper", epochs=1, refit=False).logs
print(json.dumps({"epoch": logs[0].train_seconds, "validation": logs[0].valid_seconds}))
"""


def run() -> list[Row]:
    """Once: memory does not vary, and an epoch of so many samples takes minutes."""
    path = SCRATCH / "20M.parquet"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        write_log(path, *ML_20M)
    result = in_new_process(FIT, str(path))
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
