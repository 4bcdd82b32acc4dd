"""The feed-forward layer: twice as long, and shared out without a rest."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd.functional import jvp

from magnn.model.feed_forward import FeedForward


def layer_of(dim: int, seed: int) -> FeedForward:
    torch.manual_seed(seed)
    layer = FeedForward(dim).double()
    torch.nn.init.normal_(layer.narrow.weight)  # as large as training may make it
    return layer.requires_grad_(False)


@settings(deadline=None)
@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 99), st.floats(1e-3, 1e3))
def test_it_is_shared_out_to_addends_as_its_derivative_and_without_a_rest(
    dim: int, n_addends: int, seed: int, times: float
) -> None:
    layer, addends_BXD = layer_of(dim, seed), torch.randn(3, n_addends, dim, dtype=torch.float64)
    sum_BD = addends_BXD.sum(dim=1)
    torch.testing.assert_close(layer(times * sum_BD), times * layer(sum_BD))
    shares_BXD = layer.shared_out(sum_BD, addends_BXD)
    torch.testing.assert_close(shares_BXD.sum(dim=1), layer(sum_BD))
    for x in range(n_addends):
        derivative_BD = jvp(layer, sum_BD, addends_BXD[:, x])[1]  # type: ignore[no-untyped-call]
        torch.testing.assert_close(shares_BXD[:, x], derivative_BD)


def test_of_nothing_comes_nothing() -> None:
    layer, nothing_BD = layer_of(4, 0), torch.zeros(2, 4, dtype=torch.float64)
    assert torch.equal(layer(nothing_BD), nothing_BD)
    assert torch.equal(layer.shared_out(nothing_BD, nothing_BD.unsqueeze(1)), nothing_BD.unsqueeze(1))
