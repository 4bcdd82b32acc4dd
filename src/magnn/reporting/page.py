"""From findings to one HTML file that needs nothing else: no network, no script.

Titles and ids come from a log and may hold anything. The template escapes whatever it is given (Jinja2's autoescape) and
isolates the direction of each title; the only markup that is passed through is that of our own pictures.
"""

from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import numpy as np

from magnn.data.interactions import Interactions
from magnn.errors import InputError
from magnn.evaluation import MODEL, EvaluationReport
from magnn.explain import short_name
from magnn.ranking.metrics import PER_USER
from magnn.recommender import Recommender
from magnn.reporting.findings import Findings
from magnn.reporting.plots import figures, inline_svg
from magnn.reporting.segments import FEW

TEMPLATE = "page.html.jinja"
SECONDS_FROM = 10**8  # times from here on are taken for seconds since 1970, smaller ones for places in the log
POPULAR = 5  # items named as the most popular
REASONS = {  # parts of the network, as settings name them
    "taste": "taste",
    "short_term": "short term (graph network)",
    "long_term": "long term (attention, memory)",
    "cooccurrence": "co-occurrence",
    "feed_forward": "a feed-forward layer on their sum",
}
ALTERNATIVES = {
    "training": "Training loss and validation metrics over epochs",
    "metrics": "Metrics of each system with 95% intervals",
    "recall-by-activity": "Recall by the activity of users",
    "recall-by-history": "Recall by the length of the history",
    "recall-by-popularity": "Recall by the popularity of the held-out item",
    "parts": "Share of each part in the scores of lists",
    "gate": "The gate over users and against the length of the history",
    "popularity-bias": "Share of recommendations by popularity of items",
    "memory": "Heat map of attention, items against memory units",
}


def check_page() -> None:
    """Raises InputError where a library is missing that a report needs."""
    try:
        import jinja2  # noqa: F401
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise InputError("a report needs Jinja2 and matplotlib: pip install 'magnn[report]'") from error


def render(found: Findings) -> str:
    """The page; see `check_page`."""
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters |= {
        "count": lambda value: f"{value:,}",
        "percent": lambda value: f"{value:.0%}",
        "metric": lambda value: f"{value:.4f}",
        "cosine": lambda value: f"{value:z.3f}",
        "signed": lambda value: f"{value:+.4f}",
        "probability": lambda value: f"{value:.1g}" if value >= 1e-4 else "< .0001",
        "name": lambda item: short_name(item.title or str(item.item)),
        "short": short_name,
    }
    text = files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
    pictures = {name: Markup(inline_svg(draw, name, ALTERNATIVES[name])) for name, draw in figures(found).items()}
    return environment.from_string(text).render(
        found=found,
        rec=found.recommender,
        report=found.report,
        log=_log(found),
        fit=_fit(found.recommender),
        table=None if found.report is None else _metrics(found.report),
        segments=_weak(found),
        units=_units(found),
        memory_share=float(np.median(found.ingredients.shares()["memory"])),
        pictures=pictures,
        model=MODEL,
        few=FEW,
        version=version("magnn"),
        now=datetime.now(UTC).strftime("%Y-%m-%d"),
    )


def _log(found: Findings) -> dict[str, Any]:
    """What the data is."""
    events = found.recommender.split.events
    lengths = events.histories.lengths
    popular = np.argsort(-found.counts_N, kind="stable")[:POPULAR].tolist()
    parts = np.bincount(found.recommender.split.part, minlength=3).tolist()
    return {
        "n_users": events.n_users,
        "n_items": events.n_items,
        "n_events": events.n_events,
        "density": events.n_events / (events.n_users * events.n_items),
        "dates": _dates(events),
        "of_user": [int(value) for value in np.quantile(lengths, [0, 0.25, 0.5, 0.75, 1], method="nearest")],
        "popular": [(found.name(item), int(found.counts_N[item])) for item in popular],
        "parts": dict(zip(("train", "valid", "test"), parts, strict=True)),
        "columns": [] if events.item_table is None else [short_name(c, 40) for c in events.item_table.columns[1:]],
    }


def _dates(events: Interactions) -> tuple[str, str] | None:
    first, last = float(events.times.min()), float(events.times.max())
    if first < SECONDS_FROM:
        return None
    try:
        days = [datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d") for time in (first, last)]
    except (ValueError, OverflowError, OSError):  # beyond the calendar
        return None
    return days[0], days[1]


def _fit(recommender: Recommender) -> dict[str, Any]:
    """How the model was trained."""
    settings, logs = recommender.settings, recommender.logs
    config = settings.model
    return {
        "parts": [words for name, words in REASONS.items() if getattr(config, name)],
        "parameters": sum(p.numel() for p in recommender.model.parameters()),
        "epochs": sum(log.is_epoch for log in logs),
        "seconds": recommender.fit_seconds,
        "best": recommender.best_epoch,
        "chosen": settings.training.select_by,
        "settings": settings.model_dump(mode="json", exclude={"preset"}),
    }


def _metrics(report: EvaluationReport) -> list[tuple[str, list[tuple[float, tuple[float, float] | None]]]]:
    """Rows of the table: metric, and for each system its value and interval."""
    names = [*(f"{name}@{report.k}" for name in PER_USER), f"coverage@{report.k}"]
    systems = report.systems.values()
    return [(name, [(found.metrics[name], found.ci95.get(name)) for found in systems]) for name in names]


def _weak(found: Findings) -> list[dict[str, Any]]:
    """Groups for which a baseline is better, user by user: where to use it instead."""
    groups = {
        "users with {} events": found.activity,
        "users with {} events of history": found.length,
        "held-out items: {} training events": found.popularity,
    }
    weak = []
    for words, segments in groups.items():
        for segment in segments:
            better = [name for name, (_, _, high) in segment.lead.items() if high < 0]
            if segments is found.popularity and "popularity" in better:
                better.remove("popularity")  # who shows the most popular items and nothing else finds those, of course
            if better:
                weak.append({"who": words.format(segment.label), "better": better, "segment": segment})
    return weak


def _units(found: Findings) -> list[dict[str, Any]]:
    """Memory units, the most telling attributes and the most devoted readers of each by name."""
    if found.memory is None:
        return []
    return [
        {
            "number": number,
            "first": unit.first,
            "gathered": unit.gathered[:4],
            "readers": [(found.name(item, 60), share) for item, share in unit.readers],
        }
        for number, unit in enumerate(found.memory.units, start=1)
    ]
