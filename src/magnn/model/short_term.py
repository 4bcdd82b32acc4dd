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

from magnn.model.initial import identity_
from magnn.model.kernels import tanh_
from magnn.model.window_mean import WindowMean


class ItemGraph:
    """The row-normalised item graph A as D^-1 W with W symmetric, and one more item, padding, without neighbours.

    Not a module: it holds nothing to learn, and is rebuilt from the training events rather than stored.
    """

    def __init__(self, counts: sp.csr_array) -> None:
        """`counts`: W, (N, N) symmetric, non-negative, from `magnn.data.graph.item_graph`."""
        size = counts.shape[0] + 1
        degree_N = np.append(np.asarray(counts.sum(axis=1)).ravel(), 0)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")  # only the product is used
            self.counts_NN = torch.sparse_csr_tensor(
                torch.from_numpy(np.append(counts.indptr, counts.indptr[-1]).astype(np.int32)),
                torch.from_numpy(counts.indices.astype(np.int32)),
                torch.from_numpy(counts.data.astype(np.float32)),
                size=(size, size),
                check_invariants=False,
            )
        # An item without neighbours keeps a zero row: it is smoothed with nothing.
        self.inverse_degree_N1 = torch.from_numpy((1 / np.maximum(degree_N, 1)).astype(np.float32)).unsqueeze(1)

    def like(self, embedding_ND: Tensor) -> tuple[Tensor, Tensor]:
        """W and D^-1 in the type and on the device of `embedding_ND`."""
        if (self.counts_NN.device, self.counts_NN.dtype) != (embedding_ND.device, embedding_ND.dtype):
            self.counts_NN = self.counts_NN.to(device=embedding_ND.device, dtype=embedding_ND.dtype)
            self.inverse_degree_N1 = self.inverse_degree_N1.to(embedding_ND)
        return self.counts_NN, self.inverse_degree_N1


class _States(torch.autograd.Function):
    """tanh(W1 [A E ; E]) with its backward pass written out, W1 = [W1a W1b].

    W is its own transpose, so that the backward pass of the product with A needs no second matrix; PyTorch's would
    transpose it at every step. And W1 [a ; e] = W1a a + W1b e: nothing is put side by side.
    """

    @staticmethod
    def forward(ctx: Any, input_ND: Tensor, project_DX: Tensor, counts_NN: Tensor, inverse_degree_N1: Tensor) -> Tensor:
        for_neighbours, for_itself = project_DX.chunk(2, dim=1)
        smoothed_ND = (counts_NN @ input_ND).mul_(inverse_degree_N1)
        states_ND = torch.addmm(smoothed_ND @ for_neighbours.T, input_ND, for_itself.T)
        states_ND = tanh_(states_ND)
        ctx.save_for_backward(input_ND, project_DX, smoothed_ND, states_ND)
        ctx.counts_NN, ctx.inverse_degree_N1 = counts_NN, inverse_degree_N1
        return states_ND

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        input_ND, project_DX, smoothed_ND, states_ND = ctx.saved_tensors
        for_neighbours, for_itself = project_DX.chunk(2, dim=1)
        inner_ND = torch.ops.aten.tanh_backward(gradients[0], states_ND)
        to_project_DX = torch.cat([inner_ND.T @ smoothed_ND, inner_ND.T @ input_ND], dim=1)
        to_neighbours_ND = (inner_ND @ for_neighbours).mul_(ctx.inverse_degree_N1)
        return torch.addmm(inner_ND @ for_itself, ctx.counts_NN, to_neighbours_ND), to_project_DX, None, None


class ShortTerm(nn.Module):
    """h_i = tanh(W1 [sum_k A_ik e_k ; e_i]) per item; s = mean of h_i over the items of L."""

    def __init__(self, dim: int, window: int, recency: bool = False) -> None:
        super().__init__()
        self.mean = WindowMean(dim, window, recency)
        self.project = nn.Linear(2 * dim, dim, bias=False)
        identity_(self.project.weight)

    def states(self, graph: ItemGraph, input_ND: Tensor) -> Tensor:
        """h of every item, (N + 1, D): it depends on the item alone. The last row, padding, is zero, as in `input_ND`."""
        states_ND: Tensor = _States.apply(input_ND, self.project.weight, *graph.like(input_ND))  # type: ignore[no-untyped-call]
        return states_ND

    def forward(self, states_ND: Tensor, recent_BL: Tensor) -> Tensor:
        """s, (B, D), from the `states` and the items of L, padded with N."""
        short_BD: Tensor = self.mean(states_ND, recent_BL)
        return short_BD
