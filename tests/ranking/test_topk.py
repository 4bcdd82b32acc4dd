"""Top-K against brute force: any K, any exclusions, any ties."""

from unittest.mock import Mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from torch import Tensor

from magnn.data.interactions import Histories
from magnn.errors import InputError
from magnn.ranking import rank as rank_module
from magnn.ranking import topk as topk_module
from magnn.ranking.rank import Scorer, rank
from magnn.ranking.topk import GROUPS, top_k
from tests.worlds import histories_of


def brute_force(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Sorted by score downwards, then by item number upwards."""
    return np.array([sorted(range(len(row)), key=lambda j: (-row[j], j))[:k] for row in scores])


def fixed(scores: NDArray[np.float32]) -> Scorer:
    def scorer(users: NDArray[np.int64], out: Tensor) -> None:
        out[:] = torch.from_numpy(scores[users])

    return scorer


few_values = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 4), st.integers(1, 30)),
    elements=st.sampled_from([-1.0, 0.0, 0.5, 2.0, -np.inf]),
)


@settings(deadline=None)
@given(scores=few_values, data=st.data())
def test_ties_go_to_the_lower_item(scores: NDArray[np.float32], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, scores.shape[1]))
    values, items = top_k(torch.from_numpy(scores), k)
    assert items.tolist() == brute_force(scores, k).tolist()
    assert np.array_equal(values.numpy(), np.take_along_axis(scores, items.numpy(), axis=1))


@settings(deadline=None, max_examples=60)
@given(
    k=st.integers(1, 3),
    levels=st.sampled_from([2, 40, 10**6]),
    group=st.sampled_from(GROUPS),
    rest=st.integers(0, max(GROUPS) - 1),
    seed=st.integers(0, 10**6),
)
def test_large_catalogues_by_groups_are_exact(k: int, levels: int, group: int, rest: int, seed: int) -> None:
    """With few levels nearly everything ties, within and across groups and in the rest behind the last group."""
    rng = np.random.default_rng(seed)
    n_items = 4 * k * group + rest
    assert next(size for size in GROUPS if n_items >= 4 * k * size) == group, "this must take the path by such groups"
    scores = rng.integers(0, levels, (3, n_items)).astype(np.float32)
    scores[0, -1] = levels  # the best item is the very last
    with pytest.MonkeyPatch.context() as patch:
        selecting = Mock(side_effect=topk_module._with_ties)
        patch.setattr(topk_module, "_with_ties", selecting)
        _, items = top_k(torch.from_numpy(scores), k)
    assert selecting.call_args.args[0].shape[1] == k * group + rest % group, "what is left to select from"
    assert items.tolist() == brute_force(scores, k).tolist()


@settings(deadline=None)
@given(data=st.data(), n_users=st.integers(1, 6), n_items=st.integers(1, 12), block=st.sampled_from([1, 100, 10**6]))
def test_excluded_items_are_never_ranked(data: st.DataObject, n_users: int, n_items: int, block: int) -> None:
    seen = data.draw(st.lists(st.lists(st.integers(0, n_items - 1)), min_size=n_users, max_size=n_users))
    scores = data.draw(hnp.arrays(np.float32, (n_users, n_items), elements=st.sampled_from([0.0, 1.0, 2.0])))
    users = np.array(data.draw(st.lists(st.integers(0, n_users - 1))), np.int64)
    k = data.draw(st.integers(1, n_items))
    exclude = histories_of(seen, n_items)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rank_module, "BLOCK_BYTES", block)  # from one user a block to all in one
        items, values = rank(fixed(scores), users, exclude, k)
    for row, user in enumerate(users):
        left = [j for j in brute_force(scores[[user]], n_items)[0] if j not in seen[user]][:k]
        assert items[row].tolist() == left + [-1] * (k - len(left))
        assert values[row].tolist() == [scores[user, j] for j in left] + [-np.inf] * (k - len(left))


@pytest.mark.parametrize("k", [0, -1, 4])
def test_k_must_fit_the_catalogue(k: int) -> None:
    nothing = Histories(np.empty(0, np.int32), np.zeros(2, np.int64), 3)
    with pytest.raises(InputError, match=f"between 1 and the catalogue's 3 items, not {k}"):
        rank(fixed(np.zeros((1, 3), np.float32)), np.array([0]), nothing, k)


def test_memory_does_not_grow_with_users() -> None:
    """Every block is scored into the same buffer, however many users there are."""
    n_items, seen = 50, set()

    def scorer(users: NDArray[np.int64], out: Tensor) -> None:
        seen.add((out.untyped_storage().data_ptr(), out.untyped_storage().nbytes()))
        out[:] = 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rank_module, "BLOCK_BYTES", 7 * 4 * n_items)
        for n_users in (100, 1000):
            nothing = Histories(np.empty(0, np.int32), np.zeros(n_users + 1, np.int64), n_items)
            rank(scorer, np.arange(n_users), nothing, 5)
    assert {nbytes for _, nbytes in seen} == {7 * 4 * n_items}
    assert len(seen) <= 2
