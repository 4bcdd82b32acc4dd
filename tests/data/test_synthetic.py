"""The generated log is a log like any other, the same for the same seed, with the cause it says it has."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from magnn.data.events import read_events
from magnn.data.synthetic import GENRES, PARTS_PER_SERIES, generate_log


@pytest.fixture(scope="module")
def log() -> tuple[pl.DataFrame, pl.DataFrame]:
    return generate_log(n_users=200, n_series=3, events_per_user=30, seed=1)


def test_the_same_seed_gives_the_same_log_and_another_another(log: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    again = generate_log(n_users=200, n_series=3, events_per_user=30, seed=1)
    assert log[0].equals(again[0]) and log[1].equals(again[1])
    other = generate_log(n_users=200, n_series=3, events_per_user=30, seed=2)
    assert not log[0].equals(other[0]) and log[1].equals(other[1]), "the catalogue does not depend on the seed"


def test_the_state_of_numpy_does_not_matter() -> None:
    np.random.seed(0)
    one = generate_log(n_users=5)
    np.random.seed(1)
    assert one[0].equals(generate_log(n_users=5)[0])


def test_nobody_has_an_item_twice(log: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    assert not log[0].select("user_id", "item_id").is_duplicated().any()


def test_it_is_read_with_nothing_dropped_and_every_item_titled(log: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    events = read_events(log[0], items=log[1])
    assert events.n_users == 200 and events.n_events == log[0].height
    assert events.dropped == {} and not any("not in it" in note for note in events.notes)
    assert all(events.title(item) for item in range(events.n_items))
    assert events.notes[0] == "columns: user = user_id, item = item_id, time = timestamp"


def test_histories_are_of_the_lengths_asked_for(log: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    lengths = read_events(log[0]).histories.lengths
    # 30 are drawn on average and 10 at least; those a user has had already are left out.
    assert 10 < lengths.mean() < 30
    assert lengths.max() > 2 * lengths.mean(), "a few users do much more than most"
    assert lengths.min() > 2, "every user can be split in three"


def test_the_catalogue_has_titles_and_genres_of_its_own(log: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    _, items = log
    assert items.height == len(GENRES) * 3 * PARTS_PER_SERIES
    assert items["item_id"].to_list() == list(range(items.height))
    assert items["title"].n_unique() == items.height
    assert items["genre"].value_counts()["count"].unique().to_list() == [3 * PARTS_PER_SERIES]
    assert all(title.startswith(genre) for title, genre in items.select("title", "genre").iter_rows())


def test_series_are_followed_in_order_far_more_often_than_by_chance(log: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    histories = read_events(log[0]).histories
    pairs = [pair for user in range(histories.n_users) for pair in pairwise(histories.of(user).tolist())]
    ids = read_events(log[0]).item_ids.to_list()
    followed = np.mean([ids[b] == ids[a] + 1 and ids[b] % PARTS_PER_SERIES > 0 for a, b in pairs])
    assert followed > 0.3, "by chance it would be about 1 in 180"


def test_each_user_has_a_genre_of_their_own(log: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    shares = (
        log[0]
        .join(log[1], on="item_id")
        .group_by("user_id", "genre")
        .len()
        .group_by("user_id")
        .agg(pl.col("len").max() / pl.col("len").sum())
    )
    assert shares["len"].median() > 0.3, "evenly spread it would be about 1 in 12"  # type: ignore[operator]
