"""The generator behind the benchmarks: of the size asked for, and the same log as a file and in memory."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import logs
from magnn.data.events import read_events
from tests.data.logs import flat

SIZE = 300, 500, 6_000


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_log_in_a_file_is_the_log_in_memory(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "BLOCK", 1_000)
    logs.write_log(path := tmp_path / f"log.{kind}", *SIZE, seed=3)
    events, made = read_events(path), logs.make_log(*SIZE, seed=3)
    assert flat(events) == flat(made)
    assert not events.dropped, "nobody has an item twice"
    assert (made.n_users, made.n_items, made.n_events) == SIZE
    assert not np.array_equal(made.histories.items, logs.make_log(*SIZE, seed=4).histories.items)


@pytest.mark.parametrize("size", [SIZE, (10, 1_000, 60), (4, 24, 21), (50, 200, 50 * 50)])
def test_lengths_add_up_and_keep_their_bounds(size: tuple[int, int, int]) -> None:
    lengths = logs.make_log(*size).histories.lengths
    assert len(lengths) == size[0] and lengths.sum() == size[2]
    assert lengths.min() >= logs.LEAST and lengths.max() <= size[1]


def test_popularity_and_activity_have_heavy_tails() -> None:
    histories = logs.make_log(2_000, 1_000, 100_000).histories
    counts = np.sort(np.bincount(histories.items, minlength=1_000))
    assert counts[-100:].sum() > counts[:500].sum(), "a tenth of the items has more than the lower half"
    assert np.mean(histories.lengths) > 1.5 * np.median(histories.lengths)


@pytest.mark.parametrize("size", [(10, 1_000, 50), (10, 100, 251)])
def test_a_size_that_cannot_be_is_refused(size: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="events are not more than"):
        logs.make_log(*size)
