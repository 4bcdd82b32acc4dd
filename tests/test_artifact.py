"""The model's directory: what goes in comes out to the bit, nothing else is in it, and no failure loses the old one."""

import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

import magnn
from magnn import artifact
from magnn.errors import ArtifactError, StorageError
from tests.conftest import SMALL_MODEL


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


def everything(rec: magnn.Recommender) -> list[magnn.Recommendations]:
    """Every user's whole ranking: scores too, so equality is to the bit."""
    events = rec.split.events
    return rec.recommend_many(events.user_ids.to_list(), k=events.n_items)


def fitted_on(users: list[Any], items: list[Any], table: pl.DataFrame | None = None) -> magnn.Recommender:
    log = pl.DataFrame({"user": users, "item": items})
    split = magnn.split(magnn.read_events(log, items=table), "leave-one-out")
    return magnn.fit(split, config={"model": SMALL_MODEL}, epochs=1)


def test_a_loaded_recommender_recommends_and_evaluates_to_the_bit(
    recommender: magnn.Recommender, saved_model: Path
) -> None:
    loaded = magnn.load(saved_model)
    assert everything(loaded) == everything(recommender)
    item = recommender.split.events.item_ids[0]
    assert loaded.similar(item, k=20) == recommender.similar(item, k=20)
    assert loaded.recommend(history=[item], k=20) == recommender.recommend(history=[item], k=20)
    assert magnn.evaluate(loaded, k=5).to_dict() == magnn.evaluate(recommender, k=5).to_dict()


def test_all_that_a_fit_knows_comes_back(recommender: magnn.Recommender, saved_model: Path) -> None:
    loaded = magnn.load(saved_model)
    assert loaded.model.state_dict().keys() == recommender.model.state_dict().keys()
    for name, value in recommender.model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], value), name
    for name in ("settings", "seed", "refit", "completed", "logs"):
        assert getattr(loaded, name) == getattr(recommender, name), name
    old, new = recommender.split, loaded.split
    assert new.protocol == old.protocol and new.part.tolist() == old.part.tolist()
    assert new.events.times.tolist() == old.events.times.tolist()
    assert (new.events.dropped, new.events.notes) == (old.events.dropped, old.events.notes)


def test_a_loaded_split_is_the_fitted_one(recommender: magnn.Recommender, saved_model: Path) -> None:
    """So that it may be handed to `evaluate`, which refuses any other."""
    assert magnn.evaluate(magnn.load(saved_model), recommender.split, k=3).k == 3


@pytest.mark.parametrize(
    ("users", "items"),
    [([1, 1, 2, 2, -7, -7], [10, 20, 20, 30, 10, 2**62]), (["é", "é", "b", "b", "007", "007"], list("xyyzxz"))],
    ids=["integers", "text"],
)
def test_ids_keep_their_kind(tmp_path: Path, users: list[Any], items: list[Any]) -> None:
    rec = fitted_on(users, items)
    rec.save(tmp_path / "model")
    loaded = magnn.load(tmp_path / "model")
    assert loaded.split.events.user_ids.to_list() == sorted(set(users))
    assert loaded.split.events.item_ids.to_list() == sorted(set(items))
    assert everything(loaded) == everything(rec)
    assert loaded.split.events.item_table is None, "without an item table, none comes back"


def test_the_item_table_is_kept_whole(tmp_path: Path) -> None:
    table = pl.DataFrame({"item": ["x", "y"], "title": ["[bold]X[/bold]", None], "year": [1999, None]})
    rec = fitted_on(list("aabb"), list("xyyx"), table)
    rec.save(tmp_path / "model")
    loaded = magnn.load(tmp_path / "model").split.events
    assert loaded.item_table is not None and rec.split.events.item_table is not None
    assert loaded.item_table.equals(rec.split.events.item_table)
    assert [loaded.title(0), loaded.title(1)] == ["[bold]X[/bold]", None]


def test_a_fit_cut_short_is_remembered(recommender: magnn.Recommender, tmp_path: Path) -> None:
    replace(recommender, completed=False, refit=False, seed=7).save(tmp_path / "model")
    loaded = magnn.load(tmp_path / "model")
    assert (loaded.completed, loaded.refit, loaded.seed) == (False, False, 7)


def test_training_jsonl_has_a_line_for_each_epoch(recommender: magnn.Recommender, saved_model: Path) -> None:
    lines = [json.loads(line) for line in (saved_model / "training.jsonl").read_text().splitlines()]
    assert len(lines) == len(recommender.logs) == 2
    for line in lines:
        assert line.keys() >= {"epoch", "loss", "train_seconds", "valid_seconds", "metrics"}
    assert "ndcg@10" in lines[0]["metrics"], "the first phase is validated"


def test_only_data_is_in_it(saved_model: Path) -> None:
    """Tensors, JSON and Parquet: nothing that loading could execute."""
    kinds = {"safetensors", "json", "jsonl", "parquet"}
    assert contents(saved_model).keys() == {*artifact.FILES, artifact.MANIFEST}
    assert {name.rsplit(".", 1)[1] for name in contents(saved_model)} == kinds
    for name, content in contents(saved_model).items():
        # What pickles and zip archives of pickles (torch.save) begin with.
        assert not content.startswith((b"\x80", b"PK")) or name.endswith(".safetensors"), name


def test_two_saves_differ_only_in_when(recommender: magnn.Recommender, tmp_path: Path) -> None:
    for name in ("a", "b"):
        recommender.save(tmp_path / name)
    a, b = contents(tmp_path / "a"), contents(tmp_path / "b")
    manifests = [json.loads(files.pop(artifact.MANIFEST)) for files in (a, b)]
    assert a == b
    for manifest in manifests:
        assert manifest.pop("created").endswith("+00:00")
    assert manifests[0] == manifests[1]


def test_saving_what_was_loaded_writes_the_same(saved_model: Path, tmp_path: Path) -> None:
    magnn.load(saved_model).save(tmp_path / "again")
    before, after = contents(saved_model), contents(tmp_path / "again")
    for name in artifact.FILES:
        assert before[name] == after[name], name


def test_a_save_replaces_an_older_model_and_leaves_nothing_beside(
    recommender: magnn.Recommender, tmp_path: Path
) -> None:
    path = tmp_path / "models" / "model"  # the folder is made too
    fitted_on(list("aabb"), list("xyyx")).save(path)
    (path / ".DS_Store").touch()
    recommender.save(path)
    assert everything(magnn.load(path)) == everything(recommender)
    assert [file.name for file in path.parent.iterdir()] == ["model"]


def test_a_save_does_not_take_along_what_is_beside_a_model(recommender: magnn.Recommender, tmp_path: Path) -> None:
    fitted_on(list("aabb"), list("xyyx")).save(tmp_path)
    (tmp_path / "lists.parquet").write_text("of a day's work")
    before = contents(tmp_path)
    with pytest.raises(ArtifactError, match=r"has lists\.parquet beside its model, .* move it away"):
        recommender.save(tmp_path)
    assert contents(tmp_path) == before


def test_a_save_replaces_an_older_model_that_had_other_files(recommender: magnn.Recommender, tmp_path: Path) -> None:
    recommender.save(tmp_path / "model")
    manifest = json.loads((tmp_path / "model" / artifact.MANIFEST).read_text())
    manifest["sha256"]["older.npz"] = "0"
    (tmp_path / "model" / artifact.MANIFEST).write_text(json.dumps(manifest))
    (tmp_path / "model" / "older.npz").touch()
    recommender.save(tmp_path / "model")
    assert set(contents(tmp_path / "model")) == {artifact.MANIFEST, *artifact.FILES}


def test_where_a_disk_is_mounted_is_refused_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.path.ismount", lambda path: path == tmp_path.resolve())
    with pytest.raises(ArtifactError, match="choose a folder in it"):
        artifact.check_destination(tmp_path)


def test_a_place_that_the_system_refuses_is_said(tmp_path: Path) -> None:
    for path in (tmp_path / ("m" * 245), tmp_path / "new" / ("m" * 245)):  # it may stand there, but not be replaced
        with pytest.raises(StorageError, match="File name too long"):
            artifact.check_destination(path)
    path = tmp_path / ("m" * 300)
    with pytest.raises(StorageError, match="File name too long"):
        artifact.check_destination(path)
    with pytest.raises(ArtifactError, match="cannot be read: File name too long"):
        magnn.load(path)
    path = tmp_path / "loop"
    path.symlink_to(path)
    with pytest.raises(StorageError, match="Too many levels of symbolic links"):
        artifact.check_destination(path)


@pytest.mark.parametrize(
    ("name", "beside"), [("m[1]", "m1"), ("m?", "mx"), ("m*", "mx"), ("size=3", "m1"), ("s[ab", "m1")]
)
def test_no_name_is_a_pattern(recommender: magnn.Recommender, tmp_path: Path, name: str, beside: str) -> None:
    fitted_on(list("aabb"), list("xyyx")).save(tmp_path / beside)
    recommender.save(tmp_path / name)
    assert everything(magnn.load(tmp_path / name)) == everything(recommender)


def test_a_model_is_as_readable_as_any_new_file(recommender: magnn.Recommender, tmp_path: Path) -> None:
    """A service that runs as somebody else can read what was fitted."""
    recommender.save(tmp_path / "model")
    (tmp_path / "plain").write_text("")
    expected = (tmp_path / "plain").stat().st_mode & 0o777
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "model").iterdir()} == {expected}


def full_disk(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def after(calls: int, function: Callable[..., Any], fail: Callable[..., Any]) -> Callable[..., Any]:
    """`function` that does its work so many times, and then fails."""
    left = iter(range(calls))

    def wrapped(*arguments: Any, **options: Any) -> Any:
        return (fail if next(left, None) is None else function)(*arguments, **options)

    return wrapped


@pytest.mark.parametrize(
    ("target", "name", "calls"),
    [
        (artifact, "save_file", 0),
        (pl.DataFrame, "write_parquet", 0),
        (pl.DataFrame, "write_parquet", 2),
        (Path, "write_text", 0),
        (Path, "write_text", 2),
        (Path, "rename", 0),
        (Path, "rename", 1),
    ],
    ids=["weights", "events", "items", "fit.json", "manifest", "move old away", "move new in"],
)
def test_a_save_that_fails_anywhere_leaves_the_old_model(
    recommender: magnn.Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: Any, name: str, calls: int
) -> None:
    path = tmp_path / "model"
    fitted_on(list("aabb"), list("xyyx")).save(path)
    before = contents(path)
    with monkeypatch.context() as patch, pytest.raises(StorageError, match="No space left on device"):
        patch.setattr(target, name, after(calls, getattr(target, name), full_disk))
        recommender.save(path)
    assert contents(path) == before
    assert [file.name for file in tmp_path.iterdir()] == ["model"], "something is left beside it"
    assert len(magnn.load(path).recommend_many(["a", "b"], k=2)) == 2


def test_ctrl_c_while_saving_leaves_the_old_model(
    recommender: magnn.Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    recommender.save(tmp_path / "model")
    before = contents(tmp_path / "model")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(pl.DataFrame, "write_parquet", stop)
        recommender.save(tmp_path / "model")
    assert contents(tmp_path / "model") == before
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_a_link_to_a_model_still_leads_to_the_new_one(recommender: magnn.Recommender, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    fitted_on(list("aabb"), list("xyyx")).save(tmp_path / "store" / "model")
    (tmp_path / "current").symlink_to(tmp_path / "store" / "model")
    recommender.save(tmp_path / "current")
    assert everything(magnn.load(tmp_path / "current")) == everything(recommender)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["current", "store"]


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch], ids=["empty folder", "file"])
def test_a_save_overwrites_nothing_but_a_model(
    recommender: magnn.Recommender, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "model")
    if (tmp_path / "model").is_dir():
        recommender.save(tmp_path / "model")  # nothing is lost
        assert artifact.is_artifact(tmp_path / "model")
    else:
        with pytest.raises(ArtifactError, match="exists and is not a magnn model"):
            recommender.save(tmp_path / "model")
        assert (tmp_path / "model").read_bytes() == b""


def test_a_model_that_is_being_replaced_is_waited_for(
    recommender: magnn.Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old one has left its place, and the new one comes there in a moment."""
    monkeypatch.setattr("time.sleep", lambda _: recommender.save(tmp_path / "model"))
    assert everything(magnn.load(tmp_path / "model")) == everything(recommender)

    read = artifact._events

    def gone(*given: Any) -> Any:
        (tmp_path / "model").rename(tmp_path / "old")
        monkeypatch.setattr(artifact, "_events", read)
        return read(*given)

    monkeypatch.setattr(artifact, "_events", gone)
    assert everything(magnn.load(tmp_path / "model")) == everything(recommender)


def test_a_model_that_is_replaced_while_it_is_read_is_read_again(
    recommender: magnn.Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted_on(list("aabb"), list("xyyx")).save(tmp_path / "model")
    read, times = artifact._events, []

    def replaced(*given: Any) -> Any:
        times.append(1)
        if len(times) == 1:
            recommender.save(tmp_path / "model")
        return read(*given)

    monkeypatch.setattr(artifact, "_events", replaced)
    assert everything(magnn.load(tmp_path / "model")) == everything(recommender)
    assert len(times) == 2
