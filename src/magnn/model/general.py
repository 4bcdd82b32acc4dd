"""General interest: the embedding tables, and taste as matrix factorisation.

Source: Ma et al., AAAI 2020, section "General interest modeling".

Shapes: D = embedding size, U = users, N = items.
"""

import torch
from torch import Tensor, nn


class Embeddings(nn.Module):
    """Users P, items as input E, items as output Q: three separate tables.

    The last row of P and of E stands for "nobody" and "no item". It is zero and gets no gradient, so an unknown user has
    no taste part and padding adds nothing. Q has no such row: what is not there can be neither sampled nor recommended.

    Args:
        taste: False for a model without taste, which has no P.
        tied: Q is E; an item's row then learns from both of its uses.

    Example:
        >>> Embeddings(n_users=3, n_items=5, dim=2, std=0.1).input_D(torch.tensor([5]))  # padding
        tensor([[0., 0.]], grad_fn=<EmbeddingBackward0>)
    """

    def __init__(
        self, n_users: int, n_items: int, dim: int, std: float, *, taste: bool = True, tied: bool = False
    ) -> None:
        super().__init__()
        self.users_D = nn.Embedding(n_users + 1, dim, padding_idx=n_users) if taste else None
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
                self.users_D.weight[n_users] = 0

    @property
    def output(self) -> Tensor:
        """Q, (N, D)."""
        return self.input_D.weight[:-1] if self.output_ND is None else self.output_ND
