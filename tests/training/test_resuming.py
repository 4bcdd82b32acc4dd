"""A fit that is interrupted, and one that goes on from its checkpoints."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import magnn
from magnn import fitting
from magnn.data.windows import training_windows
from magnn.errors import InputError, Interrupted, StorageError
from magnn.model.magnn import MAGNN
from magnn.training import trainer
from magnn.training.trainer import TrainingProgress
from tests.worlds import SMALL, config, log_of, small_world, weights_equal


@pytest.fixture(autouse=True)
def saved_after_each_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a save takes beside an epoch."""
    timeless = SimpleNamespace(monotonic=lambda: 0.0, perf_counter=time.perf_counter)
    monkeypatch.setattr(fitting, "time", timeless)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("stop_after", [("select", 1), ("select", 3), ("refit", 1)])
def test_resuming_equals_never_stopping(tmp_path: Path, dropout: float, stop_after: tuple[str, int]) -> None:
    split = small_world()
    settings = {**config(epochs=4, patience=9), "model": {**SMALL, "dropout": dropout}}
    whole = magnn.fit(split, config=settings)

    def stop(progress: TrainingProgress) -> None:
        if progress.log and (progress.phase, progress.epoch) == stop_after:
            raise KeyboardInterrupt

    cut = magnn.fit(split, config=settings, checkpoints=tmp_path, progress=stop)
    assert not cut.completed and not cut.refit
    trained: set[tuple[str, int]] = set()
    listen: Callable[[TrainingProgress], None] = lambda at: trained.add((at.phase, at.epoch))  # noqa: E731
    resumed = magnn.fit(split, config=settings, checkpoints=tmp_path, resume=True, progress=listen)
    assert resumed.completed and resumed.refit
    phase, last = stop_after
    assert not trained & {(phase, epoch) for epoch in range(1, last + 1)}, "what a checkpoint holds is not done again"
    assert weights_equal(resumed, whole)
    assert [(log.phase, log.epoch, log.loss, log.metrics) for log in resumed.logs] == [
        (log.phase, log.epoch, log.loss, log.metrics) for log in whole.logs
    ]


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"epochs": 2},
        {"config": config(epochs=1, learning_rate=0.02)},
        {"config": config(epochs=1) | {"model": SMALL | {"dropout": 0.1}}},
    ],
    ids=["seed", "epochs", "learning rate", "dropout"],
)
def test_resuming_with_other_settings_is_refused(tmp_path: Path, other: dict[str, Any]) -> None:
    split = small_world()
    same: dict[str, Any] = {"config": config(epochs=1)}
    magnn.fit(split, **same, checkpoints=tmp_path)
    with pytest.raises(InputError, match="other data, settings or seed"):
        magnn.fit(split, **(same | other), checkpoints=tmp_path, resume=True)
    magnn.fit(split, **same, checkpoints=tmp_path, resume=True)


@pytest.mark.parametrize(("where", "items"), [(slice(2, 4), "dc"), (slice(0, 2), "ba")], ids=["valid", "train"])
def test_resuming_with_other_events_is_refused(tmp_path: Path, where: slice, items: str) -> None:
    walks = [["a", "b", "c", "d"], ["b", "c", "d", "a"]]
    magnn.fit(log_of(walks, "leave-one-out"), config=config(epochs=1), checkpoints=tmp_path)
    walks[0][where] = items
    with pytest.raises(InputError, match="other data, settings or seed"):
        magnn.fit(log_of(walks, "leave-one-out"), config=config(epochs=1), checkpoints=tmp_path, resume=True)


def test_resuming_with_another_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    magnn.fit(small_world(), config=config(epochs=1), checkpoints=tmp_path)
    monkeypatch.setattr(fitting, "version", lambda _: "99")
    with pytest.raises(InputError, match="another device or version of magnn"):
        magnn.fit(small_world(), config=config(epochs=1), checkpoints=tmp_path, resume=True)


def test_resuming_from_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    split = small_world()
    magnn.fit(split, config=config(epochs=1), checkpoints=tmp_path)
    path = tmp_path / "select.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="damaged checkpoint"):
        magnn.fit(split, config=config(epochs=1), checkpoints=tmp_path, resume=True)


def test_a_place_for_checkpoints_may_be_named_by_a_string(tmp_path: Path) -> None:
    magnn.fit(small_world(), config=config(epochs=1), checkpoints=str(tmp_path / "here"))
    assert {path.name for path in (tmp_path / "here").iterdir()} == {"select.safetensors", "refit.safetensors"}


def test_a_place_where_no_checkpoint_can_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / ("d" * 300)):
        with pytest.raises(StorageError, match="cannot be written"):
            magnn.fit(small_world(), config=config(epochs=1), checkpoints=path)


def test_a_refit_that_diverges_says_how_to_keep_what_was_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split, settings = small_world(), config(epochs=2)
    train_epoch = trainer._train_epoch

    def diverging(*args: Any, **how: Any) -> float:
        return math.nan if how["phase"] == "refit" else train_epoch(*args, **how)

    monkeypatch.setattr(trainer, "_train_epoch", diverging)
    with pytest.raises(InputError, match=r"set learning_rate in .*, or do without a refit \(--no-refit --resume"):
        magnn.fit(split, config=settings, checkpoints=tmp_path)
    saved = magnn.fit(split, config=settings, checkpoints=tmp_path, resume=True, refit=False)
    monkeypatch.undo()
    assert weights_equal(saved, magnn.fit(split, config=settings, refit=False))


def test_a_fresh_fit_forgets_old_checkpoints(tmp_path: Path) -> None:
    split = small_world()
    magnn.fit(split, config=config(epochs=1), seed=1, checkpoints=tmp_path)
    magnn.fit(split, config=config(epochs=1), seed=0, refit=False, checkpoints=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["select.safetensors"], "nor the other's refit"
    magnn.fit(split, config=config(epochs=1), seed=0, checkpoints=tmp_path, resume=True)
    (tmp_path / ".select.safetensors.k1ll3d").write_bytes(b"half of it")  # by a process that was killed
    fitting.discard_checkpoints(tmp_path)
    assert not tmp_path.exists()


def test_ctrl_c_keeps_the_best_validated_epoch() -> None:
    split = small_world()

    def stop(progress: TrainingProgress) -> None:
        if progress.epoch == 3 and not progress.log:
            raise KeyboardInterrupt

    cut = magnn.fit(split, config=config(epochs=9), progress=stop)
    best = max(cut.logs, key=lambda log: log.metrics["ndcg@10"]).epoch
    reference = magnn.fit(split, config=config(epochs=best), refit=False)
    assert weights_equal(cut, reference)


def interrupted(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("phase", ["graph", "refit"])
def test_ctrl_c_outside_the_epochs_keeps_what_was_there_before(phase: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph part is learned, and a refit prepared, outside the loop over epochs."""
    split, settings = small_world(), {"model": SMALL, "training": {"batch_size": 256}}
    reference = magnn.fit(split, config=settings, epochs=2, refit=False)

    def stop(progress: TrainingProgress) -> None:
        if progress.phase == phase:
            raise KeyboardInterrupt

    if phase == "refit":
        calls = iter([training_windows])
        monkeypatch.setattr("magnn.fitting.training_windows", lambda *a, **k: next(calls, interrupted)(*a, **k))
    cut = magnn.fit(split, config=settings, epochs=2, progress=stop)
    assert not cut.completed and not cut.refit
    assert weights_equal(cut, reference)
    assert cut.graph_part is not None and reference.graph_part is not None
    assert cut.graph_part.mixture.is_silent == (phase == "graph")
    assert cut.recommend_many(cut.split.events.user_ids[:2].to_list(), k=3)
    if phase == "refit":
        np.testing.assert_array_equal(cut.graph_part.weighted.data, reference.graph_part.weighted.data)


def test_ctrl_c_before_the_first_epoch_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("magnn.fitting.training_windows", interrupted)
    with pytest.raises(Interrupted, match="nothing to save"):
        magnn.fit(small_world(), config=config(epochs=2))


def test_ctrl_c_before_anything_is_there() -> None:
    def stop(_: TrainingProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="nothing to save"):
        magnn.fit(small_world(), config=config(epochs=2), progress=stop)


def test_two_fits_do_not_share_their_checkpoints(tmp_path: Path) -> None:
    split = small_world()

    def second(_: TrainingProgress) -> None:
        with pytest.raises(InputError, match="another fit keeps its checkpoints there"):
            magnn.fit(split, config=config(epochs=1), checkpoints=tmp_path / "c")

    magnn.fit(split, config=config(epochs=1), checkpoints=tmp_path / "c", progress=second)
    assert [path.name for path in tmp_path.iterdir()] == ["c"], "the lock goes with the fit"


def test_ctrl_c_before_a_resumed_fit_goes_on_keeps_its_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    magnn.fit(small_world(), config=config(epochs=1), checkpoints=tmp_path)
    monkeypatch.setattr("magnn.fitting.training_windows", interrupted)
    with pytest.raises(Interrupted, match="--resume goes on from the checkpoints"):
        magnn.fit(small_world(), config=config(epochs=1), checkpoints=tmp_path, resume=True)
    assert (tmp_path / "select.safetensors").exists()


def test_ctrl_c_after_the_last_epoch_keeps_the_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    freeze, calls = MAGNN.freeze, iter(range(9))

    def press(model: MAGNN) -> MAGNN:
        if next(calls):  # the second: behind the only epoch
            raise KeyboardInterrupt
        return freeze(model)

    monkeypatch.setattr(MAGNN, "freeze", press)
    with pytest.raises(Interrupted, match="--resume goes on from the checkpoints"):
        magnn.fit(small_world(), config=config(epochs=1), checkpoints=tmp_path)


def test_checkpoints_may_be_where_a_link_leads_that_is_still_to_be_made(tmp_path: Path) -> None:
    (tmp_path / "c").symlink_to(tmp_path / "new" / "place")
    magnn.fit(small_world(), config=config(epochs=1), checkpoints=tmp_path / "c")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["place"]
