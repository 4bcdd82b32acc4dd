"""Fitting: choose the epoch and the graph's weights on the validation events, then train on all that is not test."""

import hashlib
import operator
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from threading import RLock

import numpy as np
import torch

from magnn.data.interactions import Histories
from magnn.data.split import Split
from magnn.data.windows import Windows, training_windows
from magnn.errors import InputError, Interrupted
from magnn.model.graph_part import GraphPart, Mixture, count_neighbours
from magnn.model.magnn import MAGNN
from magnn.model.short_term import ItemGraph
from magnn.ranking.evaluate import evaluate_scorer, of_some_users, users_to_judge
from magnn.ranking.queries import GraphScorer, network_scorer, user_scorer
from magnn.ranking.rank import Scorer
from magnn.recommender import Recommender
from magnn.settings import Config, Settings, make_settings
from magnn.storage import alone, explained
from magnn.torch_state import apart_from_the_caller, check_defaults, seed_device
from magnn.training.checkpoint import load_checkpoint, save_checkpoint
from magnn.training.mixture import fit_mixture
from magnn.training.trainer import GRAPH_PHASE, EpochLog, Saver, TrainingProgress, TrainingState, make_optimizer, train


def fit(
    split: Split,
    *,
    preset: str | None = None,
    config: Config | None = None,
    epochs: int | None = None,
    seed: int = 0,
    refit: bool = True,
    device: str = "cpu",
    checkpoints: Path | str | None = None,
    resume: bool = False,
    progress: Callable[[TrainingProgress], None] | None = None,
) -> Recommender:
    """Train on the training events, pick the epoch on the validation events, then train anew on both for that long.

    The graph part of the score, if there is one, is counted on the same events; how it weighs its counts is learned on the
    validation events and kept. Where the users and items are very many, a random part of the users validates (`JUDGED`).

    Args:
        split: from `magnn.split`. Where no user has both training and validation events (protocol "none", or "time" if
            all who come later are new), all epochs are run, once, and what weighs the graph's counts is not learned.
        preset, config, epochs: see `magnn.settings.make_settings`.
        seed: the same seed on the same machine gives the same model. Fits in several threads wait for each other.
        refit: False stops after the first phase, for comparison with leaderboards that never train on validation events.
        device: where to train, "cpu" or, with a build of PyTorch for it, "cuda"; the result is on the CPU.
        checkpoints: directory for checkpoints; created. Without `resume`, those that a fit left there are removed.
        resume: go on from the checkpoints found there, to the same result as an uninterrupted run.
        progress: called after each batch and each epoch.

    Returns:
        The recommender. After Ctrl-C, the best one so far, with `completed` False.

    Raises:
        InputError: unusable settings, no such device, a seed out of range, no training event, checkpoints of another run or
            in use by one, a training that diverges, or PyTorch's defaults for tensors are others than float32 on the CPU.
        StorageError: the checkpoints cannot be written.
        Interrupted: Ctrl-C came before the first epoch was finished.
    """
    settings = make_settings(preset, config, epochs)
    check_device(device)
    check_defaults()
    seed = check_seed(seed)
    history, held_out = split.train, split.valid
    selecting = len(users_to_judge(history, held_out)) > 0
    refitted = refit and not selecting and len(held_out.items) > 0
    if refitted:  # nobody to choose by, so nothing is kept from training
        history, held_out = split.train_and_valid, held_out.where(np.zeros(len(held_out.items), bool))
    settings = settings.for_log(len(history.items), history.n_items)
    if len(history.items) == 0:
        raise InputError("the split has no training event; split the log in another way")
    if checkpoints is not None:
        checkpoints = Path(checkpoints)
    others = "another fit keeps its checkpoints there; wait for its end, or choose another place"
    place = nullcontext() if checkpoints is None else alone(checkpoints, others)
    with place, ONE_AT_A_TIME, apart_from_the_caller(torch.device(device)):
        if checkpoints is not None and not resume:
            discard_checkpoints(checkpoints)
        try:
            windows = windows_of(history, settings)
            # The refit's too: its number of epochs is chosen with these.
            settings = settings.model_copy(update={"training": settings.training.for_samples(len(windows))})
            run = _Run(settings, seed, torch.device(device), checkpoints, resume, progress)
            model, state, completed = run.phase(
                "select" if selecting else "train", windows, held_out if selecting else None
            )
            del windows
        except KeyboardInterrupt:  # outside the epochs, which answer it themselves
            kept = checkpoints is not None and any((checkpoints / f"{name}.safetensors").exists() for name in PHASES)
            what = "the same with --resume goes on from the checkpoints" if kept else "nothing to save"
            raise Interrupted(f"stopped outside the epochs; {what}") from None
        if state.best_epoch == 0:
            raise Interrupted("training was stopped before its first epoch ended; nothing to save")
        logs = state.logs
        graph = None
        # The epochs of a phase answer Ctrl-C with what they have. Before and after them, what was there before is kept.
        try:
            graph, graph_logs = run.graph(model, history, held_out, state.best_epoch)
            logs = logs + graph_logs
            if selecting and refit and completed:
                final, final_state, completed = run.phase(
                    "refit", windows_of(split.train_and_valid, settings), None, state.best_epoch
                )
                logs = logs + final_state.logs
                if completed:
                    counted = graph and count_neighbours(split.train_and_valid, settings.graph, graph.mixture)
                    model, graph, refitted = final, counted, True
        except KeyboardInterrupt:
            completed = False
            graph = graph or _silent_graph(settings, history.n_items)
    return Recommender(model, split, settings, seed, refitted, logs, completed, graph)


def _silent_graph(settings: Settings, n_items: int) -> GraphPart | None:
    """A graph part without counts, whose every score is 0; None where the settings have none."""
    if not settings.graph.neighbours:
        return None
    nothing = Histories(np.zeros(0, np.int32), np.zeros(1, np.int64), n_items)
    return count_neighbours(nothing, settings.graph, Mixture.silent())


def check_device(device: str) -> None:
    """Raises InputError unless this PyTorch can compute on `device`."""
    if device not in ("cpu", "cuda"):
        raise InputError(f"cannot train on {device!r}; choose cpu or cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("cannot train on cuda: this PyTorch finds no GPU; install its CUDA build, or train on the cpu")


def check_seed(seed: int) -> int:
    """The seed, of whatever integer type, as Python's own. Raises InputError unless random numbers can start from it."""
    if not 0 <= seed < SEEDS:
        raise InputError(f"seed must be from 0 to {SEEDS - 1:,}, not {seed}")
    return operator.index(seed)


PHASES = ("select", "refit", "train")
SEEDS = 2**64  # that PyTorch takes
ONE_AT_A_TIME = RLock()  # PyTorch has one stream of random numbers for all threads
JUDGED = 2**34  # scores computed in a validation: 17,000 users of a million items, everybody in most logs


def discard_checkpoints(directory: Path) -> None:
    """Remove the checkpoints of a fit, and their directory if nothing else is in it. Raises StorageError if it cannot."""
    with explained(directory):
        for name in PHASES:
            (directory / f"{name}.safetensors").unlink(missing_ok=True)
            for unfinished in directory.glob(f".{name}.safetensors.*"):  # of a process that was killed while it wrote
                unfinished.unlink(missing_ok=True)
        if directory.is_dir() and not any(directory.iterdir()):
            directory.rmdir()


@dataclass(frozen=True)
class _Run:
    """What the phases of one fit share."""

    settings: Settings
    seed: int
    device: torch.device
    checkpoints: Path | None
    resume: bool
    progress: Callable[[TrainingProgress], None] | None

    def phase(
        self, name: str, windows: Windows, held_out: Histories | None, epochs: int | None = None
    ) -> tuple[MAGNN, TrainingState, bool]:
        """Train a fresh network; the frozen model, the final state, and whether it ran to its end."""
        shape, training, history = self.settings.model, self.settings.training, windows.histories
        seed_device(self.seed, self.device)  # the initial weights
        graph = ItemGraph.of(history, shape) if shape.short_term else None
        model = MAGNN(shape, history.n_users, history.n_items, graph).to(self.device)
        optimizer = make_optimizer(model, training, len(windows))
        epochs = epochs or training.epochs
        assert epochs is not None, "decided by for_log"

        state, on_epoch = TrainingState(), None
        if self.checkpoints is not None:
            path = self.checkpoints / f"{name}.safetensors"
            fingerprint = self._fingerprint(history, held_out, epochs)
            if self.resume and path.exists():
                state = load_checkpoint(path, fingerprint, model, optimizer)
            on_epoch = _checkpointer(path, fingerprint)

        def validate() -> dict[str, float]:
            assert held_out is not None
            return validation_metrics(user_scorer(model, history), history, held_out, self.seed)

        completed = train(
            model,
            windows,
            training,
            optimizer,
            state,
            phase=name,
            seed=self.seed,
            epochs=epochs,
            validate=validate if held_out is not None else None,
            progress=self.progress,
            on_epoch=on_epoch,
        )
        model.freeze().to("cpu").graph = None  # it may be as large as the tables
        return model, state, completed

    def graph(
        self, model: MAGNN, history: Histories, held_out: Histories, epoch: int
    ) -> tuple[GraphPart | None, list[EpochLog]]:
        """Count the graphs and learn on the held-out events how to weigh them, beside the chosen network."""
        config = self.settings.graph
        if not config.neighbours:
            return None, []
        started = time.perf_counter()
        part = count_neighbours(history, config)

        def progress(step: int, steps: int) -> None:
            if self.progress:
                self.progress(TrainingProgress(GRAPH_PHASE, 1, 1, step, steps))

        dense = network_scorer(model, history)
        mixture = fit_mixture(part, dense, history, held_out, seed=self.seed, progress=progress)
        part = replace(part, mixture=mixture)
        learned = time.perf_counter()
        if len(users_to_judge(history, held_out)) == 0:
            return part, []
        metrics = validation_metrics(GraphScorer(dense, part, history), history, held_out, self.seed)
        seconds = learned - started, time.perf_counter() - learned
        log = EpochLog(GRAPH_PHASE, epoch, 0.0, *seconds, metrics)
        if self.progress:
            self.progress(TrainingProgress(GRAPH_PHASE, 1, 1, 1, 1, log))
        return replace(part), [log]  # without what it holds ready for scores, as large as itself

    def _fingerprint(self, history: Histories, held_out: Histories | None, epochs: int) -> str:
        digest = hashlib.sha256(self.settings.model_dump_json().encode())
        digest.update(f"{version('magnn')} {self.device} {self.seed} {epochs} {history.n_items}".encode())
        for events in (history, held_out):
            if events is not None:
                digest.update(events.items.tobytes() + events.offsets.tobytes())
        return digest.hexdigest()


def windows_of(history: Histories, settings: Settings) -> Windows:
    """The samples that a fit with these settings trains on."""
    shape, training = settings.model, settings.training
    return training_windows(
        history, shape.short_window, shape.long_window, training.targets, whole=training.whole_window
    )


def validation_metrics(scorer: Scorer, history: Histories, held_out: Histories, seed: int) -> dict[str, float]:
    """Metrics on held-out events: of everybody, or where that is very much, of as many random users as come to `JUDGED`."""
    judged = of_some_users(history, held_out, JUDGED // history.n_items, seed)
    return evaluate_scorer(scorer, history, judged, intervals=False).metrics


def _checkpointer(path: Path, fingerprint: str) -> Saver:
    """Saves after an epoch, unless saving would then take more than about a twentieth of the time."""
    next_save = 0.0

    def save(state: TrainingState, model: MAGNN, optimizer: torch.optim.Optimizer) -> None:
        nonlocal next_save
        started = time.monotonic()
        if started >= next_save:
            save_checkpoint(path, fingerprint, state, model, optimizer)
            next_save = time.monotonic() + 20 * (time.monotonic() - started)

    return save
