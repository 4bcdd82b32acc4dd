"""From a log on disk to the first training batch, each time in a new process."""

import json
import time
from pathlib import Path

import numpy as np

import magnn
from benchmarks.logs import ML_20M, write_log
from benchmarks.measure import GENERATED, Row, in_new_process, main, row
from magnn.data.graph import item_graph
from magnn.data.windows import training_windows
from magnn.training.negatives import UnseenItems

SIZES = {
    "0.5": (3_500, 7_000, 500_000),
    "2": (14_000, 12_000, 2_000_000),
    "8": (55_000, 20_000, 8_000_000),
    "20": ML_20M,
}
REACH = {("csv", "20"): 30.0, ("parquet", "20"): 12.0}


def log_on_disk(million: str, kind: str) -> Path:
    """The generated log of a size, written if it is not there yet."""
    path = GENERATED / f"{million}M.{kind}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_log(path, *SIZES[million])
    return path


def first_batch(path: str) -> dict[str, float]:
    """Seconds of each stage on the way to a batch and its negatives."""
    stages: dict[str, float] = {}
    clock = time.perf_counter()

    def done(stage: str) -> None:
        nonlocal clock
        stages[stage], clock = time.perf_counter() - clock, time.perf_counter()

    events = magnn.read_events(path)
    done("read")
    train = magnn.split(events, "paper").train
    done("split")
    item_graph(train)
    done("graph")
    windows, unseen = training_windows(train, 5, 20, 3), UnseenItems(train)
    rng = np.random.default_rng(0)
    batch = windows.batch(rng.integers(0, len(windows), 4096))
    unseen.draw(batch.users_B, 3, rng)
    done("samples")
    return stages


def run() -> list[Row]:
    """All sizes once or more; the largest decides."""
    rows = []
    for million, size in SIZES.items():
        for kind in ("parquet", "csv"):
            path = log_on_disk(million, kind)
            results = [in_new_process("preparation.first_batch", str(path)) for _ in range(3)]
            totals = [sum(seconds for stage, seconds in r.items() if stage != "peak_gib") for r in results]
            peak = max(r["peak_gib"] for r in results)
            n_users, n_items, n_events = size
            label = f"{n_events / 1e6:.1f} million events, {n_users:,} users, {n_items:,} items"
            what = f"{kind.upper() if kind == 'csv' else 'Parquet'} to first batch"
            rows.append(row(what, label, totals, reach=REACH.get((kind, million)), peak_gib=peak, x=n_events))
            print(label, kind, json.dumps(results[-1]), flush=True)
    return rows


if __name__ == "__main__":
    main("preparation", run)
