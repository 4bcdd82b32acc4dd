"""General interest: the three embedding tables, and taste as matrix factorisation.

Source: Ma et al., AAAI 2020, section "General interest modeling".

Shapes: B = batch, D = embedding size, U = users, N = items.
"""

import torch
from torch import nn


class Embeddings(nn.Module):
    """Users P, items as input E, items as output Q: three separate tables.

    The last row of P and of E stands for "nobody" and "no item". It is zero and gets no gradient, so an unknown user has
    no taste part and padding adds nothing. Q has no such row: what is not there can be neither sampled nor recommended.

    Example:
        >>> Embeddings(n_users=3, n_items=5, dim=2, std=0.1).users_D(torch.tensor([3]))  # nobody
        tensor([[0., 0.]], grad_fn=<EmbeddingBackward0>)
    """

    def __init__(self, n_users: int, n_items: int, dim: int, std: float) -> None:
        super().__init__()
        self.users_D = nn.Embedding(n_users + 1, dim, padding_idx=n_users)
        self.input_D = nn.Embedding(n_items + 1, dim, padding_idx=n_items)
        self.output_ND = nn.Parameter(torch.empty(n_items, dim))
        for table in (self.users_D.weight, self.input_D.weight, self.output_ND):
            nn.init.normal_(table, std=std)
        with torch.no_grad():
            self.users_D.weight[n_users] = 0
            self.input_D.weight[n_items] = 0
