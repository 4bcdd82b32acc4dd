"""A day's events in random order: the same events, each day's in its place."""

import polars as pl

import magnn
from benchmarks.ties import shuffled, tied


def test_only_events_of_one_user_and_time_change_places() -> None:
    days = {"a": [1, 1, 1, 1, 1, 1, 2, 3], "b": [1, 2, 2], "c": [1]}
    rows = [(user, f"{user}{number}", day) for user, times in days.items() for number, day in enumerate(times)]
    events = magnn.read_events(pl.DataFrame(rows, schema=["user", "item", "time"], orient="row"))
    again = shuffled(events)
    of_a, of_b, of_c = (events.item_ids.gather(again.histories.of(user)).to_list() for user in range(3))
    assert sorted(of_a[:6]) == [f"a{number}" for number in range(6)]
    assert of_a[:6] != sorted(of_a[:6])
    assert of_a[6:] == ["a6", "a7"]
    assert (of_b[0], set(of_b[1:]), of_c) == ("b0", {"b1", "b2"}, ["c0"])
    assert tied(events).tolist() == tied(again).tolist() == [False, True, False]
