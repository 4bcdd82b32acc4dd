"""Top-K of products by groups against the block of all scores: any ties, any exclusions, any tile."""

from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from magnn.data.interactions import Histories
from magnn.ranking import products
from magnn.ranking import rank as rank_module
from magnn.ranking.products import DotScorer, group_size
from magnn.ranking.rank import rank
from tests.worlds import histories_of


def in_full(
    scorer: DotScorer, users: NDArray[np.int64], exclude: Histories, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """`rank` with a scorer that it knows nothing of."""

    def scores(users_B: NDArray[np.int64], out_BN: Tensor) -> None:
        scorer(users_B, out_BN)

    return rank(scores, users, exclude, k)


@settings(deadline=None, max_examples=150)
@given(
    k=st.integers(1, 12),
    n_items=st.integers(200, 700),
    levels=st.sampled_from([2, 5, 1000]),
    tile=st.sampled_from([1, 1000, 10**6]),
    users_of_block=st.sampled_from([1, 2, 512]),
    share_seen=st.sampled_from([0.0, 0.1, 0.9, 1.0]),
    seed=st.integers(0, 10**6),
)
def test_the_same_lists_as_from_all_scores(
    k: int, n_items: int, levels: int, tile: int, users_of_block: int, share_seen: float, seed: int
) -> None:
    """Small whole numbers multiply and add without rounding, and tie often."""
    rng = np.random.default_rng(seed)
    scorer = DotScorer(
        torch.from_numpy(rng.integers(-levels, levels, (4, 3)).astype(np.float32)),
        torch.from_numpy(rng.integers(-levels, levels, (n_items, 3)).astype(np.float32)),
    )
    exclude = histories_of([np.flatnonzero(rng.random(n_items) < share_seen).tolist() for _ in range(4)], n_items)
    users = rng.integers(0, 4, 5)
    expected_items, expected_scores = in_full(scorer, users, exclude, k)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rank_module, "LARGE", 1)
        patch.setattr(rank_module, "USERS", users_of_block)
        patch.setattr(products, "TILE", tile)
        patch.setattr(products, "GATHERED", tile)
        assert n_items >= 2 * k * group_size(n_items, k)
        by_groups = Mock(side_effect=products.top_products)
        patch.setattr(rank_module, "top_products", by_groups)
        items, scores = rank(scorer, users, exclude, k)
    assert by_groups.called, "this must take the path by groups"
    assert np.array_equal(items, expected_items)
    assert np.array_equal(scores, expected_scores)


def test_random_numbers_give_the_best_up_to_rounding() -> None:
    torch.manual_seed(0)
    scorer = DotScorer(torch.randn(600, 50), torch.randn(6000, 50))
    exclude = histories_of([list(range(u % 70)) for u in range(600)], 6000)
    items, scores = rank(scorer, np.arange(600), exclude, 20)
    all_scores = scorer.vectors_UD.double() @ scorer.items_ND.double().T
    for user in range(600):
        all_scores[user, : user % 70] = -torch.inf
    best, _ = all_scores.topk(20, dim=1)
    np.testing.assert_allclose(scores, best.numpy(), rtol=1e-5)
    np.testing.assert_allclose(all_scores.gather(1, torch.from_numpy(items)).numpy(), best.numpy(), rtol=1e-5)


def test_few_rows_are_left_to_be_ranked_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[int] = []
    calls: list[int] = []
    original = rank_module._rank_products

    def counting(*arguments: Any) -> NDArray[np.int64]:
        rows = original(*arguments)
        left.extend(rows)
        calls.append(len(arguments[1]))
        return rows

    monkeypatch.setattr(rank_module, "_rank_products", counting)
    torch.manual_seed(0)
    nothing = Histories(np.empty(0, np.int32), np.zeros(2001, np.int64), 8000)
    rank(DotScorer(torch.randn(2000, 20), torch.randn(8000, 20)), np.arange(2000), nothing, 10)
    assert calls == [2000] and len(left) < 20


@pytest.mark.parametrize("dim", [16, 64])
def test_memory_does_not_grow_with_users(dim: int) -> None:
    """The largest allocation of ranking is the same for a thousand users and for four thousand."""
    largest = []
    for n_users in (1000, 4000):
        nothing = Histories(np.empty(0, np.int32), np.zeros(n_users + 1, np.int64), 6000)
        scorer = DotScorer(torch.randn(n_users, dim), torch.randn(6000, dim))
        with torch.profiler.profile(profile_memory=True) as profile:
            rank(scorer, np.arange(n_users), nothing, 10)
        largest.append(max(event.self_cpu_memory_usage for event in profile.events()))
    assert largest[0] == largest[1] > 0
