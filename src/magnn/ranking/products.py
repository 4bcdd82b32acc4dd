"""Exact top-K of inner products, without ever holding the scores of a block in memory.

Scores are computed tile by tile, and of a tile only the maxima of small groups of items are kept: a tile is small enough
to stay in the cache, where a product runs at the processor's speed; a block of all scores runs at the memory's. The top k
lie in the k groups with the largest maxima, and what is in these is scored again.

Shapes: B = users of a block, U = users, N = items, D = embedding size, K = list length, G = groups of items, I = items of
a tile, C = candidates.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from magnn.data.interactions import Histories
from magnn.ranking.topk import top_k

USERS = 512  # of a block
TILE = 2**20  # scores of a tile, 4 MiB
GATHERED = 2**20  # numbers of item vectors gathered at once
ROUNDING = 1e-5  # relative; two ways to sum a product may differ by so much


@dataclass(frozen=True)
class DotScorer:
    """Scores v_u . q_j, as a function of user rows that fills a block (B, N), and as the two factors.

    Attributes:
        vectors_UD: query vectors.
        items_ND: item vectors.
    """

    vectors_UD: Tensor
    items_ND: Tensor

    def __call__(self, users_B: NDArray[np.int64], out_BN: Tensor) -> None:
        """Fill the block (B, N) with the scores of users (B,)."""
        torch.mm(self.vectors_UD[torch.from_numpy(users_B)], self.items_ND.T, out=out_BN)

    def add(self, users_B: NDArray[np.int64], out_BN: Tensor) -> None:
        """Add the scores of users (B,) to what the block (B, N) holds."""
        torch.addmm(out_BN, self.vectors_UD[torch.from_numpy(users_B)], self.items_ND.T, out=out_BN)


def pairs(histories: Histories, users_B: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Row in `users_B` and item of each of their events, int64."""
    taken = histories.take(users_B)
    return torch.from_numpy(taken.users.astype(np.int64)), torch.from_numpy(taken.items.astype(np.int64))


def group_size(n_items: int, k: int) -> int:
    """Items of a group: balances maxima to select from (N / size) against candidates to score again (k * size)."""
    return int(2 ** np.clip(np.log2(n_items / k) // 2, 3, 8))


def top_products(
    scorer: DotScorer, users_B: NDArray[np.int64], exclude: Histories, k: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The k best items of each user, best first, without the user's `exclude`.

    Args:
        scorer: with item vectors that lie one after another in memory.
        users_B: user rows of `scorer` and of `exclude`.
        k: at most N / group_size.

    Returns:
        values (B, K), -inf where nothing is left; items (B, K) int64; and whether a row is unsettled (B,): items outside
        the candidates tie with the last one, or come so near that rounding decides. Such a row must be ranked in full.
    """
    vectors_BD, items_ND = scorer.vectors_UD[torch.from_numpy(users_B)], scorer.items_ND
    group = group_size(len(items_ND), k)
    row_X, item_X = pairs(exclude, users_B)
    maximum_BG = _group_maxima(vectors_BD, items_ND, row_X, item_X, group).T.contiguous()
    groups_BK = maximum_BG.topk(k, dim=1, sorted=False).indices.sort(dim=1).values  # so that candidates ascend
    scores_BC = _scores_of_groups(vectors_BD, items_ND, groups_BK, group)
    row_of, place_of = _places(groups_BK, group, row_X, item_X)
    scores_BC[row_of, place_of] = -torch.inf
    values_BK, place_BK = top_k(scores_BC, k)
    items_BK = groups_BK.gather(1, place_BK // group) * group + place_BK % group

    last_B1 = values_BK[:, -1:]
    near_B1 = torch.where(last_B1.isinf(), last_B1, last_B1 - ROUNDING * last_B1.abs())
    chosen_BK = maximum_BG.gather(1, groups_BK)
    unsettled_B = (maximum_BG >= near_B1).sum(dim=1) > (chosen_BK >= near_B1).sum(dim=1)
    return values_BK, items_BK, unsettled_B


def _group_maxima(vectors_BD: Tensor, items_ND: Tensor, row_X: Tensor, item_X: Tensor, group: int) -> Tensor:
    """The best score in each group of consecutive items, (G, B), without the pairs (row, item) to exclude."""
    n_items, n_rows = len(items_ND), len(vectors_BD)
    size = max(group, TILE // n_rows // group * group)
    order = item_X.argsort()
    row_X, item_X = row_X[order], item_X[order]
    starts = range(0, n_items, size)
    bounds = torch.searchsorted(item_X, torch.tensor([*starts, n_items])).tolist()
    vectors_DB = vectors_BD.T.contiguous()
    buffer_IB = torch.empty(min(size, n_items), n_rows)
    maximum_GB = torch.empty(-(-n_items // group), n_rows)
    for first, low, high in zip(starts, bounds[:-1], bounds[1:], strict=True):
        slice_ID = items_ND[first : first + size]
        # Items by users: maxima then run along contiguous rows.
        tile_IB = torch.mm(slice_ID, vectors_DB, out=buffer_IB[: len(slice_ID)])
        tile_IB[item_X[low:high] - first, row_X[low:high]] = -torch.inf
        whole = len(slice_ID) // group
        out_GB = maximum_GB[first // group :]
        torch.amax(tile_IB[: whole * group].view(whole, group, n_rows), dim=1, out=out_GB[:whole])
        if whole * group < len(slice_ID):  # the last group of the catalogue
            torch.amax(tile_IB[whole * group :], dim=0, out=out_GB[whole])
    return maximum_GB


def _scores_of_groups(vectors_BD: Tensor, items_ND: Tensor, groups_BK: Tensor, group: int) -> Tensor:
    """Scores of all items in chosen groups, which ascend, (B, C); -inf beyond the end of the catalogue."""
    (n_items, dim), (n_rows, k) = items_ND.shape, groups_BK.shape
    whole = n_items // group
    by_group = items_ND[: whole * group].view(whole, group * dim)  # few long rows are read faster than many short ones
    scores_BC = torch.empty(n_rows, k * group)
    rows = max(1, GATHERED // (k * group * dim))
    buffer = torch.empty(min(rows, n_rows) * k, group * dim)  # fresh memory costs page faults
    for first in range(0, n_rows, rows):
        part = slice(first, first + rows)
        numbers = groups_BK[part].flatten().clamp(max=whole - 1)
        chosen = torch.index_select(by_group, 0, numbers, out=buffer[: len(numbers)])
        # One row times a matrix: five times as fast as the matrix times one column.
        chosen_BDC = chosen.view(-1, k * group, dim).transpose(1, 2)
        torch.bmm(vectors_BD[part].unsqueeze(1), chosen_BDC, out=scores_BC[part].unsqueeze(1))
    last_B = groups_BK[:, -1] == whole  # the group that the catalogue does not fill
    if last_B.any():
        rest = torch.full((int(last_B.sum()), group), -torch.inf)
        rest[:, : n_items - whole * group] = vectors_BD[last_B] @ items_ND[whole * group :].T
        scores_BC[last_B, -group:] = rest
    return scores_BC


def _places(groups_BK: Tensor, group: int, row_X: Tensor, item_X: Tensor) -> tuple[Tensor, Tensor]:
    """Where among the candidates the pairs (row, item) stand, of those that are among them: rows and columns."""
    n_groups = int(groups_BK.max()) + 1
    keys = (groups_BK + torch.arange(len(groups_BK)).unsqueeze(1) * n_groups).flatten()  # ascending
    group_X = item_X // group
    wanted_X = torch.where(group_X < n_groups, row_X * n_groups + group_X, -1)
    found_X = torch.searchsorted(keys, wanted_X).clamp(max=len(keys) - 1)
    there_X = keys[found_X] == wanted_X
    return row_X[there_X], (found_X % groups_BK.shape[1] * group + item_X % group)[there_X]
