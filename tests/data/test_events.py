"""What `read_events` promises of columns, times, order, thresholds, ids and titles, whatever the log came in."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
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
from magnn.errors import InputError, UnknownIdError
from tests.data.logs import flat, refusal, whole

PAIRS: dict[str, list[Any]] = {"user": ["a", "b"], "item": ["x", "y"]}


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
    assert find(["date", "timestamp"], "time") == "timestamp"
    assert find(["userId", "user_id"], "user") == "userId", "the first of two of the same name"


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


# Times ----------------------------------------------------------------------------------------------------------------

T = 1_400_000_000  # 2014-05-13T16:53:20Z


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        ([T, T + 1], [T, T + 1]),
        ([0, 1], [0, 1]),
        ([T + 0.25, T + 0.5], [T + 0.25, T + 0.5]),
        ([f"{T}", f"{T}.5"], [T, T + 0.5]),
        ([T * 1000, T * 1000 + 250], [T, T + 0.25]),
        ([T * 1e3, T * 1e3 + 250], [T, T + 0.25]),
        ([T * 10**6, T * 10**6 + 250_000], [T, T + 0.25]),
        ([T * 10**9, T * 10**9 + 250_000_000], [T, T + 0.25]),
        (["2014-05-13", "2014-05-14"], [T - 60_800, T + 25_600]),
        ([date(2014, 5, 13), date(2014, 5, 14)], [T - 60_800, T + 25_600]),
        ([datetime(2014, 5, 13, 16, 53, 20), datetime(1970, 1, 1)], [T, 0]),
        ([datetime(2014, 5, 13, 18, 53, 20, 500_000, timezone(timedelta(hours=2))), datetime(1970, 1, 1, tzinfo=UTC)],
         [T + 0.5, 0]),
    ],
    ids=lambda value: str(value[0])[:30],
)  # fmt: skip
def test_times_are_seconds_whatever_they_came_in(times: list[Any], seconds: list[float]) -> None:
    assert read_events(pl.DataFrame(PAIRS | {"ts": times})).times.tolist() == seconds


@pytest.mark.parametrize(
    "written",
    [
        "2014-05-13T16:53:20",
        "2014-05-13 16:53:20",
        "2014-05-13T16:53:20Z",
        "2014-05-13T16:53:20.000",
        "2014-05-13 16:53:20.000000+00:00",
        "2014-05-13T18:53:20+02:00",
        "2014-05-13T18:53:20+0200",
        "2014-05-13 18:53:20+02",  # as PostgreSQL writes it
        "2014-05-13T09:53:20-07:00",
        "2014-05-13 22:23:20 +05:30",
    ],
)
def test_one_moment_in_any_iso_form_beside_any_other(written: str) -> None:
    for beside, seconds in (("2014-05-13", T - 60_800), ("1970-01-01T00:00Z", 0), ("1970-01-02 00:30:00.5", 88_200.5)):
        assert read_events(pl.DataFrame(PAIRS | {"ts": [beside, written]})).times.tolist() == [seconds, T]


zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=zones)


@settings(deadline=None, max_examples=50)
@given(st.lists(moments, min_size=2, max_size=2), st.sampled_from("T "))
def test_iso_dates_are_read_to_the_microsecond(when: list[datetime], between: str) -> None:
    events = read_events(pl.DataFrame(PAIRS | {"ts": [moment.isoformat(between) for moment in when]}))
    assert events.times.tolist() == pytest.approx([moment.timestamp() for moment in when], rel=0, abs=1e-6)


def test_without_a_time_column_the_order_is_that_of_the_log_and_noted() -> None:
    log = pl.DataFrame({"user": list("abab"), "item": list("zyxw"), "rating": [1, 1, 1, 1]})
    events = read_events(log)
    assert flat(events) == [("a", "z", 0), ("a", "x", 2), ("b", "y", 1), ("b", "w", 3)]
    assert events.notes[1:] == ("no time column: the log is taken in its own order",)


def test_ties_in_time_keep_the_order_of_the_log_and_are_noted() -> None:
    log = pl.DataFrame({"user": list("aabaab"), "item": list("zyxwzv"), "time": [5, 5, 5, 1, 6, 7]})
    events = read_events(log)
    assert flat(events) == [("a", "w", 1), ("a", "z", 5), ("a", "y", 5), ("b", "x", 5), ("b", "v", 7)]
    noted = "ties in time: 1 of 5 events (20.0%) have that of the user's event before; they keep the order of the log"
    assert events.notes[1:] == (noted,), "of the events that are kept, and of one user"


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


# Ids ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "ids"),
    [
        (["10", "9"], [9, 10]),  # integers, and sorted as such
        (["-2", "1"], [-2, 1]),
        ([10, 9], [9, 10]),
        ([10.0, 9.0], [9, 10]),  # what pandas makes of integers with gaps
        (["007", "7"], ["007", "7"]),  # two ids, not one
        (["007", "8"], ["007", "8"]),
        (["+1", "2"], ["+1", "2"]),
        (["-0", "0"], ["-0", "0"]),
        (["1.0", "2"], ["1.0", "2"]),
        (["10", "9", "x"], ["10", "9", "x"]),  # one that is no integer makes all of them text
        ([" a", "a"], [" a", "a"]),
        (["é", "日本"], ["é", "日本"]),
        ([str(2**63), "1"], ["1", str(2**63)]),  # beyond 64 bits
        (pl.Series([2**63, 1], dtype=pl.UInt64), ["1", str(2**63)]),  # the same ids, the same log
        (pl.Series([3, 1], dtype=pl.UInt8), [1, 3]),
        (pl.Series(["b", "a"], dtype=pl.Categorical), ["a", "b"]),
        (pl.Series(["b", "a"], dtype=pl.Enum(["b", "a"])), ["a", "b"]),
    ],
    ids=str,
)
def test_ids_are_integers_only_where_nothing_is_lost(written: Any, ids: list[Any]) -> None:
    log = pl.DataFrame({"user": [0, *range(len(written))], "item": [written[0], *written]})
    if isinstance(written, pl.Series):
        log = log.with_columns(item=pl.concat([written.head(1), written]))
    events = read_events(log)
    assert events.item_ids.to_list() == ids
    assert events.item_ids.dtype == (pl.Int64 if isinstance(ids[0], int) else pl.String)


@settings(deadline=None)
@given(st.lists(st.one_of(st.text(min_size=1), st.integers().map(str)), min_size=2, unique=True))
def test_every_id_finds_its_number_and_every_number_its_id(ids: list[str]) -> None:
    events = read_events(pl.DataFrame({"user": ids, "item": ids}))
    for number, outside in enumerate(events.user_ids.to_list()):
        assert events.user_number(outside) == number
        assert events.user_number(str(outside)) == number, "a command line has only text"
        assert events.item_number(outside) == number
    assert [str(outside) for outside in events.user_ids] == sorted(ids, key=events.user_number)


@pytest.mark.parametrize("unknown", ["c", "", 7, -1, 2**70, "10", "x y"])
def test_an_unknown_id_is_an_error_that_shows_known_ones(unknown: Any) -> None:
    text = read_events(pl.DataFrame(PAIRS))
    whole_numbers = read_events(pl.DataFrame({"user": [1, 2], "item": [3, 4]}))
    for events, known in ((text, "a, b"), (whole_numbers, "1, 2")):
        with pytest.raises(UnknownIdError) as caught:
            events.user_number(unknown)
        assert repr(unknown) in str(caught.value) and known in str(caught.value)


def test_a_program_may_ask_with_a_number_for_an_id_that_is_text() -> None:
    events = read_events(pl.DataFrame({"user": ["1", "b"], "item": ["x", "y"]}))
    assert events.user_number(1) == 0


# The item table -------------------------------------------------------------------------------------------------------

FILMS = pl.DataFrame({"user": [1, 2, 1], "item": [10, 20, 30], "time": [1, 2, 3]})


@pytest.mark.parametrize(
    "ids", [[30, 10, 99], ["30", "10", "99"], [30.0, 10.0, 99.0]], ids=["integers", "text", "floats"]
)
@pytest.mark.parametrize("name", ["title", "movie_title", "Title:token_seq", "name"])
def test_items_are_found_whatever_type_their_ids_have(ids: list[Any], name: str) -> None:
    table = pl.DataFrame({"movieId": ids, name: ["Thirty", "Ten", "Unsold"], "genres": ["g", "h", "i"]})
    events = read_events(FILMS, items=table)
    assert events.item_table is not None
    assert events.item_table.to_dict(as_series=False) == {
        "item": [10, 20, 30],
        "title": ["Ten", None, "Thirty"],
        "genres": ["h", None, "g"],
    }
    assert [events.title(item) for item in range(3)] == ["Ten", None, "Thirty"]
    assert events.notes[1:] == (
        f"item table: movieId is the item, {name} is the title",
        "item table: 1 of 3 items are not in it",
    )


def test_the_first_of_two_rows_of_an_item_counts_and_rows_without_an_id_do_not() -> None:
    table = pl.DataFrame({"item": ["10", None, "20", "", "10", "30"], "title": ["Ten", "?", None, "??", "Other", "T"]})
    events = read_events(FILMS, items=table)
    assert [events.title(item) for item in range(3)] == ["Ten", None, "T"]
    assert events.notes[1:] == ("item table: item is the item, title is the title",), "each has its row"


def test_what_a_model_could_not_be_saved_with_is_left_out_and_noted() -> None:
    table = pl.DataFrame(
        {"item_id": [10, 20, 30], "title": ["a", "b", "c"], "more": [{}, {}, {}], "tags": [[{}], [], []]}
    )
    events = read_events(FILMS, items=table)
    assert events.item_table is not None and events.item_table.columns == ["item", "title"]
    assert events.notes[2:] == (
        "item table: more is left out, for no Parquet file can hold Struct({})",
        "item table: tags is left out, for no Parquet file can hold List(Struct({}))",
    )


def test_a_table_without_titles_is_kept_and_noted() -> None:
    events = read_events(FILMS, items=pl.DataFrame({"item_id": [10, 20, 30], "price": [1.5, 2.5, 3.5]}))
    assert events.item_table is not None and events.item_table["price"].to_list() == [1.5, 2.5, 3.5]
    assert events.title(0) is None and "no title column" in events.notes[1]


def test_an_item_table_is_read_from_a_file_like_a_log(tmp_path: Path) -> None:
    log = pl.DataFrame({"user": [1, 2], "item": ["007", "7"]})
    (tmp_path / "items.csv").write_text(
        '\ufeffitemId;title\r\n7;"Seven; or\nso"\r\n\r\n007;Bond é\r\n', encoding="utf-8"
    )
    events = read_events(log, items=tmp_path / "items.csv")
    assert [events.title(item) for item in range(2)] == ["Bond é", "Seven; or\nso"]


def test_an_item_table_without_an_item_column_is_refused() -> None:
    message = refusal(FILMS, items=pl.DataFrame({"x": [10], "title": ["Ten"]}))
    assert "no item column among x, title" in message


def test_without_an_item_table_there_are_no_titles() -> None:
    assert read_events(FILMS).item_table is None and read_events(FILMS).title(0) is None


# Real data ------------------------------------------------------------------------------------------------------------


@pytest.mark.shared_data
def test_amazon_cds_is_the_log_of_the_paper(shared_data: Path) -> None:
    events = read_events(shared_data / "amazon-cds" / "events.parquet")
    assert (events.n_users, events.n_items, events.n_events) == (17_052, 35_118, 472_265)
    parts = split(events, "paper")
    assert [len(part.items) for part in (parts.train, parts.valid, parts.test)] == [327_438, 43_711, 101_116]
    assert np.bincount(parts.part).tolist() == [327_438, 43_711, 101_116]


def test_the_public_name_is_the_same_function() -> None:
    assert magnn.read_events is read_events
    with pytest.raises(InputError, match="'first' or 'all', not 'last'"):
        magnn.read_events(FILMS, repeats="last")  # type: ignore[arg-type]
    assert whole(magnn.read_events(FILMS)) == whole(read_events(FILMS))
