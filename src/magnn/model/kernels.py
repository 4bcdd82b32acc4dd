"""Operations that PyTorch has, made cheaper on a CPU: the same values and gradients, checked against PyTorch's own.

What reads X rows of a table for each of B samples is a product with a sparse matrix of B rows, X entries each. Written as
one, neither the rows nor their gradients are ever laid out, which is most of the time that they take.

Shapes: N = rows of a table, D = embedding size, B = samples, X = any shape of indices.
"""

from typing import Any

import torch
from torch import Tensor

from magnn.sparse import csr, transposed


def tanh_(values: Tensor) -> Tensor:
    """tanh in place, as 2 sigmoid(2x) - 1: PyTorch's vectorised tanh on a CPU costs seven times its sigmoid.

    The error is at most 2e-7, absolute. For forward passes with a backward pass of their own: autograd does not see it.

    Example:
        >>> tanh_(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.7616])
    """
    return values.mul_(2).sigmoid_().mul_(2).sub_(1)


def gather(table_ND: Tensor, index_X: Tensor, padding: int | None = None) -> Tensor:
    """Rows of a table, (X, D), as `torch.nn.functional.embedding`, with a faster backward pass (`sum_rows`).

    Args:
        table_ND: (N, D).
        index_X: int64, any shape.
        padding: a row that gets no gradient.

    Example:
        >>> gather(torch.tensor([[1.0], [2.0]]), torch.tensor([[1, 1], [0, 1]])).squeeze(2)
        tensor([[2., 2.],
                [1., 2.]])
    """
    rows: Tensor = _Gather.apply(table_ND, index_X, padding)  # type: ignore[no-untyped-call]
    return rows


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table_ND: Tensor, index_X: Tensor, padding: int | None) -> Tensor:
        ctx.save_for_backward(index_X)
        ctx.n_rows, ctx.padding = len(table_ND), padding
        return table_ND.index_select(0, index_X.flatten()).view(*index_X.shape, table_ND.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (index_X,) = ctx.saved_tensors
        return sum_rows(gradients[0], index_X, ctx.n_rows, ctx.padding), None, None


def sum_rows(values_XD: Tensor, index_X: Tensor, n_rows: int, padding: int | None = None) -> Tensor:
    """The adjoint of `gather`: the rows of `values_XD` added up by index, (n_rows, D); zero for `padding`.

    Example:
        >>> sum_rows(torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([1, 0, 1]), 2).squeeze(1)
        tensor([2., 5.])
    """
    if values_XD.device.type != "cpu":
        return torch.ops.aten.embedding_dense_backward(  # type: ignore[no-any-return]
            values_XD, index_X, n_rows, -1 if padding is None else padding, False
        )
    dim = values_XD.shape[-1]
    sums_ND = values_XD.new_zeros(n_rows, dim)
    # An expanded index takes PyTorch's path for whole rows: sorted by row first, a third of the time of its own backward
    # pass for embeddings, and in the same order every time.
    sums_ND.scatter_add_(0, index_X.reshape(-1, 1).expand(-1, dim), values_XD.reshape(-1, dim))
    if padding is not None:
        sums_ND[padding] = 0
    return sums_ND


def dots(query_BD: Tensor, table_ND: Tensor, index_BX: Tensor) -> Tensor:
    """Products of each query with rows of a table, (B, X).

    Args:
        query_BD: (B, D).
        table_ND: (N, D).
        index_BX: int64, (B, X).

    Example:
        >>> dots(torch.tensor([[1.0, 2.0]]), torch.eye(2), torch.tensor([[1, 0, 1]]))
        tensor([[2., 1., 2.]])
    """
    if query_BD.device.type != "cpu" or index_BX.shape[1] > len(table_ND):  # PyTorch allows no more entries than places
        return (gather(table_ND, index_BX) @ query_BD.unsqueeze(2)).squeeze(2)
    products: Tensor = _Dots.apply(query_BD, table_ND, index_BX)  # type: ignore[no-untyped-call]
    return products


class _Dots(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query_BD: Tensor, table_ND: Tensor, index_BX: Tensor) -> Tensor:
        ctx.save_for_backward(query_BD, table_ND, index_BX)
        wanted_BN = _sparse(index_BX, query_BD.new_zeros(index_BX.shape), len(table_ND))
        products_BN: Tensor = torch.sparse.sampled_addmm(wanted_BN, query_BD, table_ND.T, beta=0.0)
        return products_BN.values().view(index_BX.shape)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        query_BD, table_ND, index_BX = ctx.saved_tensors
        by_sample_BN = _sparse(index_BX, gradients[0], len(table_ND))
        return by_sample_BN @ table_ND, transposed(by_sample_BN) @ query_BD, None


def mean_rows(table_ND: Tensor, index_BX: Tensor) -> Tensor:
    """Mean of rows of a table for each sample, (B, D), without padding; zero where there is nothing else.

    Args:
        table_ND: (N, D); the last row, zero, is padding and gets no gradient.
        index_BX: int64, (B, X).

    Example:
        >>> mean_rows(torch.tensor([[1.0], [2.0], [0.0]]), torch.tensor([[2, 2, 2], [2, 0, 1]]))
        tensor([[0.0000],
                [1.5000]])
    """
    padding = len(table_ND) - 1
    real_BX = (index_BX != padding).to(table_ND.dtype)
    weight_BX = real_BX / real_BX.sum(dim=1, keepdim=True).clamp(min=1)
    if table_ND.device.type != "cpu" or not torch.is_grad_enabled():  # for one user, a matrix costs more than it saves
        return (gather(table_ND, index_BX, padding) * weight_BX.unsqueeze(2)).sum(dim=1)
    means: Tensor = _WeightedRows.apply(table_ND, index_BX, weight_BX)  # type: ignore[no-untyped-call]
    return means


class _WeightedRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table_ND: Tensor, index_BX: Tensor, weight_BX: Tensor) -> Tensor:
        weight_BN = _sparse(index_BX, weight_BX, len(table_ND))
        ctx.weight_BN = weight_BN
        return weight_BN @ table_ND

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return transposed(ctx.weight_BN) @ gradients[0], None, None


def weighted_rows(table_ND: Tensor, index_BX: Tensor, weight_XD: Tensor) -> Tensor:
    """For each sample, sum over its places x of row `index_BX` times `weight_XD`, number by number, (B, D).

    Args:
        table_ND: (N, D); the last row, zero, is padding and gets no gradient.
        index_BX: int64, (B, X).
        weight_XD: (X, D).

    Example:
        >>> table = torch.tensor([[1.0], [2.0], [0.0]])
        >>> weighted_rows(table, torch.tensor([[2, 0], [0, 1]]), torch.tensor([[10.0], [1.0]]))
        tensor([[ 1.],
                [12.]])
    """
    sums: Tensor = _PlaceWeightedRows.apply(table_ND, index_BX, weight_XD)  # type: ignore[no-untyped-call]
    return sums


class _PlaceWeightedRows(torch.autograd.Function):
    """Place by place: the rows of one fit the cache, those of all do not."""

    @staticmethod
    def forward(ctx: Any, table_ND: Tensor, index_BX: Tensor, weight_XD: Tensor) -> Tensor:
        ctx.save_for_backward(table_ND, index_BX, weight_XD)
        sums_BD = table_ND.new_zeros(len(index_BX), table_ND.shape[1])
        for index_B, weight_D in zip(index_BX.T, weight_XD, strict=True):
            sums_BD.addcmul_(table_ND.index_select(0, index_B), weight_D)
        return sums_BD

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, Tensor]:
        table_ND, index_BX, weight_XD = ctx.saved_tensors
        gradient_BD = gradients[0]
        to_rows_BXD, to_weight_XD = gradient_BD.unsqueeze(1) * weight_XD, torch.empty_like(weight_XD)
        for index_B, to_weight_D in zip(index_BX.T, to_weight_XD, strict=True):
            torch.sum(table_ND.index_select(0, index_B).mul_(gradient_BD), dim=0, out=to_weight_D)
        return sum_rows(to_rows_BXD, index_BX, len(table_ND), len(table_ND) - 1), None, to_weight_XD


def sums_of_rows(table_ND: Tensor, index_BX: Tensor, weight_BXA: Tensor) -> Tensor:
    """For each sample, A weighted sums of rows of a table, (B, A, D).

    Args:
        table_ND: (N, D); the last row, zero, is padding and gets no gradient.
        index_BX: int64, (B, X).
        weight_BXA: (B, X, A); what padding has for a weight does not matter.

    Example:
        >>> table = torch.tensor([[1.0], [2.0], [0.0]])
        >>> sums_of_rows(table, torch.tensor([[2, 0, 1]]), torch.tensor([[[0.0, 0.0], [1.0, 3.0], [10.0, 0.0]]]))
        tensor([[[21.],
                 [ 3.]]])
    """
    # PyTorch allows no more entries than places; and where nothing is learned, matrices cost more than they save.
    if table_ND.device.type != "cpu" or not torch.is_grad_enabled() or index_BX.shape[1] > len(table_ND):
        return weight_BXA.transpose(1, 2) @ gather(table_ND, index_BX, len(table_ND) - 1)
    sums: Tensor = _SumsOfRows.apply(table_ND, index_BX, weight_BXA)  # type: ignore[no-untyped-call]
    return sums


class _SumsOfRows(torch.autograd.Function):
    """A sparse matrix for each of the A sums, with the places that are not padding."""

    @staticmethod
    def forward(ctx: Any, table_ND: Tensor, index_BX: Tensor, weight_BXA: Tensor) -> Tensor:
        real_BX = index_BX != len(table_ND) - 1
        rows_B1 = torch.cat([torch.zeros(1, dtype=torch.int64), real_BX.sum(dim=1).cumsum(dim=0)])
        column_Y, weight_YA, size = index_BX[real_BX], weight_BXA[real_BX], (len(index_BX), len(table_ND))
        weights = [csr(rows_B1, column_Y, weight_Y, size) for weight_Y in weight_YA.T.contiguous()]
        ctx.save_for_backward(table_ND, real_BX)
        ctx.weights = weights
        return torch.stack([weight_BN @ table_ND for weight_BN in weights], dim=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, Tensor]:
        table_ND, real_BX = ctx.saved_tensors
        to_table_ND, to_weight_YA = torch.zeros_like(table_ND), []
        for weight_BN, gradient_BD in zip(ctx.weights, gradients[0].unbind(dim=1), strict=True):
            gradient_BD = gradient_BD.contiguous()
            to_table_ND.add_(transposed(weight_BN) @ gradient_BD)
            to_weight_YA.append(torch.sparse.sampled_addmm(weight_BN, gradient_BD, table_ND.T, beta=0.0).values())
        to_weight_BXA = table_ND.new_zeros(*real_BX.shape, len(to_weight_YA))
        to_weight_BXA[real_BX] = torch.stack(to_weight_YA, dim=1)
        return to_table_ND, None, to_weight_BXA


def distinct(index_BX: Tensor, padding: int) -> tuple[Tensor, Tensor]:
    """The rows that are there, ascending, and padding as the last whether it is there or not; and the place of each.

    Example:
        >>> distinct(torch.tensor([[9, 5], [2, 5]]), padding=9)
        (tensor([2, 5, 9]), tensor([[2, 1],
                [0, 1]]))
    """
    if index_BX.numel() < padding / 16:  # sorting few costs less than marking all
        wanted_X = torch.cat([index_BX.flatten(), index_BX.new_tensor([padding])])
        rows_S, places_X = torch.unique(wanted_X, return_inverse=True)
        return rows_S, places_X[:-1].view_as(index_BX)
    there_N = torch.zeros(padding + 1, dtype=torch.bool, device=index_BX.device)
    there_N[index_BX] = there_N[padding] = True
    return there_N.nonzero().squeeze(1), (there_N.cumsum(dim=0) - 1)[index_BX]


def _sparse(index_BX: Tensor, values_BX: Tensor, width: int) -> Tensor:
    """(B, width) with X entries a row, in their order; entries at one place add up."""
    n, each = index_BX.shape
    return csr(torch.arange(n + 1, dtype=torch.int32) * each, index_BX.flatten(), values_BX.flatten(), (n, width))
