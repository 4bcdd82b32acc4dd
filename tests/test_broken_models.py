"""A model's directory that something has happened to is refused in one line, whatever it is."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import magnn
from magnn import artifact
from magnn.errors import ArtifactError

MANIFESTS = {
    "no JSON": "{",
    "no UTF-8": b"\xff\xfe",
    "a list": "[]",
    "a number": "3",
    "of another program": json.dumps({"format": "other", "format_version": artifact.FORMAT_VERSION}),
    "without a format": json.dumps({"format_version": artifact.FORMAT_VERSION}),
    "without a version": json.dumps({"format": "magnn"}),
    "version no number": json.dumps({"format": "magnn", "format_version": "1"}),
    "newer": json.dumps({"format": "magnn", "format_version": 99}),
    "without hashes": json.dumps({"format": "magnn", "format_version": artifact.FORMAT_VERSION}),
    "hashes no table": json.dumps({"format": "magnn", "format_version": artifact.FORMAT_VERSION, "sha256": ["abc"]}),
    "wrong hashes": json.dumps(
        {"format": "magnn", "format_version": artifact.FORMAT_VERSION, "sha256": dict.fromkeys(artifact.FILES, "0")}
    ),
}


@pytest.mark.parametrize("case", MANIFESTS)
def test_a_broken_manifest_is_an_artifact_error(saved_model: Path, tmp_path: Path, case: str) -> None:
    shutil.copytree(saved_model, tmp_path / "model")
    content = MANIFESTS[case]
    (tmp_path / "model" / artifact.MANIFEST).write_bytes(
        content if isinstance(content, bytes) else str(content).encode()
    )
    with pytest.raises(ArtifactError):
        magnn.load(tmp_path / "model")


@pytest.mark.parametrize(
    ("found", "remedy"),
    [
        (artifact.FORMAT_VERSION - 1, "fit it again"),
        (99, "upgrade"),
        ("3", "upgrade"),
        (None, "upgrade"),
        (1.5, "upgrade"),
    ],
)
def test_only_the_present_format_is_read(saved_model: Path, tmp_path: Path, found: Any, remedy: str) -> None:
    """All else in the model is sound: the version alone decides."""
    shutil.copytree(saved_model, tmp_path / "model")
    manifest = json.loads((tmp_path / "model" / artifact.MANIFEST).read_text())
    (tmp_path / "model" / artifact.MANIFEST).write_text(json.dumps(manifest | {"format_version": found}))
    with pytest.raises(
        ArtifactError, match=f"format version {found}; this magnn reads {artifact.FORMAT_VERSION}: {remedy}"
    ):
        magnn.load(tmp_path / "model")


def rehash(model: Path) -> None:
    """Make the manifest agree with the files, as someone would who writes a model by hand."""
    manifest = json.loads((model / artifact.MANIFEST).read_text())
    manifest["sha256"] = {name: hashlib.sha256((model / name).read_bytes()).hexdigest() for name in artifact.FILES}
    (model / artifact.MANIFEST).write_text(json.dumps(manifest))


def swap_users(model: Path) -> None:
    pl.read_parquet(model / "events.parquet").reverse().write_parquet(model / "events.parquet")


def drop_items(model: Path) -> None:
    pl.read_parquet(model / "items.parquet").head(3).write_parquet(model / "items.parquet")


def drop_events(model: Path) -> None:
    pl.read_parquet(model / "events.parquet").clear().write_parquet(model / "events.parquet")


def rename_column(model: Path) -> None:
    pl.read_parquet(model / "users.parquet").rename({"user": "who"}).write_parquet(model / "users.parquet")


def add_a_setting(model: Path) -> None:
    about = json.loads((model / "fit.json").read_text())
    about["settings"]["model"]["layers"] = 3
    (model / "fit.json").write_text(json.dumps(about))


def widen(model: Path) -> None:
    about = json.loads((model / "fit.json").read_text())
    about["settings"]["model"]["dim"] = 9
    (model / "fit.json").write_text(json.dumps(about))


def no_seed(model: Path) -> None:
    about = json.loads((model / "fit.json").read_text())
    del about["seed"]
    (model / "fit.json").write_text(json.dumps(about))


def empty_about(model: Path) -> None:
    (model / "fit.json").write_text("[]")


def odd_log(model: Path) -> None:
    (model / "training.jsonl").write_text('{"epoch": 1}\n')


def no_tensors(model: Path) -> None:
    (model / "model.safetensors").write_bytes(b"not tensors at all")


@pytest.mark.parametrize(
    "damage",
    [
        swap_users,
        drop_items,
        drop_events,
        rename_column,
        add_a_setting,
        widen,
        no_seed,
        empty_about,
        odd_log,
        no_tensors,
    ],
    ids=lambda damage: damage.__name__,
)
def test_files_that_do_not_belong_together_are_refused_whatever_their_hashes(
    saved_model: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    model = tmp_path / "model"
    shutil.copytree(saved_model, model)
    damage(model)
    rehash(model)
    with pytest.raises(ArtifactError, match="do not belong together") as caught:
        magnn.load(model)
    assert "\n" not in str(caught.value)
