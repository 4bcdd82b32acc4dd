"""The graph part against its formula written as loops, and against what counting must give."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from magnn.data.graph import _co_occurrence, co_occurrence, followed_by, near_co_occurrence, nearest
from magnn.data.interactions import Histories
from magnn.model.graph_part import GraphConfig, Mixture, count_neighbours
from tests.worlds import histories_of

N = 6
worlds = st.lists(st.lists(st.integers(0, N - 1), max_size=9), min_size=1, max_size=5)


def counted(world: list[list[int]], steps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both graphs, and how often each item occurs."""
    together, following = np.zeros((N, N)), np.zeros((N, N))
    for sequence in world:
        for i in set(sequence):
            for j in set(sequence) - {i}:
                together[i, j] += 1 / math.sqrt(len(sequence))
        for here, i in enumerate(sequence):
            for step in range(1, steps + 1):
                if here + step < len(sequence) and sequence[here + step] != i:
                    following[i, sequence[here + step]] += 1 / step
    return together, following, np.bincount([i for s in world for i in s], minlength=N)


def any_mixture(seed: int) -> Mixture:
    """Numbers of either sign, but for the powers, other ones for each graph."""
    torch.manual_seed(seed)
    mixture = Mixture()
    with torch.no_grad():
        for parameter in mixture.parameters():
            parameter.copy_(torch.randn_like(parameter))
        mixture.power_G.abs_()
    return mixture.requires_grad_(False)


@settings(deadline=None)
@given(worlds, st.integers(1, 4))
def test_graphs_are_what_loops_count(world: list[list[int]], steps: int) -> None:
    together, following, counts = counted(world, steps)
    histories = histories_of(world, N)
    np.testing.assert_allclose(co_occurrence(histories).toarray(), together, rtol=1e-5)
    np.testing.assert_allclose(followed_by(histories, steps).toarray(), following, rtol=1e-5)
    np.testing.assert_allclose(near_co_occurrence(histories, N).toarray(), together, rtol=1e-5)
    few = near_co_occurrence(histories, 2).toarray()
    np.testing.assert_array_equal(few, nearest(co_occurrence(histories), counts, 2).toarray())


@settings(deadline=None)
@given(worlds, st.integers(1, 3))
def test_only_the_strongest_neighbours_are_kept(world: list[list[int]], neighbours: int) -> None:
    histories = histories_of(world, N)
    together, counts = co_occurrence(histories).toarray(), np.bincount(histories.items, minlength=N)
    kept = near_co_occurrence(histories, neighbours)
    assert kept.has_canonical_format
    for i, row in enumerate(kept.toarray()):
        strength = together[i] / np.sqrt(counts + 5)
        order = sorted(np.flatnonzero(together[i]), key=lambda j: (-strength[j], j))
        assert np.flatnonzero(row).tolist() == sorted(order[:neighbours])
        assert (row[row > 0] == together[i][row > 0]).all()


def test_memory_of_counting_is_that_of_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    histories = histories_of([rng.integers(0, 200, 20).tolist() for _ in range(100)], 200)
    whole = near_co_occurrence(histories, 7).toarray()
    assert len(list(_co_occurrence(histories))) == 1
    monkeypatch.setattr("magnn.data.graph.PAIRS", 500)
    assert len(list(_co_occurrence(histories))) > 10
    np.testing.assert_array_equal(near_co_occurrence(histories, 7).toarray(), whole)


def test_no_events_no_edges() -> None:
    nothing = histories_of([[], []], N)
    assert near_co_occurrence(nothing, 3).shape == followed_by(nothing).shape == (N, N)
    part = count_neighbours(histories_of([[0], [1]], N), GraphConfig(neighbours=3))
    asked, block = histories_of([[0, 1], []], N), torch.full((2, N), torch.nan)
    assert part.scores(asked).nnz == 0
    part.fill(asked, block)
    assert (block == 0).all()


def test_without_mkl_the_block_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    part = count_neighbours(histories_of([[0, 1, 2, 3], [2, 1, 4], [5, 0, 1]], N), GraphConfig(neighbours=3))
    asked = histories_of([[0, 1], [], [5]], N)
    blocks = torch.full((2, 3, N), torch.nan)
    part.fill(asked, blocks[0])
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    monkeypatch.setattr(torch, "mm", None)
    part.fill(asked, blocks[1])
    torch.testing.assert_close(*blocks)


@settings(deadline=None)
@given(worlds, st.lists(st.integers(0, N - 1), max_size=6), st.integers(1, 4), st.integers(0, 99))
def test_scores_are_the_formula_and_their_addends_add_up(
    world: list[list[int]], history: list[int], recent: int, seed: int
) -> None:
    config = GraphConfig(neighbours=N, recent=recent, steps=2)
    together, following, counts = counted(world, 2)
    mixture = any_mixture(seed)
    part = count_neighbours(histories_of(world, N), config, mixture)
    scale, decay, power, source, target = (
        getattr(mixture, name).detach().numpy() for name in ("scale_G", "decay_G", "power_G", "source_G", "target_G")
    )
    expected = np.zeros((len(history), N))
    for age, i in enumerate(reversed(history)):
        for g, graph in enumerate((together, following)):
            norm = (counts[i] + 5) ** source[g] * (counts + 5) ** target[g]
            if age < recent:
                expected[age] += math.exp(scale[g] - abs(decay[g]) * age) * graph[i] ** power[g] / norm
    asked = histories_of([history], N)
    block = torch.full((1, N), torch.nan)  # what is there before does not count
    part.fill(asked, block)
    for found_N in (part.scores(asked).toarray()[0], block.numpy()[0]):
        np.testing.assert_allclose(found_N, expected.sum(axis=0), rtol=1e-4, atol=1e-6)
    for item in range(N):
        found = part.by_event(asked, item)
        np.testing.assert_allclose(found, expected[: len(found), item], rtol=1e-4, atol=1e-6)
        assert expected[len(found) :, item].sum() == 0
    np.testing.assert_allclose(part.popularity, mixture.popularity.item() * np.log(counts + 5), rtol=1e-5)


def test_many_histories_at_once_are_each_alone() -> None:
    world = [[0, 1, 2, 3], [2, 1, 4], [5, 0, 1]]
    part = count_neighbours(histories_of(world, N), GraphConfig(neighbours=2))
    together: Histories = histories_of(world, N)
    block = torch.empty(len(world), N)
    part.fill(together, block)
    np.testing.assert_allclose(part.scores(together).toarray(), block, rtol=1e-6)
    for user, row in enumerate(block.numpy()):
        np.testing.assert_allclose(part.scores(histories_of([world[user]], N)).toarray()[0], row, rtol=1e-6)
