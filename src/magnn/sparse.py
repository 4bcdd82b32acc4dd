"""Sparse matrices as SciPy has them and as PyTorch has them, whose products run on all cores; on the CPU."""

import warnings

import scipy.sparse as sp
import torch
from torch import Tensor


def from_scipy(matrix: sp.csr_array) -> Tensor:
    """The same matrix as a sparse tensor, in the same memory where its indices have 32 bits."""
    crow, column, values = (torch.from_numpy(part) for part in (matrix.indptr, matrix.indices, matrix.data))
    return csr(crow, column, values, (matrix.shape[0], matrix.shape[1]))


def transposed(matrix: Tensor) -> Tensor:
    """Of a sparse matrix in rows (CSR), in rows; on the CPU."""
    height, width = matrix.shape
    parts = (matrix.values().numpy(), matrix.col_indices().numpy(), matrix.crow_indices().numpy())
    flipped = sp.csr_array(parts, shape=(height, width)).tocsc()
    crow, column, values = (torch.from_numpy(part) for part in (flipped.indptr, flipped.indices, flipped.data))
    return csr(crow, column, values, (width, height))


def csr(crow: Tensor, column: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
    """A sparse tensor in rows (CSR), from where its rows begin, and the column and value of each entry."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")  # only products are used
        return torch.sparse_csr_tensor(
            crow.to(torch.int32), column.to(torch.int32), values, size=size, check_invariants=False
        )
