"""The plain way, as public code does it: what the package's fast paths are timed and checked against.

Written from the equations with PyTorch's own operations and Python's own loops, and meant to stay as it is: a ratio to it
means the same thing next year. The tests hold the package to its values and gradients.

Shapes: B = batch, H = long history, L = short window, T = targets, S = negatives a target, D = embedding size, N = items.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from magnn.data.interactions import Histories
from magnn.data.windows import Batch
from magnn.model.magnn import MAGNN


def adjacency(histories: Histories, steps: int) -> Tensor:
    """A, row-normalised, as a sparse COO tensor, (N, N)."""
    counts: dict[tuple[int, int], float] = {}
    for user in range(histories.n_users):
        items = histories.of(user).tolist()
        for here, item in enumerate(items):
            for later in items[here + 1 : here + 1 + steps]:
                if later != item:
                    counts[item, later] = counts.get((item, later), 0) + 1
                    counts[later, item] = counts.get((later, item), 0) + 1
    index = torch.tensor(list(counts), dtype=torch.int64).view(-1, 2).T
    weight = torch.tensor(list(counts.values()), dtype=torch.float32)
    degree = torch.zeros(histories.n_items).index_add_(0, index[0], weight)
    size = (histories.n_items, histories.n_items)
    return torch.sparse_coo_tensor(index, weight / degree[index[0]], size, check_invariants=False).coalesce()


def batch_loss(model: MAGNN, adjacency_NN: Tensor, batch: Batch, negatives_BX: NDArray[np.int64]) -> Tensor:
    """BPR summed over one batch, for the full model with gated fusion: every window in full width, padding and all.

    Uses the parameters of `model` and nothing else of it.
    """
    shape, n_items = model.config, model.n_items
    weight = dict(model.named_parameters())
    E, P, Q = weight["embeddings.input_D.weight"], weight["embeddings.users_D.weight"], weight["embeddings.output_ND"]
    users_B, history_BW, targets_BT = (torch.from_numpy(array) for array in batch)
    history_BH, recent_BL = history_BW[:, : shape.long_window], history_BW[:, shape.long_window :]
    taste_BD = functional.embedding(users_B, P, padding_idx=model.n_users)

    # Short term: the whole catalogue is smoothed, whatever the batch needs.
    smoothed_ND = torch.sparse.mm(adjacency_NN.to(E.dtype), E[:-1])
    state_ND = torch.tanh(torch.cat([smoothed_ND, E[:-1]], dim=1) @ weight["short_term.project.weight"].T)
    state_ND = torch.cat([state_ND, torch.zeros(1, shape.dim, dtype=E.dtype)])
    n_recent_B1 = (recent_BL != n_items).sum(dim=1, keepdim=True).clamp(min=1)
    s_BD = functional.embedding(recent_BL, state_ND).sum(dim=1) / n_recent_B1

    # Long term: attention over every place of the window.
    positions_HD = shape.position_scale * shape.init_std * _positions(shape.long_window, shape.dim).to(E.dtype)
    X = functional.embedding(history_BH, E, padding_idx=n_items) + positions_HD
    W1, W2, W3 = (weight[f"history_query.{name}.weight"] for name in ("from_items", "from_taste", "to_heads"))
    padding_BH = history_BH == n_items
    empty_B = padding_BH.all(dim=1)
    logits_BAH = (torch.tanh(X @ W1.T + (taste_BD @ W2.T).unsqueeze(1)) @ W3.T).transpose(1, 2)
    logits_BAH = logits_BAH.masked_fill(padding_BH.unsqueeze(1), -math.inf)
    S = torch.softmax(logits_BAH, dim=2).masked_fill(empty_B.view(-1, 1, 1), 0)
    z_BD = torch.tanh(S @ X).mean(dim=1)
    K, V = weight["memory.key_MD"], weight["memory.value_MD"]
    o_BD = (torch.softmax(z_BD @ K.T, dim=1) @ V).masked_fill(empty_B.unsqueeze(1), 0)
    long_BD = z_BD + o_BD

    gates = {"short": s_BD, "long": long_BD, "taste": taste_BD}
    logit_BD = sum((x @ weight[f"fusion.from_{name}.weight"].T for name, x in gates.items()), torch.zeros(()))
    g_BD = torch.sigmoid(logit_BD).masked_fill(empty_B.unsqueeze(1), 1)
    recent_BLD = functional.embedding(recent_BL, E, padding_idx=n_items)
    r_BD = recent_BLD.sum(dim=1) / n_recent_B1 @ weight["cooccurrence.relate.weight"].T
    query_BD = taste_BD + g_BD * s_BD + (1 - g_BD) * long_BD + r_BD

    Q1 = torch.cat([Q, torch.zeros(1, shape.dim, dtype=Q.dtype)])  # a row for padding
    negatives_BTS = torch.from_numpy(negatives_BX).view(*targets_BT.shape, -1)
    positive_BT1 = (functional.embedding(targets_BT, Q1) * query_BD.unsqueeze(1)).sum(dim=2, keepdim=True)
    negative_BTS = (functional.embedding(negatives_BTS, Q1) * query_BD.view(-1, 1, 1, shape.dim)).sum(dim=3)
    real_BTS = (targets_BT != n_items).unsqueeze(2) & (negatives_BTS != n_items)
    return -(functional.logsigmoid(positive_BT1 - negative_BTS) * real_BTS).sum() / negatives_BTS.shape[2]


def _positions(length: int, dim: int) -> Tensor:
    """Row -1 is age 0."""
    code = torch.zeros(length, dim)
    for row in range(length):
        for d in range(dim):
            angle = (length - 1 - row) / 10_000 ** ((d - d % 2) / dim)
            code[row, d] = math.sin(angle) if d % 2 == 0 else math.cos(angle)
    return code


def evaluate(
    queries_UD: Tensor, items_ND: Tensor, history: Histories, held_out: Histories, k: int = 10
) -> dict[str, float]:
    """Mean metrics over users, one user after the other: scores, seen items masked, full sort, loops over the list."""
    totals = dict.fromkeys(("recall", "ndcg", "ndcg_fixed", "map", "mrr"), 0.0)
    users = [u for u in range(history.n_users) if len(history.of(u)) and len(held_out.of(u))]
    ideal = [1 / math.log2(place + 1) for place in range(1, k + 1)]
    for user in users:
        scores = (items_ND @ queries_UD[user]).numpy()
        scores[history.of(user)] = -np.inf
        ranked = np.argsort(-scores, kind="stable")[:k].tolist()
        relevant = set(held_out.of(user).tolist())
        dcg = found = precision = 0.0
        first = 0
        for place, item in enumerate(ranked, start=1):
            if item in relevant:
                found += 1
                dcg += 1 / math.log2(place + 1)
                precision += found / place
                first = first or place
        totals["recall"] += found / len(relevant)
        totals["ndcg"] += dcg / sum(ideal[: len(relevant)])
        totals["ndcg_fixed"] += dcg / sum(ideal)
        totals["map"] += precision / len(relevant)
        totals["mrr"] += 1 / first if first else 0
    return {f"{name}@{k}": total / len(users) for name, total in totals.items()}
