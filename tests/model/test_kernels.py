"""Fast operations against PyTorch's own: values and gradients, on random inputs."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from magnn.model.kernels import distinct, dots, gather, mean_rows, sums_of_rows, tanh_, weighted_rows

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


@settings(deadline=None)
@given(shape=shapes, samples=st.integers(1, 5), width=st.integers(1, 4), seed=st.integers(0, 99))
def test_dots(shape: tuple[int, int], samples: int, width: int, seed: int) -> None:
    torch.manual_seed(seed)
    index = torch.randint(0, shape[0], (samples, width))  # with repeats
    inputs = (torch.randn(samples, shape[1]), torch.randn(shape))
    _same(lambda query, table: dots(query, table, index), lambda query, table: _plain_dots(query, table, index), inputs)


@settings(deadline=None)
@given(shape=shapes, samples=st.integers(1, 5), width=st.integers(1, 4), seed=st.integers(0, 99))
def test_mean_rows(shape: tuple[int, int], samples: int, width: int, seed: int) -> None:
    torch.manual_seed(seed)
    padding = shape[0]
    table = torch.randn(padding + 1, shape[1])
    table[padding] = 0
    index = torch.randint(0, padding + 1, (samples, width))
    _same(lambda rows: mean_rows(rows, index), lambda rows: _plain_means(rows, index), (table,))
    with torch.no_grad():
        torch.testing.assert_close(mean_rows(table, index), _plain_means(table.double(), index).float())


@settings(deadline=None)
@given(shape=shapes, samples=st.integers(1, 5), width=st.integers(1, 4), seed=st.integers(0, 99))
def test_weighted_rows(shape: tuple[int, int], samples: int, width: int, seed: int) -> None:
    torch.manual_seed(seed)
    padding = shape[0]
    table = torch.randn(padding + 1, shape[1])
    table[padding] = 0
    index = torch.randint(0, padding + 1, (samples, width))

    def plainly(rows: Tensor, weight: Tensor) -> Tensor:
        return (nn.functional.embedding(index, rows, padding_idx=padding) * weight).sum(dim=1)

    _same(lambda *inputs: weighted_rows(inputs[0], index, inputs[1]), plainly, (table, torch.randn(width, shape[1])))


@settings(deadline=None)
@given(
    shape=shapes, samples=st.integers(1, 5), width=st.integers(1, 4), sums=st.integers(1, 3), seed=st.integers(0, 99)
)
def test_sums_of_rows(shape: tuple[int, int], samples: int, width: int, sums: int, seed: int) -> None:
    torch.manual_seed(seed)
    padding = shape[0]
    table = torch.randn(padding + 1, shape[1])
    table[padding] = 0
    index = torch.randint(0, padding + 1, (samples, width))  # with repeats
    weight = torch.randn(samples, width, sums)

    def plainly(rows: Tensor, weight: Tensor) -> Tensor:
        found = nn.functional.embedding(index, rows, padding_idx=padding)
        return torch.einsum("bxa,bxd->bad", weight, found)

    _same(lambda *inputs: sums_of_rows(inputs[0], index, inputs[1]), plainly, (table, weight))
    with torch.no_grad():
        torch.testing.assert_close(sums_of_rows(table, index, weight), plainly(table, weight))


@given(index=st.lists(st.integers(0, 40), min_size=1, max_size=60), padding=st.sampled_from([40, 2000]))
def test_distinct_rows_and_where_they_are(index: list[int], padding: int) -> None:
    """Of few rows of many, and of many of few: two ways to the same."""
    rows, places = distinct(torch.tensor([index]), padding)
    assert rows.tolist() == sorted({*index, padding})
    assert rows[places].tolist() == [index]


def _plain_dots(query: Tensor, table: Tensor, index: Tensor) -> Tensor:
    return torch.stack(
        [torch.stack([query[b] @ table[i] for i in row]) for b, row in enumerate(index.tolist())],
    )


def _plain_means(table: Tensor, index: Tensor) -> Tensor:
    means = []
    for row in index.tolist():
        real = [table[i] for i in row if i != len(table) - 1]
        means.append(torch.stack(real).mean(dim=0) if real else torch.zeros(table.shape[1]).double())
    return torch.stack(means)


def _same(fast: Callable[..., Tensor], plain: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> None:
    """Values, and gradients of a random weighting of them."""
    results = []
    for function in (fast, plain):
        given_inputs = [value.double().requires_grad_() for value in inputs]
        values = function(*given_inputs)
        upstream = torch.linspace(-1, 2, values.numel(), dtype=torch.float64).view_as(values)
        if values.requires_grad:
            (values * upstream).sum().backward()  # type: ignore[no-untyped-call]
        gradients = [torch.zeros_like(v) if v.grad is None else v.grad for v in given_inputs]
        results.append((values.detach(), gradients))
    torch.testing.assert_close(results[0], results[1])
