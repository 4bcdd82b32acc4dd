"""Item co-occurrence: what tends to be used together with the recent items.

Source: Ma et al., AAAI 2020, section "Item co-occurrence modeling".

Shapes: B = batch, L = short window, D = embedding size.
"""

from torch import Tensor, nn

from magnn.model.initial import identity_
from magnn.model.window_mean import WindowMean


class Cooccurrence(nn.Module):
    """r = mean over L of Wr^T e_i, so that r . q_j is the mean of the paper's e_i^T Wr q_j.

    Wr starts as |L| I, and r as the sum of the window, as in the authors' HGN; a mean weighted by age starts as just that.
    """

    def __init__(self, dim: int, window: int, recency: bool = False) -> None:
        super().__init__()
        self.mean = WindowMean(dim, window, recency)
        self.relate = nn.Linear(dim, dim, bias=False)
        identity_(self.relate.weight, 1 if recency else window)

    def forward(self, input_ND: Tensor, recent_BL: Tensor) -> Tensor:
        """r, (B, D), from E and the items of L, padded with N; zero where the window is empty."""
        related_BD: Tensor = self.relate(self.mean(input_ND, recent_BL))
        return related_BD
