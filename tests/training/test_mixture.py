"""The mixture finds which graph a log was made by, ranks better than before, and leaves alone what it cannot learn."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from magnn.data.interactions import Histories
from magnn.model.graph_part import GraphConfig, GraphPart, Mixture, count_neighbours
from magnn.ranking.evaluate import evaluate_scorer
from magnn.ranking.products import DotScorer
from magnn.ranking.queries import GraphScorer
from magnn.training.mixture import fit_mixture
from tests.worlds import histories_of

N = 60


def silent(n_users: int, n_items: int = N) -> DotScorer:
    """A network that has nothing to say."""
    return DotScorer(torch.zeros(n_users, 1), torch.zeros(n_items, 1))


def sequences(ordered: bool) -> list[list[int]]:
    """Walks round one of six circles of ten items: in order, or at random within the circle."""
    rng = np.random.default_rng(0)
    walks = []
    for user in range(300):
        circle, start = user % 6 * 10, rng.integers(10)
        steps = (start + np.arange(6)) % 10 if ordered else rng.permutation(10)[:6]
        walks.append((circle + steps).tolist())
    return walks


def learned(walks: list[list[int]], seed: int = 0) -> tuple[GraphPart, GraphPart, Histories, Histories]:
    history, held_out = histories_of([w[:-1] for w in walks], N), histories_of([w[-1:] for w in walks], N)
    part = count_neighbours(history, GraphConfig(neighbours=20))
    mixture = fit_mixture(part, silent(len(walks)), history, held_out, seed=seed)
    return part, GraphPart(part.graphs, part.log_counts_N, part.recent, mixture), history, held_out


def says(part: GraphPart, graph: int) -> float:
    """The mean edge of a graph: what it puts into a score for the last item."""
    of_graph = part.weighted[graph * N : (graph + 1) * N]
    return float(of_graph.data.mean())


def test_the_graph_that_made_the_log_is_found() -> None:
    ordered, shuffled = learned(sequences(True))[1], learned(sequences(False))[1]
    assert says(ordered, 1) / says(ordered, 0) > 2 * says(shuffled, 1) / says(shuffled, 0)


@pytest.mark.parametrize("ordered", [True, False])
def test_it_ranks_no_worse_than_before(ordered: bool) -> None:
    before, after, history, held_out = learned(sequences(ordered))
    dense = silent(history.n_users)
    metric = [
        evaluate_scorer(GraphScorer(dense, part, history), history, held_out, 1, intervals=False).metrics["recall@1"]
        for part in (before, after)
    ]
    assert metric[1] >= metric[0] - 0.01
    assert metric[1] > (0.95 if ordered else 0.15), "in order, the next item is certain; at random, one of five"


def test_the_same_seed_learns_the_same() -> None:
    one, other = (learned(sequences(True), seed=3)[1].mixture.state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_mixture_it_starts_from_is_left_alone() -> None:
    before, after, *_ = learned(sequences(True))
    assert not torch.equal(before.mixture.scale_G, after.mixture.scale_G)
    assert torch.equal(before.mixture.scale_G, torch.tensor([2.6, 1.9]))


@pytest.mark.parametrize(
    ("history", "held_out"),
    [([[0, 1], [2]], [[], []]), ([[], []], [[1], [2]]), ([[0, 1], [2]], [[1], [2]])],
    ids=["nothing held out", "no history", "only what was seen"],
)
def test_without_anything_to_learn_from_it_stays_as_it_was(history: list[list[int]], held_out: list[list[int]]) -> None:
    part = count_neighbours(histories_of(history, 4), GraphConfig(neighbours=2))
    found = fit_mixture(part, silent(2, 4), histories_of(history, 4), histories_of(held_out, 4), seed=0)
    assert all(torch.equal(found.state_dict()[name], value) for name, value in part.mixture.state_dict().items())


@pytest.mark.parametrize("in_the_way", [True, False])
def test_the_graph_is_silent_where_the_network_ranks_better_alone(
    in_the_way: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes next is of another circle, as the network knows; a mixture with one step to learn it is in the way."""
    monkeypatch.setattr("magnn.training.mixture.STEPS", 1)
    walks = sequences(True)
    wanted = [(walk[-1] + 10 * in_the_way) % N for walk in walks]
    history, held_out = histories_of([w[:-1] for w in walks], N), histories_of([[item] for item in wanted], N)
    network = DotScorer(torch.eye(N)[wanted], torch.eye(N)) if in_the_way else silent(len(walks))
    part = count_neighbours(history, GraphConfig(neighbours=20))
    mixture = fit_mixture(part, network, history, held_out, seed=0)
    assert mixture.is_silent == in_the_way
    after = replace(part, mixture=mixture)
    scores = after.scores(history).toarray() + after.popularity
    assert np.isfinite(scores).all()
    assert scores.any() != in_the_way


@pytest.mark.parametrize("worse", [0, 1], ids=["log odds", "counts"])
def test_of_the_two_links_the_one_that_ranks_better_is_kept(worse: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worse one is made to learn a mixture that speaks against everything that was counted."""
    links = []

    def learn(part: GraphPart, mixture: Mixture, link: torch.nn.Module, *_: object) -> Iterator[int]:
        links.append(type(link))
        with torch.no_grad():
            mixture.power_G.fill_(-3.0 if len(links) - 1 == worse else 1.0)
        yield 1

    monkeypatch.setattr("magnn.training.mixture._descend", learn)
    _, after, *_ = learned(sequences(True))
    assert len(set(links)) == 2
    assert after.mixture.power_G.tolist() == [1.0, 1.0]
