"""The item graph A of the paper: which items are used close together.

Source: Ma et al., AAAI 2020, section "Short-term interest modeling", item graph construction.
"""

import numpy as np
import scipy.sparse as sp

from magnn.data.interactions import Histories


def item_graph(histories: Histories, steps: int = 3) -> sp.csr_array:
    """Counts of how often two items follow each other within `steps` events, over all users.

    Each item is linked to its next `steps` in every sequence, in both directions; the diagonal is zero. The paper's A is
    this matrix with rows normalised, which is left to where it is used: a symmetric matrix is its own transpose, so the
    backward pass of a product with A needs no second one.

    Args:
        histories: training events, and nothing else.

    Returns:
        (N, N) float32, symmetric, indices sorted.

    Example:
        >>> h = Histories(np.array([0, 1, 2], np.int32), np.array([0, 3]), n_items=3)
        >>> item_graph(h, steps=1).toarray().astype(int).tolist()
        [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    """
    items, users, n = histories.items, histories.users, histories.n_items
    # One product-free sum per step keeps the peak at one step's pairs, not at three.
    one_way = sp.coo_array((n, n), dtype=np.float32).tocsr()
    for step in range(1, steps + 1):
        earlier, later = items[:-step], items[step:]
        linked = (users[:-step] == users[step:]) & (earlier != later)
        pairs = earlier[linked], later[linked]
        one_way = one_way + sp.csr_array((np.ones(len(pairs[0]), np.float32), pairs), shape=(n, n))
    graph = sp.csr_array((one_way + one_way.T).tocsr(), shape=(n, n))
    graph.sort_indices()
    return graph
