"""Short-term interest: a graph network over the last few items.

Source: Ma et al., AAAI 2020, section "Short-term interest modeling", equations for h_i and the mean over L.

Shapes: B = batch, L = short window, D = embedding size, N = items.
"""

import warnings
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from magnn.model.kernels import tanh


class ItemGraph:
    """The row-normalised item graph A as an operator, A = D^-1 W with W symmetric.

    Not a module: it holds nothing to learn, and is rebuilt from the training events rather than stored.
    """

    def __init__(self, counts: sp.csr_array) -> None:
        """`counts`: (N, N) symmetric, non-negative, from `magnn.data.graph.item_graph`."""
        degree_N = np.asarray(counts.sum(axis=1)).ravel()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")  # only the product is used
            self.counts_NN = torch.sparse_csr_tensor(
                torch.from_numpy(counts.indptr.astype(np.int32)),
                torch.from_numpy(counts.indices.astype(np.int32)),
                torch.from_numpy(counts.data.astype(np.float32)),
                size=counts.shape,
                check_invariants=False,
            )
        # An item without neighbours keeps a zero row: it is smoothed with nothing.
        self.inverse_degree_N1 = torch.from_numpy((1 / np.maximum(degree_N, 1)).astype(np.float32)).unsqueeze(1)

    def smooth(self, embedding_ND: Tensor) -> Tensor:
        """A E, (N, D): each item's neighbours averaged by weight. Follows `embedding_ND` in type and device."""
        if (self.counts_NN.device, self.counts_NN.dtype) != (embedding_ND.device, embedding_ND.dtype):
            self.counts_NN = self.counts_NN.to(device=embedding_ND.device, dtype=embedding_ND.dtype)
            self.inverse_degree_N1 = self.inverse_degree_N1.to(embedding_ND)
        smoothed: Tensor = _Smooth.apply(embedding_ND, self.counts_NN, self.inverse_degree_N1)  # type: ignore[no-untyped-call]
        return smoothed


class _Smooth(torch.autograd.Function):
    """D^-1 W E with gradient W D^-1 g. PyTorch's own backward would transpose W at every step."""

    @staticmethod
    def forward(ctx: Any, embedding_ND: Tensor, counts_NN: Tensor, inverse_degree_N1: Tensor) -> Tensor:
        ctx.counts_NN, ctx.inverse_degree_N1 = counts_NN, inverse_degree_N1
        return (counts_NN @ embedding_ND) * inverse_degree_N1

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return ctx.counts_NN @ (gradients[0] * ctx.inverse_degree_N1), None, None


class ShortTerm(nn.Module):
    """h_i = tanh(W1 [sum_k A_ik e_k ; e_i]) per item; s = mean of h_i over the items of L."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.project = nn.Linear(2 * dim, dim, bias=False)
        nn.init.xavier_uniform_(self.project.weight)

    def states(self, graph: ItemGraph, input_ND: Tensor) -> Tensor:
        """h of every item, (N + 1, D): it depends on the item alone. The last row, padding, is zero."""
        # W1 [a ; e] as two products: cheaper than to put the two side by side.
        from_neighbours, from_itself = self.project.weight.chunk(2, dim=1)
        states_ND = tanh(torch.addmm(graph.smooth(input_ND) @ from_neighbours.T, input_ND, from_itself.T))
        return nn.functional.pad(states_ND, (0, 0, 0, 1))

    @staticmethod
    def forward(states_BLD: Tensor, real_BL: Tensor) -> Tensor:
        """s, (B, D). `states_BLD` are rows of `states`; `real_BL` is false on padding."""
        return mean_of_real(states_BLD, real_BL)


def mean_of_real(values_BLD: Tensor, real_BL: Tensor) -> Tensor:
    """Mean over L of rows that are zero on padding, (B, D); zero where nothing is real."""
    return values_BLD.sum(dim=1) / real_BL.sum(dim=1, keepdim=True).clamp(min=1)
