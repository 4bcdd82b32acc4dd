"""The same log in every form, and what reading promises about order, ids, thresholds and names."""

import gzip
import sqlite3
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import magnn
from magnn.data.download import download
from magnn.errors import DownloadError, StorageError
from magnn.storage import atomic_directory, atomic_file

LOG = pl.DataFrame(
    {"userId": [2, 1, 2, 1, 1], "movieId": ["x", "007", "y, z", "x", "y, z"], "timestamp": [5, 9, 4, 1, 9]}
)


def forms(folder: Path) -> dict[str, Any]:
    csv = LOG.write_csv().encode()
    (folder / "a.csv").write_bytes(b"\xef\xbb\xbf" + csv.replace(b"\n", b"\r\n"))  # as a spreadsheet saves it
    (folder / "a.csv.gz").write_bytes(gzip.compress(csv))
    LOG.write_csv(folder / "a.tsv", separator="\t")
    LOG.write_parquet(folder / "a.parquet")
    LOG.write_ndjson(folder / "a.jsonl")
    files = {name: folder / name for name in ("a.csv", "a.csv.gz", "a.tsv", "a.parquet", "a.jsonl")}
    return files | {"polars": LOG, "lazy": LOG.lazy(), "pandas": LOG.to_pandas(), "arrow": LOG.to_arrow()}


@pytest.mark.parametrize(
    "form", ["a.csv", "a.csv.gz", "a.tsv", "a.parquet", "a.jsonl", "polars", "lazy", "pandas", "arrow"]
)
def test_every_form_of_a_log_is_the_same_log(tmp_path: Path, form: str) -> None:
    events = magnn.read_events(forms(tmp_path)[form])
    assert events.user_ids.to_list() == [1, 2]
    assert events.item_ids.to_list() == ["007", "x", "y, z"]
    assert [events.histories.of(user).tolist() for user in (0, 1)] == [[1, 0, 2], [2, 1]], "by time, then by place"
    assert events.notes[0] == "columns: user = userId, item = movieId, time = timestamp"


def test_a_database(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a.db") as database:
        database.execute("CREATE TABLE log (u, i, t)")
        database.executemany("INSERT INTO log VALUES (?, ?, ?)", LOG.rows())
    url = f"sqlite:///{tmp_path}/a.db"
    events = magnn.read_events(url, query="SELECT * FROM log", user_col="u", item_col="i", time_col="t")
    assert events.histories.items.tolist() == magnn.read_events(LOG).histories.items.tolist()


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 2)), min_size=1),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_order_repeats_and_core_are_the_naive_ones(rows: list[tuple[int, int, int]], users: int, items: int) -> None:
    kept: list[tuple[int, int]] = []
    for user, item, _ in sorted(rows, key=lambda row: (row[0], row[2])):  # stable: ties keep their place
        if (user, item) not in kept:
            kept.append((user, item))
    before = -1
    while before != len(kept):
        before = len(kept)
        kept = [row for row in kept if sum(other[0] == row[0] for other in kept) >= users]
        kept = [row for row in kept if sum(other[1] == row[1] for other in kept) >= items]
    frame = pl.DataFrame(rows, schema=["user", "item", "time"], orient="row")
    if len({user for user, _ in kept}) < 2 or len({item for _, item in kept}) < 2:
        with pytest.raises(magnn.MagnnError):
            magnn.read_events(frame, min_user_events=users, min_item_events=items, k_core=True)
        return
    events = magnn.read_events(frame, min_user_events=users, min_item_events=items, k_core=True)
    got = [
        (events.user_ids[int(u)], events.item_ids[int(i)])
        for u, i in zip(events.histories.users, events.histories.items, strict=True)
    ]
    assert got == kept
    assert sum(events.dropped.values()) == len(rows) - len(kept)


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        ([1_400_000_000, 1_400_000_001], 1_400_000_000.0),
        ([1_400_000_000_000, 1_400_000_001_000], 1_400_000_000.0),
        ([1.5, 2.5], 1.5),
        (["2014-05-13", "2014-05-13T16:53:20Z"], 1_399_939_200.0),
        (["2014-05-13 16:53:20+00:00", "2014-05-14"], 1_400_000_000.0),
        (["2014-05-13T18:53:20+02:00", "2014-05-14"], 1_400_000_000.0),
    ],
)
def test_times_are_seconds_whatever_their_form(times: list[Any], seconds: float) -> None:
    events = magnn.read_events(pl.DataFrame({"user": ["a", "b"], "item": ["x", "y"], "ts": times}))
    assert events.times[0] == seconds and events.times[1] > seconds


def test_without_times_the_file_is_the_order() -> None:
    events = magnn.read_events(pl.DataFrame({"user": ["a", "b", "a"], "asin": ["z", "y", "x"]}))
    assert events.histories.of(0).tolist() == [2, 0] and "its own order" in events.notes[1]


def test_items_bring_their_titles() -> None:
    items = pl.DataFrame({"movieId": ["x", "x"], "title": ["Alien", "again"], "genres": ["SF", ""]})
    events = magnn.read_events(LOG, items=items)
    assert [events.title(item) for item in range(3)] == [None, "Alien", None]
    assert any("2 of 3 items are not in it" in note for note in events.notes)


def test_a_download_is_verified_and_a_wrong_one_not_kept(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"data")
    right = "3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7"
    assert download((tmp_path / "source").as_uri(), tmp_path / "copy", right).read_bytes() == b"data"
    with pytest.raises(DownloadError, match="SHA-256"):
        download((tmp_path / "source").as_uri(), tmp_path / "other", "0" * 64)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "source"]


@pytest.mark.parametrize("kind", [atomic_file, atomic_directory])
def test_a_failed_write_leaves_what_was_there(tmp_path: Path, kind: Any) -> None:
    (tmp_path / "old").write_text("old")
    with pytest.raises(StorageError, match="cannot be written"), kind(tmp_path / "old"):
        raise OSError(28, "No space left on device")
    assert [path.name for path in tmp_path.iterdir()] == ["old"] and (tmp_path / "old").read_text() == "old"


@pytest.mark.shared_data
def test_amazon_cds_has_the_published_counts(shared_data: Path) -> None:
    split = magnn.split(magnn.read_events(shared_data / "amazon-cds" / "events.parquet"), "paper")
    events = split.events
    assert (events.n_users, events.n_items, events.n_events) == (17_052, 35_118, 472_265)
