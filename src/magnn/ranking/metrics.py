"""Ranking metrics of all users at once, and their confidence intervals.

Shapes: U = users, K = list length. Relevant items of a user are the distinct items of the held-out events.
"""

import numpy as np
from numpy.typing import NDArray

from magnn.data.interactions import Histories

# Metrics that are means over users, in the order of tables.
PER_USER = ("recall", "ndcg", "ndcg_fixed", "map", "mrr")


def hits(items_UK: NDArray[np.int64], users: NDArray[np.int64], relevant: Histories) -> NDArray[np.bool_]:
    """Which recommended items are relevant, (U, K). `items_UK` has -1 where a list ends early."""
    n = relevant.n_items + 1
    keys = np.sort(relevant.users.astype(np.int64) * n + relevant.items)
    wanted = users[:, None] * n + np.where(items_UK < 0, relevant.n_items, items_UK)
    position = np.searchsorted(keys, wanted)
    found: NDArray[np.bool_] = np.append(keys, -1)[position] == wanted
    return found


def per_user(hit_UK: NDArray[np.bool_], n_relevant_U: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Each user's metrics at K, by name, (U,) each.

    With rel_i = 1 where the i-th item is relevant, R = relevant items of the user, DCG = sum_i rel_i / log2(i + 1):

    - recall = sum_i rel_i / R
    - ndcg = DCG / DCG of min(K, R) hits: the user's own ideal (Järvelin and Kekäläinen, 2002)
    - ndcg_fixed = DCG / DCG of K hits, whatever R: what the paper's authors published
    - map = sum_i rel_i precision@i / R (average precision, cut at K)
    - mrr = 1 / rank of the first hit, 0 without one

    `recall`, `ndcg`, `map` and `mrr` are trec_eval's. Every user needs R >= 1.

    Example:
        >>> metrics = per_user(np.array([[False, True]]), np.array([1]))
        >>> metrics["recall"].item(), metrics["mrr"].item()
        (1.0, 0.5)
    """
    k = hit_UK.shape[1]
    position = np.arange(1, k + 1)
    discount = 1 / np.log2(position + 1)
    ideal = np.cumsum(discount)
    dcg = hit_UK @ discount
    precision = np.cumsum(hit_UK, axis=1) / position
    first = np.where(hit_UK.any(axis=1), hit_UK.argmax(axis=1) + 1, np.inf)
    return {
        "recall": hit_UK.sum(axis=1) / n_relevant_U,
        "ndcg": dcg / ideal[np.minimum(n_relevant_U, k) - 1],
        "ndcg_fixed": dcg / ideal[-1],
        "map": (hit_UK * precision).sum(axis=1) / n_relevant_U,
        "mrr": 1 / first,
    }


def coverage(items_UK: NDArray[np.int64], n_items: int) -> float:
    """Share of the catalogue that is in anybody's list."""
    return len(np.unique(items_UK[items_UK >= 0])) / n_items


def bootstrap_ci95(values_UM: NDArray[np.float64], resamples: int = 1000, seed: int = 0) -> NDArray[np.float64]:
    """95% percentile bootstrap interval of the mean over users, (2, M): users are drawn with replacement.

    All M columns share the draws. A resample is a vector of counts, so its means are one matrix product.

    Example:
        >>> low, high = bootstrap_ci95(np.ones((50, 1)))
        >>> low.item(), high.item()
        (1.0, 1.0)
    """
    rng = np.random.default_rng(seed)
    n = len(values_UM)
    means = np.empty((resamples, values_UM.shape[1]))
    for i in range(resamples):
        counts_U = np.bincount(rng.integers(0, n, n, dtype=np.int32), minlength=n)
        means[i] = counts_U.astype(np.float64) @ values_UM  # a product of floats: NumPy has no fast one with integers
    interval: NDArray[np.float64] = np.quantile(means / n, [0.025, 0.975], axis=0)
    return interval
