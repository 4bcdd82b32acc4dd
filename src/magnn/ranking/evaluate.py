"""Full-catalogue evaluation: rank everything a user has not seen, compare with what came next.

Shapes: U = users, K = list length.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from magnn.data.interactions import Histories
from magnn.errors import InputError
from magnn.ranking.metrics import PER_USER, bootstrap_ci95, coverage, hits, per_user
from magnn.ranking.rank import Scorer, rank


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Metrics of one ranking.

    Attributes:
        k: list length.
        users: (U,) numbers of the users evaluated.
        per_user: name -> (U,), each user's metrics.
        metrics: "recall@10" ... -> mean over users, and "coverage@10".
        ci95: "recall@10" ... -> (low, high); none for coverage, which is no mean over users. Empty if not asked for.
        items_UK: the lists themselves, item numbers; -1 where one ends early.
    """

    k: int
    users: NDArray[np.int64]
    per_user: dict[str, NDArray[np.float64]]
    metrics: dict[str, float]
    ci95: dict[str, tuple[float, float]]
    items_UK: NDArray[np.int64]


def users_to_judge(history: Histories, held_out: Histories) -> NDArray[np.int64]:
    """Numbers of the users with both a history and a held-out event, ascending: nobody else can be evaluated.

    Example:
        >>> log = Histories(np.array([0, 1], np.int32), np.array([0, 1, 2, 2]), n_items=2)
        >>> users_to_judge(log, log).tolist()
        [0, 1]
    """
    return np.flatnonzero((held_out.lengths > 0) & (history.lengths > 0))


def of_some_users(history: Histories, held_out: Histories, limit: int, seed: int) -> Histories:
    """`held_out` of at most so many of the users who can be evaluated, drawn at random: for choosing, not for reporting.

    Example:
        >>> log = Histories(np.array([0, 1, 1], np.int32), np.array([0, 1, 2, 3]), n_items=2)
        >>> of_some_users(log, log, limit=2, seed=0).lengths.tolist()
        [1, 0, 1]
    """
    users = users_to_judge(history, held_out)
    if len(users) <= limit:
        return held_out
    drawn = np.random.default_rng([seed, 1]).permutation(users)[:limit]
    return held_out.where(np.isin(held_out.users, drawn))


def evaluate_scorer(
    scorer: Scorer, history: Histories, held_out: Histories, k: int = 10, *, intervals: bool = True
) -> Evaluation:
    """Rank the catalogue for every user with both a history and a held-out event.

    Args:
        scorer: what to evaluate.
        history: what users have seen; these items are not ranked.
        held_out: what they did next. Repeats of an item count once.
        k: list length; a catalogue of fewer items fills only the first places.
        intervals: whether to bootstrap 95% intervals.

    Raises:
        InputError: nobody can be evaluated, or k < 1.
    """
    users = users_to_judge(history, held_out)
    if len(users) == 0:
        raise InputError(
            "no user has both a history and a held-out event, so nothing can be evaluated; users need two events or more, "
            "and a split that leaves them some of both"
        )
    items_UK, _ = rank(scorer, users, history, min(k, history.n_items))
    items_UK = np.pad(items_UK, ((0, 0), (0, k - items_UK.shape[1])), constant_values=-1)
    return evaluate_lists(items_UK, users, held_out, intervals=intervals)


def evaluate_lists(
    items_UK: NDArray[np.int64], users: NDArray[np.int64], held_out: Histories, *, intervals: bool = True
) -> Evaluation:
    """Metrics of lists, whoever made them.

    Args:
        items_UK: item numbers, best first, without repeats and without what the user has seen; -1 where a list ends early.
        users: (U,) user numbers, each with a held-out event.
        held_out, intervals: see `evaluate_scorer`.

    Example:
        >>> held_out = Histories(np.array([2], np.int32), np.array([0, 1]), n_items=3)
        >>> evaluate_lists(np.array([[0, 2]]), np.array([0]), held_out, intervals=False).metrics["recall@2"]
        1.0
    """
    k = items_UK.shape[1]
    values = per_user(hits(items_UK, users, held_out), _distinct_per_user(held_out)[users])
    metrics = {f"{name}@{k}": float(values[name].mean()) for name in PER_USER}
    metrics[f"coverage@{k}"] = coverage(items_UK, held_out.n_items)
    ci95 = {}
    if intervals:
        low, high = bootstrap_ci95(np.column_stack([values[name] for name in PER_USER]))
        ci95 = {f"{name}@{k}": (float(low[i]), float(high[i])) for i, name in enumerate(PER_USER)}
    return Evaluation(k, users, values, metrics, ci95, items_UK)


def _distinct_per_user(histories: Histories) -> NDArray[np.int64]:
    return np.bincount(histories.distinct_pairs // histories.n_items, minlength=histories.n_users)
