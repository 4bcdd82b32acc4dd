"""Fast operations against PyTorch's own: values and gradients, on random inputs."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from magnn.model.kernels import gather, tanh_

shapes = st.tuples(st.integers(1, 7), st.integers(1, 5))
DTYPES = [torch.float32, torch.float64]


@pytest.mark.parametrize("dtype", DTYPES)
@settings(deadline=None)
@given(shape=shapes, scale=st.sampled_from([1e-4, 0.1, 1.0, 30.0]), seed=st.integers(0, 99))
def test_tanh(dtype: torch.dtype, shape: tuple[int, int], scale: float, seed: int) -> None:
    torch.manual_seed(seed)
    values = torch.randn(shape, dtype=dtype) * scale
    expected = values.tanh()
    torch.testing.assert_close(tanh_(values), expected, rtol=0, atol=3e-7)


@pytest.mark.parametrize("dtype", DTYPES)
@settings(deadline=None)
@given(shape=shapes, rows=st.integers(1, 9), padded=st.booleans(), seed=st.integers(0, 99))
def test_gather(dtype: torch.dtype, shape: tuple[int, int], rows: int, padded: bool, seed: int) -> None:
    torch.manual_seed(seed)
    fast = torch.randn(rows, 3, dtype=dtype, requires_grad=True)
    slow = fast.detach().clone().requires_grad_()
    index, padding = torch.randint(0, rows, shape), rows - 1 if padded else None
    upstream = torch.randn(*shape, 3, dtype=dtype)
    got, expected = gather(fast, index, padding), functional.embedding(index, slow, padding)
    torch.testing.assert_close(got, expected, rtol=0, atol=0)
    got.backward(upstream)  # type: ignore[no-untyped-call]
    expected.backward(upstream)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(fast.grad, slow.grad)


def test_gather_adds_in_the_same_order_every_time() -> None:
    table = torch.randn(50, 16, requires_grad=True)
    index, upstream = torch.randint(0, 50, (4000,)), torch.randn(4000, 16)
    gradients: list[torch.Tensor] = []
    for _ in range(5):
        table.grad = None
        gather(table, index).backward(upstream)  # type: ignore[no-untyped-call]
        assert table.grad is not None
        gradients.append(table.grad)
    assert all(torch.equal(gradient, gradients[0]) for gradient in gradients)
