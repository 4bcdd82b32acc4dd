"""From a trained model and histories to query vectors, and from vectors to scores.

Shapes: U = users asked about, D = embedding size, N = items.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from magnn.data.interactions import Histories
from magnn.data.windows import query_windows
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
    device = model.embeddings.output_ND.device
    vectors_UD = torch.empty(len(users), model.config.dim)
    for first in range(0, len(users), CHUNK):
        rows = np.arange(first, min(first + CHUNK, len(users)))
        history_BW = torch.from_numpy(windows.batch(rows).history_BW)
        users_B = torch.from_numpy(users[rows])
        vectors_UD[first : first + len(rows)] = model(users_B.to(device), history_BW.to(device), focus)
    return vectors_UD


def user_scorer(model: MAGNN, histories: Histories) -> DotScorer:
    """Scores of all users of a log, given what each has done so far."""
    return DotScorer(encode(model, np.arange(histories.n_users), histories), model.items.detach().cpu())
