"""The mean over the short-term window: plain as in the paper, or with weights that a model learns for each age.

A plain mean does not see in which order the items of the window came. Weights of ages do, and are the largest single gain
over the paper's network (docs/experiments.md). They are our addition.

Shapes: B = batch, L = short window, D = embedding size, N = items.
"""

import torch
from torch import Tensor, nn

from magnn.model.kernels import gather, mean_rows, weighted_rows

DECAY = 0.2  # of the first weights: e^(-DECAY age)


class WindowMean(nn.Module):
    """Mean of vectors of the last L items; with `recency`, weighted by a softmax over their ages.

    The weights are learned, one for each age and dimension: what lasts can look far back while what passes looks at the
    last click.

    Example:
        >>> mean = WindowMean(dim=1, window=2, recency=True)
        >>> mean(torch.tensor([[0.0], [1.0], [0.0]]), torch.tensor([[0, 1], [2, 1]])).detach()  # 2 is padding
        tensor([[0.5498],
                [1.0000]])
    """

    def __init__(self, dim: int, window: int, recency: bool) -> None:
        super().__init__()
        self.recency_LD: nn.Parameter | None = None  # logits, oldest first
        if recency:
            ages_L1 = torch.arange(window - 1, -1, -1.0).unsqueeze(1)
            self.recency_LD = nn.Parameter((-DECAY * ages_L1).repeat(1, dim))

    def shares(self, recent_BL: Tensor, padding: int) -> Tensor:
        """Weight of each item of the window in the mean, (B, L, D) or (B, L, 1): 0 for padding, else they sum to 1.

        Args:
            recent_BL: item numbers, aligned to the right.
            padding: the number that stands for no item.
        """
        real_BL = recent_BL != padding
        if self.recency_LD is None:
            return (real_BL / real_BL.sum(dim=1, keepdim=True).clamp(min=1)).unsqueeze(2)
        weight_LD, total_LD = self._weights(self.recency_LD)
        return weight_LD * real_BL.unsqueeze(2) / total_LD[_last(real_BL)].unsqueeze(1)

    def forward(self, table_ND: Tensor, recent_BL: Tensor) -> Tensor:
        """The mean, (B, D), of rows of a table whose last row, zero, is padding; zero where there is nothing else."""
        if self.recency_LD is None:
            return mean_rows(table_ND, recent_BL)
        weight_LD, total_LD = self._weights(self.recency_LD)
        return weighted_rows(table_ND, recent_BL, weight_LD) / gather(total_LD, _last(recent_BL != len(table_ND) - 1))

    @staticmethod
    def _weights(recency_LD: Tensor) -> tuple[Tensor, Tensor]:
        """e^logit, (L, D), the largest 1; and its sum over the last n ages, for n from 1 to L, (L, D)."""
        weight_LD = (recency_LD - recency_LD.amax(dim=0)).exp()
        return weight_LD, weight_LD.flip(0).cumsum(dim=0).clamp(min=1e-12)


def _last(real_BL: Tensor) -> Tensor:
    """Row of the sums that belongs to each window, (B,); of an empty one, whose sum is zero, any."""
    return (real_BL.sum(dim=1) - 1).clamp(min=0)
