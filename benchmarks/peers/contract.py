"""What the adapters of all peers do alike: read the task, train until the validation stops improving, write the lists.

It runs in the peers' environments: the standard library and NumPy, nothing of the package. An adapter is called as
`python adapter.py FOLDER`. The folder holds, as tab-separated integers user, item, time (position in the user's sequence):

    task.json    {"model", "settings", "k", "threads", "seed", "seconds", "epochs", "n_users", "n_items"}
    train.tsv    the events to train on
    valid.tsv    held-out next events that choose the epoch; absent in a final fit, which trains for task "epochs"
    history.tsv  what each user has seen when the lists are made: the model's input, and the items to exclude
    test.tsv     read after the lists are written, for the library's own metrics

and gets
    lists.npy    int32 (n_users, k), best first, -1 where a list ends early
    report.json  epochs, seconds, memory, the best validation ndcg@10, the library's own metrics on test.tsv

Two settings are not the library's: "patience" (validations without a better one before the training ends, 10) and
"valid_every" (epochs between validations, 1). Users validated: 5,000 at most, the same for all peers.
"""

import ctypes
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.peak import peak_gib

VALIDATED_USERS = 5_000

Ids = NDArray[np.int64]


@dataclass(frozen=True)
class Log:
    """Events, sorted by user and then by time."""

    users: Ids
    items: Ids
    n_users: int

    @cached_property
    def lengths(self) -> Ids:
        """Events of each user."""
        return np.bincount(self.users, minlength=self.n_users)

    @cached_property
    def _starts(self) -> Ids:
        return np.cumsum(self.lengths) - self.lengths

    @property
    def times(self) -> Ids:
        """Of each event, its place in the user's sequence."""
        return np.arange(len(self.items)) - self._starts[self.users]

    def of(self, user: int) -> Ids:
        """The user's items, oldest first."""
        return self.items[self._starts[user] : self._starts[user] + self.lengths[user]]

    def only(self, users: NDArray[np.bool_]) -> "Log":
        """The events of the users that the mask is true for."""
        kept = users[self.users]
        return Log(self.users[kept], self.items[kept], self.n_users)


@dataclass(frozen=True)
class Task:
    """What is to be done; `settings` are the library's alone."""

    folder: Path
    model: str
    settings: dict[str, Any]
    patience: int
    valid_every: int
    k: int
    threads: int
    seed: int
    seconds: float
    epochs: int | None
    n_users: int
    n_items: int

    def log(self, name: str) -> Log | None:
        """NAME.tsv; None if there is none."""
        path = self.folder / f"{name}.tsv"
        if not path.exists():
            return None
        table = np.loadtxt(path, dtype=np.int64, delimiter="\t", skiprows=1, ndmin=2).reshape(-1, 3)
        return Log(table[:, 0], table[:, 1], self.n_users)


class Model(Protocol):
    """A peer.

    Attributes:
        most_epochs: after which there is nothing left to train; None for no limit.
    """

    most_epochs: int | None

    def train_epoch(self, deadline: float) -> float:
        """Train one epoch, or as much of it as there is until `time.perf_counter()` reaches the deadline; the loss."""

    def rank(self, users: Ids, seen: Log) -> Ids:
        """The k best items of each user, given what they have seen and without it: (users, k), -1 where there are fewer."""

    def weights(self) -> Any:
        """A copy of what training changes."""

    def load(self, weights: Any) -> None:
        """Go back to these weights."""


OwnMetrics = Callable[[Task, Model, Ids, Log, Log], dict[str, Any]]


def run(make: Callable[[Task, Log], Model], own_metrics: OwnMetrics, libraries: tuple[str, ...]) -> None:
    """Do the task of the folder that the command line names.

    Args:
        make: the untrained model of a task and its train log.
        own_metrics: the library's recall@10 and ndcg@10 of (task, model, lists, history, test).
        libraries: whose versions are reported.
    """
    keep_freed_memory()
    folder = Path(sys.argv[1])
    raw = json.loads((folder / "task.json").read_text())
    settings = dict(raw.pop("settings"))
    patience, valid_every = settings.pop("patience", 10), settings.pop("valid_every", 1)
    task = Task(folder=folder, settings=settings, patience=patience, valid_every=valid_every, **raw)
    train, history, valid = task.log("train"), task.log("history"), task.log("valid")
    assert train is not None and history is not None
    model = make(task, train)
    report = fit(model, task, train, valid)

    started = time.perf_counter()
    lists = np.full((task.n_users, task.k), -1, np.int32)
    users = np.flatnonzero(history.lengths)
    lists[users] = model.rank(users, history)
    report["recommend_seconds"] = time.perf_counter() - started
    check(lists, history, task)
    _write(folder / "lists.npy", lambda path: np.save(path, lists, allow_pickle=False))

    report["peak_gib"] = peak_gib()
    test = task.log("test")
    if test is None:
        report["own_metrics"] = {"recall@10": None, "ndcg@10": None, "reason": "there is no test.tsv"}
    else:
        report["own_metrics"] = own_metrics(
            task, model, lists.astype(np.int64), history, test.only(history.lengths > 0)
        )
    report["versions"] = {name: version(name) for name in libraries}
    _write(folder / "report.json", lambda path: path.write_text(json.dumps(report, indent=1) + "\n"))


def keep_freed_memory() -> None:
    """Let freed memory stay with the process, as the project's own commands do: a third off the time of a softmax loss."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc has it
    if mallopt is not None:
        mallopt(-3, 2**30)  # M_MMAP_THRESHOLD
        mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD


def fit(model: Model, task: Task, train: Log, valid: Log | None) -> dict[str, Any]:
    """Train until the epochs or the time are used up or the validation stops improving; leaves the best weights in.

    Without `valid`, the last weights are the best ones.
    """
    validated = None if valid is None else np.flatnonzero((train.lengths > 0) & (valid.lengths > 0))
    if validated is not None and len(validated) > VALIDATED_USERS:
        validated = np.sort(np.random.default_rng(0).choice(validated, VALIDATED_USERS, replace=False))
    if valid is None and task.epochs is None:
        raise ValueError('without valid.tsv, task.json must say for how many "epochs" to train')
    best, best_epoch, best_weights, misses = -math.inf, 0, None, 0
    trained = worked = validating = 0.0
    epoch, stopped_by = 0, ""
    last = min(task.epochs or sys.maxsize, model.most_epochs or sys.maxsize)
    while not stopped_by:
        started, cpu_started = time.perf_counter(), time.process_time()
        loss = model.train_epoch(started + task.seconds - trained)
        trained += time.perf_counter() - started
        worked += time.process_time() - cpu_started
        epoch += 1
        if trained >= task.seconds:
            stopped_by = "time"
        elif epoch == last:
            stopped_by = "epochs"
        line = f"epoch {epoch}  loss {loss:.5g}  {time.perf_counter() - started:.1f} s"
        if valid is not None and validated is not None and (stopped_by or epoch % task.valid_every == 0):
            started = time.perf_counter()
            found = ndcg(model.rank(validated, train), validated, valid)
            misses += 1
            if found > best:
                best, best_epoch, best_weights, misses = found, epoch, model.weights(), 0
            validating += time.perf_counter() - started
            line += f"  valid ndcg@10 {found:.4f}{'' if misses else ' *'}  {time.perf_counter() - started:.1f} s"
            if misses >= task.patience:
                stopped_by = stopped_by or "patience"
        print(line, file=sys.stderr, flush=True)
    if best_weights is not None:
        model.load(best_weights)
    return {
        "epochs": epoch,
        "best_epoch": best_epoch or epoch,
        "train_seconds": trained,
        "train_cpu_seconds": worked,
        "valid_seconds": validating,
        "stopped_by": stopped_by,
        "valid": None if valid is None else {"ndcg@10": best},
    }


def ndcg(lists: Ids, users: Ids, held_out: Log, k: int = 10) -> float:
    """Mean ndcg@k; a user's ideal is min(k, relevant) hits at the top."""
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discount)
    total = 0.0
    for user, ranked in zip(users, lists[:, :k], strict=True):
        relevant = np.unique(held_out.of(user))
        total += (discount[: len(ranked)] * np.isin(ranked, relevant)).sum() / ideal[min(k, len(relevant)) - 1]
    return float(total / len(users))


def check(lists: NDArray[np.int32], history: Log, task: Task) -> None:
    """That the lists keep the contract.

    Raises:
        ValueError: one does not.
    """
    for user, ranked in enumerate(lists):
        items = ranked[ranked >= 0]
        ended = (ranked[len(items) :] == -1).all()
        if not ended or len(np.unique(items)) < len(items) or (items >= task.n_items).any():
            raise ValueError(f"user {user}: not a list of different items: {ranked.tolist()}")
        if np.isin(items, history.of(user)).any():
            raise ValueError(f"user {user}: {ranked.tolist()} has an item of the history {history.of(user).tolist()}")


def _write(path: Path, write: Callable[[Path], object]) -> None:
    """By another name, then renamed: what is there is whole."""
    temporary = path.with_name(f"partial-{path.name}")
    write(temporary)
    temporary.rename(path)
