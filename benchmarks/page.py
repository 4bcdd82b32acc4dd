"""docs/performance.md and its pictures, from results/*.json and nothing else."""

import json
from typing import Any

import matplotlib
import matplotlib.pyplot as plt

from benchmarks.measure import RESULTS, ROOT

matplotlib.use("Agg")
matplotlib.rcParams["svg.hashsalt"] = "magnn"  # the same picture is the same file

PAGE = ROOT / "docs" / "performance.md"
PICTURES = ROOT / "docs" / "performance"
TITLES = {
    "startup": "Start",
    "preparation": "From a log to the first training batch",
    "archive": "A public data set, prepared as the paper's authors did",
    "training": "Training",
    "quick": "Better than published",
    "evaluation": "Evaluation",
    "recommendation": "Recommendation",
    "memory": "Twenty million events",
    "catalogue": "A million items",
    "growth": "Growth",
    "roofline": "How near the limit",
}
REFERENCE = "(`benchmarks/reference.py`), timed in turn with ours."
EXTRAPOLATED = (
    "An epoch is extrapolated from 30 steps, and the peak is that of reading, these steps, a validation and the graph "
    "part: no whole fit of this size was run."
)
WORDS = {
    "preparation": (
        "Reading, filtering, ordering, the split, the item graph, samples, and a batch of 4,096 with its negatives."
    ),
    "training": f"The plain step is the equations in PyTorch's own operations {REFERENCE}",
    "quick": (
        "Reading, splitting, and both fits (on train to pick the epoch, on train + valid) of the preset `best` for one "
        "epoch, with 64 numbers and without the graph part. Judging is not in the time."
    ),
    "evaluation": f"The plain way scores, masks, sorts and counts user by user {REFERENCE}",
    "memory": EXTRAPOLATED,
    "catalogue": EXTRAPOLATED,
    "growth": (
        "Generated logs (`benchmarks/logs.py`). A flat curve means that work grows as its input does. Of what is given per "
        "thousand, two do not stay flat, as they must: a step smooths and updates the whole catalogue, and so a thousand "
        "samples cost more the more items there are and the more links the item graph has; and ranking grows with the "
        "catalogue."
    ),
    "roofline": (
        "The limit is the time that the matrix products would take at the rate this machine reaches on a large one, and, "
        "where named, that of moving the bytes once at the rate of reading memory. 1.00 would be the limit."
    ),
}
INTRODUCTION = """# Performance

Written by `make bench` and, for a million items, `python -m benchmarks catalogue`. Medians of several runs, least and most
beside them, or of one where it says so; each section says when, where and at which commit it was measured. The machine is
shared: ratios, timed in turn in one call, say more than seconds do. Aim: what was to be reached. Plain takes: how long the
same takes in the plain way of a section, beside ours.
Peak memory is the largest of the process so far: rows of one section may share a process, and a small one then shows the
peak of a larger one before it.
"""
COLUMNS = ("what", "on", "median", "least to most", "aim", "peak memory", "plain takes")


def write_page() -> None:
    """Tables in the order of TITLES, and the growth curves as SVG."""
    results = {name: json.loads(path.read_text()) for name in TITLES if (path := RESULTS / f"{name}.json").exists()}
    aims = [row for result in results.values() for row in result["rows"] if row["reach"] is not None]
    lines = [INTRODUCTION, *_table(aims)]
    if missed := [f"{row['what']}, {row['size']}" for row in aims if row["median"] > row["reach"]]:
        lines += ["", f"Not reached: {'; '.join(missed)}."]
    for name, result in results.items():
        lines += ["", f"## {TITLES[name]}", ""]
        if name in WORDS:
            lines += [WORDS[name], ""]
        if name in ("growth", "preparation"):
            for picture in _pictures(name, result["rows"]):
                lines += [f"![{picture}](performance/{picture}.svg)", ""]
        lines += [*_table(result["rows"]), "", _provenance(name, result)]
    PAGE.write_text("\n".join(lines) + "\n")


def _provenance(name: str, result: dict[str, Any]) -> str:
    versions = ", ".join(f"{package} {number}" for package, number in result["versions"].items())
    where = f"{result['date']}, {result['machine']}, Python {result['python']}, {versions}, commit {result['commit']}"
    return f"`python -m benchmarks {name}`: {where}."


def _table(rows: list[dict[str, Any]]) -> list[str]:
    head = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    return head + [_table_row(row) for row in rows]


def _table_row(row: dict[str, Any]) -> str:
    unit = row["unit"]
    cells = [row["what"], row["size"], f"{_short(row['median'])} {unit}"]
    cells.append(f"{_short(row['low'])} to {_short(row['high'])}" if row["runs"] > 1 else "one run")
    cells.append("" if row["reach"] is None else f"{row['reach']:g} {unit}")
    cells.append("" if row["peak_gib"] is None else f"{row['peak_gib']:.2f} GiB")
    cells.append("" if row["ratio"] is None else f"{row['ratio']:.1f} times as long")
    return "| " + " | ".join(cells) + " |"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _pictures(name: str, rows: list[dict[str, Any]]) -> list[str]:
    """One SVG for each x axis: time on the left, memory on the right."""
    axes = {axis: [r for r in rows if r["what"].endswith(f", by {axis}")] for axis in ("events", "items")}
    if name == "preparation":
        axes = {"events": rows}
    names = []
    for axis, chosen in axes.items():
        if not chosen:
            continue
        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
        curves: dict[str, list[dict[str, Any]]] = {}
        drawn: list[list[float]] = []
        for row in (row for row in chosen if row["unit"]):  # a count has no place on an axis of time
            curves.setdefault(f"{row['what'].removesuffix(f', by {axis}')} ({row['unit']})", []).append(row)
        for (label, points), marker, style in zip(curves.items(), "osD^v", ("-", "--", ":", "-.", "-"), strict=False):
            x = [point["x"] for point in points]
            left.plot(x, [point["median"] for point in points], marker=marker, linestyle=style, label=label)
            memory = [point["peak_gib"] for point in points]
            if memory not in drawn:  # rows of one process share its memory
                right.plot(x, memory, marker=marker, linestyle=style, label=label)
                drawn.append(memory)
        left.set(xscale="log", yscale="log", xlabel=axis, ylabel="time", title="Time")
        right.set(xlabel=axis, ylabel="GiB", title="Peak memory of the process", ylim=(0, None))
        left.legend(fontsize=8, frameon=False)
        PICTURES.mkdir(exist_ok=True)
        names.append(f"{name}-by-{axis}")
        figure.savefig(PICTURES / f"{names[-1]}.svg", metadata={"Date": None})
        plt.close(figure)
    return names
