"""What a search has found, whether it is more than noise, and the TOML file that a fit takes."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import NormalDist

from magnn.settings import Settings, to_toml
from magnn.storage import atomic_file
from magnn.tuning.space import Params
from magnn.tuning.study import Trial

METRIC = "ndcg@10"


@dataclass(frozen=True)
class Tuned:
    """What a search has found.

    Attributes:
        settings: the best ones; `save` writes them for `fit`.
        best: the trial they are of; its `value` is ndcg@10 on the validation events, fitted on the training events only.
        default: the trial of the defaults; None where it failed.
        trials: all of the study, in order.
        completed: False if Ctrl-C cut the search short.
    """

    settings: Settings
    best: Trial
    default: Trial | None
    trials: tuple[Trial, ...]
    completed: bool

    @property
    def value(self) -> float:
        """The validation metric of the best trial."""
        assert self.best.value is not None
        return self.best.value

    @property
    def gain(self) -> float | None:
        """How much the best is above the defaults; None where these failed."""
        return None if self.default is None or self.default.value is None else self.value - self.default.value

    @property
    def margin(self) -> float | None:
        """What the luckiest of as many trials, all as good as the defaults, is above them at most, in 95 of 100 searches.

        Each difference has a standard error, paired over users; the more are looked at, the larger is the largest
        (Bonferroni). What another seed would change is not in it. None where the defaults are the best, or failed.
        """
        if self.gain is None or not self.best.noise:
            return None
        compared = sum(trial.state == "complete" for trial in self.trials) - 1
        return NormalDist().inv_cdf(1 - 0.05 / max(compared, 1)) * self.best.noise

    def save(self, path: Path | str, heading: Iterable[str] = ()) -> None:
        """Write the settings as TOML, for `magnn.fit(split, config=path)` or `magnn fit --config`.

        Args:
            heading: comments of one line each, to stand above what is said of the search.

        Raises:
            StorageError: the disk is full or the place cannot be written.
        """
        states = Counter(trial.state for trial in self.trials)
        default = "failed" if self.default is None else f"{self.default.value:.4f}"
        about = (
            f"magnn {version('magnn')}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            *heading,
            f"validation {METRIC} {self.value:.4f} (defaults: {default}), fitted on the training events, in trial "
            f"{self.best.number} of {len(self.trials)}: " + ", ".join(f"{n} {state}" for state, n in states.items()),
        )
        # A file's name may hold anything; a comment of TOML may not.
        lines = ["# " + "".join(c if c.isprintable() else "?" for c in line) for line in about]
        with atomic_file(Path(path)) as temporary:
            temporary.write_text("\n".join([*lines, to_toml(self.settings), ""]), encoding="utf-8")


def best_of(trials: tuple[Trial, ...]) -> Trial | None:
    """The earliest of the best."""
    return max((trial for trial in trials if trial.value is not None), key=lambda trial: trial.value or 0, default=None)


def trial_of(trials: tuple[Trial, ...], params: Params) -> Trial | None:
    """The one that has a value for these settings."""
    return next((trial for trial in trials if trial.value is not None and trial.params == params), None)
