"""Interplay: what the parts of a query say together and none of them says alone.

The other parts are next to linear in the items of a history: who saw A and B is asked for what goes with A, and for what
goes with B. Where a log has many events of each item, what goes with both can be learned as well: a feed-forward layer on
the sum of the parts, as behind the attention of a transformer, whose output is one more part. It is our addition: a
twentieth more on MovieLens-1M, and a loss where a log is sparse (docs/experiments.md), hence `ModelConfig.for_log`.

Shapes: B = batch, D = embedding size.
"""

from torch import Tensor, nn

WIDER = 4  # the hidden layer, in D, as in "Attention is all you need"
STD = 0.02  # of the part at the start, next to the sum of the others


class FeedForward(nn.Module):
    """f = |v| W2 gelu(W1 v' + b1), where v is the sum of the other parts and v' = sqrt(D) v / |v|.

    It has the direction of v to go by; twice as long a v has twice as long an f.

    Example:
        >>> FeedForward(dim=3)(torch.zeros(2, 3)).shape
        torch.Size([2, 3])
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.widen = nn.Linear(dim, WIDER * dim)
        self.narrow = nn.Linear(WIDER * dim, dim, bias=False)
        nn.init.normal_(self.narrow.weight, std=STD * (WIDER * dim) ** -0.5)

    def forward(self, sum_BD: Tensor) -> Tensor:
        """f, (B, D); zero where v is."""
        length_B1 = sum_BD.norm(dim=1, keepdim=True)
        hidden_BX: Tensor = nn.functional.gelu(
            self.widen(sum_BD * (sum_BD.shape[1] ** 0.5 / length_B1.clamp(min=1e-12)))
        )
        interplay_BD: Tensor = self.narrow(hidden_BX) * length_B1
        return interplay_BD
