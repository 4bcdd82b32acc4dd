"""The two baselines that stand in every table: popularity, and an item-kNN that remembers order.

Shapes: B = users of a block, N = items.
"""

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from magnn.data.interactions import Histories
from magnn.ranking.topk import Scorer

# The item-kNN's settings, the same for every data set: the middle of the range that does well on Amazon CDs,
# MovieLens-1M and Amazon Beauty (exponent .6 to .7, decay .1 to .3). An exponent of 0.5 would be the cosine.
SHRINK = 5.0
EXPONENT = 0.65
DECAY = 0.2
RECENT = 50


def popularity(train: Histories) -> Scorer:
    """Every user gets the items with the most training events."""
    counts_N = torch.from_numpy(np.bincount(train.items, minlength=train.n_items).astype(np.float32))

    def scores(users_B: NDArray[np.int64], out_BN: Tensor) -> None:
        out_BN[:] = counts_N

    return scores


def item_knn(
    train: Histories,
    history: Histories,
    *,
    shrink: float = SHRINK,
    exponent: float = EXPONENT,
    decay: float = DECAY,
    recent: int = RECENT,
) -> Scorer:
    """score(u, j) = sum over u's `recent` last items i of exp(-decay * age) * C_ij / ((n_i + s)^a (n_j + s)^(1 - a)).

    C = X^T D X is co-occurrence in a user's training events, each user weighing 1 / sqrt(events), without the diagonal; n
    counts an item's training events; age counts back from the last event.

    Args:
        train: where co-occurrence is counted.
        history: whom to score, and by which events. May reach further than `train`.
    """
    n_users, n_items = train.n_users, train.n_items
    ones = np.ones(len(train.items), np.float32)
    seen = sp.csr_array((ones, (train.users, train.items)), shape=(n_users, n_items))
    seen.data[:] = 1  # a repeated event is one co-occurrence
    weighted = sp.diags_array(1 / np.sqrt(np.maximum(train.lengths, 1)).astype(np.float32)) @ seen
    similar = sp.csr_array(seen.T @ weighted)
    similar.setdiag(0)
    popularity_N = np.bincount(train.items, minlength=n_items).astype(np.float32) + shrink
    similar = sp.diags_array(popularity_N**-exponent) @ similar @ sp.diags_array(popularity_N ** (exponent - 1))
    similar = sp.csr_array(similar)

    age = np.repeat(history.offsets[1:], history.lengths) - 1 - np.arange(len(history.items))
    near = age < recent
    weights = np.exp(-decay * age[near]).astype(np.float32)
    recency = sp.csr_array((weights, (history.users[near], history.items[near])), shape=(n_users, n_items))

    def scores(users_B: NDArray[np.int64], out_BN: Tensor) -> None:
        (recency[users_B] @ similar).todense(out=out_BN.numpy())

    return scores
