"""Top-K lists of many users over the whole catalogue, block by block, without what they have seen.

Shapes: B = users of a block, U = users, N = items, K = list length.
"""

import operator
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from magnn.data.interactions import Histories
from magnn.errors import InputError
from magnn.ranking.products import USERS, DotScorer, group_size, pairs, top_products
from magnn.ranking.topk import top_k

# Fills a float32 block (B, N) with the scores of users (B,). The block is reused: fresh memory costs page faults.
Scorer = Callable[[NDArray[np.int64], Tensor], None]

BLOCK_BYTES = 16 * 2**20  # scores of one block: what bounds the memory of ranking, whatever the catalogue
LARGE = 2**20  # scores of inner products from which they are worth not being held: these still fit in the cache


def rank(
    scorer: Scorer, users: NDArray[np.int64], exclude: Histories, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Top-K lists of many users, each user's `exclude` items left out.

    Args:
        scorer: scores of a block of users. Those of a `DotScorer` are never all in memory.
        users: (U,) user numbers.
        exclude: items that may not be recommended, usually what the user has already seen.
        k: list length, at most the catalogue.

    Returns:
        items (U, K), and their scores (U, K). A user with fewer than K items left has -1 and -inf in the last places.

    Raises:
        InputError: k is not in [1, n_items].
    """
    k = check_k(k, exclude.n_items)
    items_UK = np.empty((len(users), k), np.int64)
    scores_UK = np.empty((len(users), k), np.float32)
    rows = np.arange(len(users))
    large = len(users) * exclude.n_items > LARGE and exclude.n_items >= 2 * k * group_size(exclude.n_items, k)
    if large and isinstance(scorer, DotScorer):
        rows = _rank_products(scorer, users, exclude, items_UK, scores_UK)
    block = max(1, BLOCK_BYTES // (4 * exclude.n_items))
    buffer = torch.empty(min(block, len(rows)), exclude.n_items)
    for first in range(0, len(rows), block):
        of_block = rows[first : first + block]
        scores_BN = buffer[: len(of_block)]
        scorer(users[of_block], scores_BN)
        row, item = pairs(exclude, users[of_block])
        scores_BN[row, item] = -torch.inf
        values, items = top_k(scores_BN, k)
        scores_UK[of_block] = values.numpy()
        items_UK[of_block] = items.masked_fill(values == -torch.inf, -1).numpy()
    return items_UK, scores_UK


def _rank_products(
    scorer: DotScorer,
    users: NDArray[np.int64],
    exclude: Histories,
    items_UK: NDArray[np.int64],
    scores_UK: NDArray[np.float32],
) -> NDArray[np.int64]:
    """Fills the lists; returns the rows that are left to be ranked in full, few of thousands unless scores tie."""
    scorer = DotScorer(scorer.vectors_UD, scorer.items_ND.contiguous())
    unsettled = []
    for first in range(0, len(users), USERS):
        rows = slice(first, first + USERS)
        values, items, unsettled_B = top_products(scorer, users[rows], exclude, items_UK.shape[1])
        scores_UK[rows], items_UK[rows] = values.numpy(), items.numpy()
        unsettled.append(first + unsettled_B.numpy().nonzero()[0])
    return np.concatenate([*unsettled, np.empty(0, np.int64)])


def check_k(k: int, n_items: int) -> int:
    """k, of whatever integer type, as Python's own. Raises InputError unless 1 <= k <= n_items."""
    if not 1 <= k <= n_items:
        raise InputError(f"k must be between 1 and the catalogue's {n_items:,} items, not {k}")
    return operator.index(k)
