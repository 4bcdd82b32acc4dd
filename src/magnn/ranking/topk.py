"""Exact top-K of a block of scores, with deterministic ties.

Shapes: B = rows of the block, N = items, K = list length.
"""

import torch
from torch import Tensor

GROUPS = (128, 32)  # items whose maximum is taken first, in a large catalogue and in a smaller one


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
    group = next((size for size in GROUPS if n_items >= 4 * k * size), None)
    if group is None:
        return _with_ties(scores_BN, k)
    # The top k lie in the k groups with the largest maxima: were one in another group, k groups would beat it. A maximum
    # runs at memory speed, many times faster than a selection; what is left to select from is k groups and the rest.
    whole = n_items // group * group
    grouped_BGI = scores_BN[:, :whole].view(len(scores_BN), -1, group)
    maxima_BK, groups_BK = grouped_BGI.amax(dim=2).topk(k + 1, dim=1)
    groups_BK = groups_BK[:, :k]
    inside = grouped_BGI.gather(1, groups_BK.unsqueeze(2).expand(-1, -1, group)).flatten(1)
    values_BK, position_BK, tied_B = _with_ties(torch.cat([inside, scores_BN[:, whole:]], dim=1), k)
    group_BK = groups_BK.gather(1, (position_BK // group).clamp(max=k - 1))
    items_BK = torch.where(
        position_BK < k * group, group_BK * group + position_BK % group, position_BK - k * group + whole
    )
    return values_BK, items_BK, tied_B | (maxima_BK[:, k] >= values_BK[:, k - 1])


def _with_ties(scores_BX: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Values and places of the k best, and whether the next best is as good as the last of them (B,)."""
    values_BK, places_BK = scores_BX.topk(min(k + 1, scores_BX.shape[1]), dim=1)
    tied_B = (values_BK[:, k - 1 : k] == values_BK[:, k:]).any(dim=1)
    return values_BK[:, :k], places_BK[:, :k], tied_B


def _first_of_ties(scores_BN: Tensor, kth_B1: Tensor, k: int) -> Tensor:
    """Items above the k-th value, filled up with the first items that have it, in item order, (B, K)."""
    above_BN, equal_BN = scores_BN > kth_B1, scores_BN == kth_B1
    needed_B1 = k - above_BN.sum(dim=1, keepdim=True)
    kept_BN = above_BN | (equal_BN & (equal_BN.cumsum(dim=1) <= needed_B1))
    return kept_BN.nonzero()[:, 1].view(-1, k)
