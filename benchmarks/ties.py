"""What the order of a day's events is worth: `python -m benchmarks.ties`, some seven minutes.

Amazon Beauty knows only the day of an event, and its log has a day's events by item id, as the reviews were published. So a
test event that shares its day with an earlier one is the greatest id of that day, and whatever learns what comes after what
can know that. Here the same systems once more, on the same events with each day's in random order. Protocol leave-one-out.
docs/experiments.md has what came of it.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import magnn
from benchmarks.peers.own.adapter import ease
from benchmarks.results_tables import Page, number
from benchmarks.runs import log_path, until_stopped
from magnn.data.interactions import Interactions
from magnn.data.split import Split
from magnn.ranking.baselines import KnnSettings, item_knn
from magnn.ranking.evaluate import evaluate_scorer
from magnn.ranking.rank import Scorer

DATA = "amazon-beauty"
# The settings that the comparison of systems chose on the validation events (docs/results.md).
SYSTEMS: dict[str, Callable[[Split], Scorer]] = {
    "magnn best": lambda split: _fitted(split, "best"),
    "MA-GNN, preset `paper`": lambda split: _fitted(split, "paper"),
    "Item-kNN with recency": lambda split: item_knn(split.train, split.train_and_valid, KnnSettings(0.65, 0.5)),
    "EASE": lambda split: ease(split.train, split.train_and_valid, 50),
}


def _fitted(split: Split, preset: str) -> Scorer:
    return magnn.fit(split, preset=preset, refit=False).scorer(split.train_and_valid)


def shuffled(events: Interactions, seed: int = 0) -> Interactions:
    """The log with each user's events of one time in random order."""
    drawn = np.random.default_rng(seed).random(events.n_events)
    order = np.lexsort((drawn, events.times, events.histories.users))
    return replace(events, histories=replace(events.histories, items=events.histories.items[order]))


def tied(events: Interactions) -> NDArray[np.bool_]:
    """Whether each user's last event has the time of the one before it, (U,)."""
    users, times = events.histories.users, events.times
    last = events.histories.offsets[1:] - 1
    found: NDArray[np.bool_] = (times[last] == times[last - 1]) & (users[last] == users[last - 1])
    return found


def main() -> None:
    """Print recall@10 over all judged users, and over those whose test event shares its time, with each order."""
    ArgumentParser(prog="python -m benchmarks.ties", description=__doc__).parse_args()
    events = magnn.read_events(log_path(DATA))
    tied_U = tied(events)
    rows: dict[str, list[float]] = {name: [] for name in SYSTEMS}
    for order, log in (("by item id", events), ("random", shuffled(events))):
        split = magnn.split(log, "leave-one-out")
        for name, make in SYSTEMS.items():
            print(f"order of a day: {order}; {name}", file=sys.stderr)
            found = evaluate_scorer(make(split), split.train_and_valid, split.test, intervals=False)
            recall_X, tied_X = found.per_user["recall"], tied_U[found.users]
            rows[name] += [recall_X.mean(), recall_X[tied_X].mean(), recall_X[~tied_X].mean()]
    page = Page(Path())
    page.add(f"{DATA}: {tied_U.mean():.1%} of the test events share their day with the event before.")
    head = [f"{order}, {which}" for order in ("by id", "random") for which in ("all", "shared", "not")]
    page.table(("recall@10", *head), [[name, *map(number, values)] for name, values in rows.items()])
    print("\n".join(page.lines))


if __name__ == "__main__":
    until_stopped(main)
