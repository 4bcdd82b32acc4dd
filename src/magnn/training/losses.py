"""What training minimises.

Source: Ma et al., AAAI 2020, section "Prediction and training", the BPR objective.

Shapes: B = batch, D = embedding size, T = targets, S = negatives a target, N = items.
"""

import torch
from torch import Tensor, nn

from magnn.model.kernels import dots


def bpr(query_BD: Tensor, items_ND: Tensor, targets_BT: Tensor, negatives_BTS: Tensor) -> Tensor:
    """Sum over samples and targets of -log sigmoid(score of target - score of negative).

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
