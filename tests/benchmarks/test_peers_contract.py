"""What the peers' adapters share: the loop, with a model whose lists are told beforehand, and the fast dropout."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.peers import contract
from benchmarks.peers.contract import Ids, Log, Task
from benchmarks.peers.dropout import dropout

USERS, ITEMS = 3, 12


class Told:
    """After epoch e, it ranks each user's held-out item at place[e] (from 0; None for not at all)."""

    most_epochs: int | None = None

    def __init__(self, places: list[int | None]) -> None:
        self.places, self.epoch = places, 0

    def train_epoch(self, deadline: float) -> float:
        self.epoch += 1
        return 0.5

    def rank(self, users: Ids, seen: Log) -> Ids:
        place = self.places[min(self.epoch, len(self.places)) - 1]
        lists = np.array([[item for item in range(ITEMS) if item != user] for user in users])
        for row, user in zip(lists, users, strict=True):
            if place is not None:
                row[place] = user
        return lists[:, :10]

    def weights(self) -> Any:
        return self.epoch

    def load(self, weights: Any) -> None:
        self.epoch = weights


def log(items: list[int]) -> Log:
    return Log(np.arange(USERS), np.array(items), USERS)


def fit(model: Told, valid: Log | None = None, **changes: Any) -> dict[str, Any]:
    common: dict[str, Any] = {"folder": Path(), "model": "", "settings": {}, "k": 10, "threads": 1, "seed": 0}
    limits: dict[str, Any] = {
        "patience": 3,
        "valid_every": 1,
        "seconds": 1e9,
        "epochs": None,
        "n_users": USERS,
        "n_items": ITEMS,
    }
    return contract.fit(model, Task(**(common | limits | changes)), log([3, 4, 5]), valid)


def test_the_best_weights_are_kept_and_patience_ends_the_training() -> None:
    model = Told([5, 2, 1, 4, None, 1, 0])
    report = fit(model, log([0, 1, 2]))
    assert (report["epochs"], report["best_epoch"], report["stopped_by"]) == (6, 3, "patience")
    assert report["valid"] == {"ndcg@10": pytest.approx(1 / math.log2(3))}
    assert model.epoch == 3


def test_it_validates_every_few_epochs_and_after_the_last() -> None:
    report = fit(Told([9, 9, 9, 9, 0]), log([0, 1, 2]), valid_every=2, epochs=5)
    assert (report["epochs"], report["best_epoch"], report["stopped_by"]) == (5, 5, "epochs")


def test_the_time_limit_is_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    class Slow(Told):
        def train_epoch(self, deadline: float) -> float:
            clock[0] += 5
            return super().train_epoch(deadline)

        def rank(self, users: Any, seen: Log) -> Any:
            clock[0] += 900
            return super().rank(users, seen)

    told = SimpleNamespace(perf_counter=lambda: clock[0], process_time=lambda: clock[0])
    monkeypatch.setattr(contract, "time", told)
    report = fit(Slow([0]), log([0, 1, 2]), seconds=12, patience=99)
    assert (report["epochs"], report["best_epoch"], report["stopped_by"]) == (3, 1, "time")
    assert (report["train_seconds"], report["valid_seconds"]) == (15, 2700)


def test_a_model_that_is_trained_at_once_has_one_epoch() -> None:
    model = Told([0])
    model.most_epochs = 1
    assert fit(model, log([0, 1, 2]))["epochs"] == 1


def test_a_final_fit_must_know_its_epochs() -> None:
    assert fit(Told([None]), epochs=4)["best_epoch"] == 4
    with pytest.raises(ValueError, match="epochs"):
        fit(Told([None]))


def test_ndcg_has_each_users_own_ideal() -> None:
    held_out = Log(np.array([0, 0, 1]), np.array([7, 8, 9]), 2)
    lists = np.array([[7, 1, 8, -1], [2, 9, 3, 4]])
    expected = ((1 + 0.5) / (1 + 1 / math.log2(3)) + 1 / math.log2(3)) / 2
    assert contract.ndcg(lists, np.array([0, 1]), held_out) == pytest.approx(expected)


def test_a_log_knows_its_users() -> None:
    events = Log(np.array([0, 0, 2]), np.array([5, 6, 7]), 3)
    assert [events.of(user).tolist() for user in range(3)] == [[5, 6], [], [7]]
    assert events.times.tolist() == [0, 1, 0]
    assert events.only(np.array([True, True, False])).items.tolist() == [5, 6]


@pytest.mark.parametrize(
    ("row", "word"),
    [([1, 1, 2], "different"), ([1, -1, 2], "different"), ([1, 2, 12], "different"), ([1, 3, 2], "history")],
)
def test_lists_that_break_the_contract_are_refused(row: list[int], word: str) -> None:
    task = Task(Path(), "", {}, 1, 1, 3, 1, 0, 1.0, 1, 1, ITEMS)
    with pytest.raises(ValueError, match=word):
        contract.check(np.array([row], np.int32), Log(np.array([0]), np.array([3]), 1), task)


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5, 0.999])
def test_fast_dropout_drops_its_share_and_keeps_the_mean(p: float) -> None:
    values = torch.full((100, 1_001), 3.0, requires_grad=True)
    out = dropout(values, p)
    kept = out != 0
    assert np.unique(out[kept].detach().numpy()) == pytest.approx([3 / (1 - p)], rel=0.01)
    share = kept.double().mean().item()
    assert abs(share - (1 - p)) < 5 * (p * (1 - p) / values.numel()) ** 0.5 + 1e-5
    (gradient,) = torch.autograd.grad(out.sum(), values)
    assert torch.equal(gradient != 0, kept)
    assert not torch.equal(dropout(values, p) != 0, kept)


def test_fast_dropout_does_nothing_in_prediction_and_refuses_to_drop_all() -> None:
    values = torch.ones(7)
    assert dropout(values, 0.5, training=False) is values
    assert dropout(values, 0.0) is values
    with pytest.raises(ValueError, match=r"a share of 1\.0 cannot be dropped"):
        dropout(values, 1.0)
