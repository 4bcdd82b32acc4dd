"""For whom it is good and for whom bad: recall by activity, by length of history and by popularity, beside the baselines.

Shapes: U = users evaluated, K = list length, N = items, S = systems.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from magnn.data.interactions import Histories
from magnn.ranking.evaluate import Evaluation
from magnn.ranking.metrics import bootstrap_ci95, hits

GROUPS = 5
FEW = 30  # users, of whom an interval says little
Interval = tuple[float, float, float]  # mean, low, high


@dataclass(frozen=True)
class Segment:
    """A group of users, or of held-out items.

    Attributes:
        label: what is in it, "6 to 25" for example.
        n: users that its recall is a mean over.
        recall: system -> mean and 95% bootstrap interval over these users.
        lead: the same of the difference of the first system to each other one, user by user.
    """

    label: str
    n: int
    recall: dict[str, Interval]
    lead: dict[str, Interval]


def by_value(values_U: NDArray[np.int64], groups_U: NDArray[np.int64], systems: dict[str, Evaluation]) -> list[Segment]:
    """Recall of groups of users, each named by its least and largest value.

    Args:
        values_U: a count of each user evaluated.
        groups_U: group numbers, ascending with the values; see `equal_groups` and `groups_by_edges`.
        systems: evaluations of the same users.
    """
    segments = []
    for group in np.unique(groups_U):
        inside_U = groups_U == group
        values = {name: found.per_user["recall"][inside_U] for name, found in systems.items()}
        segments.append(_segment(_span(values_U[inside_U]), values))
    return segments


def equal_groups(values_U: NDArray[np.int64], groups: int = GROUPS) -> NDArray[np.int64]:
    """Group numbers, of about as many users each; users of equal value are never parted.

    Example:
        >>> equal_groups(np.array([1, 1, 1, 5, 9]), groups=2).tolist()
        [0, 0, 0, 1, 1]
    """
    edges = np.unique(np.quantile(values_U, np.arange(1, groups) / groups, method="lower"))
    return np.searchsorted(edges, values_U)


def groups_by_edges(values_U: NDArray[np.int64], short: int, long: int) -> NDArray[np.int64]:
    """Group numbers by what the network sees of a history: its short window, its whole window, and twice
    and four times that.

    Example:
        >>> groups_by_edges(np.array([5, 6, 25, 26, 80, 200]), short=5, long=20).tolist()
        [0, 1, 1, 2, 3, 4]
    """
    width = short + long
    return np.searchsorted(np.array([short, width, 2 * width, 4 * width]), values_U)


def by_popularity(counts_N: NDArray[np.int64], held_out: Histories, systems: dict[str, Evaluation]) -> list[Segment]:
    """Recall of held-out items by how popular they are: that of each user, counting only the items of one group.

    The groups, most popular first, have about as many training events each, so the first has few items and the last has
    the long tail; items without a training event are a group of their own.
    """
    group_N = popularity_groups(counts_N)
    users = next(iter(systems.values())).users
    row_of_user = np.full(held_out.n_users, -1)
    row_of_user[users] = np.arange(len(users))
    pairs = held_out.distinct_pairs
    row_X, item_X = row_of_user[pairs // held_out.n_items], pairs % held_out.n_items
    row_X, item_X = row_X[row_X >= 0], item_X[row_X >= 0]
    hit_UKs = {name: hits(found.items_UK, users, held_out) for name, found in systems.items()}
    segments = []
    for group in np.unique(group_N):
        relevant_U = np.bincount(row_X[group_N[item_X] == group], minlength=len(users))
        some_U = relevant_U > 0
        if not some_U.any():
            continue
        values = {}
        for name, found in systems.items():
            hit_UK = hit_UKs[name] & (group_N[found.items_UK] == group)  # -1, the end of a list, is no hit
            values[name] = hit_UK.sum(axis=1)[some_U] / relevant_U[some_U]
        inside_N = group_N == group
        segments.append(_segment(f"{int(inside_N.sum()):,} items with {_span(counts_N[inside_N])}", values))
    return segments


def popularity_groups(counts_N: NDArray[np.int64], groups: int = GROUPS) -> NDArray[np.int64]:
    """Group numbers, 0 for the most popular: by the share of all events that belong to more popular items.

    Example:
        >>> popularity_groups(np.array([50, 30, 10, 10, 0]), groups=2).tolist()
        [0, 1, 1, 1, 2]
    """
    ascending = np.sort(counts_N)
    up_to = np.concatenate([[0], np.cumsum(ascending)])
    more_popular_N = up_to[-1] - up_to[np.searchsorted(ascending, counts_N, side="right")]
    group_N = groups * more_popular_N // max(int(up_to[-1]), 1)
    return np.where(counts_N > 0, group_N, groups)


def intervals(values: dict[str, NDArray[np.float64]]) -> tuple[dict[str, Interval], dict[str, Interval]]:
    """name -> mean over users with its 95% bootstrap interval; and so for what the first has over each other one."""
    own, *others = values
    leads = {name: values[own] - values[name] for name in others}
    columns = [*values.values(), *leads.values()]
    low, high = bootstrap_ci95(np.column_stack(columns))
    found = [(float(column.mean()), float(low[i]), float(high[i])) for i, column in enumerate(columns)]
    return dict(zip(values, found[: len(values)], strict=True)), dict(zip(leads, found[len(values) :], strict=True))


def _segment(label: str, values: dict[str, NDArray[np.float64]]) -> Segment:
    return Segment(label, len(next(iter(values.values()))), *intervals(values))


def _span(values: NDArray[np.int64]) -> str:
    low, high = int(values.min()), int(values.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
