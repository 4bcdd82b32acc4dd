"""Peer: RecTools' SASRec in all its forms. `python adapter.py FOLDER`; the contract is in ../contract.py.

Model: "sasrec"; the settings are a config of `SASRecModel`: the paper's layers and loss, or those of eSASRec (LiGR layers,
sampled softmax) or gSASRec (gBCE). The library makes the samples, trains and ranks. It has no embedding of an item without
a training event: such items are left out of the lists and of the history that it reads. There is none of a user: whoever
has a known item in the history is served.
"""

import os

# Before torch comes in: a thread that waits is to sleep. Spinning takes five times as long beside another job.
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

import copy
import logging
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Callback, Trainer, seed_everything
from rectools import Columns
from rectools.dataset import Dataset
from rectools.metrics import NDCG, Recall
from rectools.models import SASRecModel

sys.path.append(str(Path(__file__).parents[3]))
from benchmarks.peers.contract import Ids, Log, Task, run
from benchmarks.peers.dropout import use_fast_dropout
from benchmarks.peers.rectools.faster import Backbone, Similarity, Training


class Deadline(Callback):  # type: ignore[misc]
    """Ends an epoch when the time is up. The library copies its callbacks, hence the time is the class's."""

    at = float("inf")

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """Of Lightning."""
        trainer.should_stop = time.perf_counter() >= Deadline.at


def make_trainer() -> Trainer:
    """As the library's own, silent, on the CPU, and writing no files. `train_epoch` sets the epochs."""
    silent = ("enable_checkpointing", "enable_model_summary", "enable_progress_bar", "logger")
    return Trainer(accelerator="cpu", devices=1, callbacks=[Deadline()], **dict.fromkeys(silent, False))


class RecTools:
    """A model of the library."""

    most_epochs: int | None = None

    def __init__(self, task: Task, train: Log) -> None:
        torch.set_num_threads(task.threads)
        seed_everything(task.seed, verbose=False)
        self.task = task
        self.dataset = Dataset.construct(events_of(train))
        modules = {"backbone_type": Backbone, "similarity_module_type": Similarity, "lightning_module_type": Training}
        how = {"get_trainer_func": make_trainer, "recommend_torch_device": "cpu"}
        self.model = SASRecModel.from_config(task.settings | modules | how)

    def train_epoch(self, deadline: float) -> float:
        """One epoch of the library's `fit_partial`, which goes on with the same weights and optimiser."""
        Deadline.at = deadline
        self.model.fit_partial(self.dataset, min_epochs=0, max_epochs=1)
        preparator = self.model.data_preparator  # the library would prepare the same samples again for each epoch
        loader = preparator.get_dataloader_train()
        preparator.process_dataset_train, preparator.get_dataloader_train = lambda _: None, lambda: loader
        return float(self.model.fit_trainer.callback_metrics["train_loss"])

    def rank(self, users: Ids, seen: Log) -> Ids:
        """By the library's `recommend`."""
        wanted = np.zeros(seen.n_users, bool)
        wanted[users] = True
        found = self.model.recommend(
            users,
            Dataset.construct(events_of(seen.only(wanted))),
            self.task.k,
            filter_viewed=True,
            on_unsupported_targets="ignore",
        )
        lists = np.full((len(users), self.task.k), -1, np.int64)
        rows = np.searchsorted(users, found[Columns.User].to_numpy())
        lists[rows, found[Columns.Rank].to_numpy() - 1] = found[Columns.Item].to_numpy()
        return lists

    def weights(self) -> Any:
        """Of the network."""
        return copy.deepcopy(self.model.torch_model.state_dict())

    def load(self, weights: Any) -> None:
        """Into the network."""
        self.model.torch_model.load_state_dict(weights)


def events_of(log: Log) -> pd.DataFrame:
    """The library's table of interactions."""
    times = pd.to_datetime(log.times, unit="s")
    return pd.DataFrame(
        {Columns.User: log.users, Columns.Item: log.items, Columns.Weight: 1.0, Columns.Datetime: times}
    )


def own_metrics(task: Task, peer: Any, lists: Ids, history: Log, test: Log) -> dict[str, Any]:
    """By the library's metrics, with each user's own ideal."""
    users, places = np.nonzero(lists >= 0)
    found = pd.DataFrame({Columns.User: users, Columns.Item: lists[users, places], Columns.Rank: places + 1})
    wanted = events_of(test)
    return {
        "recall@10": float(Recall(k=10).calc(found, wanted)),
        "ndcg@10": float(NDCG(k=10, divide_by_achievable=True).calc(found, wanted)),
    }


if __name__ == "__main__":
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric|pydantic|rectools")
    warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
    use_fast_dropout()
    run(RecTools, own_metrics, ("rectools", "torch", "pytorch-lightning", "numpy", "pandas"))
