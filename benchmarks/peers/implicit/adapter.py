"""Peer: the library `implicit`: ALS, BPR and item-kNN. `python adapter.py FOLDER`; the contract is in ../contract.py.

Models: "als", "bpr", "cosine", "bm25"; the settings are the arguments of the library's classes. An epoch is an iteration;
item-kNN has one. Every event counts 1. Items without a training event may be ranked by ALS and BPR, never by item-kNN.
ALS solves for a user's factors from the history (the library's `recalculate_user`), so it serves users that were not
trained on; item-kNN reads the history too; BPR knows trained users alone.
"""

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from implicit.evaluation import ranking_metrics_at_k
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender
from implicit.utils import ParameterWarning
from scipy.sparse import csr_matrix

sys.path.append(str(Path(__file__).parents[3]))
from benchmarks.peers.contract import Ids, Log, Task, run

CLASSES = {"als": AlternatingLeastSquares, "bpr": BayesianPersonalizedRanking}
KNN = {"cosine": CosineRecommender, "bm25": BM25Recommender}
BATCH = 1024


class Implicit:
    """A model of the library."""

    def __init__(self, task: Task, train: Log) -> None:
        self.task = task
        self.is_knn = task.model in KNN
        self.most_epochs: int | None = 1 if self.is_knn else None
        self.n_items = task.n_items
        self.seen = self.matrix(train)
        self.trained_users = train.lengths > 0
        if self.is_knn:
            self.model = KNN[task.model](num_threads=task.threads, **task.settings)
        else:
            # The generator itself, not the seed: `fit` is called once an iteration, and must not repeat its random numbers.
            random = np.random.default_rng(task.seed)
            more = {"use_gpu": False, "iterations": 1, "num_threads": task.threads, "random_state": random}
            self.model = CLASSES[task.model](**(task.settings | more))

    def matrix(self, log: Log) -> csr_matrix:
        """Users by items, 1 where there is an event."""
        ones = np.ones(len(log.items), np.float32)
        counts = csr_matrix((ones, (log.users, log.items)), shape=(log.n_users, self.n_items))
        counts.data[:] = 1
        return counts

    def train_epoch(self, deadline: float) -> float:
        """One call of `fit`, which goes on from the factors that are there. The library gives no loss."""
        self.model.fit(self.seen, show_progress=False)
        return float("nan")

    def rank(self, users: Ids, seen: Log) -> Ids:
        """In batches, by the library's `recommend`."""
        matrix = self.matrix(seen)
        lists = np.full((len(users), self.task.k), -1, np.int64)
        for start in range(0, len(users), BATCH):
            some = users[start : start + BATCH]
            fold_in = {"recalculate_user": True} if self.task.model == "als" else {}
            items, scores = self.model.recommend(some, matrix[some], N=self.task.k, **fold_in)
            # Where the rest is used up, the library ends a list with what it should exclude: at the lowest score, or at 0.
            items[scores <= (0 if self.is_knn else -np.finfo(np.float32).max)] = -1
            lists[start : start + BATCH, : items.shape[1]] = items
        if self.task.model == "bpr":
            lists[~self.trained_users[users]] = -1
        return lists

    def weights(self) -> Any:
        """The factors; nothing for item-kNN, which is trained once."""
        return None if self.is_knn else (self.model.user_factors.copy(), self.model.item_factors.copy())

    def load(self, weights: Any) -> None:
        """Also empties ALS's cache of products of the factors."""
        self.model.user_factors, self.model.item_factors = weights
        self.model._YtY = self.model._XtX = None


def own_metrics(task: Task, peer: Any, lists: Ids, history: Log, test: Log) -> dict[str, Any]:
    """By `ranking_metrics_at_k`, which ranks anew. Without recall: its precision is one where users have one test event."""
    seen, wanted = peer.matrix(history), peer.matrix(test)
    if task.model == "als":
        users = np.flatnonzero(history.lengths)
        peer.model.partial_fit_users(users, seen[users])
    if task.model == "bpr":
        wanted = wanted.multiply(peer.trained_users[:, None]).tocsr()
    found = ranking_metrics_at_k(peer.model, seen, wanted, K=10, show_progress=False, num_threads=task.threads)
    single = test.lengths.max() == 1
    reason = "" if single else "the library has no recall, and its precision divides by min(10, relevant)"
    recall = float(found["precision"]) if single else None
    return {"recall@10": recall, "ndcg@10": float(found["ndcg"]), "reason": reason}


if __name__ == "__main__":
    warnings.simplefilter("ignore", ParameterWarning)  # its item-kNN warns of a conversion of its own
    # As the library asks: its own threads, not those of the matrix products.
    with threadpoolctl.threadpool_limits(1, "blas"):
        run(Implicit, own_metrics, ("implicit", "numpy", "scipy"))
