"""Sparse matrices as SciPy has them and as PyTorch has them, whose products run on all cores; on the CPU."""

import warnings

import scipy.sparse as sp
import torch
from torch import Tensor

from magnn.errors import InputError


def from_scipy(matrix: sp.csr_array) -> Tensor:
    """A SciPy matrix as a sparse tensor, in the same memory where its indices have 32 bits."""
    crow, column, values = (torch.from_numpy(part) for part in (matrix.indptr, matrix.indices, matrix.data))
    return csr(crow, column, values, (matrix.shape[0], matrix.shape[1]))


def transposed(matrix: Tensor) -> Tensor:
    """The transpose of a sparse matrix on the CPU; both are stored by rows (CSR)."""
    height, width = matrix.shape
    parts = (matrix.values().numpy(), matrix.col_indices().numpy(), matrix.crow_indices().numpy())
    flipped = sp.csr_array(parts, shape=(height, width)).tocsc()
    crow, column, values = (torch.from_numpy(part) for part in (flipped.indptr, flipped.indices, flipped.data))
    return csr(crow, column, values, (width, height))


def csr(crow: Tensor, column: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
    """A sparse tensor in rows (CSR), from where its rows begin, and the column and value of each entry.

    Raises:
        InputError: there are too many entries for PyTorch's products, which count them in 32 bits.
    """
    check_entries(len(values))
    return torch.sparse_csr_tensor(
        crow.to(torch.int32), column.to(torch.int32), values, size=size, check_invariants=False
    )


def check_entries(number: int) -> None:
    """Raises InputError for more entries than 32 bits can count."""
    if number >= 2**31:
        raise InputError(
            f"{number:,} links of items are too many for one matrix (up to {2**31 - 1:,}); "
            "set graph_links in [model], or neighbours in [graph], to less (--config)"
        )


with warnings.catch_warnings():  # PyTorch says once in a process that these are in beta; only products are used
    warnings.simplefilter("ignore")
    csr(torch.zeros(1, device="cpu"), torch.zeros(0, device="cpu"), torch.zeros(0, device="cpu"), (0, 0))
