"""The training step against the plain one of the benchmarks: the same loss, the same gradient of every parameter."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import reference
from magnn.data.graph import item_graph
from magnn.data.windows import training_windows
from magnn.model import long_term
from magnn.model.config import ModelConfig
from magnn.model.magnn import MAGNN
from magnn.model.short_term import ItemGraph
from magnn.training.config import TrainingConfig
from magnn.training.negatives import UnseenItems
from magnn.training.trainer import batch_bpr
from tests.worlds import histories_of


@settings(deadline=None, max_examples=60)
@given(
    sequences=st.lists(st.lists(st.integers(0, 8), max_size=14), min_size=1, max_size=5).filter(any),
    dim=st.integers(1, 6),
    n_negatives=st.integers(1, 3),
    group=st.sampled_from([1, 2, 1000]),
    seed=st.integers(0, 99),
)
def test_step_is_the_plain_one(sequences: list[list[int]], dim: int, n_negatives: int, group: int, seed: int) -> None:
    torch.manual_seed(seed)
    histories = histories_of(sequences, 9)
    shape = ModelConfig(dim=dim, short_window=2, long_window=5, heads=3, memory_units=4, graph_steps=2, init_std=0.5)
    config = TrainingConfig(targets=2, negatives=n_negatives)
    model = MAGNN(shape, len(sequences), 9, ItemGraph(item_graph(histories, 2))).double()
    windows = training_windows(histories, 2, 5, 2)
    batch = windows.batch(np.arange(len(windows)))
    negatives = UnseenItems(histories).draw(batch.users_B, 2 * n_negatives, np.random.default_rng(seed))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_term, "GROUP", group)
        fast = _loss_and_gradients(model, batch_bpr(model, batch, negatives, config))
    adjacency = reference.adjacency(histories, 2)
    plain = _loss_and_gradients(model, reference.batch_loss(model, adjacency, batch, negatives))
    assert fast.keys() == plain.keys()
    for name, value in fast.items():
        # A is in single precision, whatever the model computes in.
        torch.testing.assert_close(
            value, plain[name], rtol=1e-5, atol=1e-6, msg=f"{name}: {value} is not {plain[name]}"
        )


def _loss_and_gradients(model: MAGNN, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = {n: p.grad if p.grad is not None else torch.zeros_like(p) for n, p in model.named_parameters()}
    return {"loss": loss.detach(), **gradients}
