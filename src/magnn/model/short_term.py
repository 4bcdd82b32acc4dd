"""Short-term interest: a graph network over the last few items.

Source: Ma et al., AAAI 2020, section "Short-term interest modeling", equations for h_i and the mean over L.

Shapes: B = batch, L = short window, D = embedding size, N = items, S = states.
"""

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn

from magnn.data.graph import item_graph
from magnn.data.interactions import Histories
from magnn.model.config import ModelConfig
from magnn.model.initial import identity_
from magnn.model.kernels import distinct, tanh_
from magnn.model.window_mean import WindowMean
from magnn.sparse import check_entries, from_scipy, transposed


class ItemGraph:
    """The row-normalised item graph A as D^-1 W with W symmetric, and one more item, padding, without neighbours.

    Not a module: it holds nothing to learn, and is rebuilt from the training events rather than stored.
    """

    def __init__(self, counts: sp.csr_array) -> None:
        """`counts`: W, (N, N) symmetric, non-negative, from `magnn.data.graph.item_graph`."""
        check_entries(counts.nnz)
        size = counts.shape[0] + 1
        degree_N = np.append(np.asarray(counts.sum(axis=1)).ravel(), 0)
        parts = (
            counts.data.astype(np.float32),
            counts.indices.astype(np.int32),
            np.append(counts.indptr, counts.indptr[-1]).astype(np.int32),
        )
        self.plain_counts_NN = sp.csr_array(parts, shape=(size, size))  # in the same memory
        self.counts_NN = from_scipy(self.plain_counts_NN)
        # An item without neighbours keeps a zero row: it is smoothed with nothing.
        self.inverse_degree_N1 = torch.from_numpy((1 / np.maximum(degree_N, 1)).astype(np.float32)).unsqueeze(1)

    @classmethod
    def of(cls, histories: Histories, config: ModelConfig) -> "ItemGraph":
        """The graph that a model of `config` learns with, counted in its training events."""
        return cls(item_graph(histories, config.graph_steps, config.graph_links))

    def like(self, embedding_ND: Tensor) -> tuple[Tensor, Tensor]:
        """W and D^-1 in the type and on the device of `embedding_ND`."""
        if (self.counts_NN.device, self.counts_NN.dtype) != (embedding_ND.device, embedding_ND.dtype):
            self.counts_NN = self.counts_NN.to(device=embedding_ND.device, dtype=embedding_ND.dtype)
            self.inverse_degree_N1 = self.inverse_degree_N1.to(embedding_ND)
        return self.counts_NN, self.inverse_degree_N1

    def rows(self, items_X: Tensor, embedding_ND: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of W and of D^-1, in the type of `embedding_ND`; on the CPU."""
        counts_XN = from_scipy(self.plain_counts_NN[items_X.numpy()]).to(embedding_ND.dtype)
        return counts_XN, self.inverse_degree_N1[items_X].to(embedding_ND.dtype)


class _States(torch.autograd.Function):
    """tanh(W1 [A E ; E]) with its backward pass written out, W1 = [W1a W1b]; of all items, or of some.

    W is its own transpose, so that the backward pass of the product with A needs no second matrix; PyTorch's would
    transpose it at every step. And W1 [a ; e] = W1a a + W1b e: nothing is put side by side.
    """

    @staticmethod
    def forward(
        ctx: Any,
        input_ND: Tensor,
        project_DX: Tensor,
        counts_SN: Tensor,
        inverse_degree_S1: Tensor,
        items_S: Tensor | None,
    ) -> Tensor:
        for_neighbours, for_itself = project_DX.chunk(2, dim=1)
        own_SD = input_ND if items_S is None else input_ND.index_select(0, items_S)
        smoothed_SD = (counts_SN @ input_ND).mul_(inverse_degree_S1)
        states_SD = torch.addmm(smoothed_SD @ for_neighbours.T, own_SD, for_itself.T)
        states_SD = tanh_(states_SD)
        ctx.save_for_backward(own_SD, project_DX, smoothed_SD, states_SD)
        ctx.counts_SN, ctx.inverse_degree_S1, ctx.items_S = counts_SN, inverse_degree_S1, items_S
        return states_SD

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        own_SD, project_DX, smoothed_SD, states_SD = ctx.saved_tensors
        for_neighbours, for_itself = project_DX.chunk(2, dim=1)
        inner_SD = torch.ops.aten.tanh_backward(gradients[0], states_SD)
        to_project_DX = torch.cat([inner_SD.T @ smoothed_SD, inner_SD.T @ own_SD], dim=1)
        to_neighbours_SD = (inner_SD @ for_neighbours).mul_(ctx.inverse_degree_S1)
        if ctx.items_S is None:
            to_input_ND = torch.addmm(inner_SD @ for_itself, ctx.counts_SN, to_neighbours_SD)
        else:
            to_input_ND = transposed(ctx.counts_SN) @ to_neighbours_SD
            to_input_ND.index_add_(0, ctx.items_S, inner_SD @ for_itself)
        return to_input_ND, to_project_DX, None, None, None


class ShortTerm(nn.Module):
    """h_i = tanh(W1 [sum_k A_ik e_k ; e_i]) per item; s = mean of h_i over the items of L."""

    def __init__(self, dim: int, window: int, recency: bool = False) -> None:
        super().__init__()
        self.mean = WindowMean(dim, window, recency)
        self.project = nn.Linear(2 * dim, dim, bias=False)
        identity_(self.project.weight)

    def states(self, graph: ItemGraph, input_ND: Tensor) -> Tensor:
        """h of every item, (N + 1, D): it depends on the item alone. The last row, padding, is zero, as in `input_ND`."""
        states_ND: Tensor = _States.apply(input_ND, self.project.weight, *graph.like(input_ND), None)  # type: ignore[no-untyped-call]
        return states_ND

    def forward(self, states_ND: Tensor, recent_BL: Tensor) -> Tensor:
        """s, (B, D), from the `states` and the items of L, padded with N."""
        short_BD: Tensor = self.mean(states_ND, recent_BL)
        return short_BD

    def learning(self, graph: ItemGraph, input_ND: Tensor, recent_BL: Tensor) -> Tensor:
        """s, (B, D), as `forward` of the present `states`; of a large catalogue only those that the windows hold."""
        padding = len(input_ND) - 1
        items_S, places_BL = distinct(recent_BL, padding)
        if input_ND.device.type != "cpu" or len(items_S) > padding / 2:
            return self.forward(self.states(graph, input_ND), recent_BL)
        counts_SN, inverse_degree_S1 = graph.rows(items_S, input_ND)
        states_SD = _States.apply(input_ND, self.project.weight, counts_SN, inverse_degree_S1, items_S)  # type: ignore[no-untyped-call]
        return self.forward(states_SD, places_BL)
