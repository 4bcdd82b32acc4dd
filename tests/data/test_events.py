"""What `read_events` promises of columns, order, repeats and thresholds, whatever the log came in."""

from collections import Counter
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import magnn
from magnn.data.columns import USUAL, find
from magnn.data.events import read_events
from magnn.data.split import split
from magnn.errors import InputError
from tests.conftest import real
from tests.data.logs import PAIRS, flat, refusal, whole

# Columns ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "item", "time", "rating"),
    [
        ("userId", "movieId", "timestamp", "rating"),  # MovieLens
        ("user_id", "item_id", "timestamp", "rating"),
        ("reviewerID", "asin", "unixReviewTime", "overall"),  # Amazon 2014
        ("user_id", "parent_asin", "timestamp", "rating"),  # Amazon 2023
        ("user_id:token", "item_id:token", "timestamp:float", "rating:float"),  # RecBole
        ("visitorid", "itemid", "Event Time", "Score"),
        ("Customer-ID", "ProductID", "created_at", "stars"),
        ("session_id", "SKU", "t", "Rating"),
    ],
)
def test_usual_names_are_recognised_and_the_choice_is_noted(user: str, item: str, time: str, rating: str) -> None:
    log = pl.DataFrame({"weight": [9, 9], rating: [5.0, 1.0], time: [7, 8], item: ["x", "y"], user: ["a", "b"]})
    events = read_events(log)
    assert flat(events) == [("a", "x", 7.0), ("b", "y", 8.0)]
    assert events.notes == (f"columns: user = {user}, item = {item}, time = {time}, rating = {rating}",)


@pytest.mark.parametrize(("role", "usual"), [(role, name) for role, names in USUAL.items() for name in names.split()])
def test_every_usual_name_is_found_in_any_case_and_spelling(role: str, usual: str) -> None:
    for written in (usual, usual.upper(), f"_{usual[:1]} {usual[1:]}-", f"{usual}:token"):
        assert find(["other", written], role) == written


def test_the_more_telling_name_wins() -> None:
    assert find(["session_id", "user_id"], "user") == "user_id"
    for moment in ("timestamp", "event_time", "created_at"):
        assert find(["date", moment], "time") == moment, "a day says less than a moment"
    assert find(["userId", "user_id"], "user") == "userId", "the first of two of the same name"
    for role, bare in (("user", "user"), ("item", "movie"), ("item", "item"), ("item", "product")):
        assert find([bare, f"{bare}_id"], role) == f"{bare}_id", "an id before a name"


def test_given_names_beat_recognised_ones() -> None:
    log = pl.DataFrame(PAIRS | {"friend": ["c", "d"], "film": ["p", "q"], "seen": [4, 3], "liking": [1.0, 5.0]})
    events = read_events(log, user_col="friend", item_col="film", time_col="seen", rating_col="liking", min_rating=1)
    assert flat(events) == [("c", "p", 4.0), ("d", "q", 3.0)]
    assert events.notes == ("columns: user = friend, item = film, time = seen, rating = liking",)


def test_columns_that_are_not_used_may_hold_anything() -> None:
    log = pl.DataFrame(PAIRS | {"row": [None, 1], "tags": [["u"], None], "rows": [float("nan"), 0.0]})
    assert flat(read_events(log)) == [("a", "x", 0.0), ("b", "y", 1.0)]


@pytest.mark.parametrize("role", ["user", "item", "time", "rating"])
def test_a_column_may_have_the_name_of_something_inside(role: str) -> None:
    for name in ("row", "user", "item", "time", "rating", "number", "id"):
        log = {"user": [1, 2], "item": [3, 4], "time": [5, 6], "rating": [7, 8]}
        renamed = pl.DataFrame({f"{key}s": values for key, values in log.items()}).rename({f"{role}s": name})
        given = {f"{key}_col": name if key == role else f"{key}s" for key in log}
        assert flat(read_events(renamed, **given)) == [(1, 3, 5.0), (2, 4, 6.0)]  # type: ignore[arg-type]


def test_one_column_cannot_play_two_roles() -> None:
    message = refusal(pl.DataFrame(PAIRS), user_col="item")
    assert "column 'item' is given for both user and item" in message


# Order, repeats, thresholds -------------------------------------------------------------------------------------------

Row = tuple[int, int, int, int]  # user, item, time, rating
rows_of_a_log = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(0, 2), st.integers(1, 5)), min_size=1, max_size=40
)


def frame_of(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["user", "item", "time", "rating"], orient="row")


def worth_reading(rows: list[Row]) -> bool:
    return len({row[0] for row in rows}) > 1 and len({row[1] for row in rows}) > 1


@settings(deadline=None)
@given(rows_of_a_log.filter(worth_reading))
def test_events_stand_by_user_then_time_then_place_in_the_log(rows: list[Row]) -> None:
    expected = [(user, item, time) for user, item, time, _ in sorted(rows, key=lambda row: (row[0], row[2]))]
    assert flat(read_events(frame_of(rows), repeats="all")) == expected


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1e11)), min_size=2, max_size=30), st.booleans())
def test_times_keep_every_digit_in_the_order_of_events(rows: list[tuple[int, float]], grouped: bool) -> None:
    rows = sorted(rows, key=lambda row: row[0]) if grouped else rows
    log = pl.DataFrame({"user": [*(row[0] for row in rows), 9], "item": range(len(rows) + 1)})
    times = [*(row[1] for row in rows), 0.0]
    expected = sorted(zip(log["user"], log["item"], times, strict=True), key=lambda event: (event[0], event[2]))
    assert flat(read_events(log.with_columns(time=pl.Series(times)))) == expected


def naive_filters(
    rows: list[Row], min_rating: float | None, repeats: str, users: int, items: int, k_core: bool
) -> tuple[list[Row], dict[str, int]]:
    """What is left and what was dropped for which reason, one row at a time."""
    dropped: Counter[str] = Counter()
    rows = sorted(rows, key=lambda row: (row[0], row[2]))
    if min_rating is not None:
        dropped[f"rating below {min_rating:g}"] = sum(row[3] < min_rating for row in rows)
        rows = [row for row in rows if row[3] >= min_rating]
    if repeats == "first":
        first: list[Row] = []
        for row in rows:
            if not any(row[:2] == other[:2] for other in first):
                first.append(row)
        dropped["repeated user and item"] = len(rows) - len(first)
        rows = first
    while True:
        before = len(rows)
        for column, role, least in ((0, "user", users), (1, "item", items)):
            kept = [row for row in rows if sum(other[column] == row[column] for other in rows) >= least]
            dropped[f"{role} with fewer than {least} events"] += len(rows) - len(kept)
            rows = kept
        if not k_core or len(rows) == before:
            return rows, {reason: count for reason, count in dropped.items() if count}


@settings(deadline=None, max_examples=200)
@given(
    rows=rows_of_a_log,
    min_rating=st.sampled_from([None, 2, 3.5]),
    repeats=st.sampled_from(["first", "all"]),
    users=st.integers(1, 4),
    items=st.integers(1, 4),
    k_core=st.booleans(),
)
def test_what_is_kept_and_what_is_counted_as_dropped(
    rows: list[Row], min_rating: float | None, repeats: Any, users: int, items: int, k_core: bool
) -> None:
    options = {"min_rating": min_rating, "repeats": repeats, "k_core": k_core}
    kept, dropped = naive_filters(rows, users=users, items=items, **options)
    options |= {"min_user_events": users, "min_item_events": items}
    if not worth_reading(kept):
        message = refusal(frame_of(rows), **options)
        assert ("only one" in message) == bool(kept)
        assert kept or all(f"{count}: {reason}" in message for reason, count in dropped.items())
        return
    events = read_events(frame_of(rows), **options)
    assert flat(events) == [row[:3] for row in kept]
    assert events.dropped == dropped and events.n_events == len(rows) - sum(dropped.values())
    assert events.user_ids.to_list() == sorted({row[0] for row in kept}), "no user without an event"
    assert events.item_ids.to_list() == sorted({row[1] for row in kept}), "no item without an event"


def test_once_is_not_until_nothing_falls() -> None:
    # Dropping item z leaves user c with one event: allowed once, not in a 2-core.
    log = pl.DataFrame({"user": list("aabbcc"), "item": list("xyxyxz"), "time": [1, 2, 3, 4, 5, 6]})
    once = read_events(log, min_user_events=2, min_item_events=2)
    assert once.user_ids.to_list() == ["a", "b", "c"]
    assert once.dropped == {"item with fewer than 2 events": 1}
    core = read_events(log, min_user_events=2, min_item_events=2, k_core=True)
    assert core.user_ids.to_list() == ["a", "b"]
    assert core.dropped == {"item with fewer than 2 events": 1, "user with fewer than 2 events": 1}


def test_a_core_counts_what_fell_in_all_rounds() -> None:
    # A chain hangs on the core of a and b: c - z - d - w. Each round takes its last link.
    log = pl.DataFrame({"user": list("aabbccdd"), "item": list("xyxyxzzw")})
    core = read_events(log, min_user_events=2, min_item_events=2, k_core=True)
    assert core.user_ids.to_list() == ["a", "b"]
    assert core.dropped == {"item with fewer than 2 events": 2, "user with fewer than 2 events": 2}


def test_a_repeat_is_first_by_time_not_by_place_in_the_log() -> None:
    log = pl.DataFrame({"user": list("aaab"), "item": list("xyxx"), "time": [3, 2, 1, 0]})
    assert flat(read_events(log)) == [("a", "x", 1), ("a", "y", 2), ("b", "x", 0)]


def test_a_low_rating_does_not_hide_a_later_high_one() -> None:
    log = pl.DataFrame({"user": list("aab"), "item": list("xxy"), "time": [1, 2, 3], "rating": [1, 5, 4]})
    assert flat(read_events(log, min_rating=4)) == [("a", "x", 2), ("b", "y", 3)], "exactly the threshold is enough"


@pytest.mark.parametrize("dtype", [pl.Float32, pl.Float64])
def test_a_rating_at_the_threshold_is_enough_in_single_precision_too(dtype: type[pl.DataType]) -> None:
    log = pl.DataFrame({"user": list("abc"), "item": list("xyz"), "rating": pl.Series([4.2, 4.1, 8.7], dtype=dtype)})
    assert [user for user, _, _ in flat(read_events(log, min_rating=4.2))] == ["a", "c"]
    assert [user for user, _, _ in flat(read_events(log, min_rating=4.1))] == ["a", "b", "c"]


def test_a_bad_number_is_told_with_its_place_in_text_of_any_type() -> None:
    log = pl.DataFrame(
        {"user": list("ab"), "item": list("xy"), "rating": pl.Series(["5", "n/a"], dtype=pl.Categorical)}
    )
    assert "the data frame, row 2, column 'rating': 'n/a' is not a usable rating" in refusal(log, min_rating=1)


# Real data ------------------------------------------------------------------------------------------------------------


@pytest.mark.shared_data
def test_amazon_cds_is_the_log_of_the_paper() -> None:
    events = read_events(real("amazon-cds/events.parquet"))
    assert (events.n_users, events.n_items, events.n_events) == (17_052, 35_118, 472_265)
    parts = split(events, "paper")
    assert [len(part.items) for part in (parts.train, parts.valid, parts.test)] == [327_438, 43_711, 101_116]
    assert np.bincount(parts.part).tolist() == [327_438, 43_711, 101_116]


def test_the_public_name_is_the_same_function() -> None:
    assert magnn.read_events is read_events
    with pytest.raises(InputError, match="'first' or 'all', not 'last'"):
        magnn.read_events(pl.DataFrame(PAIRS), repeats="last")  # type: ignore[arg-type]
    assert whole(magnn.read_events(pl.DataFrame(PAIRS))) == whole(read_events(pl.DataFrame(PAIRS)))
