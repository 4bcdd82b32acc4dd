"""The pictures of a report: each a function from values to a figure, for a page (inline SVG) or for files (SVG, PNG).

Colours are of Okabe and Ito (told apart by the colour-blind); systems also differ in marker and place, parts of a picture
in lightness, so that a black and white print says the same. Text and axes of an inline picture take the page's own colour.
"""

import io
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from magnn.evaluation import MODEL, EvaluationReport
from magnn.explain import PARTS
from magnn.reporting.findings import TAKEN, TOLD, Findings
from magnn.reporting.lists import Exposure, Ingredients
from magnn.reporting.memory import Memory
from magnn.reporting.segments import Segment
from magnn.storage import atomic_file
from magnn.training.trainer import EpochLog

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#1b1f24"  # nothing else has this colour, so that it can be replaced by the page's
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#7f7f7f"
STYLES: dict[str, dict[str, Any]] = {
    MODEL: {"color": BLUE, "marker": "o", "linestyle": "-"},
    "item-knn": {"color": ORANGE, "marker": "s", "linestyle": "--"},
    "popularity": {"color": GREY, "marker": "^", "linestyle": ":"},
    TAKEN: {"color": INK, "marker": "", "linestyle": "-."},
    TOLD: {"color": INK, "marker": "", "linestyle": "-."},
}
SETTINGS: Any = {
    "svg.fonttype": "none",  # text stays text: small, and found by a search
    "text.parse_math": False,  # a "$" in a title is a "$"
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.frameon": False,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
}
WIDTH = 7.0  # inches
METRICS = ("recall", "ndcg", "mrr", "map")


def figures(found: Findings) -> "dict[str, Callable[[], Figure]]":
    """name -> what draws it, for what this model and log have; in the order of the page."""
    drawn: dict[str, Callable[[], Figure]] = {}
    logs = found.recommender.logs
    if len(logs) > 1:
        drawn["training"] = lambda: training(logs)
    report = found.report
    if report is not None:
        drawn["metrics"] = lambda: metrics(report)
        recall = f"recall@{found.k}"
        drawn["recall-by-activity"] = lambda: recall_by(found.activity, "events of the user", recall)
        drawn["recall-by-history"] = lambda: recall_by(found.length, "events of history", recall)
        drawn["recall-by-popularity"] = lambda: recall_by(
            found.popularity, "held-out items, by training events", recall
        )
    drawn["parts"] = lambda: parts(found.ingredients)
    gate_U = found.ingredients.gate_U
    if gate_U is not None and np.isfinite(gate_U).any():
        drawn["gate"] = lambda: gate(found.ingredients)
    drawn["popularity-bias"] = lambda: popularity_bias(found.exposure)
    memory = found.memory
    if memory is not None:
        drawn["memory"] = lambda: memory_map(memory, found.name)
    return drawn


def write_plots(found: Findings, folder: Path) -> None:
    """Every picture as SVG and as PNG (150 dots an inch), on white.

    Raises:
        StorageError: the place cannot be written.
    """
    for name, draw in figures(found).items():
        for kind in ("svg", "png"):
            with atomic_file(folder / f"{name}.{kind}") as temporary:
                temporary.write_bytes(_drawn(draw, kind, name, background="white"))


def inline_svg(draw: "Callable[[], Figure]", name: str, label: str) -> str:
    """A picture as an element of a page.

    Args:
        draw: see `figures`.
        name: makes the ids in it its own.
        label: plain words for who does not see it, without markup.
    """
    text = _drawn(draw, "svg", name, background="none").decode()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)  # nothing refers to groups, and their ids are the same in each picture
    text = re.sub(
        r'<svg [^>]*?height="[^"]*"', lambda tag: re.sub(r' (width|height)="[^"]*"', "", tag[0]), text, count=1
    )
    return text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)


def _drawn(draw: "Callable[[], Figure]", kind: str, name: str, background: str) -> bytes:
    import matplotlib

    file = io.BytesIO()
    with matplotlib.rc_context({**SETTINGS, "svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a box in the PNG; a browser has more fonts
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        draw().savefig(file, format=kind, dpi=150, facecolor=background, metadata=metadata)
    return file.getvalue()


def _figure(rows: int = 1, columns: int = 1, height: float = 2.6, **options: Any) -> tuple["Figure", Any]:
    from matplotlib.figure import Figure  # without pyplot: no window system, no state left behind

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots(rows, columns, **options)


def training(logs: Sequence[EpochLog]) -> "Figure":
    """Loss of each phase, and validation metrics, over epochs."""
    figure, (left, right) = _figure(1, 2)
    phases = list(dict.fromkeys(log.phase for log in logs if log.is_epoch))
    names = {"select": "train", "refit": "refit on train + valid", "train": "train"}
    for phase, color, style in zip(phases, (BLUE, ORANGE), ("o-", "s--"), strict=False):
        of_phase = [log for log in logs if log.phase == phase]
        left.plot(
            [log.epoch for log in of_phase],
            [log.loss for log in of_phase],
            style,
            color=color,
            ms=4,
            label=names[phase],
        )
    left.set(xlabel="epoch", ylabel="training loss")
    left.legend()
    validated = [log for log in logs if log.phase == "select"]
    for metric, color, style in (("recall@10", BLUE, "o-"), ("ndcg@10", ORANGE, "s--")):
        values = [log.metrics[metric] for log in validated]
        if values:
            right.plot([log.epoch for log in validated], values, style, color=color, ms=4, label=metric)
    highest = max((log.metrics[name] for log in validated for name in ("recall@10", "ndcg@10")), default=0)
    right.set(xlabel="epoch", ylabel="on validation events", ylim=(0, 1.08 * highest or None))
    if validated:
        right.legend()
    else:
        right.text(0.5, 0.5, "no validation events", ha="center", transform=right.transAxes)
    for axis in (left, right):
        axis.xaxis.get_major_locator().set_params(integer=True)
    return figure


def metrics(report: EvaluationReport) -> "Figure":
    """Each system's metrics with 95% intervals, a panel for each metric: their sizes are not comparable."""
    figure, panels = _figure(1, len(METRICS), height=1.7, sharey=True)
    names = list(report.systems)[::-1]
    for axis, metric in zip(panels, METRICS, strict=True):
        key = f"{metric}@{report.k}"
        for row, name in enumerate(names):
            found = report.systems[name]
            value, (low, high) = found.metrics[key], found.ci95[key]
            _point(axis, value, low, high, row, name)
        axis.set(xlabel=key, yticks=range(len(names)), yticklabels=names, ylim=(-0.6, len(names) - 0.4))
        axis.set_xlim(-0.03 * axis.get_xlim()[1], None)
        axis.locator_params(axis="x", nbins=3)
        axis.grid(axis="x", alpha=0.25)
    return figure


def recall_by(segments: Sequence[Segment], what: str, metric: str) -> "Figure":
    """Recall of groups, first group on top, a row for each and a marker for each system."""
    figure, axis = _figure(height=0.9 + 0.42 * len(segments))
    systems = list(segments[0].recall)
    for row, segment in enumerate(segments):
        for place, name in enumerate(systems):
            _point(axis, *segment.recall[name], row + (place - 1) * 0.22, name, label=name if row == 0 else None)
        if row:
            axis.axhline(row - 0.5, color=INK, alpha=0.15, linewidth=0.6)
    labels = [f"{segment.label}\n({segment.n:,} users)" for segment in segments]
    axis.set(xlabel=f"{metric}, 95% intervals", ylabel=what, yticks=range(len(segments)), yticklabels=labels)
    axis.set(xlim=(-0.015 * axis.get_xlim()[1], None), ylim=(len(segments) - 0.5, -0.5))
    axis.grid(axis="x", alpha=0.25)
    figure.legend(loc="outside upper center", ncols=3)
    return figure


def _point(axis: Any, value: float, low: float, high: float, row: float, name: str, label: str | None = None) -> None:
    style = STYLES[name]
    reach = [[max(value - low, 0)], [max(high - value, 0)]]
    axis.errorbar([value], [row], xerr=reach, fmt=style["marker"], color=style["color"], ms=5, capsize=2.5, label=label)


def parts(found: Ingredients) -> "Figure":
    """Share of each part in the scores of users' lists: half of the users in the box, nine of ten between the ends."""
    shares = {name: share_U for name, share_U in found.shares().items() if np.abs(share_U).max(initial=0) > 0}
    figure, axis = _figure(height=0.8 + 0.35 * max(len(shares), 1))
    names = list(shares)[::-1]
    for row, name in enumerate(names):
        low, first, middle, third, high = np.quantile(shares[name], [0.05, 0.25, 0.5, 0.75, 0.95])
        axis.plot([low, high], [row, row], color=INK, linewidth=1)
        axis.barh(row, third - first, left=first, height=0.5, color=BLUE, alpha=0.55)
        axis.plot([middle, middle], [row - 0.25, row + 0.25], color=INK, linewidth=2)
    axis.axvline(0, color=INK, linewidth=0.6)
    axis.set(yticks=range(len(names)), yticklabels=[PARTS[name] for name in names], xlabel="share of the list's scores")
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axis.grid(axis="x", alpha=0.25)
    return figure


def gate(found: Ingredients) -> "Figure":
    """The gate over users, and against the length of history: the median, half of the users, nine of ten."""
    assert found.gate_U is not None
    there_U = np.isfinite(found.gate_U)
    gate_U, lengths_U = found.gate_U[there_U], found.lengths_U[there_U]
    figure, (left, right) = _figure(1, 2)
    left.hist(gate_U, bins=np.linspace(0, 1, 41), color=BLUE, alpha=0.75)
    left.set(xlabel="gate (0 longer history, 1 last items)", ylabel="users", xlim=(0, 1))
    left.yaxis.get_major_locator().set_params(integer=True)
    edges = np.unique(np.quantile(lengths_U, np.linspace(0, 1, 11)))
    group_U = np.clip(np.searchsorted(edges, lengths_U, side="right") - 1, 0, max(len(edges) - 2, 0))
    groups = np.unique(group_U)
    x = [float(np.median(lengths_U[group_U == group])) for group in groups]
    bands = np.array([np.quantile(gate_U[group_U == group], [0.05, 0.25, 0.5, 0.75, 0.95]) for group in groups]).T
    right.fill_between(x, bands[0], bands[4], color=BLUE, alpha=0.2, linewidth=0, label="9 of 10 users")
    right.fill_between(x, bands[1], bands[3], color=BLUE, alpha=0.4, linewidth=0, label="half of the users")
    right.plot(x, bands[2], "o-", color=INK, ms=4, label="median")
    right.set(xlabel="events of history (tenths of users)", ylabel="gate", xscale="log", ylim=(0, 1))
    usual = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
    ticks = [float(tick) for tick in usual if x[0] <= tick <= x[-1]] or [x[0]]
    right.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    right.minorticks_off()
    right.legend(fontsize=8)
    return figure


def popularity_bias(found: Exposure) -> "Figure":
    """What share of recommendations the most popular items have; where a curve is flat, items are never shown."""
    figure, axis = _figure(height=3)
    for name, within_X in found.within.items():
        style = STYLES[name]
        every = max(len(within_X) // 8, 1)
        axis.plot(found.reach_X, within_X, **style, markevery=every, ms=5, label=name)
    axis.set(
        xscale="log", xlabel="the most popular part of the catalogue", ylabel="share of recommendations", ylim=(0, 1.02)
    )
    for each in (axis.xaxis, axis.yaxis):
        each.set_major_formatter(lambda value, _: f"{value * 100:g}%")
    axis.minorticks_off()  # of a small catalogue they would be labelled, and as LaTeX
    axis.grid(alpha=0.25)
    axis.legend()
    return figure


def memory_map(found: Memory, name: Callable[[int, int], str]) -> "Figure":
    """Chosen items against memory units: attention beside that of the average item."""
    chart = found.heat_map
    ratio_RM = chart.share_RM / np.maximum(chart.average_M, 1e-12)
    rows, units = ratio_RM.shape
    figure, axis = _figure(height=1.2 + 0.19 * rows)
    image = axis.imshow(ratio_RM, aspect="auto", cmap="cividis", interpolation="nearest")
    labels = [_plain(name(item, 34)) for item in chart.items]
    groups = [
        f"{_plain(group)[:16]}:  " if group and (row == 0 or group != chart.groups[row - 1]) else ""
        for row, group in enumerate(chart.groups)
    ]
    axis.set_yticks(range(rows), [group + label for group, label in zip(groups, labels, strict=True)], fontsize=8)
    step = max(1, units // 20)
    axis.set_xticks(range(0, units, step), [str(unit + 1) for unit in range(0, units, step)])
    axis.set(xlabel="memory unit")
    axis.tick_params(length=0)
    for spine in axis.spines.values():
        spine.set_visible(False)
    for row in range(1, rows):
        if chart.groups[row] != chart.groups[row - 1]:
            axis.axhline(row - 0.5, color="white", linewidth=1.5)
    figure.colorbar(image, ax=axis, label="attention (1: as the average item)", shrink=0.9)
    return figure


def _plain(text: str) -> str:
    """Without what controls a terminal or the direction of text, which a picture cannot isolate."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]", "", text)
