"""Checkpoints: one safetensors file per training phase, from which a run goes on as if it had never stopped."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from magnn.errors import InputError
from magnn.model.magnn import MAGNN
from magnn.storage import atomic_file
from magnn.training.trainer import EpochLog, TrainingState


def save_checkpoint(
    path: Path, fingerprint: str, state: TrainingState, model: MAGNN, optimizer: torch.optim.Optimizer
) -> None:
    """Write weights, optimizer and progress to `path`, atomically.

    Args:
        fingerprint: what identifies the settings and data of the run; a resumed run must have the same.
    """
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in state.best_weights.items()}
    for number, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"adam.{number}.{name}": value for name, value in moments.items()}
    progress = {
        "epoch": state.epoch,
        "best_epoch": state.best_epoch,
        "best_metric": state.best_metric,
        "logs": [asdict(log) for log in state.logs],
    }
    with atomic_file(path) as temporary:
        save_file(
            {name: value.contiguous() for name, value in tensors.items()},
            temporary,
            metadata={"fingerprint": fingerprint, "progress": json.dumps(progress)},
        )


def load_checkpoint(path: Path, fingerprint: str, model: MAGNN, optimizer: torch.optim.Optimizer) -> TrainingState:
    """Restore `model` and `optimizer` in place.

    Raises:
        InputError: the file is damaged, or is of another run.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # Copies: the next epoch puts another file in the place of this one.
            tensors = {name: file.get_tensor(name).clone() for name in list(file.keys())}
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: damaged checkpoint ({error}); remove it and start again without --resume") from error
    if metadata.get("fingerprint") != fingerprint:
        raise InputError(
            f"{path}: this checkpoint is of other data, settings or seed, or of another device or version of magnn; "
            "repeat those, or start again without --resume"
        )
    progress = json.loads(metadata["progress"])
    model.load_state_dict(_under("model.", tensors))
    optimizer_state = optimizer.state_dict()
    for name, value in _under("adam.", tensors).items():
        number, moment = name.split(".", 1)
        optimizer_state["state"].setdefault(int(number), {})[moment] = value
    optimizer.load_state_dict(optimizer_state)
    logs = [EpochLog(**log) for log in progress.pop("logs")]
    return TrainingState(**progress, logs=logs, best_weights=_under("best.", tensors))


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
