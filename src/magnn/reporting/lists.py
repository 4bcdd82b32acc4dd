"""What the lists are made of: the parts of their scores, the gate, and how far they reach into the catalogue.

Shapes: U = users, K = list length, N = items, B = users at once, D = embedding size.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from magnn.artifact import Fitted
from magnn.data.interactions import Histories
from magnn.data.windows import query_windows
from magnn.explain import PARTS

PAIRS = 20_000  # of a user and an item, at once: their vectors are the largest thing here


@dataclass(frozen=True)
class Ingredients:
    """What the scores of some users' lists are the sums of.

    Attributes:
        lengths_U: events in each history.
        gate_U: share of the short term, mean over dimensions; NaN where there is no longer history (there it is 1).
            None for a model without a gate.
        parts: name -> (U, K), what it puts into each score; they add up to it. 0 where a list ended early.
    """

    lengths_U: NDArray[np.int64]
    gate_U: NDArray[np.float64] | None
    parts: dict[str, NDArray[np.float64]]

    def shares(self) -> dict[str, NDArray[np.float64]]:
        """name -> (U,), of a whole list: what the part puts into its scores, of the sum of all parts' absolute values."""
        size_U = np.sum([np.abs(part_UK).sum(axis=1) for part_UK in self.parts.values()], axis=0)
        return {name: part_UK.sum(axis=1) / np.maximum(size_U, 1e-12) for name, part_UK in self.parts.items()}


@torch.inference_mode()
def ingredients(
    fitted: Fitted, users: NDArray[np.int64], history: Histories, items_UK: NDArray[np.int64]
) -> Ingredients:
    """Take the scores of lists apart: `magnn.explain` for many users, by part only.

    Args:
        users: (U,) user numbers.
        history: of every user of the log, what the lists were made by.
        items_UK: the lists; -1 where one ends early.
    """
    model, config = fitted.model, fitted.model.config
    histories = history.take(users)
    windows = query_windows(histories, config.short_window, config.long_window)
    vectors_ND = model.items
    parts = {name: np.zeros(items_UK.shape) for name in PARTS}
    gate_U = np.full(len(users), np.nan)
    gated = False
    size = max(1, PAIRS // items_UK.shape[1])
    for first in range(0, len(users), size):
        rows = np.arange(first, min(first + size, len(users)))
        items_BK, there_BK = np.maximum(items_UK[rows], 0), items_UK[rows] >= 0
        found = model.parts(torch.from_numpy(users[rows]), torch.from_numpy(windows.batch(rows).history_BW))
        vectors_BKD = vectors_ND[torch.from_numpy(items_BK)].double()
        for name in found._fields:
            if name in parts:
                vector_BD1 = getattr(found, name).double().unsqueeze(2)
                parts[name][rows] = (vectors_BKD @ vector_BD1).squeeze(2).numpy() * there_BK
        if fitted.graph_part is not None:
            graph_BN: Any = fitted.graph_part.scores(histories.take(rows))
            of_graph_BK = graph_BN[np.arange(len(rows))[:, None], items_BK].toarray()
            parts["graph"][rows] = of_graph_BK * there_BK
            parts["popularity"][rows] = fitted.graph_part.popularity[items_BK] * there_BK
        if found.gate is not None:
            gated = True
            gate_U[rows] = found.gate.mean(dim=1).numpy()
    gate_U[histories.lengths <= config.short_window] = np.nan
    return Ingredients(histories.lengths, gate_U if gated else None, parts)


@dataclass(frozen=True)
class Exposure:
    """Where in the catalogue lists come from, the most popular items first.

    Attributes:
        reach_X: shares of the catalogue, ascending to 1.
        within: whose -> (X,), the share of their recommendations (or events) that these most popular items have.
        coverage: whose -> share of the catalogue that occurs at all.
    """

    reach_X: NDArray[np.float64]
    within: dict[str, NDArray[np.float64]]
    coverage: dict[str, float]

    def of_top(self, share: float) -> dict[str, float]:
        """Whose -> what the most popular `share` of the catalogue has."""
        return {name: float(np.interp(share, self.reach_X, within_X)) for name, within_X in self.within.items()}


def exposure(counts_N: NDArray[np.int64], items: Mapping[str, NDArray[Any]]) -> Exposure:
    """Compare where several systems' recommendations come from.

    Args:
        counts_N: training events of each item.
        items: whose -> item numbers in any shape; -1 is left out.

    Example:
        >>> found = exposure(np.array([3, 1]), {"lists": np.array([[0, 1], [0, -1]])})
        >>> found.within["lists"].round(2).tolist(), found.coverage["lists"]
        ([0.67, 1.0], 1.0)
    """
    order = np.argsort(-counts_N, kind="stable")
    n = len(counts_N)
    # At as many places as a curve can show, the first ones each.
    places = np.unique(np.geomspace(1, n, 300).round().astype(np.int64))
    within, coverage = {}, {}
    for name, numbers in items.items():
        shown_N = np.bincount(numbers[numbers >= 0], minlength=n)
        within[name] = np.cumsum(shown_N[order])[places - 1] / max(int(shown_N.sum()), 1)
        coverage[name] = float((shown_N > 0).mean())
    return Exposure(places / n, within, coverage)
