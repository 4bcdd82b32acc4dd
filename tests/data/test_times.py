"""What `read_events` makes of a time column, or of none."""

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magnn.data.events import read_events
from tests.data.logs import PAIRS, flat, refusal

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
        "2014-05-13T22:23:20 +05:30",
        "2014-05-13 16:53:20 UTC",  # as BigQuery writes it
        "2014-05-13t16:53:20z",
        "2014-05-13T16:53:20,000",
    ],
)
def test_one_moment_in_any_iso_form_beside_any_other(written: str) -> None:
    for beside, seconds in (("2014-05-13", T - 60_800), ("1970-01-01T00:00Z", 0), ("1970-01-02 00:30:00.5", 88_200.5)):
        assert read_events(pl.DataFrame(PAIRS | {"ts": [beside, written]})).times.tolist() == [seconds, T]


@pytest.mark.parametrize(("times", "row"), [
    ([T * 1000, T], 2), ([T, T * 10**6], 1), ([T * 10**9, T * 1000], 2),
    (pl.Series([str(T), str(T * 1000)], dtype=pl.Categorical), 1),
])  # fmt: skip
def test_two_units_of_time_in_one_log_are_refused(times: Any, row: int) -> None:
    """Divided by one number, those of the smaller would all come before those of the larger."""
    message = refusal(pl.DataFrame(PAIRS | {"ts": times}))
    assert f"the data frame, row {row}, column 'ts'" in message and "is in another unit of time than" in message


@pytest.mark.parametrize("unit", [10**3, 10**6, 10**9])
@pytest.mark.parametrize("early", [0, 8 * 3600, 86_400, 10**8], ids=lambda seconds: f"{seconds} s")
def test_a_placeholder_or_an_old_event_is_no_other_unit(early: int, unit: int) -> None:
    assert read_events(pl.DataFrame(PAIRS | {"ts": [early * unit, T * unit]})).times.tolist() == [early, T]


def test_files_of_dates_and_of_seconds_are_not_one_log(tmp_path: Path) -> None:
    pl.DataFrame({"user": ["a"], "item": ["x"], "ts": [T]}).write_parquet(tmp_path / "1.parquet")
    later = pl.DataFrame({"user": ["b"], "item": ["y"], "ts": [datetime(2014, 5, 14)]})
    later.write_parquet(tmp_path / "2.parquet")
    assert "1.parquet, row 1, column 'ts'" in refusal(str(tmp_path / "*.parquet"))


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
    assert events.notes[1:] == ("no time column among user, item, rating: the log is taken in its own order",)


def test_ties_in_time_keep_the_order_of_the_log_and_are_noted() -> None:
    log = pl.DataFrame({"user": list("aabaab"), "item": list("zyxwzv"), "time": [5, 5, 5, 1, 6, 7]})
    events = read_events(log)
    assert flat(events) == [("a", "w", 1), ("a", "z", 5), ("a", "y", 5), ("b", "x", 5), ("b", "v", 7)]
    noted = "ties in time: 1 of 5 events (20.0%) have that of the user's event before; they keep the order of the log"
    assert events.notes[1:] == (noted,), "of the events that are kept, and of one user"
