"""What the order of a day's events is worth: `python -m benchmarks.ties`, some seven minutes.

Amazon Beauty knows only the day of an event, and its log has a day's events by item id, as the reviews were published. So a
test event that shares its day with an earlier one is the greatest id of that day, and whatever learns what comes after what
can know that. Here the same systems once more, on the same events with each day's in random order. Protocol leave-one-out.
A peer has the setting that the comparison chose (docs/results.md), and that run's numbers by item id; in random order it is
trained anew for as long at most, its epoch chosen on the validation events. docs/experiments.md has what came of it.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import magnn
from benchmarks.peers import environments
from benchmarks.peers.comparison import system_of
from benchmarks.peers.contest import lists_of
from benchmarks.peers.own.adapter import ease
from benchmarks.peers.systems import SYSTEMS as COMPARED
from benchmarks.results_tables import Page, number
from benchmarks.runs import Run, log_path, until_stopped, users_of
from magnn.data.interactions import Interactions
from magnn.data.split import Split
from magnn.errors import InputError
from magnn.ranking.baselines import KnnSettings, item_knn
from magnn.ranking.evaluate import evaluate_lists, evaluate_scorer, users_to_judge
from magnn.ranking.rank import Scorer

DATA = "amazon-beauty"
SECONDS = 3600.0  # of training, for a peer whose stored run says nothing of its own limit
Recalls = tuple[NDArray[np.int64], NDArray[np.float64]]  # the judged users, and recall@10 of each

# The settings that the comparison of systems chose on the validation events (docs/results.md).
SYSTEMS: dict[str, Callable[[Split], Scorer]] = {
    "magnn best": lambda split: _fitted(split, "best"),
    "MA-GNN": lambda split: _fitted(split, "paper", {"training": {"l2": 0.03}}),
    "Item-kNN with recency": lambda split: item_knn(split.train, split.train_and_valid, KnnSettings(0.65, 0.5)),
    "EASE": lambda split: ease(split.train, split.train_and_valid, 50),
}
PEERS = tuple(system.name for system in COMPARED if system.folder != "own")


def _fitted(split: Split, preset: str, config: dict[str, dict[str, float]] | None = None) -> Scorer:
    return magnn.fit(split, preset=preset, config=config, refit=False).scorer(split.train_and_valid)


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


def _own(name: str, split: Split) -> Recalls:
    found = evaluate_scorer(SYSTEMS[name](split), split.train_and_valid, split.test, intervals=False)
    return found.users, found.per_user["recall"]


def _stored(page: Page, name: str) -> Run:
    for run in page.finals(name, DATA, "leave-one-out", refit=False):
        if not run.error:
            return run
    raise InputError(f"{name}: no run is stored; `python -m benchmarks.peers run {DATA} --system '{name}'` makes it")


def _peer_by_id(run: Run) -> Recalls:
    table = users_of(run.spec)
    return table["user"].to_numpy().astype(np.int64), table["recall@10"].to_numpy().astype(np.float64)


def _peer_on(run: Run, split: Split) -> Recalls:
    spec = run.spec.model_copy(update={"variant": "random order"})
    lists_UK = lists_of(spec, split, limit=run.limit_seconds or SECONDS)
    users = users_to_judge(split.train_and_valid, split.test)
    found = evaluate_lists(lists_UK[users, :10], users, split.test, intervals=False)
    return users, found.per_user["recall"]


def main() -> None:
    """Print recall@10 over all judged users, and over those whose test event shares its time, with each order."""
    parser = ArgumentParser(prog="python -m benchmarks.ties", description=__doc__)
    parser.add_argument(
        "--system",
        action="append",
        choices=[*SYSTEMS, *PEERS],
        metavar="NAME",
        help="the project's four, or a peer; may be repeated",
    )
    wanted = parser.parse_args().system or list(SYSTEMS)
    page = Page(Path())
    peers = {name: _stored(page, name) for name in wanted if name not in SYSTEMS}
    for folder in {system_of(name).folder for name in peers}:  # before the first trains
        if environments.python_of(folder) is None:
            raise environments.NotBuiltError(folder)
    events = magnn.read_events(log_path(DATA))
    tied_U = tied(events)
    rows: dict[str, list[float]] = {name: [] for name in wanted}
    for order, log in (("by item id", events), ("random", shuffled(events))):
        split = magnn.split(log, "leave-one-out")
        for name, values in rows.items():
            print(f"order of a day: {order}; {name}", file=sys.stderr)
            if name in SYSTEMS:
                users, recall_X = _own(name, split)
            elif log is events:
                users, recall_X = _peer_by_id(peers[name])
            else:
                users, recall_X = _peer_on(peers[name], split)
            tied_X = tied_U[users]
            found = recall_X.mean(), recall_X[tied_X].mean(), recall_X[~tied_X].mean()
            values += found
            print(f"order of a day: {order}; {name}: recall@10 {', '.join(map(number, found))}", file=sys.stderr)
    page.add(f"{DATA}: {tied_U.mean():.1%} of the test events share their day with the event before.")
    head = [f"{order}, {which}" for order in ("by id", "random") for which in ("all", "shared", "not")]
    page.table(("recall@10", *head), [[name, *map(number, values)] for name, values in rows.items()])
    print("\n".join(page.lines))


if __name__ == "__main__":
    until_stopped(main, "stopped")
