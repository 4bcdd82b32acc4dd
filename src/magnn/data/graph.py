"""Graphs between items: the paper's item graph A, and the two that the graph part of the score is made of.

Shapes: N = items, U = users.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from magnn.data.interactions import Histories


def item_graph(histories: Histories, steps: int = 3, links: int = 0) -> sp.csr_array:
    """The paper's A: how often two items follow each other within `steps` events, over all users.

    Source: Ma et al., AAAI 2020, section "Short-term interest modeling", item graph construction.

    Each item is linked to its next `steps` in every sequence, in both directions; the diagonal is zero. The paper's A is
    this matrix with rows normalised, which is left to where it is used: a symmetric matrix is its own transpose, so the
    backward pass of a product with A needs no second one.

    Args:
        histories: training events, and nothing else.
        links: if not 0, a link stays only where it is among so many `nearest` of one of its two items. On a dense log an
            item follows most others once; the product with A would cost what those weigh, not what they say.

    Returns:
        (N, N) float32, symmetric, indices sorted.

    Example:
        >>> h = Histories(np.array([0, 1, 2], np.int32), np.array([0, 3]), n_items=3)
        >>> item_graph(h, steps=1).toarray().astype(int).tolist()
        [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    """
    one_way = _following(histories, [1] * steps)
    graph = sp.csr_array((one_way + one_way.T).tocsr(), shape=one_way.shape)
    if links:
        near = nearest(graph, np.bincount(histories.items, minlength=histories.n_items), links)
        graph = sp.csr_array(near.maximum(near.T))
    graph.sort_indices()
    return graph


def user_item(histories: Histories) -> sp.csr_array:
    """X: 1 where a user had an item, however often. (U, N) float32.

    Example:
        >>> h = Histories(np.array([0, 1, 1, 2], np.int32), np.array([0, 3, 4]), n_items=3)
        >>> user_item(h).toarray().tolist()
        [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    ones = np.ones(len(histories.items), np.float32)
    seen_UN = sp.csr_array((ones, (histories.users, histories.items)), shape=(histories.n_users, histories.n_items))
    seen_UN.data[:] = 1  # duplicates were summed
    return seen_UN


PAIRS = 2**24  # of items, held at once while neighbours are chosen: what bounds the memory, whatever the catalogue


def co_occurrence(histories: Histories) -> sp.csr_array:
    """C = X^T D X of X = `user_item`: pairs of items in one history, without the diagonal; D = 1 / sqrt(the user's events).

    Example:
        >>> h = Histories(np.array([0, 1, 1, 2], np.int32), np.array([0, 4]), n_items=3)
        >>> co_occurrence(h).toarray().tolist()
        [[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]]
    """
    graph = sp.csr_array(sp.vstack(list(_co_occurrence(histories)), format="csr"))
    graph.sort_indices()
    return graph


def near_co_occurrence(histories: Histories, neighbours: int) -> sp.csr_array:
    """`co_occurrence`, of each row only the entries of its `neighbours`; see `nearest`. Never whole in memory."""
    counts_N = np.bincount(histories.items, minlength=histories.n_items)
    rows = [nearest(block, counts_N, neighbours) for block in _co_occurrence(histories)]
    return sp.csr_array(sp.vstack(rows, format="csr"))


def followed_by(histories: Histories, steps: int = 3) -> sp.csr_array:
    """How often an item (row) was followed by another (column) within `steps` events, 1 / step each time; no diagonal.

    Example:
        >>> h = Histories(np.array([0, 1, 2], np.int32), np.array([0, 3]), n_items=3)
        >>> followed_by(h).toarray().tolist()
        [[0.0, 1.0, 0.5], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    """
    return _following(histories, [1 / step for step in range(1, steps + 1)])


def nearest(graph: sp.csr_array, counts_N: NDArray[Any], neighbours: int) -> sp.csr_array:
    """Of each row the `neighbours` entries that are the largest for how popular their columns are: w_ij / sqrt(n_j + 5).

    Of equal ones the lower item stays.

    Args:
        graph: (rows, N), without negative values; columns in any order.
        counts_N: events of each item.
    """
    lengths = np.diff(graph.indptr)
    strength = graph.data / np.sqrt(counts_N[graph.indices] + 5)
    least_N = np.full(graph.shape[0], -np.inf)
    for i in np.flatnonzero(lengths > neighbours):
        of_row = strength[graph.indptr[i] : graph.indptr[i + 1]]
        least_N[i] = np.partition(of_row, len(of_row) - neighbours)[len(of_row) - neighbours] if neighbours else np.inf
    row = np.repeat(np.arange(graph.shape[0]), lengths)
    # What reaches the least that is kept: as many as wanted, and what equals the last of them.
    near = np.flatnonzero(strength >= least_N[row])
    row_X = row[near]
    order = np.lexsort((graph.indices[near], -strength[near], row_X))
    first_N = np.searchsorted(row_X, np.arange(graph.shape[0]))
    place_X = np.arange(len(order)) - first_N[row_X]
    kept = near[np.sort(order[place_X < neighbours])]
    return sp.csr_array((graph.data[kept], (row[kept], graph.indices[kept])), shape=graph.shape)


def _following(histories: Histories, weights: Sequence[float]) -> sp.csr_array:
    """For each pair of different items, the weights of the steps at which one followed the other, summed over all users."""
    items, users, n = histories.items, histories.users, histories.n_items
    # One product-free sum per step keeps the peak at one step's pairs, not at three.
    graph = sp.coo_array((n, n), dtype=np.float32).tocsr()
    for step, weight in enumerate(weights, start=1):
        earlier, later = items[:-step], items[step:]
        linked = (users[:-step] == users[step:]) & (earlier != later)
        pairs = earlier[linked], later[linked]
        graph = graph + sp.csr_array((np.full(len(pairs[0]), weight, np.float32), pairs), shape=(n, n))
    return sp.csr_array(graph)


def _co_occurrence(histories: Histories) -> Iterator[Any]:
    """Its rows, block by block, of about `PAIRS` pairs each; columns in any order."""
    n_items = histories.n_items
    seen_UN = user_item(histories)  # a repeated event is one co-occurrence
    seen_NU = sp.csr_array(seen_UN.T)
    weighted_UN = sp.csr_array(
        sp.diags_array(1 / np.sqrt(np.maximum(histories.lengths, 1)).astype(np.float32)) @ seen_UN
    )
    pairs_N = seen_NU @ np.diff(seen_UN.indptr).astype(np.float64)
    block_N = (np.cumsum(pairs_N) // PAIRS).astype(np.int64)
    bounds = [0, *(np.flatnonzero(np.diff(block_N)) + 1), n_items]
    for first, end in pairwise(bounds):
        found = sp.csr_array(seen_NU[first:end] @ weighted_UN)
        found.data[found.indices == np.repeat(np.arange(first, end), np.diff(found.indptr))] = 0  # the diagonal
        found.eliminate_zeros()
        yield found
