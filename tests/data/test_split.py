"""Which event is in which part, against definitions spelled out user by user; and that nothing leaks backwards."""

from dataclasses import replace
from math import ceil
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magnn.data.events import read_events
from magnn.data.graph import item_graph
from magnn.data.interactions import Histories, Interactions
from magnn.data.split import TEST, TRAIN, VALID, Protocol, Split, split
from magnn.data.windows import training_windows
from magnn.errors import InputError

PROTOCOLS: list[Protocol] = ["paper", "leave-one-out", "time", "none"]


def log_of(times: list[list[float]]) -> Interactions:
    """User u has an event at each of `times[u]`, each with an item of its own."""
    ordered = [sorted(of_user) for of_user in times]
    lengths = [len(of_user) for of_user in ordered]
    offsets = np.cumsum([0, *lengths]).astype(np.int64)
    n_events = int(offsets[-1])
    return Interactions(
        histories=Histories(np.arange(n_events, dtype=np.int32), offsets, n_events),
        times=np.array([time for of_user in ordered for time in of_user], np.float64),
        user_ids=pl.Series(range(len(times))),
        item_ids=pl.Series(range(n_events)),
    )


@st.composite
def logs(draw: st.DrawFn) -> Interactions:
    """Up to six users of 1 to 45 events, few or many of them at one moment."""
    last = draw(st.sampled_from([1, 5, 1000]))
    return log_of(draw(st.lists(st.lists(st.integers(0, last), min_size=1, max_size=45), min_size=1, max_size=6)))


def parts_of(made: Split, user: int) -> list[int]:
    offsets = made.events.histories.offsets
    return [int(part) for part in made.part[offsets[user] : offsets[user + 1]]]


def test_paper_holds_out_a_fifth_and_a_tenth_of_the_rest_rounded_up() -> None:
    lengths = list(range(1, 130))
    made = split(log_of([list(range(n)) for n in lengths]), "paper")
    for user, n in enumerate(lengths):
        n_test = min(ceil(n / 5), n - 1)  # the first event always trains
        n_valid = min(ceil((n - n_test) / 10), n - n_test - 1)
        assert parts_of(made, user) == [TRAIN] * (n - n_test - n_valid) + [VALID] * n_valid + [TEST] * n_test


@pytest.mark.parametrize(
    ("n", "train", "valid", "test"),
    [
        (1, 1, 0, 0),
        (2, 1, 0, 1),
        (3, 1, 1, 1),
        (5, 3, 1, 1),
        (6, 3, 1, 2),
        (10, 7, 1, 2),
        (11, 7, 1, 3),
        (30, 21, 3, 6),
    ],
)
def test_paper_by_hand(n: int, train: int, valid: int, test: int) -> None:
    made = split(log_of([list(range(n))]), "paper")
    assert np.bincount(made.part, minlength=3).tolist() == [train, valid, test]


@settings(deadline=None)
@given(logs())
def test_leave_one_out_holds_out_exactly_one_and_one_where_there_is_room(events: Interactions) -> None:
    made = split(events, "leave-one-out")
    for user, n in enumerate(events.histories.lengths.tolist()):
        expected = {1: [TRAIN], 2: [TRAIN, TEST]}.get(n, [TRAIN] * (n - 2) + [VALID, TEST])
        assert parts_of(made, user) == expected


@settings(deadline=None)
@given(logs())
def test_none_trains_on_everything(events: Interactions) -> None:
    made = split(events, "none")
    assert made.part.tolist() == [TRAIN] * events.n_events
    assert made.valid.lengths.sum() == made.test.lengths.sum() == 0


def naive_cut(times: list[float], share: int) -> tuple[list[float], list[float]]:
    """(before, after): the fewest last moments with at least 1 / share of the events, taken one moment at a time."""
    after: list[float] = []
    while share * len(after) < len(times):
        moment = max(set(times) - set(after))
        after += [time for time in times if time == moment]
    return [time for time in times if time not in after], after


@settings(deadline=None)
@given(logs())
def test_time_cuts_once_for_all_users_and_keeps_moments_together(events: Interactions) -> None:
    before, test = naive_cut(events.times.tolist(), 5)
    train, valid = naive_cut(before, 10)
    if not train:
        with pytest.raises(InputError, match="needs events at different times; use the split paper or leave-one-out"):
            split(events, "time")
        return
    made = split(events, "time")
    assert max(train) < min(valid) <= max(valid) < min(test)
    for part, expected in ((TRAIN, train), (VALID, valid), (TEST, test)):
        assert sorted(events.times[made.part == part].tolist()) == sorted(expected)


@pytest.mark.parametrize("times", [[5.0] * 10, [5.0] * 9 + [6.0], [5.0, 6.0]], ids=["one", "two", "two events"])
def test_time_needs_time_to_pass(times: list[float]) -> None:
    with pytest.raises(InputError, match="needs events at different times"):
        split(log_of([times, times]), "time")


@settings(deadline=None)
@given(logs(), st.sampled_from(PROTOCOLS))
def test_the_parts_hold_each_event_once_and_follow_each_other(events: Interactions, protocol: Protocol) -> None:
    try:
        made = split(events, protocol)
    except InputError:
        assert protocol == "time"
        return
    assert made.protocol == protocol and made.events is events
    for user in range(events.n_users):
        train, valid, test = (part.of(user).tolist() for part in (made.train, made.valid, made.test))
        assert train + valid + test == events.histories.of(user).tolist()
        assert train + valid == made.train_and_valid.of(user).tolist()
        assert train or protocol == "time", "without a first event there is nothing to predict from"
    for part in (made.train, made.valid, made.test, made.train_and_valid):
        assert part.n_users == events.n_users and part.n_items == events.n_items, "same numbers in every part"


@settings(deadline=None)
@given(logs(), st.sampled_from(PROTOCOLS), st.integers(0, 99))
def test_what_is_tested_reaches_nothing_that_trains(events: Interactions, protocol: Protocol, seed: int) -> None:
    try:
        made = split(events, protocol)
    except InputError:
        return
    items = events.histories.items.copy()
    held_out = made.part == TEST
    items[held_out] = np.random.default_rng(seed).integers(0, events.n_items, int(held_out.sum()))
    other = split(replace(events, histories=replace(events.histories, items=items)), protocol)
    assert np.array_equal(made.part, other.part)
    assert np.array_equal(made.train.items, other.train.items)
    assert np.array_equal(made.valid.items, other.valid.items)
    assert np.array_equal(item_graph(made.train).toarray(), item_graph(other.train).toarray())
    for one, two in zip(everything(made.train), everything(other.train), strict=True):
        assert np.array_equal(one, two)


def everything(histories: Histories) -> tuple[np.ndarray[Any, Any], ...]:
    windows = training_windows(histories, short=2, long=3, targets=2)
    return tuple(windows.batch(np.arange(len(windows))))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_trains_shares_no_memory_with_what_is_tested(protocol: Protocol) -> None:
    made = split(log_of([list(range(20)), list(range(20))]), protocol)
    for part in (made.train, made.valid, made.train_and_valid):
        assert not np.shares_memory(part.items, made.events.histories.items)
        assert part.items.base is None, "not even out of sight"


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        ([0, 2, 0, 0, 2], "before a training event of the same user"),
        ([1, 0, 0, 0, 2], "before a training event of the same user"),
        ([0, 0, 0, 2, 1], "before a training event of the same user"),
        ([0, 0, 1, 2], "4 parts for 5 events"),
        ([0, 0, 1, 0, 1, 2], "6 parts for 5 events"),
        ([0, 0, 3, 0, 1], "has a part 3; parts are 0"),
        ([0, 0, 255, 0, 1], "has a part 255; parts are 0"),
    ],
)
def test_a_split_by_hand_that_makes_no_sense_is_refused(part: list[int], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        Split(log_of([[1, 2, 3], [1, 2]]), "paper", np.array(part, np.uint8))


def test_a_split_by_hand_may_begin_and_end_anywhere() -> None:
    made = Split(log_of([[1, 2, 3], [1, 2]]), "paper", np.array([0, 0, 2, 0, 1], np.uint8))
    assert (
        made.train.lengths.tolist() == [2, 1] and made.valid.of(1).tolist() == [4] and made.test.of(0).tolist() == [2]
    )
    assert Split(log_of([[1], [2]]), "time", np.array([0, 2], np.uint8)).train.lengths.tolist() == [1, 0]


def test_an_unknown_protocol_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="unknown split 'random'; choose one of paper, leave-one-out, time, none"):
        split(log_of([[1, 2]]), "random")  # type: ignore[arg-type]


def test_a_log_without_times_is_split_in_its_own_order() -> None:
    log = pl.DataFrame({"user": list("abab"), "item": list("wxyz")})
    made = split(read_events(log), "leave-one-out")
    assert made.part.tolist() == [TRAIN, TEST, TRAIN, TEST]
    assert [made.events.item_ids[int(item)] for item in made.test.items] == ["y", "z"]
