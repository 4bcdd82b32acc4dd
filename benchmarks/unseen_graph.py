"""What the graph part is worth on users it did not learn from: `python -m benchmarks.unseen_graph [DATA ...]`.

The few numbers that weigh the graph are learned on the validation events, and `benchmarks.additions` judges the preset on
the same. Here they are learned on one half of the users and judged on the other, in turn, beside the network without the
graph, the graph without the network, and numbers learned on everybody. The network is that of the preset `best`, trained on
train, once. docs/experiments.md has what came of it.
"""

import sys
from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import magnn
from benchmarks.additions import PROTOCOLS
from benchmarks.results_tables import Page, number, p_words
from benchmarks.runs import read_split, until_stopped
from benchmarks.significance import paired_p
from magnn.data.split import Split
from magnn.model.graph_part import Mixture
from magnn.ranking.evaluate import evaluate_scorer, users_to_judge
from magnn.ranking.products import DotScorer
from magnn.ranking.queries import GraphScorer, network_scorer
from magnn.ranking.rank import Scorer
from magnn.training.mixture import fit_mixture


def compare(split: Split, page: Page) -> None:
    """Train, weigh the graph in each way, and add a table of ndcg@10 on the validation events."""
    history, held_out = split.train, split.valid
    fitted = magnn.fit(split, preset="best", refit=False)
    part = fitted.graph_part
    assert part is not None, "the preset has one"
    network = network_scorer(fitted.model, history)
    users_X = users_to_judge(history, held_out)

    def ndcg(scorer: Scorer, judged_X: np.ndarray) -> np.ndarray:
        judged = held_out.where(np.isin(held_out.users, users_X[judged_X]))
        return evaluate_scorer(scorer, history, judged, intervals=False).per_user["ndcg"]

    everybody_X = np.ones(len(users_X), bool)
    one_half_X = np.random.default_rng(0).permutation(len(users_X)) < len(users_X) // 2

    def of_the_other_half(dense: DotScorer) -> np.ndarray:
        unseen_X = np.zeros(len(users_X))
        for half_X in (one_half_X, ~one_half_X):
            learned = held_out.where(np.isin(held_out.users, users_X[half_X]))
            mixture = fit_mixture(replace(part, mixture=Mixture()), dense, history, learned, seed=0)
            unseen_X[~half_X] = ndcg(GraphScorer(dense, replace(part, mixture=mixture), history), ~half_X)
        return unseen_X

    nothing = DotScorer(torch.zeros(history.n_users, 1), torch.zeros(history.n_items, 1))
    unseen_X = of_the_other_half(network)
    rows = {
        "the network alone": ndcg(network, everybody_X),
        "the graph part alone, learned on the other half of the users": of_the_other_half(nothing),
        "both, the graph part learned on the other half of the users": unseen_X,
        "both, the graph part learned on everybody": ndcg(GraphScorer(network, part, history), everybody_X),
    }
    p = {name: "" if each_X is unseen_X else p_words(paired_p(each_X, unseen_X)) for name, each_X in rows.items()}
    page.table(
        ("", "ndcg@10", "p, against the other half's"),
        [[name, number(each_X.mean()), p[name]] for name, each_X in rows.items()],
    )


def main() -> None:
    """Print a table for each log."""
    parser = ArgumentParser(prog="python -m benchmarks.unseen_graph", description=__doc__)
    parser.add_argument("data", nargs="*", help=f"of {', '.join(PROTOCOLS)}; all if none is named")
    wanted = parser.parse_args().data or list(PROTOCOLS)
    if unknown := set(wanted) - set(PROTOCOLS):
        parser.error(f"no log {', '.join(sorted(unknown))}; there are {', '.join(PROTOCOLS)}")
    for data in wanted:
        print(f"{data}: training", file=sys.stderr)
        page = Page(Path())
        page.add(f"{data}, {PROTOCOLS[data]}, validation events")
        compare(read_split(data, PROTOCOLS[data]), page)
        print("\n".join(page.lines), flush=True)


if __name__ == "__main__":
    until_stopped(main, "stopped")
