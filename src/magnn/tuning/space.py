"""What is searched: the few settings that move the ranking, how far, and why.

Epochs are not among them: in each trial early stopping picks the epoch, and pruning compares trials at the same epoch.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from magnn.settings import Settings

Params = dict[str, float]
LEARNING_RATE = "training.learning_rate"


@dataclass(frozen=True)
class Range:
    """Values to try, from `low` to `high`, whole ones if these are.

    Attributes:
        log: whether a factor counts, and not a difference.
        relative: whether both ends are to be multiplied with the default, which depends on the log.
    """

    low: float
    high: float
    why: str
    log: bool = False
    relative: bool = False


SPACE: dict[str, dict[str, Range]] = {
    "best": {
        "model.dim": Range(32, 256, "how much a row can hold; sparse logs have little to put there", log=True),
        "model.dropout": Range(0.0, 0.7, "against overfitting; the smaller the log, the more"),
        "model.short_window": Range(2, 20, "|L|: how many last events are the present", log=True),
        "model.long_window": Range(10, 80, "|H|: how far back a history still tells something", log=True),
        "training.gce_q": Range(0.0, 0.6, "how much the top of the list counts above the rest: a tenth on Beauty"),
        LEARNING_RATE: Range(0.3, 3.0, "the default is right within a factor", log=True, relative=True),
        "training.weight_rate": Range(0.1, 3.0, "how fast matrices follow the embeddings", log=True),
        "graph.neighbours": Range(50, 500, "noise is cut off sooner on a sparse log", log=True),
    },
    "paper": {
        "model.dim": Range(32, 128, "how much a row can hold", log=True),
        "model.dropout": Range(0.0, 0.5, "against overfitting, beside the penalty"),
        "training.l2": Range(0.01, 2.5, "mattered most on Amazon CDs: too weak and too strong both lose", log=True),
        LEARNING_RATE: Range(0.3, 3.0, "the default is right within a factor", log=True, relative=True),
        "training.weight_rate": Range(0.005, 0.3, "how fast matrices follow the embeddings", log=True),
        "training.negatives": Range(1, 10, "more give better gradients, and cost as much more time", log=True),
    },
}


@dataclass(frozen=True)
class Space:
    """The ranges of one search, around its defaults.

    Attributes:
        base: settings of the first trial.
        ranges: by dotted name of a setting, such as "model.dim"; none of them relative any more.
        defaults: the value of each in `base`; of the learning rate, what it comes to on this log.
        batch: samples in a step of `base`, for which a learning rate holds.
    """

    base: Settings
    ranges: dict[str, Range]
    defaults: Params
    batch: int

    def settings(self, params: Mapping[str, float]) -> Settings:
        """`base` with these values; where all are the defaults, `base` itself."""
        values = self.base.model_dump()
        for name, value in self.rounded(params).items():
            if value != self.defaults[name]:
                table, key = name.split(".")
                values[table][key] = value
                if name == LEARNING_RATE:
                    values["training"]["batch_size"] = self.batch
        return Settings.model_validate(values)

    def rounded(self, params: Mapping[str, float]) -> Params:
        """Values as they are used, and shown: to three digits, but for the defaults."""
        return {
            name: value if isinstance(value, int) or value == self.defaults[name] else float(f"{value:.3g}")
            for name, value in params.items()
        }


def space_around(base: Settings, fixed: Iterable[str], *, samples: int, events: int, items: int) -> Space:
    """The space of the preset of `base`, without the settings in `fixed`.

    Args:
        fixed: dotted names.
        samples, events, items: of the training log, from which follows what the settings leave open: batch and learning
            rate, and how much the top of the list counts.

    Example:
        >>> space = space_around(Settings(), fixed=["model.dim"], samples=100_000, events=120_000, items=9000)
        >>> "model.dim" in space.ranges, round(space.defaults["training.learning_rate"], 4)
        (False, 0.0028)
        >>> space.settings({"training.l2": 1.2345}).training.l2
        1.23
    """
    batch = base.training.batch_of(samples)
    values = base.model_dump()
    values["training"] |= {"learning_rate": base.training.rate_of(batch), "gce_q": base.training.q_of(events, items)}
    ranges, defaults = {}, {}
    for name, wanted in SPACE[base.preset].items():
        if name in fixed:
            continue
        table, key = name.split(".")
        default = values[table][key]
        scale = default if wanted.relative else 1
        # A preset, or a change of one, may lie outside: the first trial is always inside.
        low, high = min(wanted.low * scale, default), max(wanted.high * scale, default)
        ranges[name] = Range(low, high, wanted.why, wanted.log)
        defaults[name] = default
    return Space(base, ranges, defaults, batch)
