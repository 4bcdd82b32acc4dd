"""Histories are lists in one array; a selection, made without a step of Python for each user, is what steps would give."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magnn.data.interactions import Histories
from tests.worlds import histories_of

N = 9
worlds = st.lists(st.lists(st.integers(0, N - 1), max_size=6), min_size=1, max_size=8)


def naive(histories: Histories, users: list[int]) -> list[list[int]]:
    return [histories.of(user).tolist() for user in users]


@settings(deadline=None)
@given(worlds, st.data())
def test_histories_are_lists_in_one_array(world: list[list[int]], data: st.DataObject) -> None:
    histories = histories_of(world, N)
    assert histories.n_users == len(world)
    assert histories.lengths.tolist() == [len(sequence) for sequence in world]
    assert naive(histories, list(range(len(world)))) == world
    assert histories.users.tolist() == [user for user, sequence in enumerate(world) for _ in sequence]

    keep = data.draw(st.lists(st.booleans(), min_size=len(histories.items), max_size=len(histories.items)))
    kept = histories.where(np.array(keep, bool))
    mark = iter(keep)
    assert naive(kept, list(range(len(world)))) == [[i for i in seq if next(mark)] for seq in world]


@settings(deadline=None)
@given(worlds, st.data())
def test_a_selection_holds_each_history_where_it_was_asked_for(world: list[list[int]], data: st.DataObject) -> None:
    histories = histories_of(world, N)
    users = data.draw(st.lists(st.integers(0, len(world) - 1), max_size=12))
    taken = histories.take(np.array(users, np.int64))
    assert taken.n_users == len(users)
    assert naive(taken, list(range(len(users)))) == naive(histories, users)
    assert (taken.offsets[0], taken.offsets[-1]) == (0, len(taken.items)), "nothing between the histories"
    assert taken.items.dtype == np.int32 and taken.offsets.dtype == np.int64 and taken.n_items == N


@pytest.mark.parametrize(
    ("world", "users"),
    [
        ([[], [], []], [2, 0]),
        ([[1, 2], [3]], []),
        ([[], [4], []], [1, 1, 0, 1, 2]),
        ([[5, 5, 5]], [0, 0]),
    ],
    ids=["nothing done", "nobody", "one again and again", "one item again and again"],
)
def test_selections_at_the_edge(world: list[list[int]], users: list[int]) -> None:
    taken = histories_of(world, N).take(np.array(users, np.int64))
    assert naive(taken, list(range(len(users)))) == [world[user] for user in users]


def test_a_selection_is_a_copy() -> None:
    histories = histories_of([[1, 2], [3]], N)
    assert not np.shares_memory(histories.take(np.array([0, 1])).items, histories.items)
    assert not np.shares_memory(histories.where(np.array([True, True, True])).items, histories.items)


def test_histories_stay_as_they_are() -> None:
    with pytest.raises(AttributeError):
        histories_of([[1, 2], [3]], N).n_items = 9  # type: ignore[misc]
