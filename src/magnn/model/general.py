"""General interest: the embedding tables, and taste as matrix factorisation.

Source: Ma et al., AAAI 2020, section "General interest modeling".

A row for each user overfits where users have done little, and somebody new has none. Taste by activity, our addition, has a
row for each level of how much a user has done: who comes for the first time likes other things than who knows half the
catalogue (docs/experiments.md).

Shapes: D = embedding size, U = users, N = items, B = histories.
"""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

LEVELS = 24  # of activity; the last from 8 million events on


class Embeddings(nn.Module):
    """Users P, items as input E, items as output Q: three separate tables.

    The last row of P and of E stands for "nobody" and "no item". It is zero and gets no gradient, so an unknown user has
    no taste part and padding adds nothing. Q has no such row: what is not there can be neither sampled nor recommended.

    Args:
        taste: whose rows P has: True, the users'; "activity", the levels'; False for a model without taste, which has no P.
        tied: Q is E; an item's row then learns from both of its uses.

    Example:
        >>> Embeddings(n_users=3, n_items=5, dim=2, std=0.1).input_D(torch.tensor([5]))  # padding
        tensor([[0., 0.]], grad_fn=<EmbeddingBackward0>)
    """

    def __init__(
        self,
        n_users: int,
        n_items: int,
        dim: int,
        std: float,
        *,
        taste: bool | Literal["activity"] = True,
        tied: bool = False,
    ) -> None:
        super().__init__()
        n_tastes = LEVELS if taste == "activity" else n_users
        self.users_D = nn.Embedding(n_tastes + 1, dim, padding_idx=n_tastes) if taste else None
        self.input_D = nn.Embedding(n_items + 1, dim, padding_idx=n_items)
        self.output_ND = None if tied else nn.Parameter(torch.empty(n_items, dim))
        if self.users_D is not None:
            nn.init.normal_(self.users_D.weight, std=std)
        nn.init.normal_(self.input_D.weight, std=std)
        if self.output_ND is not None:
            nn.init.normal_(self.output_ND, std=std)
        with torch.no_grad():
            self.input_D.weight[n_items] = 0
            if self.users_D is not None:
                self.users_D.weight[n_tastes] = 0

    @property
    def output(self) -> Tensor:
        """Q, (N, D)."""
        return self.input_D.weight[:-1] if self.output_ND is None else self.output_ND


def activity_level(length_B: NDArray[np.int64]) -> NDArray[np.int64]:
    """floor(log2(1 + events)), at most LEVELS - 1; (B,).

    Example:
        >>> activity_level(np.array([0, 1, 2, 3, 6, 7, 10**9])).tolist()
        [0, 1, 1, 2, 2, 3, 23]
    """
    _, exponent_B = np.frexp(1.0 + length_B)
    level_B: NDArray[np.int64] = np.minimum(exponent_B.astype(np.int64) - 1, LEVELS - 1)
    return level_B
