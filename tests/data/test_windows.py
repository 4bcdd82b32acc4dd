"""Samples against one user after another in plain lists, written from what the docstrings say."""

from collections import Counter
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magnn.data.windows import Batch, Windows, query_windows, training_windows
from tests.worlds import histories_of

lengths_of_users = st.lists(st.integers(0, 15), min_size=1, max_size=6)
worlds = given(lengths=lengths_of_users, short=st.integers(1, 5), long=st.integers(0, 5), targets=st.integers(1, 4))


class Sample(NamedTuple):
    user: int
    history: list[int]  # without padding
    targets: list[int]


def world_of(lengths: list[int]) -> tuple[list[list[int]], int]:
    """Each event has an item of its own, so that an item tells which event it is; and the number of items."""
    events = iter(range(sum(lengths)))
    return [[next(events) for _ in range(length)] for length in lengths], sum(lengths)


def naive_samples(user: int, events: list[int], short: int, long: int, targets: int) -> list[Sample]:
    if not events:
        return []
    if len(events) == 1:  # the target of an empty history
        return [Sample(user, [], events)]
    if len(events) < short + targets:  # one sample: at most |T| targets, and never all of the events
        held = min(targets, len(events) - 1)
        return [Sample(user, events[:-held], events[-held:])]
    samples = []
    for start in range(len(events) - short - targets + 1):  # one step apart
        middle = start + short
        samples.append(Sample(user, events[max(0, start - long) : middle], events[middle : middle + targets]))
    return samples


def unpadded(batch: Batch, padding: int) -> list[Sample]:
    samples = []
    for user, history, targets in zip(batch.users_B, batch.history_BW.tolist(), batch.targets_BT.tolist(), strict=True):
        real = [item for item in history if item != padding]
        assert history == [padding] * (len(history) - len(real)) + real, "the history is aligned to the right"
        wanted = [item for item in targets if item != padding]
        assert targets == wanted + [padding] * (len(targets) - len(wanted)), "targets are aligned to the left"
        samples.append(Sample(int(user), real, wanted))
    return samples


def all_of(windows: Windows) -> Batch:
    return windows.batch(np.arange(len(windows)))


@settings(deadline=None, max_examples=300)
@worlds
def test_training_samples_are_those_of_the_definition(lengths: list[int], short: int, long: int, targets: int) -> None:
    world, n_items = world_of(lengths)
    windows = training_windows(histories_of(world, n_items), short, long, targets)
    expected = [s for user, events in enumerate(world) for s in naive_samples(user, events, short, long, targets)]
    batch = all_of(windows)
    assert batch.history_BW.shape == (len(expected), short + long) and batch.targets_BT.shape == (
        len(expected),
        targets,
    )
    assert unpadded(batch, n_items) == expected
    assert len(windows) == len(expected)


@settings(deadline=None)
@worlds
def test_each_event_is_learned_as_often_as_defined(lengths: list[int], short: int, long: int, targets: int) -> None:
    world, n_items = world_of(lengths)
    windows = training_windows(histories_of(world, n_items), short, long, targets)
    learned = Counter(item for sample in unpadded(all_of(windows), n_items) for item in sample.targets)
    for events in world:
        n = len(events)
        for place, item in enumerate(events):
            if n >= short + targets:
                # Targets begin at each place from `short` on to the last that has |T| events; how many of these reach here?
                times = sum(first <= place < first + targets for first in range(short, n - targets + 1))
            else:
                times = int(place >= n - min(targets, max(n - 1, 1)))
            assert learned[item] == times


@settings(deadline=None)
@worlds
def test_a_sample_holds_its_own_users_events_in_order_and_nothing_between_is_left_out(
    lengths: list[int], short: int, long: int, targets: int
) -> None:
    world, n_items = world_of(lengths)
    histories = histories_of(world, n_items)
    for windows in (training_windows(histories, short, long, targets), query_windows(histories, short, long)):
        for user, history, wanted in unpadded(all_of(windows), n_items):
            seen = history + wanted
            assert set(seen) <= set(world[user]), "never another user's"
            assert not seen or seen == list(range(seen[0], seen[-1] + 1))


@settings(deadline=None)
@given(lengths_of_users, st.integers(1, 5), st.integers(0, 5))
def test_a_query_is_the_present_of_each_user(lengths: list[int], short: int, long: int) -> None:
    world, n_items = world_of(lengths)
    windows = query_windows(histories_of(world, n_items), short, long)
    batch = all_of(windows)
    assert batch.targets_BT.shape == (len(world), 0) and batch.history_BW.shape == (len(world), short + long)
    assert unpadded(batch, n_items) == [Sample(u, events[-(short + long) :], []) for u, events in enumerate(world)]


@settings(deadline=None)
@given(lengths_of_users, st.data())
def test_any_rows_in_any_order_are_those_rows(lengths: list[int], data: st.DataObject) -> None:
    world, n_items = world_of(lengths)
    windows = training_windows(histories_of(world, n_items), short=2, long=3, targets=2)
    rows = data.draw(st.lists(st.integers(0, len(windows) - 1), max_size=8) if len(windows) else st.just([]))
    together, batch = all_of(windows), windows.batch(np.array(rows, np.int64))
    for one, every in zip(batch, together, strict=True):
        assert one.dtype == np.int64 and np.array_equal(one, every[rows])


@pytest.mark.parametrize(
    ("n", "history", "targets"),
    [
        (1, [[9, 9, 9, 9]], [[0, 9]]),
        (2, [[9, 9, 9, 0]], [[1, 9]]),
        (3, [[9, 9, 9, 0]], [[1, 2]]),
        (4, [[9, 9, 0, 1]], [[2, 3]]),
        (5, [[9, 9, 0, 1], [9, 0, 1, 2]], [[2, 3], [3, 4]]),
    ],
)
def test_windows_by_hand(n: int, history: list[list[int]], targets: list[list[int]]) -> None:
    batch = all_of(training_windows(histories_of([list(range(n))], 9), short=2, long=2, targets=2))
    assert batch.history_BW.tolist() == history and batch.targets_BT.tolist() == targets


@settings(deadline=None)
@given(lengths_of_users, st.integers(1, 5), st.integers(0, 5))
def test_unless_whole_every_event_but_the_first_is_a_target(lengths: list[int], short: int, long: int) -> None:
    sequences, n_items = world_of(lengths)
    windows = training_windows(histories_of(sequences, n_items), short, long, 1, whole=False)
    batch = windows.batch(np.arange(len(windows)))
    assert batch.history_BW.shape[1] == short + long
    expected = {
        (user, events[n]): events[max(n - short - long, 0) : n]
        for user, events in enumerate(sequences)
        for n in range(min(1, max(len(events) - 1, 0)), len(events))
    }
    found = {
        (user, target[0]): [i for i in history if i != n_items]
        for user, history, target in zip(*(part.tolist() for part in batch), strict=True)
    }
    assert len(windows) == len(expected)
    assert found == expected


def test_without_events_there_is_nothing_to_train_on_and_everything_is_padding_to_ask() -> None:
    nothing = histories_of([[], []], 4)
    assert len(training_windows(nothing, short=2, long=1, targets=1)) == 0
    assert all_of(query_windows(nothing, short=2, long=1)).history_BW.tolist() == [[4, 4, 4]] * 2
