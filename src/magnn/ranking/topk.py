"""Exact top-K of a block of scores, with deterministic ties.

Shapes: B = rows of the block, N = items, K = list length.
"""

import torch
from torch import Tensor

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
