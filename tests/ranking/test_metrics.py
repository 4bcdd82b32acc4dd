"""Metrics with ir-measures (trec_eval) as the judge, and intervals with known coverage."""

import math

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import AP, RR, Qrel, R, ScoredDoc, nDCG
from numpy.typing import NDArray

from magnn.data.interactions import Histories
from magnn.ranking.metrics import PER_USER, bootstrap_ci95, coverage, hits, per_user
from tests.worlds import histories_of


@st.composite
def rankings(draw: st.DrawFn) -> tuple[NDArray[np.int64], list[list[int]], int]:
    """Lists of K items (some end early), held-out events with repeats, and the size of the catalogue."""
    n_items = draw(st.integers(2, 20))
    k = draw(st.integers(1, n_items))
    n_users = draw(st.integers(1, 5))
    lists = []
    for _ in range(n_users):
        order = draw(st.permutations(range(n_items)))
        length = draw(st.integers(0, k))
        lists.append(list(order[:length]) + [-1] * (k - length))
    relevant = [draw(st.lists(st.integers(0, n_items - 1), min_size=1, max_size=8)) for _ in range(n_users)]
    return np.array(lists, np.int64), relevant, n_items


@settings(deadline=None)
@given(rankings())
def test_agree_with_trec_eval(case: tuple[NDArray[np.int64], list[list[int]], int]) -> None:
    items, relevant, n_items = case
    k = items.shape[1]
    held_out = histories_of(relevant, n_items)
    n_relevant = np.array([len(set(r)) for r in relevant])
    got = per_user(hits(items, np.arange(len(items)), held_out), n_relevant)

    qrels = [Qrel(str(u), str(i), 1) for u, r in enumerate(relevant) for i in set(r)]
    run = [ScoredDoc(str(u), str(i), float(-nth)) for u, row in enumerate(items) for nth, i in enumerate(row) if i >= 0]
    run += [ScoredDoc(str(u), "nothing", -99.0) for u in range(len(items))]  # trec_eval leaves out users without a list
    judged = {"recall": R @ k, "ndcg": nDCG @ k, "map": AP @ k, "mrr": RR @ k}
    expected = {name: np.zeros(len(items)) for name in judged}
    for result in ir_measures.iter_calc(list(judged.values()), qrels, run):
        name = next(n for n, measure in judged.items() if measure == result.measure)
        expected[name][int(result.query_id)] = result.value
    for name, values in expected.items():
        np.testing.assert_allclose(got[name], values, atol=1e-6, err_msg=name)
    fixed_ideal = sum(1 / math.log2(i + 2) for i in range(k))
    own_ideal = np.array([sum(1 / math.log2(i + 2) for i in range(min(k, n))) for n in n_relevant])
    np.testing.assert_allclose(got["ndcg_fixed"], got["ndcg"] * own_ideal / fixed_ideal)


def test_a_perfect_list_scores_one() -> None:
    values = per_user(np.array([[True, True, False]]), np.array([2]))
    assert {name: values[name].item() for name in PER_USER if name != "ndcg_fixed"} == dict.fromkeys(
        ["recall", "ndcg", "map", "mrr"], 1.0
    )
    assert values["ndcg_fixed"].item() < 1, "two test items cannot fill an ideal of three"


def test_hits_belong_to_their_user() -> None:
    held_out = Histories(np.array([1, 2], np.int32), np.array([0, 1, 2]), 3)
    assert hits(np.array([[1, 2], [1, 2]]), np.array([0, 1]), held_out).tolist() == [[True, False], [False, True]]
    assert hits(np.array([[1, 2]]), np.array([1]), held_out).tolist() == [[False, True]]


def test_coverage_counts_distinct_items_and_no_gaps() -> None:
    assert coverage(np.array([[0, 1], [1, -1]]), 4) == 0.5


def test_interval_is_that_of_the_normal_approximation() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, (2000, 2))
    low, high = bootstrap_ci95(values)
    half = 1.96 * values.std(axis=0) / math.sqrt(len(values))
    np.testing.assert_allclose(low, values.mean(axis=0) - half, atol=0.1 * half.max())
    np.testing.assert_allclose(high, values.mean(axis=0) + half, atol=0.1 * half.max())


@pytest.mark.parametrize("seed", [0, 1])
def test_interval_is_repeatable(seed: int) -> None:
    values = np.random.default_rng(2).random((30, 1))
    assert np.array_equal(bootstrap_ci95(values, seed=seed), bootstrap_ci95(values, seed=seed))
