"""A search drawn: its trials in time, and what each setting made of them. Needs the extra `plots`.

Colours are of Okabe and Ito, which everybody can tell apart; markers differ too.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from magnn.storage import atomic_file
from magnn.tuning.result import METRIC, Tuned
from magnn.tuning.space import SPACE
from magnn.tuning.study import Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLUE, ORANGE, RED, GREY = "#0072B2", "#E69F00", "#D55E00", "#777777"
COLUMNS = 4


def plot_search(tuned: Tuned, path: Path) -> None:
    """Draw to a .png or .svg.

    Raises:
        StorageError: the disk is full or the place cannot be written.
    """
    from matplotlib.figure import Figure

    names = list(tuned.best.params)
    rows = -(-len(names) // COLUMNS)
    figure = Figure(figsize=(9, 3.2 + 2.1 * rows), layout="constrained")
    grid = figure.add_gridspec(1 + rows, COLUMNS, height_ratios=[1.5] + [1] * rows)
    _history(figure.add_subplot(grid[0, :]), tuned)
    for place, name in enumerate(names):
        axes = figure.add_subplot(grid[1 + place // COLUMNS, place % COLUMNS])
        _slice(axes, tuned, name)
        if place % COLUMNS == 0:
            axes.set_ylabel(f"validation {METRIC}")
        else:
            axes.tick_params(labelleft=False)
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=120)


def _history(axes: "Axes", tuned: Tuned) -> None:
    """Value against minutes of searching, with the best so far."""
    ended = sorted((trial for trial in tuned.trials if trial.ended is not None), key=lambda trial: trial.ended or 0)
    complete = [trial for trial in ended if trial.value is not None]
    best_so_far = [max(_values(complete[: n + 1])) for n in range(len(complete))]
    axes.plot(_minutes(complete), _values(complete), "o", color=BLUE, label="complete")
    axes.step(
        [*_minutes(complete), _minutes(ended)[-1]],
        [*best_so_far, best_so_far[-1]],
        where="post",
        color="black",
        label="best so far",
    )
    if tuned.default is not None and tuned.default.value is not None:
        axes.axhline(tuned.default.value, linestyle="--", color=ORANGE, label="defaults")
    # What has no value stands on the axis.
    for state, marker, color in (("pruned", "|", GREY), ("failed", "x", RED)):
        without = [trial for trial in ended if trial.state == state]
        if without:
            height = [0.02] * len(without)
            drawn = axes.plot(_minutes(without), height, marker, color=color, label=state, markersize=9, clip_on=False)
            drawn[0].set_transform(axes.get_xaxis_transform())
    axes.set(xlabel="minutes of searching", ylabel=f"validation {METRIC}", xlim=(0, None))
    axes.legend(frameon=False, fontsize=8, loc="lower right", ncols=2)


def _slice(axes: "Axes", tuned: Tuned, name: str) -> None:
    """Value against one setting."""
    complete = [trial for trial in tuned.trials if trial.value is not None]
    axes.plot([trial.params[name] for trial in complete], _values(complete), "o", color=BLUE, alpha=0.6, markersize=4)
    if tuned.default is not None:
        axes.plot(tuned.default.params[name], tuned.default.value or 0, "D", color=ORANGE, markeredgecolor="black")
    axes.plot(tuned.best.params[name], tuned.value, "*", color="black", markersize=10)
    if SPACE[tuned.settings.preset][name].log:
        axes.set_xscale("log")
        axes.minorticks_off()
        seen = sorted({trial.params[name] for trial in complete})
        if len(seen) > 1:
            ends = [seen[0], seen[-1]]
            axes.set_xticks(ends, [f"{value:.3g}" for value in ends])
    axes.set_xlabel(name)


def _values(trials: Iterable[Trial]) -> list[float]:
    return [trial.value for trial in trials if trial.value is not None]


def _minutes(trials: Iterable[Trial]) -> list[float]:
    return [(trial.ended or 0) / 60 for trial in trials]
