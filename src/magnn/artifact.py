"""What a fit leaves behind, and its form on disk: a directory of safetensors, JSON and Parquet.

Nothing in it is executed on loading. `manifest.json` names the format version and every file's SHA-256.
"""

import json
import os
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp
import torch
from polars.exceptions import PolarsError
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from magnn.data.interactions import Histories, Interactions
from magnn.data.split import Split
from magnn.errors import ArtifactError, InputError
from magnn.model.graph_part import GraphPart, Mixture
from magnn.model.magnn import MAGNN
from magnn.settings import Settings
from magnn.storage import atomic_directory, check_place, explained, file_sha256
from magnn.torch_state import check_defaults
from magnn.training.trainer import EpochLog

FORMAT, FORMAT_VERSION = "magnn", 5
LITTER = {".DS_Store", "Thumbs.db", "desktop.ini"}  # what systems leave in a folder that somebody looked at
MANIFEST = "manifest.json"
GRAPHS = ("co_occurrence", "followed_by")
FILES = (
    "model.safetensors",
    "graph.safetensors",
    "fit.json",
    "events.parquet",
    "users.parquet",
    "items.parquet",
    "training.jsonl",
)


@dataclass(frozen=True, eq=False)
class Fitted:
    """A trained network with the log it was fitted on.

    Attributes:
        model: frozen network.
        split: the event log and its parts; ids and titles come from here.
        settings, seed: what it was fitted with.
        refit: whether the validation events were trained on too.
        logs: one entry per epoch of each phase, and one for the graph part, which has no loss (0).
        completed: False if Ctrl-C cut the training short.
        graph_part: neighbours and popularity; None where they are off.
    """

    model: MAGNN
    split: Split
    settings: Settings
    seed: int
    refit: bool
    logs: list[EpochLog] = field(default_factory=list)
    completed: bool = True
    graph_part: GraphPart | None = None

    @property
    def best_epoch(self) -> EpochLog | None:
        """The epoch that the validation events chose; None where there were none to choose by."""
        selected = [log for log in self.logs if log.phase == "select"]
        return max(selected, key=lambda log: log.metrics[self.settings.training.select_by], default=None)

    @property
    def fit_seconds(self) -> float:
        """How long training and validation took, together."""
        return sum(log.train_seconds + log.valid_seconds for log in self.logs)


def write_artifact(fitted: Fitted, path: Path) -> None:
    """Write to the directory `path`, replacing a model that stands there.

    Raises:
        ArtifactError: see `check_destination`.
        StorageError: the disk is full or the place cannot be written; an older model there is left as it was.
    """
    check_destination(path)
    split, events = fitted.split, fitted.split.events
    with atomic_directory(path) as directory:
        weights = {name: value.contiguous() for name, value in fitted.model.state_dict().items()}
        save_file(weights, directory / "model.safetensors")
        save_file(
            {} if fitted.graph_part is None else _graph_tensors(fitted.graph_part), directory / "graph.safetensors"
        )
        for name in ("model.safetensors", "graph.safetensors"):
            # safetensors lets only the owner read it; a service may run as somebody else.
            (directory / name).chmod(directory.stat().st_mode & 0o666)
        about = {
            "settings": fitted.settings.model_dump(),
            "seed": fitted.seed,
            "refit": fitted.refit,
            "completed": fitted.completed,
            "protocol": split.protocol,
            "dropped": events.dropped,
            "notes": list(events.notes),
            "fitted_with": {name: version(name) for name in ("magnn", "torch", "numpy", "scipy", "polars")},
        }
        _write_json(directory / "fit.json", about)
        columns = {
            "user": events.histories.users,
            "item": events.histories.items,
            "time": events.times,
            "part": split.part,
        }
        pl.DataFrame(columns).write_parquet(directory / "events.parquet")
        pl.DataFrame({"user": events.user_ids}).write_parquet(directory / "users.parquet")
        items = events.item_table if events.item_table is not None else pl.DataFrame({"item": events.item_ids})
        items.write_parquet(directory / "items.parquet")
        lines = (json.dumps(asdict(log)) for log in fitted.logs)
        (directory / "training.jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        manifest = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "sha256": {name: file_sha256(directory / name) for name in FILES},
        }
        _write_json(directory / MANIFEST, manifest)


def read_artifact(path: Path) -> Fitted:
    """Read it back, the same to the bit; begun again where another model takes its place meanwhile.

    Raises:
        ArtifactError: no such directory, not a model, of another format version, or damaged: every file's hash is checked.
        InputError: PyTorch's defaults for tensors are others than float32 on the CPU.
    """
    check_defaults()
    while True:
        try:
            manifest = _manifest(path)
        except ArtifactError:
            time.sleep(0.1)  # one model gives way to another in two steps, between which there is none
            manifest = _manifest(path)
        try:
            with torch.inference_mode(mode=False):  # or it could be used inside the caller's only
                found = _read(path, manifest)
        except ArtifactError:
            if _is_still(path, manifest):
                raise
        else:
            if _is_still(path, manifest):
                return found
            del found  # not two in memory


def _is_still(path: Path, manifest: Any) -> bool:
    """Whether the model is the one that was there before: not replaced by another while it was read."""
    return bool(_manifest_of_ours(path) == manifest)


def _read(path: Path, manifest: Any) -> Fitted:
    """Check the files by the manifest, then read them."""
    _verify(path, manifest)
    try:
        about = json.loads((path / "fit.json").read_text(encoding="utf-8"))
        settings = Settings.model_validate(about["settings"])
        table = _table(path / "events.parquet")
        split = Split(_events(path, table, about), about["protocol"], table["part"].to_numpy())
        with torch.device("meta"):  # no weights are drawn: other threads may be at that stream of random numbers
            model = MAGNN(settings.model, split.events.n_users, split.events.n_items)
        model.load_state_dict(_tensors(path / "model.safetensors"), assign=True)
        graph = None
        if settings.graph.neighbours:
            graph = _graph(_tensors(path / "graph.safetensors"), settings.graph.recent, split.events.n_items)
        lines = (path / "training.jsonl").read_text(encoding="utf-8").splitlines()
        logs = [EpochLog(**json.loads(line)) for line in lines]
        return Fitted(model.eval(), split, settings, about["seed"], about["refit"], logs, about["completed"], graph)
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        RuntimeError,
        SafetensorError,
        PolarsError,
        ValidationError,
    ) as error:
        # The hashes are right, so this was written so: by hand, or by a program that is not magnn.
        raise ArtifactError(
            f"{path}: its files do not belong together ({str(error).splitlines()[0]}); fit it again"
        ) from error


def is_artifact(path: Path) -> bool:
    """Whether `path` is a directory with a magnn manifest, of whatever version."""
    return _manifest_of_ours(path) is not None


def is_complete(path: Path) -> bool:
    """Whether `path` has a model, of whatever version, whose training came to its end."""
    try:
        return is_artifact(path) and json.loads((path / "fit.json").read_text(encoding="utf-8"))["completed"] is True
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _manifest_of_ours(path: Path) -> Any:
    """None where there is no magnn manifest."""
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        return manifest if manifest["format"] == FORMAT else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def check_destination(path: Path) -> None:
    """That a model can be written to `path`, and nothing but a model would be lost.

    Raises:
        ArtifactError: something else stands there, or beside the files of a model.
        StorageError: the place cannot be read or written.
    """
    with explained(path):
        try:
            path.stat()
        except FileNotFoundError:
            check_place(path)
            return
        if os.path.ismount(path.resolve()):  # Path.is_mount is not for Windows before Python 3.12
            raise ArtifactError(f"{path} is where a disk is mounted, which no model can replace; choose a folder in it")
        if Path.cwd().is_relative_to(path.resolve()):  # the shell would stand in a folder that is gone
            raise ArtifactError(f"{path} is the current folder, or around it; choose a folder in it, or go out of it")
        names = {entry.name for entry in path.iterdir()} if path.is_dir() else {""}
    check_place(path)
    if not names:
        return
    manifest = _manifest_of_ours(path)
    if manifest is None:
        raise ArtifactError(f"{path} exists and is not a magnn model; choose another output, or move it away")
    hashes = manifest.get("sha256")
    of_an_older_format = set(hashes) if isinstance(hashes, dict) else set()
    if foreign := sorted(names - {MANIFEST, *FILES} - of_an_older_format - LITTER):
        raise ArtifactError(
            f"{path} has {foreign[0]} beside its model, which a new model would replace too; move it away, "
            "or choose another output"
        )


def _graph_tensors(graph: GraphPart) -> dict[str, Tensor]:
    tensors = {f"mixture.{name}": value for name, value in graph.mixture.state_dict().items()}
    tensors["log_counts"] = torch.from_numpy(graph.log_counts_N)
    for name, counts in zip(GRAPHS, graph.graphs, strict=True):
        for part in ("indptr", "indices", "data"):
            tensors[f"{name}.{part}"] = torch.from_numpy(getattr(counts, part))
    return tensors


def _graph(tensors: dict[str, Tensor], recent: int, n_items: int) -> GraphPart:
    mixture = Mixture()
    mixture.load_state_dict(
        {name.removeprefix("mixture."): value for name, value in tensors.items() if name.startswith("mixture.")}
    )
    counts = []
    for name in GRAPHS:
        data, indices, indptr = (tensors[f"{name}.{part}"].numpy() for part in ("data", "indices", "indptr"))
        counts.append(sp.csr_array((data, indices, indptr), shape=(n_items, n_items)))
        counts[-1].check_format(full_check=True)
    if len(tensors["log_counts"]) != n_items:
        raise InputError(f"popularity of {len(tensors['log_counts']):,} items, not of {n_items:,}")
    return GraphPart((counts[0], counts[1]), tensors["log_counts"].numpy(), recent, mixture.requires_grad_(False))


def _events(path: Path, events: pl.DataFrame, about: dict[str, Any]) -> Interactions:
    users, items = _table(path / "users.parquet"), _table(path / "items.parquet")
    user, item = events["user"].to_numpy(), events["item"].to_numpy()
    if (
        (np.diff(user) < 0).any()
        or user.max() >= users.height
        or item.max() >= items.height
        or min(user.min(), item.min()) < 0
    ):
        raise InputError("events of unknown users or items")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(user, minlength=users.height))]).astype(np.int64)
    return Interactions(
        histories=Histories(item, offsets, items.height),
        times=events["time"].to_numpy(),
        user_ids=users["user"],
        item_ids=items["item"],
        item_table=items if items.width > 1 else None,
        dropped=about["dropped"],
        notes=tuple(about["notes"]),
    )


def _tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a file, in memory of their own: what safetensors reads stays the file's, which may be written over."""
    return {name: value.clone() for name, value in load_file(path).items()}


def _table(path: Path) -> pl.DataFrame:
    """The table in that very file: no "[" in a folder's name is a pattern, no "=" a column."""
    return pl.read_parquet(path, glob=False, hive_partitioning=False)


def _manifest(path: Path) -> Any:
    """The manifest of a model that this version reads, with the hashes of its files."""
    try:
        found = path.exists()
    except OSError as error:  # no right to look, or a name too long
        raise ArtifactError(f"{path}: cannot be read: {error.strerror}") from error
    if not found:
        raise ArtifactError(f"{path}: no such model; magnn fit EVENTS -o {path} makes one")
    manifest = _manifest_of_ours(path)
    if manifest is None:
        raise ArtifactError(f"{path} is not a magnn model: it has no readable {MANIFEST}")
    written = manifest.get("format_version")
    if not isinstance(written, int) or written != FORMAT_VERSION:
        remedy = "fit it again" if isinstance(written, int) and written < FORMAT_VERSION else "upgrade magnn"
        raise ArtifactError(f"{path} has format version {written}; this magnn reads {FORMAT_VERSION}: {remedy}")
    if not isinstance(manifest.get("sha256"), dict):
        raise ArtifactError(f"{path}: {MANIFEST} names no hashes; fetch the model again or fit it again")
    return manifest


def _verify(path: Path, manifest: Any) -> None:
    for name in FILES:
        try:
            actual = file_sha256(path / name)
        except OSError as error:
            raise ArtifactError(
                f"{path}: {name} is missing or unreadable; fetch the model again or fit it again"
            ) from error
        if actual != manifest["sha256"].get(name):
            raise ArtifactError(
                f"{path}: {name} was changed or cut short since it was saved; fetch or fit the model again"
            )


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
