"""BPR against plain loops, the penalty and negatives against their definitions."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from magnn.model.config import ModelConfig
from magnn.model.magnn import MAGNN
from magnn.training.config import TrainingConfig
from magnn.training.losses import bpr
from magnn.training.negatives import UnseenItems
from magnn.training.trainer import make_optimizer
from tests.worlds import histories_of


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(2, 6), st.integers(0, 999))
def test_bpr_is_its_formula(n_samples: int, n_targets: int, n_negatives: int, n_items: int, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    query = torch.randn(n_samples, 3, generator=rng, dtype=torch.float64)
    items = torch.randn(n_items, 3, generator=rng, dtype=torch.float64)
    targets = torch.randint(0, n_items + 1, (n_samples, n_targets), generator=rng)  # n_items: padding
    negatives = torch.randint(0, n_items + 1, (n_samples, n_targets, n_negatives), generator=rng)
    total = 0.0
    for b in range(n_samples):
        for t, target in enumerate(targets[b].tolist()):
            for negative in negatives[b, t].tolist():
                if target < n_items and negative < n_items:
                    margin = float(query[b] @ items[target] - query[b] @ items[negative])
                    total += -math.log(1 / (1 + math.exp(-margin))) / n_negatives
    assert bpr(query, items, targets, negatives).item() == pytest.approx(total)


@pytest.mark.parametrize(("samples", "batch", "steps"), [(1000, 100, 10), (70, 100, 1)])
def test_the_steps_of_an_epoch_share_the_penalty(samples: int, batch: int, steps: int) -> None:
    model = MAGNN(ModelConfig(dim=3), n_users=2, n_items=4)
    config = TrainingConfig(batch_size=batch, learning_rate=0.5, weight_rate=0.1, l2=0.2)
    optimizer = make_optimizer(model, config, samples)
    in_groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in model.named_parameters():
        group = in_groups[id(parameter)]
        squared = parameter.detach().clone().requires_grad_()
        (0.2 * squared.square().sum()).backward()  # type: ignore[no-untyped-call]
        assert squared.grad is not None
        torch.testing.assert_close(steps * group["weight_decay"] * parameter.detach(), squared.grad)
        assert group["lr"] == pytest.approx(0.5 if name.startswith("embeddings.") else 0.05)


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(0, 5), max_size=12), min_size=1, max_size=5), st.integers(0, 99))
def test_negatives_are_never_seen(sequences: list[list[int]], seed: int) -> None:
    unseen = UnseenItems(histories_of(sequences, 6))
    users = np.repeat(np.arange(len(sequences)), 3)
    drawn = unseen.draw(users, 4, np.random.default_rng(seed))
    for user, items in zip(users, drawn, strict=True):
        left = set(range(6)) - set(sequences[user])
        assert set(items.tolist()) <= (left or {6}), "6 is padding, for a user who has seen everything"


def test_negatives_are_uniform_over_the_unseen() -> None:
    unseen = UnseenItems(histories_of([[0, 3, 4], [1]], 7))
    drawn = unseen.draw(np.zeros(400, np.int64), 100, np.random.default_rng(0))
    counts = np.bincount(drawn.ravel(), minlength=7)
    assert counts[[0, 3, 4]].sum() == 0
    # 40,000 draws over 4 items: one standard deviation of a count is 87.
    assert np.abs(counts[[1, 2, 5, 6]] - 10_000).max() < 5 * 87
