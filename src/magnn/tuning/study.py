"""The study: every trial of a search in one SQLite file, from which the search goes on. All of Optuna is behind this file.

Randomness of a trial comes from the seed and its number alone, so a search that was stopped draws what it would have drawn.
"""

import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from magnn.errors import InputError, StorageError
from magnn.storage import alone
from magnn.tuning.space import Params, Range, Space

if TYPE_CHECKING:
    import optuna

NAME = "magnn"
RANDOM_TRIALS = 6  # before the sampler trusts what it has seen
# Pruning looks at the network alone, which the graph part may still make good, and after two epochs the order is mostly
# noise: so it is gentle. What is in the worst third after three epochs or more goes.
KEPT_PERCENT, UNPRUNED_TRIALS, UNPRUNED_EPOCHS = 67.0, 3, 2
ELSEWHERE = "give another file with --study (study=...)"

State = Literal["complete", "pruned", "failed", "stopped"]


@dataclass(frozen=True)
class Trial:
    """One fit of a search.

    Attributes:
        number: from 0, in the order of their beginning.
        state: "complete"; "pruned", given up in the worst third at its epoch; "failed", with an `error`; "stopped" by
            Ctrl-C, by the end of the time, or by whatever ended the process.
        params: the searched settings, by dotted name.
        value: validation ndcg@10 of what would be served; None unless complete.
        noise: standard error of the difference to the defaults, paired over users; 0 for the defaults, None where one of
            the two has no value.
        ended: seconds of searching, of all runs of the study together, when the trial ended.
        error: what went wrong.
    """

    number: int
    state: State
    params: Params
    value: float | None = None
    noise: float | None = None
    ended: float | None = None
    error: str | None = None


class Study:
    """Trials told and to be tried; what is told is on disk when a call returns."""

    def __init__(self, path: Path | None, study: "optuna.Study", space: Space, seed: int) -> None:
        self._path, self._study, self._space, self._seed = path, study, space, seed
        self._running: optuna.Trial | None = None

    def ask(self) -> tuple[int, Params]:
        """Number and settings of a new trial: the defaults, as long as these were not tried to their end; then others."""
        import optuna
        from optuna.trial import TrialState

        with _explained(self._path):
            before = self._study.get_trials(deepcopy=False)
            seed = int(np.random.SeedSequence([self._seed, len(before)]).generate_state(1)[0])
            self._study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM_TRIALS)
            defaults = self._space.defaults
            tried = any(t.params == defaults and t.state in ("complete", "failed") for t in self.trials())
            if not tried and all(trial.state != TrialState.WAITING for trial in before):
                self._study.enqueue_trial(defaults)
            self._running = self._study.ask({name: _distribution(found) for name, found in self._space.ranges.items()})
            return self._running.number, self._running.params

    def hopeless(self, value: float, epoch: int) -> bool:
        """Tell the running trial's value after an epoch; whether it is in the worst third at that one."""
        assert self._running is not None
        with _explained(self._path):
            self._running.report(value, epoch)
            return self._running.should_prune()

    def tell(
        self,
        state: State,
        ended: float,
        *,
        value: float | None = None,
        noise: float | None = None,
        error: str | None = None,
    ) -> None:
        """How the running trial ended; see `Trial`."""
        from optuna.trial import TrialState

        assert self._running is not None
        told = {"ended": ended, "noise": noise, "error": error}
        with _explained(self._path):
            for name, what in told.items():
                if what is not None:
                    self._running.set_user_attr(name, what)
            ends = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED}
            self._study.tell(self._running, value, ends.get(state, TrialState.FAIL))
        self._running = None

    def trials(self) -> tuple[Trial, ...]:
        """All that were begun, and have ended."""
        from optuna.trial import TrialState

        states: dict[TrialState, State] = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned"}
        with _explained(self._path):
            found = self._study.get_trials(deepcopy=False, states=(*states, TrialState.FAIL))
        trials = []
        for trial in found:
            told = trial.user_attrs
            state = states.get(trial.state) or ("failed" if "error" in told else "stopped")
            value = trial.value if state == "complete" else None
            params = self._space.rounded(trial.params)
            trials.append(
                Trial(trial.number, state, params, value, told.get("noise"), told.get("ended"), told.get("error"))
            )
        return tuple(trials)

    def stop_running(self) -> None:
        """Let trials that nobody works at any more be over: of a process that has gone, or of Ctrl-C."""
        from optuna.trial import TrialState

        with _explained(self._path):
            for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                self._study.tell(trial.number, state=TrialState.FAIL)

    def remember(self, name: str, value: Any) -> None:
        """Keep something of JSON with the study."""
        with _explained(self._path):
            self._study.set_user_attr(name, value)

    def remembered(self, name: str) -> Any:
        """What was kept under this name, or None."""
        with _explained(self._path):
            return self._study.user_attrs.get(name)


@contextmanager
def open_study(path: Path | None, space: Space, seed: int, made_from: dict[str, str]) -> Iterator[Study]:
    """A study in a file, new or gone on with; with no path in memory. Nobody else has it open meanwhile.

    Args:
        made_from: what the values of trials depend on, by what a message can call it; a study of anything else is refused.

    Raises:
        InputError: Optuna is not installed, or the file is no study, of something else, or in use.
        StorageError: the file cannot be written.
    """
    check_study(path)
    import optuna

    busy = f"another search has this study open; wait for its end, or {ELSEWHERE}"
    with _silent(), nullcontext() if path is None else alone(path, busy):
        storage = None
        if path is not None:
            with _explained(path):
                storage = _storage(path)
        try:
            with _explained(path):
                found = optuna.create_study(
                    study_name=NAME,
                    storage=storage,
                    direction="maximize",
                    load_if_exists=True,
                    pruner=optuna.pruners.PercentilePruner(KEPT_PERCENT, UNPRUNED_TRIALS, UNPRUNED_EPOCHS + 1),
                )
                empty = not found.get_trials(deepcopy=False)
            study = Study(path, found, space, seed)
            if empty:
                study.remember("made_from", made_from)
            before = study.remembered("made_from") or {}
            for what, here in made_from.items():
                if before.get(what) != here:
                    raise InputError(f"{path}: this study is of another {what}; repeat that, or {ELSEWHERE}")
            study.stop_running()
            yield study
        finally:
            if storage is not None:
                storage.remove_session()
                storage.engine.dispose()


def check_study(path: Path | None) -> None:
    """Raises InputError unless Optuna is installed and the file, if there is one, is empty or a study of ours."""
    try:
        import optuna  # noqa: F401
        import sqlalchemy  # noqa: F401
    except ImportError as error:
        raise InputError("tuning needs Optuna: pip install 'magnn[tune]'") from error
    if path is None:
        return
    connection = None
    try:
        if not path.exists() or path.stat().st_size == 0:
            return
        with path.open("rb") as file:
            if file.read(16) != b"SQLite format 3\0":
                raise InputError(f"{path}: not an SQLite file, so no study; {ELSEWHERE}")
        connection = sqlite3.connect(path.absolute().as_uri() + "?mode=rw", uri=True)
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        names = (
            {name for (name,) in connection.execute("SELECT study_name FROM studies")} if "studies" in tables else set()
        )
    except (sqlite3.Error, OSError) as error:
        raise InputError(f"{path}: this study cannot be read: {error}; remove it, or {ELSEWHERE}") from error
    finally:
        if connection is not None:
            connection.close()
    # A process that was ended while it made the file leaves it without tables, or without a study.
    if tables and ("studies" not in tables or not names <= {NAME}):
        raise InputError(f"{path}: a database of something else and no study of magnn; {ELSEWHERE}")


def _storage(path: Path) -> "optuna.storages.RDBStorage":
    import optuna

    def connect() -> sqlite3.Connection:  # not by a URL, in which some paths would need quoting that versions differ in
        return sqlite3.connect(path, check_same_thread=False, timeout=60)

    return optuna.storages.RDBStorage("sqlite:///study", engine_kwargs={"creator": connect})


def _distribution(found: Range) -> "optuna.distributions.BaseDistribution":
    import optuna

    if isinstance(found.low, int) and isinstance(found.high, int):
        return optuna.distributions.IntDistribution(found.low, found.high, log=found.log)
    return optuna.distributions.FloatDistribution(found.low, found.high, log=found.log)


@contextmanager
def _silent() -> Iterator[None]:
    """Without Optuna's log on the terminal, and without its warnings."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
            warnings.filterwarnings("ignore", module=r"optuna\.|magnn\.tuning\.study")  # in whose name Optuna warns
            yield
    finally:
        optuna.logging.set_verbosity(before)


@contextmanager
def _explained(path: Path | None) -> Iterator[None]:
    import optuna
    import sqlalchemy

    try:
        yield
    except (optuna.exceptions.StorageInternalError, sqlalchemy.exc.SQLAlchemyError, sqlite3.Error) as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise StorageError(
            f"{path}: the study cannot be read or written: {reason}; its trials so far are kept"
        ) from error
    except RuntimeError as error:
        if "upgrade" not in str(error):  # how Optuna meets a file of another of its versions
            raise
        raise InputError(f"{path}: this study is of another version of Optuna; remove it, or {ELSEWHERE}") from error
