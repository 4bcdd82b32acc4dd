"""Segments: the group that is served is the group that is named, and recall is what a loop over users finds."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from magnn.evaluation import MODEL
from magnn.ranking.evaluate import Evaluation, evaluate_lists
from magnn.reporting.segments import (
    by_popularity,
    by_value,
    equal_groups,
    groups_by_edges,
    intervals,
    popularity_groups,
)
from tests.worlds import histories_of

COUNTS = st.lists(st.integers(0, 30), min_size=1, max_size=40).map(np.array)


def test_who_is_served_well_and_who_is_not() -> None:
    """Twenty quiet users always get their item, twenty loud ones never; the other system does the reverse."""
    lengths = np.array([5, 6] * 10 + [50, 60] * 10)
    held_out = histories_of([[1]] * 40, n_items=3)
    lists = np.where(np.arange(40) < 20, 1, 2)[:, None]
    users = np.arange(40)
    systems = {MODEL: evaluate_lists(lists, users, held_out), "item-knn": evaluate_lists(3 - lists, users, held_out)}
    quiet, loud = by_value(lengths, groups_by_edges(lengths, 5, 20) // 2, systems)
    assert (quiet.label, quiet.n, loud.label, loud.n) == ("5 to 6", 20, "50 to 60", 20)
    assert quiet.recall == {MODEL: (1, 1, 1), "item-knn": (0, 0, 0)}
    assert (quiet.lead["item-knn"], loud.lead["item-knn"]) == ((1, 1, 1), (-1, -1, -1))


def test_recall_by_popularity_is_that_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    n_users, n_items, k = 50, 30, 5
    counts = rng.integers(0, 40, n_items)
    held_out = histories_of([rng.integers(0, n_items, rng.integers(1, 9)).tolist() for _ in range(n_users)], n_items)
    users = np.sort(rng.permutation(n_users)[:40])
    lists = np.stack([rng.permutation(n_items)[:k] for _ in users])
    lists[:7, 3:] = -1
    systems = {MODEL: evaluate_lists(lists, users, held_out)}
    groups = popularity_groups(counts)
    expected = []
    for group in sorted(set(groups.tolist())):
        recalls = []
        for row, user in enumerate(users):
            wanted = {i for i in held_out.of(user).tolist() if groups[i] == group}
            if wanted:
                recalls.append(len(wanted & set(lists[row].tolist())) / len(wanted))
        if recalls:
            expected.append((len(recalls), float(np.mean(recalls))))
    found = [(s.n, s.recall[MODEL][0]) for s in by_popularity(counts, held_out, systems)]
    np.testing.assert_allclose(found, expected)


@given(COUNTS)
def test_groups_follow_the_values_and_part_nobody_from_an_equal(counts: np.ndarray) -> None:
    for values, groups in ((counts, equal_groups(counts)), (-counts, popularity_groups(counts))):
        order = np.argsort(values, kind="stable")
        assert (np.diff(groups[order]) >= 0).all()
        assert all(len(set(groups[values == value].tolist())) == 1 for value in values)
    assert ((popularity_groups(counts) == 5) == (counts == 0)).all()


def test_the_most_popular_fifth_of_events_is_few_items() -> None:
    counts = np.array([200, 190, 150, 140, *[1] * 320])
    assert [int((popularity_groups(counts) == group).sum()) for group in range(5)] == [1, 2, 1, 320, 0]


def test_what_is_the_same_has_no_lead() -> None:
    values = np.random.default_rng(0).random(50)
    recall, lead = intervals({"a": values, "b": values})
    assert recall["a"] == recall["b"]
    assert lead == {"b": (0, 0, 0)}
    low, high = recall["a"][1:]
    assert low < values.mean() < high


def test_evaluations_keep_their_lists() -> None:
    found: Evaluation = evaluate_lists(np.array([[1, -1]]), np.array([0]), histories_of([[1]], 3), intervals=False)
    assert found.items_UK.tolist() == [[1, -1]]
