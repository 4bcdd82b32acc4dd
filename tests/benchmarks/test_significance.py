"""Tests between systems, against SciPy's."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binomtest, permutation_test, ttest_rel

from benchmarks import significance
from benchmarks.significance import paired_p

Array = NDArray[np.float64]


def scipy_p(a: Array, b: Array) -> float:
    result: Any = permutation_test((a - b,), np.sum, permutation_type="samples", n_resamples=10**6)
    return float(result.pvalue)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=10))
def test_few_users_are_tested_exactly(pairs: list[tuple[int, int]]) -> None:
    a, b = np.array(pairs, float).T  # whole numbers: SciPy compares sums to the last digit
    assert paired_p(a, b) == pytest.approx(scipy_p(a, b))


def test_many_users_as_a_t_test_would() -> None:
    rng = np.random.default_rng(0)
    a = rng.random(3000)
    for shift, spread in ((0.0, 0.3), (0.01, 0.3), (0.02, 0.3)):
        b = a + shift + rng.normal(0, spread, len(a))
        assert paired_p(a, b) == pytest.approx(ttest_rel(a, b).pvalue, abs=0.02)


def test_only_signs_count_where_differences_are_alike() -> None:
    a = np.array([1.0] * 40 + [0.0] * 20 + [0.5] * 100)
    b = np.array([0.0] * 40 + [1.0] * 20 + [0.5] * 100)
    assert paired_p(a, b) == pytest.approx(binomtest(40, 60).pvalue, abs=0.005)


def test_p_is_never_zero_and_one_where_nothing_differs() -> None:
    assert paired_p(np.ones(200), np.zeros(200)) == 1 / (significance.DRAWS + 1)
    assert paired_p(np.ones(200), np.ones(200)) == 1.0
