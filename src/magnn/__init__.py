"""Sequential recommendation with memory-augmented graph neural networks (MA-GNN).

import magnn

events = magnn.read_events("events.csv")
split = magnn.split(events, "paper")
rec = magnn.fit(split, seed=0)
magnn.evaluate(rec, split, k=10).metrics
rec.recommend("alice", k=10)
rec.explain("alice", "alien").in_words()
magnn.report(rec, "report.html")
rec.save("movies/")
rec = magnn.load("movies/")
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from magnn.data.events import read_events
    from magnn.data.interactions import Interactions
    from magnn.data.split import Split, split
    from magnn.errors import MagnnError
    from magnn.evaluation import EvaluationReport, evaluate
    from magnn.explain import Explanation
    from magnn.fitting import fit
    from magnn.recommender import Recommendations, Recommended, Recommender, load
    from magnn.reporting import report
    from magnn.tuning.result import Tuned
    from magnn.tuning.search import tune

__version__ = "0.1.0"

__all__ = [
    "EvaluationReport",
    "Explanation",
    "Interactions",
    "MagnnError",
    "Recommendations",
    "Recommended",
    "Recommender",
    "Split",
    "Tuned",
    "evaluate",
    "fit",
    "load",
    "read_events",
    "report",
    "split",
    "tune",
]

_HOMES = {
    "Explanation": "magnn.explain",
    "Interactions": "magnn.data.interactions",
    "MagnnError": "magnn.errors",
    "Recommendations": "magnn.recommender",
    "Recommended": "magnn.recommender",
    "Recommender": "magnn.recommender",
    "EvaluationReport": "magnn.evaluation",
    "Split": "magnn.data.split",
    "Tuned": "magnn.tuning.result",
    "evaluate": "magnn.evaluation",
    "fit": "magnn.fitting",
    "load": "magnn.recommender",
    "read_events": "magnn.data.events",
    "report": "magnn.reporting",
    "split": "magnn.data.split",
    "tune": "magnn.tuning.search",
}


def __getattr__(name: str) -> object:
    # Loaded on first use: importing magnn costs nothing, and torch comes only with what needs it.
    if name not in _HOMES:
        raise AttributeError(f"module 'magnn' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})  # a prompt completes what is not loaded yet too
