"""Training: an epoch on Amazon CDs, and a step beside the plain one, in turn."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch

import magnn
from benchmarks import reference
from benchmarks.measure import CDS, Row, in_turn, main, row
from benchmarks.peak import peak_gib_of_children
from magnn.data.interactions import Histories
from magnn.data.windows import training_windows
from magnn.model.magnn import MAGNN
from magnn.model.short_term import ItemGraph
from magnn.settings import make_settings
from magnn.training.negatives import UnseenItems
from magnn.training.trainer import batch_bpr, make_optimizer

EPOCHS = 5


class Step(NamedTuple):
    """A training step on random batches of a log: call `run`; `model` is what it trains, `batch` its size."""

    run: Callable[[], None]
    model: MAGNN
    batch: int


def make_step(train: Histories, *, plain: bool = False) -> Step:
    """A step of preset `paper` on a fresh network: the package's, or the plain one."""
    settings = make_settings("paper")
    shape, config = settings.model, settings.training
    windows = training_windows(train, shape.short_window, shape.long_window, config.targets)
    unseen, rng = UnseenItems(train), np.random.default_rng(0)
    size = config.batch_of(len(windows))
    torch.manual_seed(0)
    model = MAGNN(shape, train.n_users, train.n_items, ItemGraph.of(train, shape))
    if plain:
        adjacency = reference.adjacency(train, shape.graph_steps)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-3)
    else:
        optimizer = make_optimizer(model, config, len(windows))

    def run() -> None:
        batch = windows.batch(rng.integers(0, len(windows), size))
        negatives = unseen.draw(batch.users_B, config.targets * config.negatives, rng)
        optimizer.zero_grad()
        if plain:
            loss = reference.batch_loss(model, adjacency, batch, negatives)
        else:
            loss = batch_bpr(model, batch, negatives, config)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return Step(run, model, size)


def run() -> list[Row]:
    """Epochs of a real fit, by the command, then steps in turn."""
    split = magnn.split(magnn.read_events(CDS), "paper")
    size = f"Amazon CDs: {split.events.n_users:,} users, {split.events.n_items:,} items"
    with TemporaryDirectory() as folder:
        magnn_command = str(Path(sys.executable).with_name("magnn"))
        command = [magnn_command, "fit", str(CDS), "-o", f"{folder}/model", "--preset", "paper"]
        subprocess.run([*command, "--no-refit", "--epochs", str(EPOCHS)], check=True)
        logs = (Path(folder) / "model" / "training.jsonl").read_text().splitlines()
    epochs = [json.loads(line)["train_seconds"] for line in logs]
    peak = peak_gib_of_children()
    rows = [row("one epoch, preset `paper`", size, epochs, reach=3.0, peak_gib=peak)]
    ours, plain = make_step(split.train), make_step(split.train, plain=True)
    fast, slow = in_turn(ours.run, plain.run, runs=9)
    ratio = float(np.median(np.array(slow) / fast))
    rows.append(row(f"one step of {ours.batch:,} samples", size, fast, "ms", scale=1e3, ratio=ratio))
    rows.append(row(f"one plain step of {ours.batch:,} samples", size, slow, "ms", scale=1e3))
    best = magnn.fit(split, config={"graph": {"neighbours": 0}}, epochs=1, refit=False)
    rows.append(row("one epoch, preset `best`", size, [log.train_seconds for log in best.logs]))
    return rows


if __name__ == "__main__":
    main("training", run)
