"""Splits, item graph and windows against naive versions written from their definitions."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import magnn
from magnn.data.graph import item_graph
from magnn.data.interactions import Interactions
from magnn.data.split import Split
from magnn.data.windows import query_windows, training_windows
from magnn.errors import InputError
from tests.worlds import histories_of

sequences = st.lists(st.lists(st.integers(0, 6), max_size=14), min_size=1, max_size=5)


def log_of(lengths: list[int], times: list[int] | None = None) -> Interactions:
    rows = [(user, f"{user}-{nth}") for user, length in enumerate(lengths) for nth in range(length)]
    frame = pl.DataFrame(rows, schema=["user", "item"], orient="row")
    return magnn.read_events(frame if times is None else frame.with_columns(timestamp=pl.Series(times)))


@settings(deadline=None)
@given(st.lists(st.integers(1, 45), min_size=2, max_size=6), st.sampled_from(["paper", "leave-one-out", "none"]))
def test_every_event_has_the_part_its_place_gives_it(lengths: list[int], protocol: str) -> None:
    split = magnn.split(log_of(lengths), protocol)  # type: ignore[arg-type]
    for user, n in enumerate(lengths):
        n_test = {"paper": min(-(-n // 5), n - 1), "leave-one-out": min(1, n - 1), "none": 0}[protocol]
        n_valid = {
            "paper": min(-(-(n - n_test) // 10), n - n_test - 1),
            "leave-one-out": min(1, n - n_test - 1),
            "none": 0,
        }[protocol]
        parts = [part.of(user).tolist() for part in (split.train, split.valid, split.test)]
        assert sum(parts, []) == split.events.histories.of(user).tolist(), "in time, each event once"  # noqa: RUF017
        assert [len(part) for part in parts] == [n - n_valid - n_test, n_valid, n_test]
        assert split.train_and_valid.of(user).tolist() == parts[0] + parts[1]


@settings(deadline=None)
@given(st.lists(st.integers(0, 30), min_size=12, max_size=40))
def test_a_split_by_time_is_one_cut_for_all(times: list[int]) -> None:
    events = log_of([len(times) - 5, 5], times)
    try:
        split = magnn.split(events, "time")
    except InputError:
        assert len(set(times)) < 3 or sorted(times)[0] == sorted(times)[-(len(times) // 3)]
        return
    of_part = [events.times[split.part == part] for part in range(3)]
    edges = [edge for part in of_part if len(part) for edge in (part.min(), part.max())]
    assert edges == sorted(edges)
    for earlier, later in ((0, 1), (1, 2)):
        assert not set(of_part[earlier]) & set(of_part[later]), "events of one moment stay together"


def test_a_split_that_leaks_is_refused() -> None:
    events = log_of([3, 2])
    with pytest.raises(InputError, match="before a training event"):
        Split(events, "paper", np.array([0, 2, 0, 0, 2], np.uint8))


@settings(deadline=None)
@given(sequences, st.integers(1, 4))
def test_graph_is_the_naive_count(world: list[list[int]], steps: int) -> None:
    expected = np.zeros((7, 7))
    for sequence in world:
        for here, item in enumerate(sequence):
            for later in sequence[here + 1 : here + 1 + steps]:
                if later != item:
                    expected[item, later] += 1
                    expected[later, item] += 1
    assert np.array_equal(item_graph(histories_of(world, 7), steps).toarray(), expected)


@settings(deadline=None)
@given(sequences, st.integers(1, 4), st.integers(0, 4), st.integers(1, 3))
def test_windows_are_the_naive_ones(world: list[list[int]], short: int, long: int, n_targets: int) -> None:
    width = short + long
    expected = []
    for user, events in enumerate(world):
        n = len(events)
        if n == 0:
            continue
        firsts = range(short, n - n_targets + 1) if n >= short + n_targets else [n - min(n_targets, max(n - 1, 1))]
        for first in firsts:
            history = events[max(0, first - width) : first]
            targets = events[first : first + n_targets]
            row = [7] * (width - len(history)) + history, targets + [7] * (n_targets - len(targets))
            expected.append((user, *row))
    windows = training_windows(histories_of(world, 7), short, long, n_targets)
    batch = windows.batch(np.arange(len(windows)))
    got = list(zip(batch.users_B.tolist(), batch.history_BW.tolist(), batch.targets_BT.tolist(), strict=True))
    assert got == expected
    query = query_windows(histories_of(world, 7), short, long)
    present = query.batch(np.arange(len(world)))
    for user, events in enumerate(world):
        kept = events[-width:]
        assert present.history_BW[user].tolist() == [7] * (width - len(kept)) + kept
