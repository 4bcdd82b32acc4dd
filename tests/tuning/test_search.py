"""The search in small worlds: what it may see, where it begins, what it keeps, how it goes on and ends."""

import math
import signal
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.exceptions import StorageInternalError

import magnn
from magnn.data.interactions import Histories
from magnn.data.split import Split
from magnn.errors import InputError, Interrupted, MagnnError, StorageError
from magnn.evaluation import MODEL
from magnn.settings import make_settings
from magnn.tuning import search
from magnn.tuning.result import Tuned
from magnn.tuning.search import TuningProgress
from magnn.tuning.space import Space, space_around
from magnn.tuning.study import Study, Trial
from tests.conftest import SMALL_MODEL

SMALL: dict[str, Any] = {"preset": "paper", "model": SMALL_MODEL, "training": {"epochs": 3}}


@pytest.fixture
def split(recommender: magnn.Recommender) -> Split:
    return recommender.split


def tune(split: Split, trials: int, **options: Any) -> Tuned:
    return magnn.tune(split, config=options.pop("config", SMALL), trials=trials, **options)


def told(trials: tuple[Trial, ...]) -> list[Any]:
    return [(trial.number, trial.state, trial.params, trial.value, trial.noise) for trial in trials]


def with_items(split: Split, part: int, change: int) -> Split:
    """The same split with other items in one part."""
    histories = split.events.histories
    items = histories.items.copy()
    items[split.part == part] = (items[split.part == part] + change) % histories.n_items
    changed = replace(split.events, histories=Histories(items, histories.offsets, histories.n_items))
    return Split(changed, split.protocol, split.part)


def pressing(at: Callable[[TuningProgress], bool]) -> Callable[[TuningProgress], None]:
    """Ctrl-C, as the system sends it, at a moment of the search."""

    def press(progress: TuningProgress) -> None:
        if at(progress):
            signal.raise_signal(signal.SIGINT)

    return press


@pytest.mark.parametrize("preset", ["paper", "best"])
def test_the_first_trial_is_the_defaults_and_values_are_of_what_would_be_served(
    split: Split, preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the graph part, where there is one."""
    monkeypatch.setattr("magnn.training.mixture.STEPS", 20)  # ten times as fast
    config = {**SMALL, "preset": preset}
    tuned = tune(split, 1, config=config)
    rec = magnn.fit(split, config=config, refit=False)
    assert (rec.graph_part is not None) == (preset == "best")
    assert tuned.value == magnn.evaluate(rec, on="valid", baselines=False).metrics["ndcg@10"]
    assert tuned.settings == make_settings(config=config)
    decided = tuned.settings.for_log(len(split.train.items), split.train.n_items)
    assert (rec.settings.model, rec.settings.graph) == (decided.model, decided.graph)
    assert rec.settings.training.epochs == decided.training.epochs
    assert tuned.trials == (tuned.best,) == (tuned.default,)
    assert (tuned.gain, tuned.best.noise, tuned.margin) == (0, 0, None)


def test_the_best_trial_is_never_worse_and_can_be_fitted_again(split: Split, tmp_path: Path) -> None:
    tuned = tune(split, 5)
    complete = [trial for trial in tuned.trials if trial.state == "complete"]
    assert tuned.default == tuned.trials[0] and tuned.value == max(trial.value or 0 for trial in complete)
    tuned.save(tmp_path / "settings.toml", ["a line\nand another\x00"])
    rec = magnn.fit(split, config=tmp_path / "settings.toml", refit=False)
    assert rec.settings == tuned.settings
    assert magnn.evaluate(rec, on="valid", baselines=False).metrics["ndcg@10"] == tuned.value
    searched = {name for trial in tuned.trials for name in trial.params}
    assert "training.l2" in searched and "model.dim" not in searched, "what the configuration sets is not searched"


def test_the_noise_is_that_of_the_difference_over_users(split: Split) -> None:
    tuned = tune(split, 4)
    trial = next(trial for trial in tuned.trials[1:] if trial.value is not None)
    values = []
    for params in (tuned.trials[0].params, trial.params):
        changes = {"l2": params["training.l2"], "weight_rate": params["training.weight_rate"]}
        changes |= {"learning_rate": params["training.learning_rate"], "batch_size": 1024}
        changes |= {"negatives": int(params["training.negatives"]), **SMALL["training"]}
        model = {**SMALL["model"], "dropout": params["model.dropout"]}
        rec = magnn.fit(split, preset="paper", config={"model": model, "training": changes}, refit=False)
        found = magnn.evaluate(rec, on="valid", baselines=False).systems[MODEL]
        values.append(found.per_user["ndcg"])
    assert trial.value == values[1].mean()
    difference = values[1] - values[0]
    assert trial.noise == pytest.approx(difference.std(ddof=1) / np.sqrt(len(difference)), abs=1e-4)


def test_no_test_event_is_looked_at(split: Split, tmp_path: Path) -> None:
    """With nonsense in their place the study is the same, and goes on as the same one."""
    study = tmp_path / "s.db"
    other = with_items(split, part=2, change=7)
    assert not np.array_equal(other.test.items, split.test.items)
    assert told(tune(split, 4, study=study).trials) == told(tune(other, 4).trials)
    assert len(tune(other, 1, study=study).trials) == 5


def test_a_study_goes_on_as_if_it_had_never_stopped(split: Split, tmp_path: Path) -> None:
    study = tmp_path / "with %20 {braces} and ?.db"
    first = tune(split, 3, study=study)
    assert [path.name for path in tmp_path.iterdir()] == [study.name], "and no lock is left"
    earlier = []
    second = tune(split, 4, study=study, progress=lambda at: earlier.append((at.earlier, at.best)))
    assert earlier[0] == (3, first.value)
    assert told(second.trials) == told(tune(split, 7).trials)
    assert [trial.number for trial in second.trials] == list(range(7))
    assert len({tuple(trial.params.values()) for trial in second.trials}) == 7, "nothing is tried twice"
    ended = [trial.ended or 0 for trial in second.trials]
    assert ended == sorted(ended), "the time of both runs adds up"


@pytest.fixture(scope="module")
def one_trial(recommender: magnn.Recommender, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of the defaults alone; not to be changed."""
    study = tmp_path_factory.mktemp("study") / "s.db"
    tune(recommender.split, 1, study=study)
    return study


OTHERS: dict[str, tuple[Callable[[Split], Split], dict[str, Any]]] = {
    "data": (lambda split: with_items(split, part=0, change=1), {}),
    "data, of which validation events are": (lambda split: with_items(split, part=1, change=1), {}),
    "preset": (lambda split: split, {"preset": "best"}),
    "settings": (lambda split: split, {"config": {**SMALL, "training": {"epochs": 2}}}),
    "seed": (lambda split: split, {"seed": 1}),
}


@pytest.mark.parametrize(
    ("what", "name", "value"),
    [("version of magnn", "version", lambda _: "9.9"), ("search space", "space_around", None)],
    ids=["version", "space"],
)
def test_a_study_of_another_program_is_refused(
    split: Split, one_trial: Path, monkeypatch: pytest.MonkeyPatch, what: str, name: str, value: Any
) -> None:
    def narrower(*args: Any, **kwargs: Any) -> Space:
        space = space_around(*args, **kwargs)
        return replace(space, ranges=dict(list(space.ranges.items())[1:]))

    monkeypatch.setattr(search, name, value or narrower)
    with pytest.raises(InputError, match=f"this study is of another {what}"):
        tune(split, 1, study=one_trial)


@pytest.mark.parametrize("what", OTHERS)
def test_a_study_of_something_else_is_refused(split: Split, one_trial: Path, what: str) -> None:
    before = one_trial.read_bytes()
    change, options = OTHERS[what]
    with pytest.raises(InputError, match=rf"s\.db: this study is of another {what.split(',')[0]}; .*--study"):
        tune(change(split), 1, study=one_trial, **options)
    assert one_trial.read_bytes() == before


def test_two_searches_do_not_share_a_study(split: Split, tmp_path: Path) -> None:
    def second(at: TuningProgress) -> None:
        with pytest.raises(InputError, match="another search has this study open"):
            tune(split, 1, study=tmp_path / "s.db")

    assert tune(split, 1, study=tmp_path / "s.db", progress=second).completed


def test_a_trial_that_fails_is_recorded_and_the_search_goes_on(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    fit, fits = magnn.fit, []

    def second_fails(*arguments: Any, **options: Any) -> magnn.Recommender:
        fits.append(options)
        if len(fits) == 2:
            raise RuntimeError("not enough memory\nfor this")
        return fit(*arguments, **options)

    monkeypatch.setattr(search, "fit", second_fails)
    tuned = tune(split, 3)
    assert [trial.state for trial in tuned.trials] == ["complete", "failed", "complete"]
    assert tuned.trials[1].error == "RuntimeError: not enough memory" and tuned.trials[1].value is None


def test_where_every_trial_diverges_the_search_ends_and_says_so(split: Split) -> None:
    config = {**SMALL, "training": {"epochs": 3, "learning_rate": 1e30}}
    fits = []
    with pytest.raises(MagnnError, match=r"none of 5 trials succeeded, .* InputError: training diverged in epoch"):
        tune(split, 100, config=config, progress=lambda at: fits.append(at.trial))
    assert max(fits) == 4


def test_the_defaults_may_fail_alone(split: Split, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fit = magnn.fit

    def defaults_fail(split: Split, **options: Any) -> magnn.Recommender:
        if options["config"]["training"]["l2"] == 0.25:
            raise RuntimeError("no")
        return fit(split, **options)

    monkeypatch.setattr(search, "fit", defaults_fail)
    tuned = tune(split, 3, study=tmp_path / "s.db")
    assert tuned.default is None and tuned.gain is None and tuned.margin is None and tuned.best.noise is None
    again = tune(split, 1, study=tmp_path / "s.db")
    assert [trial.state for trial in again.trials] == ["failed", "complete", "complete", "complete"]
    again.save(tmp_path / "s.toml")
    assert "(defaults: failed)" in (tmp_path / "s.toml").read_text()


def test_a_pruned_training_stops_at_once(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Study, "hopeless", lambda self, value, epoch: epoch == 2)
    seen = []
    tuned = tune(split, 2, progress=lambda at: seen.append((at.trial, at.training.epoch if at.training else 0)))
    assert [trial.state for trial in tuned.trials] == ["complete", "pruned"], "the defaults are never given up"
    assert max(epoch for trial, epoch in seen if trial == 0) == 3
    assert max(epoch for trial, epoch in seen if trial == 1) == 2


def test_the_epochs_of_the_defaults_are_what_others_are_measured_against(
    split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = []

    def hear(self: Study, value: float, epoch: int) -> bool:
        heard.append(epoch)
        return False

    monkeypatch.setattr(Study, "hopeless", hear)
    tune(split, 1)
    assert heard == [1, 2, 3]


def test_bad_settings_are_pruned(split: Split) -> None:
    """With nobody's help: most of what is tried at random is worse than the defaults, and some is much worse."""
    config = {**SMALL, "training": {"epochs": 8}}
    states = [trial.state for trial in tune(split, 14, config=config).trials]
    assert "pruned" in states[3:] and "pruned" not in states[:3]


def test_the_defaults_are_fitted_to_their_end_and_others_stop_with_the_time(
    split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned = tune(split, 9, minutes=1e-9)
    assert [trial.state for trial in tuned.trials] == ["complete"] and tuned.completed
    epochs = []

    def clock(self: Any) -> float:
        return 100.0 if (1, 2) in epochs else 0.0

    monkeypatch.setattr(search._Search, "seconds", clock)
    tuned = tune(
        split, 9, minutes=1, progress=lambda at: epochs.append((at.trial, at.training.epoch if at.training else 0))
    )
    assert [trial.state for trial in tuned.trials] == ["complete", "stopped"] and tuned.completed
    assert (1, 3) not in epochs


def test_ctrl_c_keeps_what_was_found(split: Split, tmp_path: Path) -> None:
    study = tmp_path / "s.db"
    cut = tune(split, 9, study=study, progress=pressing(lambda at: at.trial == 2 and at.training is not None))
    assert not cut.completed
    assert [trial.state for trial in cut.trials] == ["complete", "complete", "stopped"]
    assert [trial.number for trial in tune(split, 1, study=study).trials] == [0, 1, 2, 3]


def test_ctrl_c_before_anything_is_there_and_the_defaults_come_first_again(split: Split, tmp_path: Path) -> None:
    study = tmp_path / "s.db"
    with pytest.raises(Interrupted, match="nothing to save"):
        tune(split, 9, study=study, progress=pressing(lambda at: at.training is not None))
    tuned = tune(split, 1, study=study)
    assert [trial.state for trial in tuned.trials] == ["stopped", "complete"]
    assert tuned.best == tuned.default == tuned.trials[1]


def test_ctrl_c_while_a_trial_is_written_down(split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tell = Study.tell

    def pressed(self: Study, *arguments: Any, **options: Any) -> None:
        if len(self.trials()) == 1:
            signal.raise_signal(signal.SIGINT)
        tell(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Study, "tell", pressed)
        cut = tune(split, 9, study=tmp_path / "s.db")
    assert [trial.state for trial in cut.trials] == ["complete", "stopped"]
    assert len(tune(split, 1, study=tmp_path / "s.db").trials) == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"minutes": 0}, "minutes must be more than 0, not 0"),
        ({"minutes": float("nan")}, "minutes must be more than 0, not nan"),
        ({"minutes": math.inf, "trials": None}, "a search needs an end"),
        ({"trials": 0}, "trials must be 1 or more, not 0"),
        ({"device": "tpu"}, "cannot train on 'tpu'"),
        ({"study": Path(__file__) / "s.db"}, r"s\.db.*: cannot be written: Not a directory"),
    ],
)
def test_arguments_that_cannot_be_used(split: Split, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        magnn.tune(split, **{"config": SMALL, "trials": 1, **options})


def test_a_split_without_validation_events_cannot_be_tuned_on(split: Split) -> None:
    with pytest.raises(InputError, match="training and validation events"):
        tune(magnn.split(split.events, "none"), 1)


def test_where_everything_is_given_there_is_nothing_to_search(split: Split) -> None:
    training = {"l2": 1, "learning_rate": 0.1, "weight_rate": 0.1, "negatives": 1}
    with pytest.raises(InputError, match="sets everything"):
        tune(split, 1, config={**SMALL, "model": {"dim": 3, "dropout": 0.1}, "training": training})


def test_without_an_end_in_time_the_trials_are_one(split: Split) -> None:
    assert len(tune(split, 1, minutes=math.inf).trials) == 1


def test_a_study_whose_trials_cannot_be_read_is_one_line(
    split: Split, one_trial: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Damaged behind the pages that say it is a study."""

    def damaged(*_: Any, **__: Any) -> None:
        raise StorageInternalError from sqlite3.DatabaseError("database disk image is malformed")

    monkeypatch.setattr("optuna.study.Study.get_trials", damaged)
    with pytest.raises(StorageError, match=r"s\.db"):
        tune(split, 1, study=one_trial)
