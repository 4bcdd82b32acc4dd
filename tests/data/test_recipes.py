"""The authors' filters against the plain reading of them: one dictionary of counts for each step, and no data frame."""

from collections import Counter
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnn.data.datasets import DATASETS
from magnn.data.recipes import Counts, Recipe, count
from tests.conftest import real

Event = tuple[str, int, float]  # user, item, rating


def plainly(events: list[Event], recipe: Recipe, reviewed: set[int] | None) -> list[list[Event]]:
    """What is left after each step."""
    steps = [[event for event in events if event[2] >= recipe.min_rating]]
    of_user = Counter(user for user, _, _ in steps[-1])
    steps.append([event for event in steps[-1] if of_user[event[0]] >= recipe.user_events])
    of_item = Counter(item for _, item, _ in steps[-1])
    steps.append([event for event in steps[-1] if of_item[event[1]] >= recipe.item_events])
    steps.append([event for event in steps[-1] if reviewed is None or event[1] in reviewed])
    different: dict[str, set[int]] = {}
    for user, item, _ in steps[-1]:
        different.setdefault(user, set()).add(item)
    steps.append([event for event in steps[-1] if len(different[event[0]]) >= recipe.user_items])
    return steps


EVENTS = st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 5), st.integers(0, 10).map(lambda n: n / 2)))
RECIPES = st.builds(Recipe, st.sampled_from([0, 4]), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))


@given(events=EVENTS, recipe=RECIPES, reviewed=st.none() | st.sets(st.integers(0, 5)))
def test_each_filter_drops_what_it_says(events: list[Event], recipe: Recipe, reviewed: set[int] | None) -> None:
    schema = {"user_id": pl.String, "item_id": pl.Int64, "rating": pl.Float64}
    frame = recipe.liked(pl.DataFrame(events, schema, orient="row"))
    known = None if reviewed is None else pl.Series(sorted(reviewed), dtype=pl.Int64)
    left, dropped = recipe.apply(frame, known)
    steps = plainly(events, recipe, reviewed)
    assert frame.rows() == steps[0] and left.rows() == steps[-1], "in the order they came"
    reasons = [
        f"user with fewer than {recipe.user_events} events",
        f"item with fewer than {recipe.item_events} events",
        "item without a review",
        f"user with fewer than {recipe.user_items} items",
    ]
    sizes = [len(step) for step in steps]
    counts = dict(zip(reasons, (a - b for a, b in pairwise(sizes)), strict=True))
    assert dropped == {reason: number for reason, number in counts.items() if number}
    assert count(left) == (len({u for u, _, _ in steps[-1]}), len({i for _, i, _ in steps[-1]}), sizes[-1])


def test_the_recipes_are_those_of_the_notebooks_and_of_the_paper() -> None:
    recipes = {name: dataset.recipe for name, dataset in DATASETS.items() if dataset.recipe}
    assert recipes == {
        "amazon-cds": Recipe(4, user_events=5, item_events=8, user_items=10),
        "amazon-books": Recipe(4, user_events=20, item_events=20, user_items=10),
        "goodreads-children": Recipe(4, user_events=10, item_events=10, user_items=10),
        "goodreads-comics": Recipe(4, user_events=10, item_events=10, user_items=10),
        "ml-20m": Recipe(4, user_events=10, item_events=10, user_items=10),
    }
    assert {name: dataset.published for name, dataset in DATASETS.items() if dataset.published} == {
        "amazon-cds": (17_052, 35_118, 472_265),
        "amazon-books": (52_406, 41_264, 1_856_747),
        "goodreads-children": (48_296, 32_871, 2_784_423),
        "goodreads-comics": (34_445, 33_121, 2_411_314),
        "ml-20m": (129_797, 13_649, 9_921_393),
    }


@pytest.mark.shared_data
def test_the_authors_own_file_has_the_published_counts_and_passes_the_last_filter() -> None:
    """Their file is what the last filter left, so it must let everything pass: it counts different items, not events."""
    dataset = DATASETS["amazon-cds"]
    events = pl.read_parquet(real("amazon-cds/events.parquet"))
    assert count(events) == dataset.published == Counts(17_052, 35_118, 472_265)
    assert dataset.recipe is not None
    last = Recipe(dataset.recipe.min_rating, 1, 1, dataset.recipe.user_items)
    assert last.apply(events)[1] == {}
    assert dataset.recipe.apply(events)[1], "some items are left with fewer events than the recipe asks for before"
