"""Everything that a report tells, as values: gathered here, drawn in `plots`, written in `page`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from magnn.data.interactions import Histories, Id
from magnn.evaluation import MODEL, EvaluationReport, evaluate
from magnn.explain import Explanation, explain, short_name
from magnn.ranking.evaluate import users_to_judge
from magnn.ranking.queries import user_scorer
from magnn.ranking.rank import check_k, rank
from magnn.recommender import Recommender
from magnn.reporting.lists import Exposure, Ingredients, exposure, ingredients
from magnn.reporting.memory import Memory, memory_of
from magnn.reporting.segments import (
    Interval,
    Segment,
    by_popularity,
    by_value,
    equal_groups,
    groups_by_edges,
    intervals,
)

SAMPLE = 10_000  # users whose scores are taken apart; more would show the same
EXAMPLES, EXAMPLE_ITEMS, EXAMPLE_HISTORY = 10, 5, 8
TAKEN = "what users took next"
TOLD = "training events"

ReportProgress = Callable[[str, int, int], None]  # what is done now, steps done, steps in all


@dataclass(frozen=True)
class Example:
    """A user as the log knows them.

    Attributes:
        n_history: events before the held-out ones; took: distinct items of these, None if nothing is held out.
        latest: titles of the last of them, latest first.
        recommended: the first of the list, explained, and whether the user took it next (None if nothing is held out).
    """

    user: Id
    n_history: int
    took: int | None
    latest: list[str]
    recommended: list[tuple[Explanation, bool | None]]


@dataclass(frozen=True)
class Findings:
    """What there is to tell of a recommender.

    Attributes:
        k: list length.
        counts_N: training events of each item.
        report: beside the baselines, on the test events; None where there are none to rank.
        lead: baseline -> difference of the recommender's ndcg to it, with its 95% bootstrap interval over users.
        activity, length, popularity: recall by all events of a user, by those before the test, by training events of the
            held-out item; empty without `report`.
        ingredients: of the lists of at most `SAMPLE` users.
        memory: None for a model without one.
    """

    recommender: Recommender
    k: int
    counts_N: NDArray[np.int64]
    report: EvaluationReport | None
    lead: dict[str, Interval]
    activity: list[Segment]
    length: list[Segment]
    popularity: list[Segment]
    ingredients: Ingredients
    exposure: Exposure
    memory: Memory | None
    examples: list[Example]

    def name(self, item: int, limit: int = 80) -> str:
        """Title of an item number, or its id, not longer than a line."""
        events = self.recommender.split.events
        return short_name(events.title(item) or str(events.item_ids[item]), limit)


def gather(recommender: Recommender, k: int = 10, progress: ReportProgress | None = None) -> Findings:
    """Evaluate, look inside, and choose examples.

    Everything is as of before the test events, where there are any: lists and explanations know nothing of them.

    Args:
        k: list length, at most the catalogue.
        progress: called before each step.

    Raises:
        InputError: k outside [1, n_items].
    """
    split = recommender.split
    k = check_k(k, split.events.n_items)
    test = split.test
    tested = len(users_to_judge(split.train_and_valid, test)) > 0
    history = split.train_and_valid if tested else split.events.histories
    trained_on = split.train_and_valid if recommender.refit else split.train
    counts_N = np.bincount(trained_on.items, minlength=split.events.n_items)
    steps = [*([MODEL, "item-knn", "popularity"] if tested else []), "lists", "memory", "examples", "pictures"]

    def begin(step: str) -> None:
        if progress:
            progress(step, steps.index(step), len(steps))

    report = evaluate(recommender, k=k, progress=begin) if tested else None
    begin("lists")
    if report is None:
        users, items_UK = _lists(recommender, history, k)
    else:
        users, items_UK = report.systems[MODEL].users, report.systems[MODEL].items_UK
    chosen = _spread(len(users), SAMPLE)
    taken = test.items[np.isin(test.users, users)] if tested else trained_on.items
    whose: dict[str, NDArray[Any]] = {TAKEN if tested else TOLD: taken, MODEL: items_UK}
    if report is not None:
        whose |= {name: found.items_UK for name, found in report.systems.items()}
    inside = ingredients(recommender, users[chosen], history, items_UK[chosen])
    begin("memory")
    memory = memory_of(recommender, counts_N)
    begin("examples")
    by_length = users[np.argsort(history.lengths[users], kind="stable")]
    examples = [
        _example(recommender, user, history, test if tested else None)
        for user in by_length[_spread(len(by_length), EXAMPLES)].tolist()
    ]
    begin("pictures")
    systems = {} if report is None else report.systems
    activity_U, length_U = split.events.histories.lengths[users], history.lengths[users]
    config = recommender.model.config
    edges_U = groups_by_edges(length_U, config.short_window, config.long_window)
    return Findings(
        recommender=recommender,
        k=k,
        counts_N=counts_N,
        report=report,
        lead=intervals({name: found.per_user["ndcg"] for name, found in systems.items()})[1] if systems else {},
        activity=by_value(activity_U, equal_groups(activity_U), systems) if systems else [],
        length=by_value(length_U, edges_U, systems) if systems else [],
        popularity=by_popularity(counts_N, test, systems) if systems else [],
        ingredients=inside,
        exposure=exposure(counts_N, whose),
        memory=memory,
        examples=examples,
    )


def _lists(recommender: Recommender, history: Histories, k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lists of at most `SAMPLE` users, spread over the log."""
    users = np.flatnonzero(history.lengths)
    users = users[_spread(len(users), SAMPLE)]
    return users, rank(recommender.scorer(history), users, history, k)[0]


def _spread(n: int, wanted: int) -> NDArray[np.int64]:
    """At most so many of n positions, evenly over them."""
    size = min(n, wanted)
    return ((np.arange(size) + 0.5) * n / size).astype(np.int64)


def _example(recommender: Recommender, user: int, history: Histories, test: Histories | None) -> Example:
    events = recommender.split.events
    known = history.take(np.array([user]))
    scorer = user_scorer(recommender.model, known, recommender.graph_part, np.array([user]))
    items_1K, _ = rank(scorer, np.array([0]), known, min(EXAMPLE_ITEMS, events.n_items))
    took = None if test is None else set(test.of(user).tolist())
    return Example(
        user=events.user_ids[user],
        n_history=len(known.items),
        took=None if took is None else len(took),
        latest=[
            short_name(events.title(i) or str(events.item_ids[i])) for i in known.items[::-1][:EXAMPLE_HISTORY].tolist()
        ],
        recommended=[
            (explain(recommender, user, known, item), None if took is None else item in took)
            for item in items_1K[0].tolist()
            if item >= 0
        ],
    )
