"""BPR against plain loops, the penalty and negatives against their definitions."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from magnn.data.graph import item_graph
from magnn.data.windows import training_windows
from magnn.model.config import ModelConfig
from magnn.model.magnn import MAGNN
from magnn.model.short_term import ItemGraph
from magnn.training.config import TrainingConfig
from magnn.training.losses import ROWS, bpr, generalised_cross_entropy, softmax_loss
from magnn.training.negatives import UnseenItems
from magnn.training.trainer import batch_softmax, make_optimizer
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


@settings(deadline=None)
@given(
    st.sampled_from([1, 3, ROWS["cpu"] + 5]),
    st.integers(1, 5),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.sampled_from([1.0, 7.5]),
    st.integers(0, 99),
)
def test_softmax_loss_is_its_formula_and_so_are_its_gradients(
    n_samples: int, n_candidates: int, q: float, times: float, seed: int
) -> None:
    rng = torch.Generator().manual_seed(seed)
    make = {"generator": rng, "dtype": torch.float64, "requires_grad": True}
    query, target, candidates = (torch.randn(n, 3, **make) for n in (n_samples, n_samples, n_candidates))  # type: ignore[call-overload]
    out = torch.rand(n_samples, n_candidates, generator=rng) < 0.3
    row, column = out.nonzero(as_tuple=True)

    own = (query * target).sum(dim=1).exp()
    others = (times * (query @ candidates.T).exp()).masked_fill(out, 0).sum(dim=1)
    share = own / (own + others)
    expected = (-share.log() if q == 0 else (1 - share**q) / q).sum()
    found = softmax_loss(query, target, candidates, (row, column), q=q, times=times)
    assert found.item() == pytest.approx(expected.item())
    wanted = torch.autograd.grad(2 * expected, (query, target, candidates))
    for gradient, right in zip(torch.autograd.grad(2 * found, (query, target, candidates)), wanted, strict=True):
        torch.testing.assert_close(gradient, right)


def test_softmax_loss_bears_scores_that_no_exponential_does() -> None:
    query = torch.tensor([[1000.0], [-1000.0]], requires_grad=True)
    nobody = torch.empty(0, dtype=torch.int64)
    loss = softmax_loss(query, torch.ones(2, 1), torch.zeros(3, 1), (nobody, nobody), q=0, times=1)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(1000 + math.log(3))
    assert query.grad is not None
    assert query.grad.flatten().tolist() == pytest.approx([0, -1])


def test_the_generalised_cross_entropy_passes_over_the_hopeless() -> None:
    share = torch.tensor([1e-6, 0.2], requires_grad=True)
    slope = {}
    for q in (0.0, 0.5):
        (gradient,) = torch.autograd.grad(generalised_cross_entropy(share.log(), q).sum(), share)
        slope[q] = (gradient * share).abs()  # by log p
    assert slope[0.0].tolist() == pytest.approx([1, 1])
    assert slope[0.5].tolist() == pytest.approx([1e-3, math.sqrt(0.2)], rel=1e-4)


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


@pytest.mark.parametrize("candidates", [4, 9, 100], ids=["drawn", "all", "more than there are"])
def test_a_batch_competes_with_what_its_users_have_not_touched(candidates: int) -> None:
    """Each drawn item stands for as many as were not drawn; no target competes with itself or with its user's others."""
    histories = histories_of([[0, 1, 2, 1], [4, 5, 8], [7, 3, 2, 6, 0]], n_items=9)
    shape = ModelConfig(dim=3, short_window=2, long_window=2, heads=2, memory_units=2, init_std=0.5)
    torch.manual_seed(0)
    model = MAGNN(shape, 3, 9, ItemGraph(item_graph(histories))).double()
    windows = training_windows(histories, 2, 2, 1, whole=False)
    batch = windows.batch(np.arange(len(windows)))
    training = TrainingConfig(loss="softmax", targets=1, gce_q=0, candidates=candidates)
    found = batch_softmax(model, batch, histories, training, np.random.default_rng(5))

    drawn = np.random.default_rng(5).choice(9, 4, replace=False).tolist() if candidates == 4 else range(9)
    scores = (model(torch.from_numpy(batch.users_B), torch.from_numpy(batch.history_BW)) @ model.items.T).tolist()
    total = 0.0
    for user, (target,), row in zip(batch.users_B, batch.targets_BT.tolist(), scores, strict=True):
        others = sum(math.exp(row[j]) for j in drawn if j not in histories.of(user))
        own = math.exp(row[target])
        total -= math.log(own / (own + 9 / len(drawn) * others))
    assert found.item() == pytest.approx(total)
