"""Baselines of our own under the peers' contract: popularity, item-kNN with recency decay, EASE.

`python adapter.py FOLDER` reads task.json and the logs of
the folder, writes lists.npy and report.json.

EASE: Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019. B = I - P / diag(P), with P the inverse of
X^T X + lambda I; the scores of a user are x B. Dense: the catalogue squared, so for up to 20,000 items.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import scipy.linalg
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

import magnn
from magnn.data.interactions import Histories
from magnn.ranking.baselines import KnnSettings, item_knn, popularity
from magnn.ranking.evaluate import evaluate_scorer
from magnn.ranking.rank import Scorer, rank

sys.path.append(str(Path(__file__).parents[3]))

from benchmarks.peak import peak_gib

EASE_ITEMS = 20_000


def ease(train: Histories, history: Histories, regularisation: float) -> Scorer:
    """Scores of EASE.

    Raises:
        ValueError: more than EASE_ITEMS items.
    """
    if train.n_items > EASE_ITEMS:
        raise ValueError(
            f"EASE holds {train.n_items:,} x {train.n_items:,} numbers; it is for up to {EASE_ITEMS:,} items"
        )
    seen = _matrix(train)
    inverse_NN = (seen.T @ seen).toarray()
    inverse_NN[np.diag_indices_from(inverse_NN)] += regularisation
    inverse_NN = scipy.linalg.inv(inverse_NN, overwrite_a=True, check_finite=False)
    weights_NN = torch.from_numpy(inverse_NN / -inverse_NN.diagonal())
    weights_NN.fill_diagonal_(0)
    known = _matrix(history)

    def scores(users_B: NDArray[np.int64], out_BN: torch.Tensor) -> None:
        torch.mm(torch.from_numpy(known[users_B].toarray()), weights_NN, out=out_BN)

    return scores


def _matrix(log: Histories) -> Any:
    """1 where a user has an event with an item, (U, N)."""
    seen = sp.csr_array((np.ones(len(log.items), np.float32), (log.users, log.items)), (log.n_users, log.n_items))
    seen.data[:] = 1
    return seen


def read_log(path: Path, n_users: int, n_items: int) -> Histories:
    """Events of a TSV file with columns user, item, time, sorted by user and time."""
    log = pl.read_csv(path, separator="\t")
    lengths = np.bincount(log["user"].to_numpy(), minlength=n_users)
    return Histories(log["item"].to_numpy().astype(np.int32), np.concatenate([[0], np.cumsum(lengths)]), n_items)


def main(folder: Path) -> None:
    """Count, rank, and say how good it is on the validation events, if there are any."""
    task = json.loads((folder / "task.json").read_text())
    torch.set_num_threads(task["threads"])
    settings = task["settings"]

    def log(name: str) -> Histories:
        return read_log(folder / f"{name}.tsv", task["n_users"], task["n_items"])

    train, history = log("train"), log("history")
    makers: dict[str, Callable[[Histories], Scorer]] = {
        "popularity": lambda known: popularity(train),
        "item-knn": lambda known: item_knn(train, known, KnnSettings(**settings)),
        "ease": lambda known: ease(train, known, **settings),
    }
    make = makers[task["model"]]
    started = time.perf_counter()
    scorer = make(history)
    trained = time.perf_counter()
    items_UK, _ = rank(scorer, np.arange(task["n_users"]), history, task["k"])
    items_UK[history.lengths == 0] = -1
    ranked = time.perf_counter()
    valid = None
    if (folder / "valid.tsv").exists():
        valid = evaluate_scorer(make(train), train, log("valid"), intervals=False).metrics
    report = {
        "epochs": 1,
        "best_epoch": 1,
        "train_seconds": trained - started,
        "valid_seconds": time.perf_counter() - ranked,
        "recommend_seconds": ranked - trained,
        "peak_gib": peak_gib(),
        "stopped_by": "epochs",
        "valid": valid,
        "own_metrics": None,
        "versions": {"magnn": magnn.__version__},
    }
    np.save(folder / "lists.npy", items_UK.astype(np.int32))
    (folder / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
