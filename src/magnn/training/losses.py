"""What training minimises: the paper's BPR, or a softmax that looks at the top of the list.

Shapes: B = batch, D = embedding size, T = targets, S = negatives a target, N = items, C = candidates.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from magnn.model.kernels import dots


def bpr(query_BD: Tensor, items_ND: Tensor, targets_BT: Tensor, negatives_BTS: Tensor) -> Tensor:
    """Sum over samples and targets of -log sigmoid(score of target - score of negative).

    Source: Ma et al., AAAI 2020, section "Prediction and training".

    With S > 1 negatives a target, their mean. A target or negative equal to N is padding and does not count.

    Example:
        >>> query, items = torch.tensor([[1.0]]), torch.tensor([[0.0], [0.0]])
        >>> round(bpr(query, items, torch.tensor([[0]]), torch.tensor([[[1]]])).item(), 4)  # log 2
        0.6931
    """
    n_items, n_targets = len(items_ND), targets_BT.shape[1]
    real_BTS = (targets_BT != n_items).unsqueeze(2) & (negatives_BTS != n_items)
    wanted_BX = torch.cat([targets_BT, negatives_BTS.flatten(1)], dim=1).clamp(max=n_items - 1)
    scores_BX = dots(query_BD, items_ND, wanted_BX)
    positive_BT1 = scores_BX[:, :n_targets].unsqueeze(2)
    negative_BTS = scores_BX[:, n_targets:].view_as(negatives_BTS)
    loss_BTS = nn.functional.softplus(negative_BTS - positive_BT1)
    return (loss_BTS * real_BTS).sum() / negatives_BTS.shape[2]


def generalised_cross_entropy(log_share: Tensor, q: float) -> Tensor:
    """(1 - p^q) / q of each log p; q = 0 is the usual -log p.

    A sample's gradient is that of -log p times p^q: what the model ranks high counts, what looks hopeless hardly does. The
    first ten places are won among the former, while -log p is dominated by the latter.

    Source: Zhang & Sabuncu, NeurIPS 2018, "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy
    Labels", equation 6.

    Example:
        >>> generalised_cross_entropy(torch.tensor([0.25]).log(), 0.5).item()  # (1 - .5) / .5
        1.0
    """
    return -log_share if q == 0 else -torch.expm1(q * log_share) / q


def softmax_loss(
    query_BD: Tensor,
    target_BD: Tensor,
    candidates_CD: Tensor,
    excluded: tuple[Tensor, Tensor],
    *,
    q: float,
    times: float,
) -> Tensor:
    """Sum over samples of the generalised cross-entropy of p = e^s / (e^s + times * sum over candidates c of e^s_c).

    Args:
        query_BD, target_BD: query and target vector of each sample; s is their product.
        candidates_CD: item vectors that the target competes with.
        excluded: rows, ascending, and columns (B x C) of the pairs that do not compete: a sample's own target, and what
            else its user has touched.
        q: see `generalised_cross_entropy`.
        times: how many items of the catalogue a candidate stands for (the log-Q correction of a uniform draw).

    Example:
        >>> query, target, others = torch.tensor([[1.0]]), torch.tensor([[0.0]]), torch.tensor([[0.0], [9.0]])
        >>> nine = torch.tensor([0]), torch.tensor([1])
        >>> round(softmax_loss(query, target, others, nine, q=0, times=3).item(), 4)  # log 4
        1.3863
    """
    loss: Tensor = _SoftmaxLoss.apply(query_BD, target_BD, candidates_CD, *excluded, q, times)  # type: ignore[no-untyped-call]
    return loss


ROWS = {"cpu": 64, "cuda": 4096}  # samples scored at once: on a CPU their scores stay in the cache


class _SoftmaxLoss(torch.autograd.Function):
    """Value and gradients in one pass over blocks of scores, which stay in the cache and are never all in memory."""

    @staticmethod
    def forward(
        ctx: Any,
        query_BD: Tensor,
        target_BD: Tensor,
        candidates_CD: Tensor,
        row_X: Tensor,
        column_X: Tensor,
        q: float,
        times: float,
    ) -> Tensor:
        to_query_BD, to_candidates_CD = torch.empty_like(query_BD), torch.zeros_like(candidates_CD)
        own_B = (query_BD * target_BD).sum(dim=1)
        weight_B, rest_B = torch.empty_like(own_B), torch.empty_like(own_B)
        losses = []
        n_rows = ROWS[query_BD.device.type]
        starts = range(0, len(query_BD), n_rows)
        bounds = torch.searchsorted(row_X, torch.tensor([*starts, len(query_BD)], device=row_X.device)).tolist()
        buffer_RC = query_BD.new_empty(min(n_rows, len(query_BD)), len(candidates_CD))
        for first, low, high in zip(starts, bounds[:-1], bounds[1:], strict=True):
            rows = slice(first, first + n_rows)
            block_RD, own_R1 = query_BD[rows], own_B[rows].unsqueeze(1)
            scores_RC = torch.mm(block_RD, candidates_CD.T, out=buffer_RC[: len(block_RD)])
            scores_RC[row_X[low:high] - first, column_X[low:high]] = -math.inf
            # Everything relative to the largest, so that no exponential overflows.
            most_R1 = torch.maximum(scores_RC.amax(dim=1, keepdim=True), own_R1)
            scores_RC.sub_(most_R1).exp_()
            others_R, own_R = times * scores_RC.sum(dim=1), (own_R1 - most_R1).exp().squeeze(1)
            log_share_R = own_B[rows] - most_R1.squeeze(1) - (others_R + own_R).log()
            losses.append(generalised_cross_entropy(log_share_R, q))
            weight_B[rows] = (q * log_share_R).exp()  # p^q
            rest_B[rows] = others_R / (others_R + own_R)  # 1 - p
            scores_RC.mul_((times * weight_B[rows] / (others_R + own_R)).unsqueeze(1))  # p^q p_c: the gradient
            torch.mm(scores_RC, candidates_CD, out=to_query_BD[rows])
            to_candidates_CD.addmm_(scores_RC.T, block_RD)
        to_own_B1 = (-weight_B * rest_B).unsqueeze(1)
        ctx.save_for_backward(to_query_BD.addcmul_(to_own_B1, target_BD), to_own_B1 * query_BD, to_candidates_CD)
        return torch.cat(losses).sum()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        to_query_BD, to_target_BD, to_candidates_CD = (gradients[0] * saved for saved in ctx.saved_tensors)
        return to_query_BD, to_target_BD, to_candidates_CD, None, None, None, None
