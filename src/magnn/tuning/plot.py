"""A search drawn: its trials in time, and what each setting made of them. Needs the extra `plots`.

Colours are of Okabe and Ito, which everybody can tell apart; markers differ too.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

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
    history = figure.add_subplot(grid[0, :])
    _history(history, tuned)
    figure.legend(*history.get_legend_handles_labels(), loc="outside upper center", ncols=6, frameon=False)
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
    best_so_far = np.maximum.accumulate(_values(complete))
    end = _minutes(ended)[-1]
    axes.plot(_minutes(complete), _values(complete), "o", color=BLUE, label="complete")
    axes.step([*_minutes(complete), end], [*best_so_far, best_so_far[-1]], "k", where="post", label="best so far")
    if tuned.default is not None:
        axes.axhline(_values([tuned.default])[0], linestyle="--", color=ORANGE)
        _mark_default(axes, _minutes([tuned.default]), tuned.default)
    _mark_best(axes, _minutes([tuned.best]), tuned.best)
    # What has no value stands on the axis.
    on_axis = axes.get_xaxis_transform()
    for state, marker, color in (("pruned", "|", GREY), ("failed", "x", RED)):
        minutes = _minutes([trial for trial in ended if trial.state == state])
        if minutes:
            axes.plot(minutes, [0.03] * len(minutes), marker, color=color, label=state, markersize=8, transform=on_axis)
    axes.set(xlabel="minutes of searching", ylabel=f"validation {METRIC}", xlim=(0, None))


def _slice(axes: "Axes", tuned: Tuned, name: str) -> None:
    """Value against one setting."""
    complete = [trial for trial in tuned.trials if trial.value is not None]
    values = [trial.params[name] for trial in complete]
    axes.plot(values, _values(complete), "o", color=BLUE, alpha=0.6, markersize=4)
    if tuned.default is not None:
        _mark_default(axes, [tuned.default.params[name]], tuned.default)
    _mark_best(axes, [tuned.best.params[name]], tuned.best)
    if SPACE[tuned.settings.preset][name].log and min(values) < max(values):
        axes.set_xscale("log")
        axes.minorticks_off()
        axes.set_xticks([min(values), max(values)], [f"{min(values):.3g}", f"{max(values):.3g}"])
    axes.set_xlabel(name)


def _mark_default(axes: "Axes", where: list[float], trial: Trial) -> None:
    axes.plot(where, _values([trial]), "D--", color=ORANGE, markeredgecolor="black", markersize=6, label="defaults")


def _mark_best(axes: "Axes", where: list[float], trial: Trial) -> None:
    axes.plot(where, _values([trial]), "*", color="black", markersize=11, label="best")


def _values(trials: Iterable[Trial]) -> list[float]:
    return [trial.value for trial in trials if trial.value is not None]


def _minutes(trials: Iterable[Trial]) -> list[float]:
    return [(trial.ended or 0) / 60 for trial in trials]
