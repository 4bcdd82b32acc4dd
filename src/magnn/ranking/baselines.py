"""The two baselines that stand in every table: popularity, and an item-kNN that remembers order.

Shapes: B = users of a block, N = items.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from magnn.data.graph import co_occurrence
from magnn.data.interactions import Histories
from magnn.ranking.evaluate import evaluate_scorer, users_to_judge
from magnn.ranking.rank import Scorer

# What `choose_knn` tries (benchmarks/knn_settings.py shows how it matters). No single pair serves a shop and a film log
# alike, and a baseline held to one flatters whatever stands beside it.
EXPONENTS = (0.3, 0.4, 0.5, 0.65)
DECAYS = (0.1, 0.2, 0.3, 0.5)
CHOOSING_USERS = 2000

Sparse = Any  # scipy's stubs do not follow sparse arrays through products


@dataclass(frozen=True)
class KnnSettings:
    """Settings of `item_knn`.

    Attributes:
        exponent: a, how the items' popularity is shared between the two of a pair; 0.5 is the cosine, less favours rare
            candidates.
        decay: per event of age.
        shrink: s, added to the counts, against similarities that rest on one user.
        recent: how many last events count.
    """

    exponent: float
    decay: float
    shrink: float = 5.0
    recent: int = 50


def popularity(train: Histories) -> Scorer:
    """Every user gets the items with the most training events."""
    counts_N = torch.from_numpy(np.bincount(train.items, minlength=train.n_items).astype(np.float32))

    def scores(users_B: NDArray[np.int64], out_BN: Tensor) -> None:
        out_BN[:] = counts_N

    return scores


def item_knn(train: Histories, history: Histories, settings: KnnSettings) -> Scorer:
    """score(u, j) = sum over u's `recent` last items i of exp(-decay * age) * C_ij / ((n_i + s)^a (n_j + s)^(1 - a)).

    C = X^T D X is co-occurrence in a user's training events, each user weighing 1 / sqrt(events), without the diagonal; n
    counts an item's training events; age counts back from the last event.

    Args:
        train: where co-occurrence is counted.
        history: whom to score, and by which events. May reach further than `train`.
        settings: see `choose_knn`.
    """
    return _knn_scorer(_similarity(train, co_occurrence(train), settings), history, settings)


def choose_knn(train: Histories, valid: Histories) -> KnnSettings:
    """The exponent and decay with the best validation ndcg@10: the item-kNN is tuned where the model picks its epoch.

    Args:
        train: what to count and to score by.
        valid: what came next; of more than `CHOOSING_USERS` users, a fixed random choice of so many.
    """
    users = users_to_judge(train, valid)
    if len(users) == 0:  # nothing to choose by
        return KnnSettings(exponent=0.5, decay=0.2)
    if len(users) > CHOOSING_USERS:
        users = np.random.default_rng(0).choice(users, CHOOSING_USERS, replace=False)
    held_out = valid.where(np.isin(valid.users, users))
    together = co_occurrence(train)
    results = {}
    for exponent in EXPONENTS:
        similar = _similarity(train, together, KnnSettings(exponent, DECAYS[0]))  # the decay has no part in it
        for decay in DECAYS:
            settings = KnnSettings(exponent, decay)
            scorer = _knn_scorer(similar, train, settings)
            results[settings] = evaluate_scorer(scorer, train, held_out, intervals=False).metrics["ndcg@10"]
    return max(results, key=results.__getitem__)


def _similarity(train: Histories, together: Sparse, settings: KnnSettings) -> Sparse:
    """C_ij / ((n_i + s)^a (n_j + s)^(1 - a)), (N, N)."""
    count_N = np.bincount(train.items, minlength=train.n_items).astype(np.float32) + settings.shrink
    return sp.csr_array(
        sp.diags_array(count_N**-settings.exponent) @ together @ sp.diags_array(count_N ** (settings.exponent - 1))
    )


def _knn_scorer(similar: Sparse, history: Histories, settings: KnnSettings) -> Scorer:
    age = np.repeat(history.offsets[1:], history.lengths) - 1 - np.arange(len(history.items))
    near = age < settings.recent
    weights = np.exp(-settings.decay * age[near]).astype(np.float32)
    shape = (history.n_users, history.n_items)
    recency = sp.csr_array((weights, (history.users[near], history.items[near])), shape=shape)

    def scores(users_B: NDArray[np.int64], out_BN: Tensor) -> None:
        (recency[users_B] @ similar).todense(out=out_BN.numpy())

    return scores
