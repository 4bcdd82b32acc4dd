"""Where hits come from, and where nobody's do: `python -m benchmarks.reach [DATA]`, a table for each log.

A user's test event is linked if another user had its item in training, together with an item of the history. What is not
linked, no count of who has what together tells from the rest of the catalogue. Of the stored runs, protocol leave-one-out.
"""

from argparse import ArgumentParser
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.comparison import NAMES
from benchmarks.results_tables import Page, number
from benchmarks.runs import read_split, until_stopped, users_of
from magnn.data.graph import co_occurrence, user_item
from magnn.data.split import Split
from magnn.ranking.evaluate import users_to_judge

LOGS = ("amazon-beauty", "ml-1m")


def linked(split: Split) -> NDArray[np.bool_]:
    """Whether each user's test event is."""
    together = user_item(split.train_and_valid) @ co_occurrence(split.train)
    of_wanted: NDArray[np.float32] = together.multiply(user_item(split.test)).sum(axis=1)
    return of_wanted > 0


def main() -> None:
    """Print recall@10 of every system over linked test events, and over the others."""
    parser = ArgumentParser(prog="python -m benchmarks.reach", description=__doc__)
    parser.add_argument("data", nargs="?", choices=LOGS, help="both if none is named")
    wanted = parser.parse_args().data
    for data in [wanted] if wanted else LOGS:
        split = read_split(data, "leave-one-out")
        linked_U = linked(split)
        share = linked_U[users_to_judge(split.train_and_valid, split.test)].mean()
        page = Page(Path())
        rows = {}
        finals = (run for name in NAMES for run in page.finals(name, data, "leave-one-out", refit=False))
        for run in (run for run in finals if not run.error):
            hits = users_of(run.spec).select("user", "recall@10").to_numpy()
            linked_X = linked_U[hits[:, 0].astype(np.int64)]
            rows[run.spec.system] = [hits[:, 1].mean(), hits[linked_X, 1].mean(), hits[~linked_X, 1].mean()]
        page.add(f"{data}: {share:.1%} of the judged test events are linked.")
        ordered = sorted(rows.items(), key=lambda row: -row[1][0])
        page.table(
            ("recall@10", "all", "linked", "not linked"), [[name, *map(number, values)] for name, values in ordered]
        )
        print("\n".join(page.lines))


if __name__ == "__main__":
    until_stopped(main, "stopped")
