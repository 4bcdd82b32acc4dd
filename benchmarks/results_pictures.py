"""Pictures of the results page, drawn from runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from adjustText import adjust_text

from benchmarks.paper import published
from benchmarks.paper.experiments import SIZES
from benchmarks.peers.comparison import OURS
from benchmarks.runs import Run

matplotlib.use("Agg")


def plot_seeds(folder: Path, runs: Sequence[Run]) -> None:
    """Each seed's metrics beside the published ones."""
    figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
    for axis, metric, target in zip(axes, ("recall@10", "ndcg_fixed@10"), published.CDS["MA-GNN"], strict=True):
        seeds = [run.spec.seed for run in runs]
        values = np.array([run.metrics[metric] for run in runs])
        bounds = np.array([run.ci95[metric] for run in runs])
        axis.errorbar(
            seeds, values, yerr=np.abs(bounds.T - values), fmt="o", capsize=3, color="black", label="here, 95%"
        )
        axis.axhline(target, linestyle="--", color="tab:blue", label="published")
        axis.set(xlabel="seed", ylabel=metric, xticks=seeds)
        axis.legend(frameon=False, fontsize=8)
    _save(folder, figure, "seeds")


def plot_sizes(folder: Path, found: dict[tuple[str, int], list[Run]]) -> None:
    """Recall against the number of heads, and of memory units."""
    figure, axis = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for setting, words, style in (("heads", "heads h", "o-"), ("memory_units", "memory units m", "s--")):
        values = [[run.metrics["recall@10"] for run in found[setting, size]] for size in SIZES]
        spread = [float(np.std(v, ddof=1)) if len(v) > 1 else 0.0 for v in values]
        axis.errorbar(SIZES, [np.mean(v) for v in values], yerr=spread, fmt=style, capsize=3, label=words)
    # It also gives the picture its scale: without it, noise would fill the axis.
    axis.axhline(published.CDS["MA-GNN"][0], linestyle=":", color="black", label="published, 20 and 20")
    axis.set(
        xlabel="number", ylabel="recall@10", xticks=SIZES, title="mean; bars: standard deviation, of several seeds"
    )
    axis.margins(y=0.3)
    axis.legend(frameon=False, fontsize=8)
    _save(folder, figure, "sizes")


def plot_time(folder: Path, runs: Sequence[Run], letters: Mapping[str, str], name: str) -> None:
    """Every system by the time its fit takes; behind its name, the letter of its machine where there are several."""
    figure, axis = plt.subplots(figsize=(9, 6), layout="constrained")
    top = 1.1 * max(run.metrics["ndcg@10"] for run in runs)
    names, points = [], []
    for number, run in enumerate(sorted(runs, key=lambda run: run.metrics["ndcg@10"])):
        ours_ = run.spec.system in OURS
        x, y = max(run.fit_seconds, 0.1), run.metrics["ndcg@10"]
        axis.plot(x, y, "*" if ours_ else "o", color="tab:red" if ours_ else "tab:blue", markersize=12 if ours_ else 6)
        name_of = f"{run.spec.system} {letters.get(run.about['machine'], '')}".rstrip()
        name_of += " (1 core)" if run.threads == 1 else ""
        points.append((x, y))
        aside = 0.015 * top * (-1) ** number  # names at one place would push each other nowhere
        names.append(axis.text(x, y + aside, name_of, fontsize=8))
    axis.set(
        xscale="log",
        xlabel="seconds to fit, 2 CPU cores" + ("; a letter for each machine" if letters else ""),
        ylabel="test ndcg@10",
        ylim=(0, top),
        title=name,
    )
    axis.margins(x=0.22)
    figure.draw_without_rendering()  # so that names are placed in the layout that is saved
    # Names that write over nothing. Bounded by steps: by time, the default, no two pictures were the same.
    at_x, at_y = zip(*points, strict=True)
    line = {"arrowstyle": "-", "color": "gray", "lw": 0.6}
    adjust_text(names, at_x, at_y, target_x=at_x, target_y=at_y, ax=axis, iter_lim=300, arrowprops=line)
    _save(folder, figure, name)


def _save(folder: Path, figure: Any, name: str) -> None:
    figure.savefig(folder / f"{name}.png", dpi=110, metadata={"Software": None})
    plt.close(figure)
