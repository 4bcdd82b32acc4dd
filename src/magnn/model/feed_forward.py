"""What the parts of a query say together and none of them says alone.

The parts are next to linear in the items of a history: who saw A and B is asked for what goes with A, and for what goes
with B. Where a log has many events of each item, what goes with both can be learned as well: a feed-forward layer on the
sum of the parts, as behind the attention of a transformer. It is our addition: a twentieth more on MovieLens-1M, and a loss
where a log is sparse (docs/experiments.md), hence `ModelConfig.for_log`.

Shapes: B = batch, X = addends, D = embedding size, F = hidden, WIDER D.
"""

import math

import torch
from torch import Tensor, nn

WIDER = 4  # the hidden layer, in D, as in "Attention is all you need"
STD = 0.02  # of a weight at the start, times sqrt(F): with 128 numbers f is then a thirteenth of v in length


class FeedForward(nn.Module):
    """f(v) = |v| W2 gelu(W1 v' + b1), where v is the sum of the parts and v' = sqrt(D) v / |v|.

    Twice as long a v has twice as long an f. For such a function Euler's theorem says f(v) = J v, with J its derivative at
    v: it can be shared out to the addends of v without a rest, so that explanations stay exact.

    Example:
        >>> layer = FeedForward(dim=3)
        >>> addends = torch.randn(1, 5, 3)  # of one query
        >>> torch.allclose(layer.shared_out(addends.sum(dim=1), addends).sum(dim=1), layer(addends.sum(dim=1)), atol=1e-6)
        True
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.widen = nn.Linear(dim, WIDER * dim)
        self.narrow = nn.Linear(WIDER * dim, dim, bias=False)
        nn.init.normal_(self.narrow.weight, std=STD * (WIDER * dim) ** -0.5)

    def forward(self, sum_BD: Tensor) -> Tensor:
        """f, (B, D); zero where v is."""
        unit_BD, length_B1 = _direction(sum_BD)
        added_BD: Tensor = self.narrow(nn.functional.gelu(self._hidden(unit_BD))) * length_B1
        return added_BD

    def shared_out(self, sum_BD: Tensor, addends_BXD: Tensor) -> Tensor:
        """J a of each addend, (B, X, D): what it has in f; of all addends of v they sum to f(v)."""
        unit_BD, _ = _direction(sum_BD)
        hidden_BF = self._hidden(unit_BD)
        density_BF = (-hidden_BF.square() / 2).exp() / math.sqrt(2 * math.pi)
        slope_BF = torch.special.ndtr(hidden_BF) + hidden_BF * density_BF  # gelu'
        along_BX1 = addends_BXD @ unit_BD.unsqueeze(2)  # how much longer an addend makes v; the rest of it turns v
        across_BXD = addends_BXD - along_BX1 * unit_BD.unsqueeze(1)
        turned_BXF = math.sqrt(sum_BD.shape[1]) * across_BXD @ self.widen.weight.T * slope_BF.unsqueeze(1)
        shares_BXD: Tensor = self.narrow(along_BX1 * nn.functional.gelu(hidden_BF).unsqueeze(1) + turned_BXF)
        return shares_BXD

    def _hidden(self, unit_BD: Tensor) -> Tensor:
        hidden_BF: Tensor = self.widen(unit_BD * math.sqrt(unit_BD.shape[1]))
        return hidden_BF


def _direction(sum_BD: Tensor) -> tuple[Tensor, Tensor]:
    length_B1 = sum_BD.norm(dim=1, keepdim=True)
    return sum_BD / length_B1.clamp(min=1e-12), length_B1
