"""The training loop: epochs, early stopping, checkpoints.

Randomness of an epoch (order, negatives, dropout) comes from the seed and the epoch's number alone. So a run resumed from
a checkpoint draws what the uninterrupted run would have drawn, and no generator state needs saving.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from magnn.data.interactions import Histories
from magnn.data.windows import Batch, Windows
from magnn.errors import InputError
from magnn.model.magnn import MAGNN
from magnn.torch_state import seed_device
from magnn.training.config import TrainingConfig
from magnn.training.losses import bpr, softmax_loss
from magnn.training.negatives import UnseenItems

GRAPH_PHASE = "graph"


@dataclass(frozen=True)
class EpochLog:
    """One line of training.jsonl: an epoch, or the graph part once it is learned, which has no loss (0).

    Attributes:
        phase: select, refit or train; graph.
        epoch: from 1; of the graph part, the epoch of the network that it was learned beside.
        loss: mean over samples, without penalty.
        train_seconds, valid_seconds: how long it took.
        metrics: of the validation events; empty where there was no validation.
    """

    phase: str
    epoch: int
    loss: float
    train_seconds: float
    valid_seconds: float
    metrics: dict[str, float]

    @property
    def is_epoch(self) -> bool:
        """Whether it is of an epoch of the network."""
        return self.phase != GRAPH_PHASE


@dataclass(frozen=True)
class TrainingProgress:
    """Where training is: after `batch` of `batches` in `epoch` (from 1) of at most `epochs`; `log` at an epoch's end."""

    phase: str
    epoch: int
    epochs: int
    batch: int
    batches: int
    log: EpochLog | None = None


@dataclass
class TrainingState:
    """All that a run needs to go on: what a checkpoint holds beside the settings."""

    epoch: int = 0
    best_epoch: int = 0
    best_metric: float = -1.0
    logs: list[EpochLog] = field(default_factory=list)
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    def finished(self, epochs: int, patience: int) -> bool:
        """Whether the epochs are done, or validation has not improved for `patience` of them."""
        validated = bool(self.logs and self.logs[-1].metrics)
        return self.epoch >= epochs or (validated and self.epoch - self.best_epoch >= patience)


LARGEST = 1e15  # of weights whose products are still numbers
Saver = Callable[[TrainingState, MAGNN, torch.optim.Optimizer], None]


def make_optimizer(model: MAGNN, config: TrainingConfig, samples: int) -> torch.optim.Adam:
    """Adam, as one fused update, on the loss of an epoch of so many samples.

    The objective is the paper's: the sum over all samples, plus lambda times the squared norm of the parameters, of which
    each step takes its share. A row in few samples is thus held by the penalty, and one in many by its data.

    A weight matrix is in every step, a row of a table in few; since Adam's steps are of one length whatever the gradient,
    the matrices would run away from what the rows can follow. They take shorter steps.
    """
    batch = config.batch_of(samples)
    rate = config.rate_of(batch)
    tables = list(model.embeddings.parameters())
    weights = [p for p in model.parameters() if all(p is not table for table in tables)]
    groups = [{"params": tables, "lr": rate, "initial_lr": rate}]
    if weights:
        slower = rate * config.weight_rate
        groups.append({"params": weights, "lr": slower, "initial_lr": slower})
    # Adam adds weight_decay * parameter to the gradient, and the square's derivative has a 2.
    return torch.optim.Adam(groups, weight_decay=2 * config.l2 * min(batch / samples, 1), fused=True)


def train(
    model: MAGNN,
    windows: Windows,
    config: TrainingConfig,
    optimizer: torch.optim.Optimizer,
    state: TrainingState,
    *,
    phase: str,
    seed: int,
    epochs: int,
    validate: Callable[[], dict[str, float]] | None = None,
    progress: Callable[[TrainingProgress], None] | None = None,
    on_epoch: Saver | None = None,
) -> bool:
    """Train from `state` until `epochs` are done or validation stops improving; the model ends with its best weights.

    Args:
        model: moved in place.
        windows: samples; their histories are the training events, from which negatives keep away.
        optimizer, state: fresh, or as a checkpoint restored them; both moved in place. At the end the model has the state's
            best weights, and the state none.
        phase: name of this run in logs.
        validate: metrics of the frozen model on held-out events. Without it the last epoch is the best.
        on_epoch: called after each epoch, to write a checkpoint.

    Raises:
        InputError: the loss or a weight is no number any more, or too large to compute with.

    Returns:
        True if training ran to its end, False if Ctrl-C stopped it. Then the best validated epoch is kept as ever, or,
        without validation, the weights as they are. `state.best_epoch` is 0 if no epoch was finished.
    """
    unseen = UnseenItems(windows.histories)
    completed = True
    try:
        while not state.finished(epochs, config.patience):
            epoch = state.epoch + 1
            started = time.perf_counter()
            loss = _train_epoch(
                model,
                windows,
                unseen,
                config,
                optimizer,
                phase=phase,
                seed=seed,
                epoch=epoch,
                epochs=epochs,
                progress=progress,
            )
            trained = time.perf_counter()
            # What the last step made of the weights is in no loss yet.
            if not math.isfinite(loss) or not all(map(_usable, model.parameters())):
                rate = config.rate_of(config.batch_of(len(windows)))
                remedy = f"set learning_rate in [training] to less than {rate:.2g} (--config)"
                if phase == "refit":
                    remedy += ", or do without a refit (--no-refit --resume saves what was chosen)"
                raise InputError(f"training diverged in epoch {epoch}, its loss was {loss:g}; {remedy}")
            model.freeze()
            metrics = validate() if validate else {}
            metric = metrics[config.select_by] if validate else float(epoch)
            best_weights = state.best_weights
            if validate and metric > state.best_metric:
                best_weights = {name: value.clone() for name, value in model.state_dict().items()}
            # From here on nothing takes long: Ctrl-C leaves the state as it was before or after.
            log = EpochLog(phase, epoch, loss, trained - started, time.perf_counter() - trained, metrics)
            state.logs.append(log)
            state.epoch = epoch
            if metric > state.best_metric:
                state.best_metric, state.best_epoch, state.best_weights = metric, epoch, best_weights
            if on_epoch:
                on_epoch(state, model, optimizer)
            if progress:
                n_batches = -(-len(windows) // config.batch_of(len(windows)))
                progress(TrainingProgress(phase, epoch, epochs, n_batches, n_batches, log))
    except KeyboardInterrupt:
        completed = False
    if state.best_weights:
        model.load_state_dict(state.best_weights)
        state.best_weights = {}
    optimizer.zero_grad(set_to_none=True)  # of a step that Ctrl-C cut short
    model.eval()
    return completed


def _usable(weight: Tensor) -> bool:
    """Whether all of it can be computed with; told without a copy, for a table may be the largest thing in memory."""
    smallest, largest = weight.aminmax()
    return bool(smallest > -LARGEST) and bool(largest < LARGEST)


def _train_epoch(
    model: MAGNN,
    windows: Windows,
    unseen: UnseenItems,
    config: TrainingConfig,
    optimizer: torch.optim.Optimizer,
    *,
    phase: str,
    seed: int,
    epoch: int,
    epochs: int,
    progress: Callable[[TrainingProgress], None] | None,
) -> float:
    """One pass over the samples in random order; the mean loss of a sample."""
    model.train()
    rng = np.random.default_rng([seed, epoch])
    seed_device(int(rng.integers(2**63)), model.device)  # dropout
    order = rng.permutation(len(windows))
    size = config.batch_of(len(windows))
    starts = range(0, len(windows), size)
    total = 0.0
    for number, start in enumerate(starts, start=1):
        batch = windows.batch(order[start : start + size])
        # A schedule's last step has rate 0; where it is the only one, it has all of it.
        factor = config.rate_factor(epoch - 1 + number / len(starts)) if config.epochs != 1 or len(starts) > 1 else 1.0
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        if config.loss == "bpr":
            loss = batch_bpr(model, batch, unseen.draw(batch.users_B, config.targets * config.negatives, rng), config)
        else:
            loss = batch_softmax(model, batch, windows.histories, config, rng)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)  # as large as the tables
        total += loss.item()
        if progress:
            progress(TrainingProgress(phase, epoch, epochs, number, len(starts)))
    return total / len(windows)


def batch_bpr(
    model: MAGNN, batch: Batch, negatives_BX: np.ndarray[tuple[int, int], np.dtype[np.int64]], config: TrainingConfig
) -> Tensor:
    """BPR summed over one batch; `negatives_BX` are `config.negatives` for each target."""
    device = model.device
    users_B, history_BW, targets_BT = (torch.from_numpy(array).to(device) for array in batch)
    negatives_BTS = torch.from_numpy(negatives_BX).to(device).view(*targets_BT.shape, config.negatives)
    return bpr(model(users_B, history_BW), model.items, targets_BT, negatives_BTS)


def batch_softmax(
    model: MAGNN, batch: Batch, histories: Histories, config: TrainingConfig, rng: np.random.Generator
) -> Tensor:
    """Softmax loss summed over one batch, the targets against the catalogue or a uniform draw from it.

    What a user has touched, earlier or later, does not compete with the user's targets.
    """
    n_items, n_drawn = histories.n_items, min(config.candidates, histories.n_items)
    device = model.device
    drawn_C = np.sort(rng.choice(n_items, n_drawn, replace=False)) if n_drawn < n_items else np.arange(n_items)
    column_N = np.full(n_items, -1)
    column_N[drawn_C] = np.arange(n_drawn)
    touched = histories.take(batch.users_B)
    column_X = column_N[touched.items]
    among_X = column_X >= 0
    excluded = (
        torch.from_numpy(touched.users[among_X].astype(np.int64)).to(device),
        torch.from_numpy(column_X[among_X]).to(device),
    )
    users_B, history_BW, targets_BT = (torch.from_numpy(array).to(device) for array in batch)
    return softmax_loss(
        model(users_B, history_BW),
        model.items_of(targets_BT[:, 0]),
        model.items if n_drawn == n_items else model.items_of(torch.from_numpy(drawn_C).to(device)),
        excluded,
        q=config.q_of(len(histories.items), n_items),
        times=n_items / n_drawn,
    )
