"""Peer: RecBole's models. `python adapter.py FOLDER`; the contract is in ../contract.py.

Models: names of RecBole's classes, as "BPR", "GRU4Rec", "Caser", "HGN", "SASRec", "GCSAN"; the settings are RecBole's, over
its defaults. RecBole reads the log, makes a sample of every event after a user's first, and trains; lists come from
`full_sort_predict` on the last MAX_ITEM_LIST_LENGTH events of the history. It has no embedding of an item without a
training event: such items are left out of the lists and of the history that it reads. BPR, Caser and HGN have one for each
trained user, and serve nobody else.
"""

import os

# Before torch comes in: a thread that waits is to sleep. Spinning takes five times as long beside another job.
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

import copy
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.data.interaction import Interaction
from recbole.evaluator.metrics import NDCG, Recall
from recbole.utils import ModelType, get_model, get_trainer, init_seed

sys.path.append(str(Path(__file__).parents[3]))
from benchmarks.peers.contract import Ids, Log, Task, run
from benchmarks.peers.dropout import use_fast_dropout
from benchmarks.peers.recbole.faster import make_faster

NEEDS_USER = ("BPR", "Caser", "HGN")
BATCH = 256


class RecBole:
    """A model of the library."""

    most_epochs: int | None = None

    def __init__(self, task: Task, train: Log) -> None:
        torch.set_num_threads(task.threads)
        self.task = task
        self.scratch = tempfile.TemporaryDirectory(dir=task.folder.resolve(), ignore_cleanup_errors=True)
        scratch = Path(self.scratch.name)
        os.chdir(scratch)  # the library logs into the folder that it is started in
        (scratch / "log").mkdir()
        events = {"user_id:token": train.users, "item_id:token": train.items, "time:float": train.times}
        pd.DataFrame(events).to_csv(scratch / "log" / "log.inter", sep="\t", index=False)
        fixed = {
            "data_path": str(scratch),
            "checkpoint_dir": str(scratch / "saved"),
            "gpu_id": "",
            "seed": task.seed,
            "TIME_FIELD": "time",
            "load_col": {"inter": ["user_id", "item_id", "time"]},
            "eval_args": {"split": {"RS": [1, 0, 0]}, "group_by": "none", "order": "TO", "mode": "full"},
        }
        # Of the sequential models, the softmax loss (the default) is the one without sampled negatives.
        usual = {} if task.model == "BPR" else {"train_neg_sample_args": None}
        self.config = Config(task.model, "log", config_dict=usual | task.settings | fixed)
        init_seed(task.seed, self.config["reproducibility"])
        dataset = create_dataset(self.config)
        self.loader = data_preparation(self.config, dataset)[0]  # by "RS", all of it is for training
        self.model = get_model(task.model)(self.config, self.loader._dataset)
        make_faster(self.model)
        torch.autograd.set_detect_anomaly(False)  # one of the library's models turns it on for all: twice the time
        self.trainer = get_trainer(self.config["MODEL_TYPE"], task.model)(self.config, self.model)
        # Ids of the library, 0 where it has none (0 is its padding), and back.
        known_users, known_items = (dataset.field2token_id[field] for field in ("user_id", "item_id"))
        self.user_ids = np.array([known_users.get(str(user), 0) for user in range(task.n_users)])
        self.item_ids = np.array([known_items.get(str(item), 0) for item in range(task.n_items)])
        self.items = np.full(len(known_items), -1, np.int64)
        self.items[self.item_ids] = np.arange(task.n_items)
        self.items[0] = -1

    def train_epoch(self, deadline: float) -> float:
        """One epoch of the library's trainer: the sum of the losses of its batches."""

        def batches() -> Iterator[Interaction]:
            for batch in self.loader:
                yield batch
                if time.perf_counter() >= deadline:
                    return

        loss = self.trainer._train_epoch(batches(), epoch_idx=0)  # it shows the number, no more
        return float(sum(loss)) if isinstance(loss, tuple) else float(loss)

    @torch.no_grad()
    def rank(self, users: Ids, seen: Log) -> Ids:
        """By the model's scores of all its items."""
        self.model.eval()
        lists = np.full((len(users), self.task.k), -1, np.int64)
        histories = [self.item_ids[seen.of(user)] for user in users.tolist()]
        histories = [history[history > 0] for history in histories]
        rows = np.flatnonzero(self.user_ids[users] if self.task.model in NEEDS_USER else [len(h) for h in histories])
        for start in range(0, len(rows), BATCH):
            some = rows[start : start + BATCH]
            scores = self.model.full_sort_predict(self.batch(users[some], [histories[row] for row in some]))
            scores = scores.view(len(some), -1)
            scores[:, 0] = -torch.inf
            for score, row in zip(scores, some, strict=True):
                score[histories[row]] = -torch.inf
            best, where = scores.topk(min(self.task.k, scores.shape[1]), dim=1)
            found = np.where(torch.isneginf(best).numpy(), -1, self.items[where.numpy()])
            lists[some, : found.shape[1]] = found
        return lists

    def batch(self, users: Ids, histories: list[Ids]) -> Interaction:
        """Users and what they have seen, as the library wants it: the last events, from the left, 0 after them."""
        if self.config["MODEL_TYPE"] != ModelType.SEQUENTIAL:
            return Interaction({"user_id": torch.from_numpy(self.user_ids[users])})
        longest = self.config["MAX_ITEM_LIST_LENGTH"]
        padded = np.zeros((len(users), longest), np.int64)
        for row, history in zip(padded, histories, strict=True):
            row[: min(len(history), longest)] = history[-longest:]
        lengths = np.array([max(1, min(len(history), longest)) for history in histories])
        fields = {"user_id": self.user_ids[users], "item_id_list": padded, "item_length": lengths}
        return Interaction({name: torch.from_numpy(values) for name, values in fields.items()})

    def weights(self) -> Any:
        """Of the network."""
        return copy.deepcopy(self.model.state_dict())

    def load(self, weights: Any) -> None:
        """Into the network."""
        self.model.load_state_dict(weights)


def own_metrics(task: Task, peer: Any, lists: Ids, history: Log, test: Log) -> dict[str, Any]:
    """By the library's metrics: which places of the lists hit, and of how many."""
    users = np.flatnonzero(test.lengths)
    hits = np.array([np.isin(lists[user, :10], test.of(user)) for user in users.tolist()])
    recall, ndcg = (metric(peer.config).metric_info(hits, test.lengths[users]) for metric in (Recall, NDCG))
    return {"recall@10": float(recall[:, -1].mean()), "ndcg@10": float(ndcg[:, -1].mean())}


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore", category=FutureWarning, module="recbole")
    use_fast_dropout()
    run(RecBole, own_metrics, ("recbole", "torch", "numpy", "pandas"))
