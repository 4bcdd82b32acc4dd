"""Long-term interest by what an item is and how long ago it was: the history query of a model with `recency`.

The paper's attention knows the order of a history by positions that are added to the items, and the user by a taste that
is added to each of them; both stand inside a tanh, so that every place of every window is a sum and a product of its own.
Here a learned number for each age and head is added to an item's logit instead, as in ALiBi (Press et al., ICLR 2022). A
logit is then of the item alone, computed once however many windows it is in: a training step takes half the time for the
same accuracy (docs/experiments.md). This is our departure, not the paper's.

Shapes: B = batch, H = long history, D = embedding size, A = attention heads, N = items, S = items that are in a history.
"""

import math

import torch
from torch import Tensor, nn

from magnn.model.kernels import distinct, gather, sums_of_rows

DECAY = 0.2  # of the first head's first weights, e^(-DECAY age); each further head looks back SLOWER times as far
SLOWER = 4


class AgedHistoryQuery(nn.Module):
    """z: A heads read the long history, each item by what it is and by its age.

    S = softmax over items of W3 tanh(W1 e_i) + b_age; z = mean over heads of tanh(S E[H]).

    Example:
        >>> query = AgedHistoryQuery(dim=2, heads=1, long_window=3)
        >>> table = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])  # the last row is padding
        >>> query(table, torch.tensor([[2, 0, 0]]), torch.zeros(1, 2)).detach()  # tanh 1
        tensor([[0.7616, 0.0000]])
    """

    def __init__(self, dim: int, heads: int, long_window: int) -> None:
        super().__init__()
        self.from_items = nn.Linear(dim, dim, bias=False)
        self.to_heads = nn.Linear(dim, heads, bias=False)
        for linear in (self.from_items, self.to_heads):
            nn.init.xavier_uniform_(linear.weight)
        ages_H1 = torch.arange(long_window - 1, -1, -1.0).unsqueeze(1)  # oldest first
        self.recency_HA = nn.Parameter(-DECAY * ages_H1 * float(SLOWER) ** -torch.arange(heads))

    def forward(self, input_ND: Tensor, history_BH: Tensor, taste_BD: Tensor) -> Tensor:
        """z, (B, D); zero where there is no long history.

        Args:
            input_ND: E, (N + 1, D), padding last.
            history_BH: item numbers, oldest first, aligned to the right, padded with N.
            taste_BD: not asked: what the user likes has no say in what is read.
        """
        read_SD, places_BH = self._items(input_ND, history_BH)
        return sums_of_rows(read_SD, places_BH, self._shares(read_SD, places_BH)).tanh().mean(dim=1)

    def attention(self, input_ND: Tensor, history_BH: Tensor, taste_BD: Tensor) -> Tensor:
        """S, what each head reads, (B, A, H): each row sums to 1, or to 0 where there is no history. For looking at."""
        return self._shares(*self._items(input_ND, history_BH)).transpose(1, 2)

    @staticmethod
    def _items(input_ND: Tensor, history_BH: Tensor) -> tuple[Tensor, Tensor]:
        """The rows of E that are read, (S, D), padding last, and where among them each place of a history is."""
        padding = len(input_ND) - 1
        items_S, places_BH = distinct(history_BH, padding)
        return gather(input_ND, items_S, padding), places_BH

    def _shares(self, read_SD: Tensor, places_BH: Tensor) -> Tensor:
        logits_SA = self.to_heads(self.from_items(read_SD).tanh())
        padding_BH1 = (places_BH == len(read_SD) - 1).unsqueeze(2)
        logits_BHA = (gather(logits_SA, places_BH) + self.recency_HA).masked_fill(padding_BH1, -math.inf)
        shares_BHA: Tensor = logits_BHA.softmax(dim=1)  # of nothing, nothing
        return shares_BHA.masked_fill(padding_BH1, 0)
