"""Memory of `fit` on 20 million events: all that it holds, and of an epoch only the first steps.

An epoch of so many samples takes minutes, and after a few steps nothing grows any more.
"""

import dataclasses
import json
import sys
import time
from pathlib import Path

import numpy as np

import magnn
from benchmarks.logs import ML_20M
from benchmarks.measure import Row, in_new_process, main
from benchmarks.preparation import log_on_disk
from magnn.fitting import validation_metrics, windows_of
from magnn.model.graph_part import count_neighbours
from magnn.model.magnn import MAGNN
from magnn.model.short_term import ItemGraph
from magnn.ranking.queries import network_scorer, user_scorer
from magnn.settings import make_settings
from magnn.training.mixture import fit_mixture
from magnn.training.trainer import TrainingState, make_optimizer, train

STEPS = 30


def fit_partly(path: str, preset: str) -> dict[str, float]:
    """Read, split, and what `fit` does on train with its objects alive as there: steps, validation, graph part.

    Returns:
        Seconds: `epoch`, from the steps run; `validation`; `graph`, counting and learning its weights.
    """
    split = magnn.split(magnn.read_events(path), "paper")
    history, held_out = split.train, split.valid
    settings = make_settings(preset).for_log(len(history.items), history.n_items)
    shape, training = settings.model, settings.training
    model = MAGNN(shape, history.n_users, history.n_items, ItemGraph.of(history, shape))
    windows = windows_of(history, settings)
    optimizer = make_optimizer(model, training, len(windows))
    size = training.batch_of(len(windows))
    some = np.random.default_rng(0).permutation(len(windows))[: STEPS * size]
    first = dataclasses.replace(windows, user_S=windows.user_S[some], next_S=windows.next_S[some])

    def validate() -> dict[str, float]:
        return validation_metrics(user_scorer(model, history), history, held_out, seed=0)

    of_size = training.model_copy(update={"batch_size": size})
    state = TrainingState()
    train(model, first, of_size, optimizer, state, phase="select", seed=0, epochs=1, validate=validate)
    (log,) = state.logs
    started = time.perf_counter()
    if settings.graph.neighbours:
        part = count_neighbours(history, settings.graph)
        fit_mixture(part, network_scorer(model, history), history, held_out, seed=0)
    return {
        "epoch": log.train_seconds / STEPS * -(-len(windows) // size),
        "validation": log.valid_seconds,
        "graph": time.perf_counter() - started,
    }


def run() -> list[Row]:
    """Each preset in a process of its own, once: memory does not vary."""
    n_users, n_items, n_events = ML_20M
    size = f"{n_events / 1e6:.0f} million events, {n_users:,} users, {n_items:,} items"
    path = log_on_disk("20", "parquet")
    return [row for preset in ("paper", "best") for row in measured(path, size, preset, reach=8.0)]


def measured(path: Path, size: str, preset: str, reach: float) -> list[Row]:
    """Rows of one partial fit."""
    result = in_new_process("memory.fit_partly", str(path), preset)
    print(preset, json.dumps(result), file=sys.stderr, flush=True)
    peak, epoch, validation, graph = (result[name] for name in ("peak_gib", "epoch", "validation", "graph"))
    rows = [
        Row(f"peak memory of reading and `fit`, preset `{preset}`", size, "GiB", peak, peak, peak, 1, reach=reach),
        Row(f"one epoch, preset `{preset}`, from {STEPS} steps", size, "s", epoch, epoch, epoch, 1),
        Row(f"validation after an epoch, preset `{preset}`", size, "s", validation, validation, validation, 1),
    ]
    if preset == "best":
        rows.append(Row("counting and weighing the graph part", size, "s", graph, graph, graph, 1))
    return rows


if __name__ == "__main__":
    main("memory", run)
