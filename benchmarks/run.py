"""Measure the main path on Amazon CDs and write benchmarks/results.json and docs/performance.md.

Usage: python benchmarks/run.py [EVENTS.parquet]   (default: the Amazon CDs file of the shared data beside the project)
"""

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import magnn
from magnn.data.graph import item_graph
from magnn.data.windows import training_windows
from magnn.ranking.evaluate import evaluate_scorer

ROOT = Path(__file__).parents[1]
CDS = ROOT.parent / "shared" / "data" / "amazon-cds" / "events.parquet"
RUNS = 5


def timed(work: Callable[[], object], runs: int = RUNS) -> dict[str, float]:
    """Median, least and most seconds of several runs after one that does not count."""
    work()
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return {"median": statistics.median(seconds), "min": min(seconds), "max": max(seconds)}


def prepare(path: Path) -> None:
    """From Parquet to graph and samples."""
    train = magnn.split(magnn.read_events(path), "paper").train
    item_graph(train)
    training_windows(train, 5, 20, 3)


def measure(path: Path) -> list[dict[str, Any]]:
    """All rows of the table."""
    rows: list[dict[str, Any]] = []

    def add(what: str, reach: str, unit: str, **values: float) -> None:
        rows.append({"what": what, "reach": reach, "unit": unit, **values})
        print(json.dumps(rows[-1]), flush=True)

    split = magnn.split(magnn.read_events(path), "paper")
    size = f"{split.events.n_users:,} users, {split.events.n_items:,} items, {split.events.n_events:,} events"
    add(f"Parquet to graph and samples ({size})", "3 s", "s", **timed(lambda: prepare(path)))

    rec = magnn.fit(split, epochs=2)
    epochs = [log.train_seconds for log in rec.logs]
    label = "one training epoch, preset paper, of both phases"
    add(label, "", "s", median=statistics.median(epochs), min=min(epochs), max=max(epochs))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    add("peak memory of a process that reads, splits and fits", "2.5 GB", "GiB", median=peak, min=peak, max=peak)
    history, test = split.train_and_valid, split.test

    def evaluate() -> None:
        evaluate_scorer(rec.scorer(history), history, test)

    add("evaluation of all users, all metrics and intervals", "2.5 s", "s", **timed(evaluate))

    vectors, out = torch.randn(split.events.n_users, 50), torch.empty(128, split.events.n_items)
    items = rec.model.items.detach().T

    def product() -> None:
        for first in range(0, len(vectors), 128):
            block = vectors[first : first + 128]
            torch.mm(block, items, out=out[: len(block)])

    add("the matrix product alone, for comparison", "", "s", **timed(product))

    def ask_for_help() -> None:
        subprocess.run([Path(sys.executable).with_name("magnn"), "--help"], capture_output=True, check=True)

    add("magnn --help", "0.5 s", "s", **timed(ask_for_help))
    return rows


def main() -> None:
    """Measure, store, and write the page."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else CDS
    if not path.exists():
        sys.exit(f"{path}: no such file; give the Amazon CDs events as an argument")
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    about: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        "versions": {name: version(name) for name in ("magnn", "torch", "numpy", "scipy", "polars")},
        "python": platform.python_version(),
        "commit": commit.stdout.strip(),
    }
    rows = measure(path)
    (ROOT / "benchmarks" / "results.json").write_text(json.dumps({**about, "rows": rows}, indent=2) + "\n")
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    lines = [
        "# Performance",
        "",
        f"Amazon CDs, {about['date']}, {about['machine']}, Python {about['python']}, {versions}.",
    ]
    lines += [f"Written by `make bench` at commit {about['commit']}; median of several runs in one process.", ""]
    lines += ["| what | median | min to max | aim |", "|---|---|---|---|"]
    lines += [
        f"| {r['what']} | {r['median']:.2f} {r['unit']} | {r['min']:.2f} to {r['max']:.2f} | {r['reach']} |"
        for r in rows
    ]
    (ROOT / "docs" / "performance.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
