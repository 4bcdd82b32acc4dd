"""A fit: repeatability, early stopping, the refit, and logs and settings of every kind."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import magnn
from magnn import fitting
from magnn.data.split import Split
from magnn.errors import InputError
from magnn.model.graph_part import GraphPart, Mixture
from magnn.ranking.evaluate import evaluate_scorer
from magnn.training.config import TrainingConfig
from tests.worlds import BEST, SMALL, chain_world, config, log_of, small_world, weights_equal


def test_the_final_graph_counts_what_the_final_model_trained_on() -> None:
    split = chain_world()
    settings = {**BEST, "training": {**BEST["training"], "epochs": 1}}
    for refit, seen in ((True, split.train_and_valid), (False, split.train)):
        rec = magnn.fit(split, config=settings, refit=refit)
        assert rec.graph_part is not None
        counts = np.bincount(seen.items, minlength=seen.n_items)
        np.testing.assert_allclose(rec.graph_part.log_counts_N, np.log(counts + 5), rtol=1e-6)


LOGS = {
    "nobody shares an item": [[f"{user}-{n}" for n in range(5)] for user in range(20)],
    "one event each": [[f"{user % 7}"] for user in range(20)],
    "one item in every history": [["hit", f"{user % 9}", f"{user % 5}x"] for user in range(30)],
    "two items": [["a", "b"], ["b", "a"], ["a"], ["b"]],
}


@pytest.mark.parametrize("protocol", ["paper", "leave-one-out", "none"])
@pytest.mark.parametrize("log", LOGS)
def test_logs_with_little_in_them_are_fitted_all_the_same(log: str, protocol: Any) -> None:
    rec = magnn.fit(log_of(LOGS[log], protocol), config={**BEST, "training": {**BEST["training"], "epochs": 2}})
    assert rec.completed
    assert rec.graph_part is not None
    scores = [found.score for found in rec.recommend(0, k=1)]
    assert all(np.isfinite(scores))


def numbers_of(part: GraphPart | None) -> dict[str, list[float]]:
    """What weighs a graph part; without one, what learning starts from."""
    mixture = Mixture() if part is None else part.mixture
    return {name: value.flatten().tolist() for name, value in mixture.state_dict().items()}


def test_same_seed_same_model_other_seed_other_model() -> None:
    split = small_world()
    first, again, other = (magnn.fit(split, config=config(epochs=3), seed=seed) for seed in (0, 0, 1))
    assert weights_equal(first, again)
    assert not weights_equal(first, other)


def test_fitting_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    magnn.fit(small_world(), config=config(epochs=1))
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("settings", [config(epochs=2), {**BEST, "training": {**BEST["training"], "epochs": 2}}])
def test_no_test_event_reaches_training(settings: dict[str, Any]) -> None:
    """Whatever the test events are, the model is the same to the bit, and so are the numbers that weigh its graph."""
    split = small_world()
    histories = split.events.histories
    items = histories.items.copy()
    items[split.part == 2] = (items[split.part == 2] + 7) % histories.n_items
    changed = type(histories)(items, histories.offsets, histories.n_items)
    events = type(split.events)(changed, split.events.times, split.events.user_ids, split.events.item_ids)
    other = Split(events, split.protocol, split.part)
    assert not np.array_equal(other.test.items, split.test.items)
    for refit in (False, True):
        one, two = (magnn.fit(each, config=settings, refit=refit) for each in (split, other))
        assert weights_equal(one, two)
        if one.graph_part is not None:
            assert two.graph_part is not None and not one.graph_part.mixture.is_silent, "or this shows nothing"
            assert numbers_of(one.graph_part) == numbers_of(two.graph_part) != numbers_of(None)


def test_a_training_that_diverges_is_refused() -> None:
    with pytest.raises(
        InputError,
        match=r"training diverged in epoch ., its loss was .*; set learning_rate in \[training\] to less than 1e\+30",
    ):
        magnn.fit(small_world(), config=config(epochs=9, learning_rate=1e30))


@pytest.mark.parametrize("preset", ["paper", "best"])
def test_a_last_step_that_diverges_is_refused_too(preset: str) -> None:
    """The loss of a step is that of the weights before it."""
    training = {"learning_rate": 1e20, "decay": False, "batch_size": 10**6}
    with pytest.raises(InputError, match=r"training diverged in epoch 1, its loss was \d"):
        magnn.fit(small_world(), config={"preset": preset, "model": SMALL, "training": training}, epochs=1)


def test_the_only_step_of_a_fit_is_one() -> None:
    """At the end of its schedule the learning rate is 0, and here the first step is the end."""
    slow, fast = (
        magnn.fit(
            small_world(),
            config={"preset": "best", "model": SMALL, "training": {"batch_size": 10**6, "learning_rate": rate}},
            epochs=1,
        )
        for rate in (0.001, 0.1)
    )
    assert not weights_equal(slow, fast)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(InputError, match="seed must be from 0 to"):
        magnn.fit(small_world(), seed=seed)


def test_early_stopping_waits_for_patience_and_keeps_the_best() -> None:
    split = small_world()
    rec = magnn.fit(split, config=config(epochs=60, patience=2, learning_rate=0.05), refit=False)
    values = [log.metrics["ndcg@10"] for log in rec.logs]
    best = int(np.argmax(values))
    assert len(values) == best + 1 + 2 < 60
    assert magnn.evaluate(rec, on="valid", baselines=False).metrics["ndcg@10"] == pytest.approx(values[best])


@pytest.mark.parametrize(("select_by", "best"), [("ndcg@10", 2), ("recall@10", 3)])
def test_the_epoch_is_chosen_by_the_metric_asked_for(
    select_by: str, best: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = iter([{"ndcg@10": ndcg, "recall@10": recall} for ndcg, recall in ((0.1, 0.1), (0.3, 0.2), (0.2, 0.4))])
    monkeypatch.setattr(fitting, "validation_metrics", lambda *_: next(told))
    rec = magnn.fit(small_world(), config=config(epochs=3, select_by=select_by))
    assert rec.best_epoch and rec.best_epoch.epoch == best
    assert sum(log.phase == "refit" for log in rec.logs) == best


@pytest.mark.parametrize("preset", ["paper", "best"])
def test_the_chosen_epoch_is_as_good_as_its_log_says(preset: str) -> None:
    split = chain_world()
    settings = {"preset": preset, "model": SMALL, "training": {"epochs": 6, "batch_size": 256, "learning_rate": 0.004}}
    rec = magnn.fit(split, config=settings | {"graph": {"neighbours": 0}}, refit=False)
    assert rec.best_epoch and rec.best_epoch.epoch > 2
    found = evaluate_scorer(rec.scorer(split.train), split.train, split.valid, intervals=False).metrics
    assert found == rec.best_epoch.metrics


def test_where_it_would_take_too_long_a_part_of_the_users_validates(monkeypatch: pytest.MonkeyPatch) -> None:
    world = small_world()
    asked: list[int] = []

    def scorer(users_B: np.ndarray[Any, np.dtype[np.int64]], out_BN: torch.Tensor) -> None:
        asked.extend(users_B.tolist())
        out_BN.zero_()

    def users_asked(seed: int) -> list[int]:
        asked.clear()
        fitting.validation_metrics(scorer, world.train, world.valid, seed)
        return sorted(asked)

    everybody = np.flatnonzero((world.train.lengths > 0) & (world.valid.lengths > 0)).tolist()
    assert users_asked(0) == everybody
    monkeypatch.setattr(fitting, "JUDGED", 7 * world.events.n_items)
    some = users_asked(0)
    assert len(some) == 7 and set(some) < set(everybody)
    assert users_asked(0) == some != users_asked(1)


def test_refit_trains_on_validation_events_for_the_epochs_found() -> None:
    split = small_world()
    rec = magnn.fit(split, config=config(epochs=4))
    selecting = [log for log in rec.logs if log.phase == "select"]
    refitting = [log for log in rec.logs if log.phase == "refit"]
    best = max(selecting, key=lambda log: log.metrics["ndcg@10"]).epoch
    assert rec.refit and len(refitting) == best and not any(log.metrics for log in refitting)


def test_a_refit_is_a_training_on_train_and_valid() -> None:
    split, settings = small_world(), config(epochs=1)
    part = np.where(split.part == 1, 0, split.part).astype(np.uint8)
    all_train = Split(split.events, split.protocol, part)
    refitted = magnn.fit(split, config=settings)
    assert weights_equal(refitted, magnn.fit(all_train, config=settings, refit=False))
    assert not weights_equal(refitted, magnn.fit(split, config=settings, refit=False))


def test_a_refit_has_the_batch_and_the_rate_that_its_epochs_were_chosen_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own samples are more, and may be enough for larger batches: so fewer steps than the epochs were chosen for."""
    monkeypatch.setattr(TrainingConfig, "batch_of", lambda self, samples: self.batch_size or samples)
    steps: dict[str, int] = {}
    rec = magnn.fit(
        small_world(),
        config={"model": SMALL, "training": {"epochs": 1}},
        progress=lambda at: steps.update({at.phase: at.batches}),
    )
    assert (steps["select"], steps["refit"]) == (1, 2), "all samples are one batch, and the refit has more"
    training = rec.settings.training
    assert training.batch_size is not None and training.learning_rate == TrainingConfig(
        loss=training.loss, targets=training.targets
    ).rate_of(training.batch_size)


def test_a_refit_keeps_what_was_learned_of_the_graph() -> None:
    split, settings = chain_world(), {**BEST, "training": {**BEST["training"], "epochs": 1}}
    refitted, chosen = (magnn.fit(split, config=settings, refit=refit).graph_part for refit in (True, False))
    assert numbers_of(refitted) == numbers_of(chosen) != numbers_of(None)


@pytest.mark.parametrize("protocol", ["none", "leave-one-out", "time"])
def test_every_protocol_trains(protocol: str) -> None:
    split = small_world(protocol)
    rec = magnn.fit(split, config=config(epochs=2))
    assert rec.refit == (protocol != "none")
    assert len(rec.recommend(0, k=3)) == 3


def test_where_nobody_validates_the_validation_events_are_trained_on() -> None:
    """By time, when everybody who comes later is new: there is nobody to choose the epoch by."""
    users = [f"{user:02d}" for user in range(60) for _ in range(2)]
    log = pl.DataFrame({"user": users, "item": [f"i{n % 11}" for n in range(120)], "time": range(120)})
    split = magnn.split(magnn.read_events(log), "time")
    assert len(split.valid.items) and not ((split.valid.lengths > 0) & (split.train.lengths > 0)).any()
    for refit in (True, False):
        rec = magnn.fit(split, config={**BEST, "training": {**BEST["training"], "epochs": 2}}, refit=refit)
        assert rec.refit == refit and [log.phase for log in rec.logs] == ["train", "train"]
        assert rec.best_epoch is None
        assert rec.graph_part is not None
        seen = split.train_and_valid if refit else split.train
        counts = np.bincount(seen.items, minlength=seen.n_items)
        np.testing.assert_allclose(rec.graph_part.log_counts_N, np.log(counts + 5), rtol=1e-6)


def test_users_of_one_event_train() -> None:
    split = log_of([["x"], ["y"], ["x"], ["z"]], "paper")
    rec = magnn.fit(split, config=config(epochs=2))
    assert len(rec.recommend(0, k=2)) == 2


def test_a_user_who_has_seen_everything_trains() -> None:
    split = log_of([["x", "y", "z"], ["z", "y", "x"]], "none")
    rec = magnn.fit(split, config=config(epochs=2))
    assert rec.recommend(0, k=2) == []
    assert np.isfinite([log.loss for log in rec.logs]).all()


@pytest.mark.parametrize(("n_users", "dense"), [(60, False), (120, True)])
def test_what_the_log_decides_is_decided_by_its_training_events(n_users: int, dense: bool, tmp_path: Path) -> None:
    """Chains over 20 items: 30 or 60 training events an item, and more of them in the final fit, which asks no more."""
    rec = magnn.fit(chain_world(n_users), config={"model": SMALL}, epochs=1)
    assert (rec.settings.model.feed_forward, rec.settings.model.cosine) == (dense, True)
    rec.save(tmp_path / "model")
    again = magnn.load(tmp_path / "model")
    assert again.settings == rec.settings and weights_equal(again, rec)


@pytest.mark.parametrize(
    ("device", "message"), [("tpu", "cannot train on 'tpu'; choose cpu or cuda"), ("cuda", "this PyTorch finds no GPU")]
)
def test_a_device_that_is_not_there(device: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=message):
        magnn.fit(small_world(), config=config(epochs=1), device=device)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="NOT RUN: needs a GPU that this PyTorch can use")
@pytest.mark.parametrize("settings", [config(epochs=3), {"preset": "best", "training": {"epochs": 3}}])
def test_a_gpu_trains_the_same_model(settings: dict[str, Any]) -> None:
    """The same seed starts from the same weights and draws the same batches; without dropout, what differs is rounding."""
    split = small_world()
    settings = settings | {"model": {**settings.get("model", {}), "dropout": 0.0}}
    on_cpu, on_gpu = (magnn.fit(split, config=settings, device=device) for device in ("cpu", "cuda"))
    assert {value.device.type for value in on_gpu.model.state_dict().values()} == {"cpu"}
    for here, there in zip(on_cpu.logs, on_gpu.logs, strict=True):
        assert here.loss == pytest.approx(there.loss, rel=1e-3)


def test_a_split_without_a_training_event_is_refused() -> None:
    events = small_world().events
    with pytest.raises(InputError, match="no training event"):
        magnn.fit(magnn.Split(events, "none", np.full(events.n_events, 2, np.uint8)))


def test_a_fitted_model_does_not_keep_the_graph_that_it_was_trained_with() -> None:
    assert magnn.fit(small_world(), config=config(epochs=1)).model.graph is None
