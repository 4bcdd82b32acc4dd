"""Exact top-K over the whole catalogue, block by block, with exclusions and deterministic ties.

Shapes: B = users of a block, U = users, N = items, K = list length.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from magnn.data.interactions import Histories
from magnn.errors import InputError

# Fills a float32 block (B, N) with the scores of users (B,). The block is reused: fresh memory costs page faults.
Scorer = Callable[[NDArray[np.int64], Tensor], None]

BLOCK_BYTES = 16 * 2**20  # scores of one block: what bounds the memory of ranking, whatever the catalogue
GROUP = 128  # items whose maximum is taken first


def top_k(scores_BN: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best items of each row, best first; among equal scores the lower item number comes first.

    Args:
        scores_BN: float scores, without NaN.
        k: at most N.

    Returns:
        values (B, K) and items (B, K) int64.

    Example:
        >>> top_k(torch.tensor([[1.0, 3.0, 3.0, 2.0]]), 2)[1]
        tensor([[1, 2]])
    """
    values_BK, items_BK, tied_B = _some_top_k(scores_BN, k)
    if tied_B.any():
        items_BK[tied_B] = _first_of_ties(scores_BN[tied_B], values_BK[tied_B, -1:], k)
    items_BK = items_BK.sort(dim=1).values
    values_BK, order_BK = scores_BN.gather(1, items_BK).sort(dim=1, descending=True, stable=True)
    return values_BK, items_BK.gather(1, order_BK)


def _some_top_k(scores_BN: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Values of the top k, items that have them, and in which rows other items tie with the k-th (B,)."""
    n_items = scores_BN.shape[1]
    whole = n_items // GROUP * GROUP
    if whole < 4 * k * GROUP:
        values_BK, items_BK = scores_BN.topk(k, dim=1)
        return values_BK, items_BK, (scores_BN >= values_BK[:, -1:]).sum(dim=1) > k
    # The top k lie in the k groups with the largest maxima: were one in another group, k groups would beat it. A maximum
    # runs at memory speed, many times faster than a selection; what is left to select from is k groups and the rest.
    grouped_BGI = scores_BN[:, :whole].view(len(scores_BN), -1, GROUP)
    maximum_BG = grouped_BGI.amax(dim=2)
    groups_BK = maximum_BG.topk(k, dim=1).indices
    inside = grouped_BGI.gather(1, groups_BK.unsqueeze(2).expand(-1, -1, GROUP)).flatten(1)
    candidates = torch.cat([inside, scores_BN[:, whole:]], dim=1)
    values_BK, position_BK = candidates.topk(k, dim=1)
    group_BK = groups_BK.gather(1, (position_BK // GROUP).clamp(max=k - 1))
    items_BK = torch.where(
        position_BK < k * GROUP, group_BK * GROUP + position_BK % GROUP, position_BK - k * GROUP + whole
    )
    # A tie in a group that was not selected shows in the number of groups that reach the k-th value.
    kth_B1 = values_BK[:, -1:]
    tied_B = ((candidates >= kth_B1).sum(dim=1) > k) | ((maximum_BG >= kth_B1).sum(dim=1) > k)
    return values_BK, items_BK, tied_B


def _first_of_ties(scores_BN: Tensor, kth_B1: Tensor, k: int) -> Tensor:
    """Items above the k-th value, filled up with the first items that have it, in item order, (B, K)."""
    above_BN, equal_BN = scores_BN > kth_B1, scores_BN == kth_B1
    needed_B1 = k - above_BN.sum(dim=1, keepdim=True)
    kept_BN = above_BN | (equal_BN & (equal_BN.cumsum(dim=1) <= needed_B1))
    return kept_BN.nonzero()[:, 1].view(-1, k)


def rank(
    scorer: Scorer, users: NDArray[np.int64], exclude: Histories, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Top-K lists of many users, each user's `exclude` items left out.

    Args:
        scorer: scores of a block of users.
        users: (U,) user numbers.
        exclude: items that may not be recommended, usually what the user has already seen.
        k: list length, at most the catalogue.

    Returns:
        items (U, K), and their scores (U, K). A user with fewer than K items left has -1 and -inf in the last places.

    Raises:
        InputError: k is not in [1, n_items].
    """
    check_k(k, exclude.n_items)
    items_UK = np.empty((len(users), k), np.int64)
    scores_UK = np.empty((len(users), k), np.float32)
    block = max(1, BLOCK_BYTES // (4 * exclude.n_items))
    buffer = torch.empty(min(block, len(users)), exclude.n_items)
    for first in range(0, len(users), block):
        of_block = users[first : first + block]
        scores_BN = buffer[: len(of_block)]
        scorer(of_block, scores_BN)
        row, item = _pairs(exclude, of_block)
        scores_BN[row, item] = -torch.inf
        values, items = top_k(scores_BN, k)
        rows = slice(first, first + len(of_block))
        scores_UK[rows] = values.numpy()
        items_UK[rows] = items.masked_fill(values == -torch.inf, -1).numpy()
    return items_UK, scores_UK


def check_k(k: int, n_items: int) -> None:
    """Raises InputError unless 1 <= k <= n_items."""
    if not 1 <= k <= n_items:
        raise InputError(f"k must be between 1 and the catalogue's {n_items:,} items, not {k}")


def _pairs(histories: Histories, users: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Row in `users` and item of each of their events."""
    start, length = histories.offsets[users], histories.lengths[users]
    row = np.repeat(np.arange(len(users)), length)
    index = np.arange(len(row)) + np.repeat(start - (np.cumsum(length) - length), length)
    return torch.from_numpy(row), torch.from_numpy(histories.items[index].astype(np.int64))
