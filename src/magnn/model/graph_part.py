"""The graph part of the score: what the user's recent items have for neighbours, and how popular an item is.

Not of the paper, whose item graph only smooths embeddings. A sparse log consists of sharp facts, that whoever has this item
takes that one, and a table of 64 numbers an item cannot hold them; a sparse matrix can. Its edges are counted, and how
counts become scores is eleven learned numbers:

    graph(u, j) = sum over recent items i, graphs g of exp(scale_g - |decay_g| * age(i)) * G_ij
    G_ij = c_ij^power_g / ((n_i + 5)^source_g * (n_j + 5)^target_g)
    popularity(j) = popularity * log(n_j + 5)

The graphs are co-occurrence in a history and being followed within a few steps (`magnn.data.graph`), c_ij their entries
and n_i an item's training events. Only an item's nearest neighbours are kept, so memory grows with the catalogue and not
with its square.

Shapes: N = items, B = users asked about, R = recent items, G = graphs (2).
"""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from magnn.data.graph import followed_by, near_co_occurrence, nearest
from magnn.data.interactions import Histories
from magnn.sparse import check_entries, from_scipy

SHRINK = 5.0


class GraphConfig(BaseModel):
    """Size of the graph part.

    Example:
        >>> GraphConfig().neighbours  # off
        0
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    neighbours: int = Field(0, ge=0, description="of an item in each graph; 0 leaves the graph part out of the score")
    recent: int = Field(50, ge=1, description="last events of a history whose neighbours count")
    steps: int = Field(3, ge=1, description="how many events later still counts as followed by")


class Mixture(nn.Module):
    """How counts become scores: the numbers of the formula above, (G,) each, and one for popularity.

    They start from what they come to on the logs that the package was developed with; `fit_mixture` learns a log's own.
    """

    def __init__(self) -> None:
        super().__init__()
        self.scale_G = nn.Parameter(torch.tensor([2.6, 1.9]))
        self.decay_G = nn.Parameter(torch.tensor([0.2, 0.6]))
        self.power_G = nn.Parameter(torch.tensor([0.5, 0.5]))
        self.source_G = nn.Parameter(torch.tensor([0.2, 0.2]))
        self.target_G = nn.Parameter(torch.tensor([0.5, 0.2]))
        self.popularity = nn.Parameter(torch.tensor(0.5))

    @classmethod
    def silent(cls) -> "Mixture":
        """The mixture of a graph part whose every score is 0.

        Example:
            >>> Mixture.silent().is_silent, Mixture().is_silent
            (True, False)
        """
        mixture = cls()
        nn.init.constant_(mixture.scale_G, -torch.inf)
        nn.init.zeros_(mixture.popularity)
        return mixture

    @property
    def is_silent(self) -> bool:
        """Whether it is that one."""
        return bool(self.scale_G.isneginf().all()) and not self.popularity.item()

    def edges(self, graph: int, counts_X: Tensor, source_X: Tensor, target_X: Tensor) -> Tensor:
        """exp(scale) * G_ij, (X,), from c_ij and the logarithms of n_i + 5 and n_j + 5."""
        exponent_X = self.scale_G[graph] + self.power_G[graph] * counts_X.log()
        return (exponent_X - self.source_G[graph] * source_X - self.target_G[graph] * target_X).exp()

    def recency(self, graph: int, age_X: Tensor) -> Tensor:
        """exp(-|decay| * age), (X,); age 0 is the last event."""
        return (-self.decay_G[graph].abs() * age_X).exp()


@dataclass(frozen=True, eq=False)
class GraphPart:
    """The two graphs with the numbers that weigh them.

    Attributes:
        graphs: co-occurrence and followed-by, (N, N) sparse float32, rows of the nearest neighbours.
        log_counts_N: log(n_j + 5), float32.
        recent: how many last events of a history count.
        mixture: learned, or what learning starts from where nobody could be learned from.

    Example:
        >>> log = Histories(np.array([0, 1, 0, 1, 2], np.int32), np.array([0, 2, 5]), n_items=3)
        >>> part = count_neighbours(log, GraphConfig(neighbours=2))
        >>> asked = Histories(np.array([1], np.int32), np.array([0, 1]), n_items=3)
        >>> part.scores(asked).toarray().round().astype(int).tolist()
        [[4, 0, 6]]
    """

    graphs: tuple[sp.csr_array, sp.csr_array]
    log_counts_N: NDArray[np.float32]
    recent: int
    mixture: Mixture

    def __getstate__(self) -> dict[str, Any]:
        """For copies: its fields, without what is computed from them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def weighted(self) -> sp.csr_array:
        """exp(scale) * G of each graph, one under the other, (G * N, N)."""
        log_counts_N = torch.from_numpy(self.log_counts_N)
        values = []
        with torch.no_grad():
            for number, graph in enumerate(self.graphs):
                row_X = torch.from_numpy(np.repeat(np.arange(graph.shape[0]), np.diff(graph.indptr)))
                counts_X, column_X = torch.from_numpy(graph.data), torch.from_numpy(graph.indices.astype(np.int64))
                values.append(self.mixture.edges(number, counts_X, log_counts_N[row_X], log_counts_N[column_X]))
        stacked: sp.csr_array = sp.vstack(self.graphs, format="csr")
        check_entries(stacked.nnz)
        indices, bounds = stacked.indices.astype(np.int32), stacked.indptr.astype(np.int32)
        return sp.csr_array((torch.cat(values).numpy(), indices, bounds), shape=stacked.shape)

    @cached_property
    def _weighted(self) -> Tensor:
        """`weighted` as PyTorch has it, in the same memory."""
        return from_scipy(self.weighted)

    @cached_property
    def popularity(self) -> NDArray[np.float32]:
        """What popularity puts into each item's score, (N,)."""
        weight: float = self.mixture.popularity.item()
        return weight * self.log_counts_N

    def scores(self, histories: Histories) -> sp.csr_array:
        """graph(u, j) of each history for the items that have any, (B, N) sparse; what is not there is 0."""
        return sp.csr_array(self._recent(histories) @ self.weighted)

    def fill(self, histories: Histories, out_BN: Tensor) -> None:
        """`scores` into a dense block (B, N): in a third of the time, for no list of what is there is made on the way.

        But PyTorch multiplies two sparse matrices only where it has Intel's MKL, which it has not on ARM.
        """
        if torch.backends.mkl.is_available():  # type: ignore[no-untyped-call]
            torch.mm(from_scipy(self._recent(histories)), self._weighted, out=out_BN)
        else:
            out_BN.copy_(torch.from_numpy(self.scores(histories).toarray()))

    def _recent(self, histories: Histories) -> sp.csr_array:
        """Weight of each item among the last events, for each graph, (B, G * N)."""
        user_X, item_X, age_X = recent_events(histories, self.recent)
        place = np.tile(user_X, len(self.graphs)), self._rows(item_X).ravel()
        return sp.csr_array((self._recency(age_X).ravel(), place), shape=(histories.n_users, self.weighted.shape[0]))

    def by_event(self, history: Histories, item: int) -> NDArray[np.float64]:
        """What each of a history's last events, latest first, puts into graph(u, item), (R,)."""
        _, item_R, age_R = recent_events(history, self.recent)
        if len(item_R) == 0:
            return np.zeros(0)
        row_GR = self._rows(item_R)
        edges_GR = self.weighted[row_GR.ravel()][:, [item]].toarray().reshape(row_GR.shape)
        total_R: NDArray[np.float64] = (self._recency(age_R).astype(np.float64) * edges_GR).sum(axis=0)
        return total_R[::-1]

    def _rows(self, item_X: NDArray[np.int32]) -> NDArray[np.int64]:
        """Rows of `weighted` that are an item's, (G, X)."""
        return item_X + len(self.log_counts_N) * np.arange(len(self.graphs))[:, None]

    def _recency(self, age_X: NDArray[np.int64]) -> NDArray[np.float32]:
        """Weight of an event of this age in each graph, (G, X)."""
        with torch.no_grad():
            weights = [self.mixture.recency(number, torch.from_numpy(age_X)) for number in range(len(self.graphs))]
        return torch.stack(weights).numpy()


def count_neighbours(histories: Histories, config: GraphConfig, mixture: Mixture | None = None) -> GraphPart:
    """Count both graphs.

    Args:
        histories: training events, and nothing else.
        mixture: learned before; None for the one to start from.
    """
    counts_N = np.bincount(histories.items, minlength=histories.n_items)
    together = near_co_occurrence(histories, config.neighbours)
    following = nearest(followed_by(histories, config.steps), counts_N, config.neighbours)
    log_counts_N = np.log(counts_N + SHRINK).astype(np.float32)
    return GraphPart((together, following), log_counts_N, config.recent, mixture or Mixture())


def recent_events(histories: Histories, recent: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    """User, item and age of the last events of each history, oldest first; age 0 is the last."""
    age = np.repeat(histories.offsets[1:], histories.lengths) - 1 - np.arange(len(histories.items))
    near = age < recent
    return histories.users[near], histories.items[near], age[near]
