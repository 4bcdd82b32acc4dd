"""The search: trial after trial until the time is over, each a fit on the training events ranked on the validation events.

Nothing of it sees a test event: what is fitted, ranked and hashed is train and valid.

Shapes: U = users with validation events.
"""

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from magnn.data.split import Split
from magnn.errors import InputError, Interrupted, MagnnError, StorageError
from magnn.fitting import check_device, check_seed, fit, windows_of
from magnn.ranking.evaluate import evaluate_scorer, users_to_judge
from magnn.settings import Config, Settings, make_settings, named_in
from magnn.training.trainer import TrainingProgress
from magnn.tuning.result import METRIC, Tuned, best_of, trial_of
from magnn.tuning.space import Params, Space, space_around
from magnn.tuning.study import Study, Trial, open_study

HOPELESS = 5  # trials that fail before any does not, after which the search gives up


@dataclass(frozen=True)
class TuningProgress:
    """Where a search is.

    Attributes:
        trial: number of the running trial.
        seconds: of searching in this run; budget: seconds it may take.
        training: where the fit of the trial is; None between two of them.
        best: validation ndcg@10 so far, and that of the defaults; None without.
        earlier: trials that the study had before this run.
    """

    trial: int
    seconds: float
    budget: float
    training: TrainingProgress | None
    best: float | None
    default: float | None
    earlier: int


def tune(
    split: Split,
    *,
    preset: str | None = None,
    config: Config | None = None,
    minutes: float = 30,
    trials: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    study: Path | str | None = None,
    progress: Callable[[TuningProgress], None] | None = None,
) -> Tuned:
    """Search settings with a better ndcg@10 on the validation events than the defaults have.

    The first trial is the defaults, and is fitted to its end whatever the time; so the result is never worse than they are,
    on these events. What is searched, and why, is in `magnn.tuning.space`.

    Args:
        split: from `magnn.split`, with validation events. Its test events are not looked at.
        preset, config: the defaults, see `magnn.settings.make_settings`; what `config` sets is not searched.
        minutes: how long to search, in this run; infinite, if `trials` says how long.
        trials: how many trials at most, in this run.
        seed: of each fit, and of the search.
        device: see `magnn.fit`.
        study: SQLite file of the trials. Where it has some, of the same data, defaults and seed, the search goes on.
        progress: called after each batch, and between trials.

    Raises:
        InputError: unusable settings or arguments, no validation events, Optuna not installed, a study of something else.
        StorageError: the study cannot be written.
        Interrupted: Ctrl-C came before the first trial was finished.
        MagnnError: all trials failed.

    Example (after `split = magnn.split(events)`):
        tuned = magnn.tune(split, minutes=10); print(tuned.gain, tuned.margin); tuned.save("settings.toml")
    """
    base = make_settings(preset, config)
    check_device(device)
    seed = check_seed(seed)
    check_budget(minutes, trials)
    train, valid = split.train, split.valid
    if len(users_to_judge(train, valid)) == 0:
        raise InputError(
            "tuning needs users with both training and validation events; "
            "use another split than 'none', or a log with longer histories"
        )
    samples = len(windows_of(train, base))
    space = space_around(base, named_in(config), samples=samples, events=len(train.items), items=train.n_items)
    if not space.ranges:
        raise InputError("the configuration sets everything that would be searched; take something out of it")
    digest = hashlib.sha256(f"{train.n_items} {split.protocol}".encode())
    for part in (train, valid):
        digest.update(part.offsets.tobytes() + part.items.tobytes())
    made_from = {
        "data": digest.hexdigest(),
        "preset": base.preset,
        "settings": base.model_dump_json(),
        "seed": str(seed),
        "search space": repr(space.ranges),
        "version of magnn": version("magnn"),
    }
    with open_study(None if study is None else Path(study), space, seed, made_from) as found:
        search = _Search(split, space, seed, device, found, minutes * 60, progress)
        completed = True
        try:
            search.run(trials)
        except KeyboardInterrupt:
            completed = False
        finally:
            found.stop_running()
        return _result(found.trials(), space, completed)


def check_budget(minutes: float, trials: int | None) -> None:
    """Raises InputError unless there is time for a trial, and one is wanted."""
    if not minutes > 0:  # nor is nan
        raise InputError(f"minutes must be more than 0, not {minutes:g}")
    if math.isinf(minutes) and trials is None:
        raise InputError("a search needs an end: give minutes, or how many trials")
    if trials is not None and trials < 1:
        raise InputError(f"trials must be 1 or more, not {trials}")


class _Stop(Exception):
    """Raised through a fit, to end it at once; its argument is the state that the trial is left in."""


class _Search:
    """What the trials of one run share."""

    def __init__(
        self,
        split: Split,
        space: Space,
        seed: int,
        device: str,
        study: Study,
        budget: float,
        progress: Callable[[TuningProgress], None] | None,
    ) -> None:
        self.split, self.space, self.seed, self.device = split, space, seed, device
        self.study, self.budget, self.progress = study, budget, progress
        self.train, self.valid = split.train, split.valid
        self.earlier = study.trials()
        self.before = max((trial.ended or 0 for trial in self.earlier), default=0.0)
        self.best, self.default = best_of(self.earlier), trial_of(self.earlier, space.defaults)
        self.started = time.monotonic()
        self.callers_error: Exception | None = None  # what `progress` raised

    def seconds(self) -> float:
        return time.monotonic() - self.started

    def run(self, most: int | None) -> None:
        """Trials until the time is over, or there are so many, or it is clear that none will succeed."""
        begun = 0
        while begun == 0 or (self.seconds() < self.budget and begun != most):
            number, params = self.study.ask()
            begun += 1
            self.say(number)
            self.trial(number, params)
            trials = self.study.trials()
            self.best, self.default = best_of(trials), trial_of(trials, self.space.defaults)
            self.say(number)
            if self.best is None and sum(trial.state == "failed" for trial in trials) >= HOPELESS:
                return

    def trial(self, number: int, params: Params) -> None:
        """One fit, and what is to be known of it."""
        first = params == self.space.defaults

        def listen(at: TrainingProgress) -> None:
            self.say(number, at)
            if at.log and at.phase == "select":
                # Of the defaults too: the others are measured against their epochs.
                hopeless = self.study.hopeless(at.log.metrics[METRIC], at.epoch)
                if hopeless and not first:
                    raise _Stop("pruned")
            if not first and self.seconds() > self.budget:
                raise _Stop("stopped")

        try:
            ndcg_U = self.fitted(self.space.settings(params), listen)
            self.study.tell("complete", self.ended(), value=float(ndcg_U.mean()), noise=self.noise(ndcg_U, first))
        except _Stop as stop:
            self.study.tell(stop.args[0], self.ended())
        except Interrupted:
            raise KeyboardInterrupt from None
        except StorageError:  # of the study: there is nowhere to put what comes next
            raise
        except Exception as error:  # whatever it is, the next settings may do better
            if error is self.callers_error:
                raise
            self.study.tell("failed", self.ended(), error=f"{type(error).__name__}: {error}".splitlines()[0])

    def fitted(self, settings: Settings, listen: Callable[[TrainingProgress], None]) -> NDArray[np.float64]:
        """Fit on the training events; each user's ndcg@10 on the validation events, (U,)."""
        found = fit(
            self.split,
            preset=settings.preset,
            config=settings.model_dump(exclude={"preset"}),
            seed=self.seed,
            refit=False,
            device=self.device,
            progress=listen,
        )
        if not found.completed:
            raise KeyboardInterrupt
        ranked = evaluate_scorer(found.scorer(self.train), self.train, self.valid, intervals=False)
        return ranked.per_user["ndcg"]

    def noise(self, ndcg_U: NDArray[np.float64], first: bool) -> float | None:
        """Standard error of the mean difference to the defaults, whose values the study keeps, to four digits."""
        if first:
            self.study.remember("defaults", np.round(ndcg_U, 4).tolist())
            return 0.0
        defaults = self.study.remembered("defaults")
        if defaults is None or len(ndcg_U) < 2:
            return None
        return float(np.std(ndcg_U - np.array(defaults), ddof=1) / math.sqrt(len(ndcg_U)))

    def ended(self) -> float:
        return self.before + self.seconds()

    def say(self, number: int, training: TrainingProgress | None = None) -> None:
        if self.progress:
            best, default = (None if trial is None else trial.value for trial in (self.best, self.default))
            at = TuningProgress(number, self.seconds(), self.budget, training, best, default, len(self.earlier))
            try:
                self.progress(at)
            except Exception as error:  # it says nothing about the settings that are tried
                self.callers_error = error
                raise


def _result(trials: tuple[Trial, ...], space: Space, completed: bool) -> Tuned:
    best = best_of(trials)
    if best is None:
        if not completed:
            raise Interrupted("the search was stopped before its first trial ended; nothing to save")
        errors = [trial.error for trial in trials if trial.error]
        raise MagnnError(
            f"none of {len(trials)} trials succeeded, the first of them with {errors[0]}; "
            "magnn fit with the same options shows whether the log or the settings are at fault"
        )
    return Tuned(space.settings(best.params), best, trial_of(trials, space.defaults), trials, completed)
