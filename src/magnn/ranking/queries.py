"""From a trained model and histories to query vectors, and from vectors to scores.

Shapes: U = users asked about, D = embedding size, N = items.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from magnn.data.interactions import Histories
from magnn.data.windows import query_windows
from magnn.model.graph_part import GraphPart
from magnn.model.magnn import MAGNN
from magnn.ranking.products import DotScorer

CHUNK = 2048  # users encoded at once


@torch.inference_mode()
def encode(model: MAGNN, users: NDArray[np.int64], histories: Histories, focus: float = 0.0) -> Tensor:
    """Query vectors at the end of each history, (U, D), on the CPU wherever the model is.

    Args:
        model: frozen.
        users: (U,) user numbers; `model.n_users` for an unknown user.
        histories: U histories, one for each of `users`.
        focus: added to the gate.
    """
    windows = query_windows(histories, model.config.short_window, model.config.long_window)
    device = model.device
    vectors_UD = torch.empty(len(users), model.config.dim)
    for first in range(0, len(users), CHUNK):
        rows = np.arange(first, min(first + CHUNK, len(users)))
        history_BW = torch.from_numpy(windows.batch(rows).history_BW)
        users_B = torch.from_numpy(users[rows])
        vectors_UD[first : first + len(rows)] = model(users_B.to(device), history_BW.to(device), focus)
    return vectors_UD


@dataclass(frozen=True)
class GraphScorer:
    """Scores of the network plus those of the graph part, as a function of user rows that fills a block (B, N).

    Attributes:
        dense: of the network.
        part: neighbours and popularity.
        histories: by which the users of `dense` are scored.
    """

    dense: DotScorer
    part: GraphPart
    histories: Histories

    def __call__(self, users_B: NDArray[np.int64], out_BN: Tensor) -> None:
        """Fill the block (B, N) with the scores of users (B,)."""
        self.part.fill(self.histories.take(users_B), out_BN)
        self.dense.add(users_B, out_BN)
        out_BN += torch.from_numpy(self.part.popularity)


def user_scorer(
    model: MAGNN,
    histories: Histories,
    part: GraphPart | None = None,
    users: NDArray[np.int64] | None = None,
    focus: float = 0.0,
) -> DotScorer | GraphScorer:
    """Scores of users, given what each has done so far.

    Args:
        model: frozen.
        histories: one for each of `users`.
        part: neighbours and popularity; None for the network alone.
        users: user numbers; None for all users of the log.
        focus: added to the gate.
    """
    dense = network_scorer(model, histories, users, focus)
    return dense if part is None else GraphScorer(dense, part, histories)


def network_scorer(
    model: MAGNN, histories: Histories, users: NDArray[np.int64] | None = None, focus: float = 0.0
) -> DotScorer:
    """Scores of users by the network alone; arguments as of `user_scorer`."""
    numbers = np.arange(histories.n_users) if users is None else users
    return DotScorer(encode(model, numbers, histories, focus), model.items.detach().cpu())
