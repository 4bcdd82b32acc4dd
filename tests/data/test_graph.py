"""The item graph against two nested loops."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from magnn.data.graph import item_graph
from tests.worlds import histories_of

N = 6
worlds = st.lists(st.lists(st.integers(0, N - 1), max_size=12), min_size=1, max_size=5)


@settings(deadline=None)
@given(worlds, st.integers(1, 4))
def test_each_pair_within_reach_is_counted_once_in_each_direction(world: list[list[int]], steps: int) -> None:
    expected = np.zeros((N, N))
    for sequence in world:
        for here in range(len(sequence)):
            for there in range(len(sequence)):
                if here != there and abs(here - there) <= steps and sequence[here] != sequence[there]:
                    expected[sequence[here], sequence[there]] += 1
    graph = item_graph(histories_of(world, N), steps)
    assert np.array_equal(graph.toarray(), expected)
    assert np.array_equal(graph.toarray(), graph.toarray().T)
    assert not graph.diagonal().any(), "an item does not follow itself"


@settings(deadline=None)
@given(worlds, st.integers(1, 4))
def test_neither_the_order_of_users_nor_the_direction_of_time_matters(world: list[list[int]], steps: int) -> None:
    backwards = [sequence[::-1] for sequence in world[::-1]]
    one, other = (item_graph(histories_of(w, N), steps) for w in (world, backwards))
    assert np.array_equal(one.toarray(), other.toarray())


@settings(deadline=None)
@given(worlds, st.integers(1, 4))
def test_the_graph_is_stored_as_the_product_needs_it(world: list[list[int]], steps: int) -> None:
    graph = item_graph(histories_of(world, N), steps)
    assert graph.shape == (N, N) and graph.dtype == np.float32
    assert graph.has_canonical_format, "sorted, and no pair stored twice"
    assert (graph.data > 0).all(), "no zero is stored"


@settings(deadline=None)
@given(worlds, st.integers(1, 3), st.integers(1, N))
def test_a_bounded_graph_keeps_what_is_near_to_either_end(world: list[list[int]], steps: int, links: int) -> None:
    histories = histories_of(world, N)
    whole = item_graph(histories, steps).toarray()
    popular = np.array([sum(sequence.count(item) for sequence in world) for item in range(N)])
    kept = np.zeros((N, N), bool)
    for item in range(N):
        others = sorted(
            np.flatnonzero(whole[item]), key=lambda other: (-whole[item, other] / np.sqrt(popular[other] + 5), other)
        )
        kept[item, others[:links]] = True
    bounded = item_graph(histories, steps, links)
    assert np.array_equal(bounded.toarray(), np.where(kept | kept.T, whole, 0))
    assert bounded.has_canonical_format and bounded.dtype == np.float32 and (bounded.data > 0).all()


def test_three_steps_is_the_default() -> None:
    graph = item_graph(histories_of([[0, 1, 2, 3, 4]], N)).toarray()
    assert graph[0].tolist() == [0, 1, 1, 1, 0, 0]


def test_the_last_event_of_a_user_is_not_followed_by_the_first_of_the_next() -> None:
    assert item_graph(histories_of([[0], [1], [], [2]], N)).nnz == 0


def test_no_events_no_edges() -> None:
    assert item_graph(histories_of([[], []], N)).nnz == 0
