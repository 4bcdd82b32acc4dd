"""The file of everybody's lists is what `recommend` says of each, whatever happened on the way to it."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import magnn
from magnn import batch
from magnn.batch import BatchProgress
from magnn.errors import InputError, Interrupted, StorageError
from magnn.model.graph_part import GraphConfig, count_neighbours
from magnn.model.magnn import MAGNN
from magnn.ranking.rank import rank
from tests.conftest import SMALL_MODEL

K = 6


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The 40 users of the small log make six parts, the last of them shorter."""
    monkeypatch.setattr(batch, "CHUNK", 7)


@pytest.fixture(scope="module")
def tiny() -> magnn.Recommender:
    """Text ids and cosine scores; "all" has seen everything, "most" all but one item."""
    log = pl.DataFrame({"user": ["all"] * 4 + ["most"] * 3 + ["one"], "item": [*"wxyz", *"zyx", "w"]})
    split = magnn.split(magnn.read_events(log), "none")
    return magnn.fit(split, preset="paper", config={"model": SMALL_MODEL | {"cosine": True}}, epochs=1)


def stopping(at: int) -> Callable[[BatchProgress], None]:
    """Ctrl-C once the lists of `at` users are on disk."""

    def stop(progress: BatchProgress) -> None:
        if progress.done >= at:
            raise KeyboardInterrupt

    return stop


def interrupt(rec: magnn.Recommender, path: Path, at: int = 21, k: int = K) -> list[str]:
    """Stops a run; the parts it left."""
    with pytest.raises(Interrupted, match=f"^interrupted: {at} of 40 users are done; the same command goes on$"):
        rec.recommend_all(path, k, progress=stopping(at))
    return names(parts_of(path))


def parts_of(path: Path) -> Path:
    return path.with_name(path.name + ".parts")


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def watch(rec: magnn.Recommender, path: Path, k: int = K) -> list[BatchProgress]:
    """What a run tells on its way."""
    told: list[BatchProgress] = []
    rec.recommend_all(path, k, progress=told.append)
    return told


# What is in the file ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, K, 600])
def test_every_list_is_what_recommend_gives(recommender: magnn.Recommender, tmp_path: Path, k: int) -> None:
    events = recommender.split.events
    k = min(k, events.n_items)
    rows = recommender.recommend_all(tmp_path / "recs.parquet", k)
    frame = pl.read_parquet(tmp_path / "recs.parquet")
    assert frame.schema == {"user": events.user_ids.dtype, "rank": pl.UInt32, "item": pl.Int64, "score": pl.Float32}
    lists = recommender.recommend_many(events.user_ids.to_list(), k)
    assert rows == frame.height == sum(map(len, lists))
    assert frame["user"].unique(maintain_order=True).to_list() == events.user_ids.to_list(), "in the order of the log's"
    for (_, found), expected in zip(frame.group_by("user", maintain_order=True), lists, strict=True):
        assert found["rank"].to_list() == list(range(1, len(expected) + 1))
        scores = [one.score for one in expected]
        assert found["score"].to_list() == pytest.approx(scores, rel=1e-4, abs=1e-7)
        # Items whose scores differ by less than rounding may change places, and none does at a distance.
        place = {one.item: one.score for one in expected}
        assert found["item"].n_unique() == len(expected) and set(found["item"]) == place.keys()
        assert [place[item] for item in found["item"]] == pytest.approx(scores, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("chunk", [1, 2, 8192])
def test_fewer_are_left_fewer_rows_are_written(
    tiny: magnn.Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    """With one user a part, that of "all" has no row."""
    monkeypatch.setattr(batch, "CHUNK", chunk)
    assert tiny.recommend_all(tmp_path / "recs.parquet", k=4) == 4
    frame = pl.read_parquet(tmp_path / "recs.parquet")
    assert frame.schema == {"user": pl.String, "rank": pl.UInt32, "item": pl.String, "score": pl.Float32}
    # Batches of other sizes round tanh otherwise, by up to 2e-7 (model/kernels.py), and these scores are near .004.
    expected = [
        (user, rank, found.item, pytest.approx(found.score, rel=1e-5, abs=5e-7))
        for user in ("all", "most", "one")
        for rank, found in enumerate(tiny.recommend(user, k=4), start=1)
    ]
    assert frame.rows() == expected


@pytest.mark.parametrize(("limit", "parts"), [("ROWS", 14), ("SCORES", 14)])
def test_a_part_is_bounded_whatever_k_and_catalogue(
    recommender: magnn.Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, parts: int
) -> None:
    """Three users a part."""
    monkeypatch.setattr(batch, limit, 3 * (K if limit == "ROWS" else recommender.split.events.n_items))
    told = watch(recommender, tmp_path / "recs.parquet")
    assert len(told) == 1 + parts and told[1].done == 3
    monkeypatch.setattr(batch, limit, 1)
    assert watch(recommender, tmp_path / "recs.parquet")[1].done == 1, "a user at least"


def test_progress_counts_users(recommender: magnn.Recommender, tmp_path: Path) -> None:
    done = [0, 7, 14, 21, 28, 35, 40]
    assert watch(recommender, tmp_path / "recs.parquet") == [BatchProgress(users, 40) for users in done]


# Going on ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 7, 21, 40])
def test_an_interrupted_run_goes_on_to_the_same_file(
    recommender: magnn.Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    whole, cut = tmp_path / "whole.parquet", tmp_path / "cut.parquet"
    recommender.recommend_all(whole, K)
    with pytest.raises(Interrupted, match=f"{at} of 40 users"):
        recommender.recommend_all(cut, K, progress=stopping(at))
    assert not cut.exists() and names(tmp_path) == (["cut.parquet.parts"] if at else []) + ["whole.parquet"]

    ranked: list[int] = []

    def counting(scorer: Any, users: Any, *arguments: Any) -> Any:
        ranked.append(len(users))
        return rank(scorer, users, *arguments)

    monkeypatch.setattr(batch, "rank", counting)
    told = watch(recommender, cut)
    assert sum(ranked) == 40 - at, "what is on disk is not done again"
    assert told[0] == BatchProgress(at, 40, f"going on: {at} of 40 users were done before" if at else "")
    assert not any(progress.note for progress in told[1:])
    assert cut.read_bytes() == whole.read_bytes()
    assert names(tmp_path) == ["cut.parquet", "whole.parquet"]


def test_interrupted_again_and_again(recommender: magnn.Recommender, tmp_path: Path) -> None:
    for at in (7, 14, 35):
        interrupt(recommender, tmp_path / "cut.parquet", at)
    recommender.recommend_all(tmp_path / "cut.parquet", K)
    recommender.recommend_all(tmp_path / "whole.parquet", K)
    assert (tmp_path / "cut.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_what_a_killed_run_or_a_power_cut_left_is_no_obstacle(recommender: magnn.Recommender, tmp_path: Path) -> None:
    path = tmp_path / "recs.parquet"
    left = interrupt(recommender, path)
    assert len(left) == 3
    first, second, third = (parts_of(path) / name for name in left)
    (parts_of(path) / f".{first.name}.k1ll3d").write_bytes(second.read_bytes()[:100])
    second.write_bytes(second.read_bytes()[:100])
    third.write_bytes(b"")
    assert watch(recommender, path)[0].done == 7
    recommender.recommend_all(tmp_path / "whole.parquet", K)
    assert path.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert names(tmp_path) == ["recs.parquet", "whole.parquet"]


def other_weights(rec: magnn.Recommender) -> magnn.Recommender:
    model = MAGNN(rec.model.config, rec.model.n_users, rec.model.n_items)
    model.load_state_dict(rec.model.state_dict())
    with torch.no_grad():
        model.embeddings.output[3, 0] += 0.1
    return replace(rec, model=model.eval())


def other_events(rec: magnn.Recommender, **changes: Any) -> magnn.Recommender:
    return replace(rec, split=replace(rec.split, events=replace(rec.split.events, **changes)))


def other_history(rec: magnn.Recommender) -> magnn.Recommender:
    histories = rec.split.events.histories
    items = histories.items.copy()
    items[:2] = items[1::-1]
    return other_events(rec, histories=replace(histories, items=items))


def other_user_ids(rec: magnn.Recommender) -> magnn.Recommender:
    return other_events(rec, user_ids=rec.split.events.user_ids + 1)


def other_item_ids(rec: magnn.Recommender) -> magnn.Recommender:
    return other_events(rec, item_ids=rec.split.events.item_ids.cast(pl.String))


@pytest.mark.parametrize("other", [other_weights, other_history, other_user_ids, other_item_ids])
def test_parts_of_another_model_or_log_are_discarded(
    recommender: magnn.Recommender, tmp_path: Path, other: Callable[[magnn.Recommender], magnn.Recommender]
) -> None:
    path, alone = tmp_path / "recs.parquet", tmp_path / "alone.parquet"
    left = interrupt(other(recommender), path)
    told = watch(recommender, path)
    assert told[0].done == 0 and "another model, log or k: starting from the beginning" in told[0].note
    assert str(parts_of(path)) in told[0].note and "\n" not in told[0].note
    recommender.recommend_all(alone, K)
    assert path.read_bytes() == alone.read_bytes()
    assert left and names(tmp_path) == ["alone.parquet", "recs.parquet"]


@pytest.mark.parametrize("changed", ["recent", "decay_G"])
def test_parts_of_another_graph_part_are_discarded(
    recommender: magnn.Recommender, tmp_path: Path, changed: str
) -> None:
    """What weighs an event by its age is in no matrix."""
    part = count_neighbours(recommender.split.train, GraphConfig(neighbours=3))
    mixture = copy.deepcopy(part.mixture)
    torch.nn.init.constant_(mixture.decay_G, 0.4)
    other = replace(part, recent=2) if changed == "recent" else replace(part, mixture=mixture)
    path = tmp_path / "recs.parquet"
    interrupt(replace(recommender, graph_part=other), path)
    assert watch(replace(recommender, graph_part=part), path)[0].done == 0


def test_parts_of_another_k_or_size_are_discarded(
    recommender: magnn.Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "recs.parquet"
    interrupt(recommender, path, k=K + 1)
    left = interrupt(recommender, path, at=14)
    assert len(left) == 2, "only those of the last run"
    monkeypatch.setattr(batch, "CHUNK", 8)
    assert watch(recommender, path)[0].done == 0
    assert pl.read_parquet(path).height == 40 * K


def test_a_second_run_to_a_file_is_refused(recommender: magnn.Recommender, tmp_path: Path) -> None:
    path, other = tmp_path / "recs.parquet", other_weights(recommender)

    def second(progress: BatchProgress) -> None:
        if progress.done == 14:
            with pytest.raises(InputError, match=r"recs\.parquet: another run is writing this file; wait for its end"):
                other.recommend_all(path, K)
            other.recommend_all(tmp_path / "other.parquet", K)

    recommender.recommend_all(path, K, progress=second)
    recommender.recommend_all(tmp_path / "alone.parquet", K)
    assert path.read_bytes() == (tmp_path / "alone.parquet").read_bytes()
    assert names(tmp_path) == ["alone.parquet", "other.parquet", "recs.parquet"]


# Failures ---------------------------------------------------------------------------------------------------------------


def test_files_of_others_stay(recommender: magnn.Recommender, tmp_path: Path) -> None:
    path = tmp_path / "recs.parquet"
    parts_of(path).mkdir()
    (parts_of(path) / "part-00000.parquet").write_text("precious")
    recommender.recommend_all(path, K)
    assert names(parts_of(path)) == ["part-00000.parquet"]
    assert pl.read_parquet(path).height == 40 * K


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """The nearest thing to a full disk: the system itself refuses to write on."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("when", ["part", "join"])
def test_a_full_disk_leaves_the_older_file_and_the_parts(
    recommender: magnn.Recommender, tmp_path: Path, when: str
) -> None:
    path = tmp_path / "recs.parquet"
    path.write_text("older")
    left = interrupt(recommender, path, at=14 if when == "part" else 40)
    size = 512 if when == "part" else max((parts_of(path) / name).stat().st_size for name in left)
    with no_file_larger_than(size), pytest.raises(StorageError) as caught:
        recommender.recommend_all(path, K)
    place = path if when == "join" else parts_of(path) / left[0].replace("000000000", "000000014")
    reason = "File too large (os error 27)"
    assert str(caught.value) == f"{place}: cannot be written: {reason}; free some space or choose another place"
    assert path.read_text() == "older"
    assert names(tmp_path) == ["recs.parquet", "recs.parquet.parts"] and names(parts_of(path)) == left
    assert watch(recommender, path)[0].done == (14 if when == "part" else 40)
    assert pl.read_parquet(path).height == 40 * K


def test_ctrl_c_leaves_the_older_file(recommender: magnn.Recommender, tmp_path: Path) -> None:
    path = tmp_path / "recs.parquet"
    recommender.recommend_all(path, k=2)
    before = path.read_bytes()
    interrupt(recommender, path)
    assert path.read_bytes() == before


def test_what_cannot_be_is_told_before_any_work(
    recommender: magnn.Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "user_scorer", lambda *_: pytest.fail("worked"))
    (tmp_path / "folder.parquet").mkdir()
    n_items = recommender.split.events.n_items
    for k in (0, n_items + 1):
        with pytest.raises(InputError, match=f"between 1 and the catalogue's {n_items} items, not {k}"):
            recommender.recommend_all(tmp_path / "recs.parquet", k)
    with pytest.raises(InputError, match="is a directory; name a file"):
        recommender.recommend_all(tmp_path / "folder.parquet")
    with pytest.raises(InputError, match=r"written as Parquet; name it .*recs\.parquet$"):
        recommender.recommend_all(tmp_path / "recs.csv")
    assert names(tmp_path) == ["folder.parquet"]


def test_a_name_too_long_for_the_parts_is_told_before_any_work(recommender: magnn.Recommender, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="File name too long"):
        recommender.recommend_all(tmp_path / f"{'x' * 245}.parquet", K, progress=lambda _: pytest.fail("it has begun"))


def test_a_place_that_cannot_be_is_a_storage_error(recommender: magnn.Recommender, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    for place in ("file/recs.parquet", "recs.parquet"):
        (tmp_path / "recs.parquet.parts").write_text("in the way")
        with pytest.raises(StorageError, match="cannot be written"):
            recommender.recommend_all(tmp_path / place)
    assert names(tmp_path) == ["file", "recs.parquet.parts"]


@pytest.mark.parametrize("name", ["new/folders/recs.parquet", "user=1/[a]*?{b}.parquet", "é \N{SNOWMAN}.PARQUET"])
def test_any_name_will_do(recommender: magnn.Recommender, tmp_path: Path, name: str) -> None:
    """Polars reads patterns and columns out of names, if it may."""
    interrupt(recommender, tmp_path / name)
    assert watch(recommender, tmp_path / name)[0].done == 21
    frame = pl.read_parquet((tmp_path / name).read_bytes())
    assert frame.columns == ["user", "rank", "item", "score"] and frame.height == 40 * K
    assert frame["user"].n_unique() == 40
    assert np.array_equal(frame["rank"].to_numpy().reshape(40, K), np.tile(np.arange(1, K + 1), (40, 1)))
    assert names((tmp_path / name).parent) == [Path(name).name]
