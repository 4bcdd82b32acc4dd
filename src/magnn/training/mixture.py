"""Learning how the graph part weighs its counts, on events that were not counted.

A graph counted from training events holds the very pairs that a training sample asks for: an edge of count one is its
answer. Weights learned there would trust rare edges. So they are learned on held-out events, with the network as it is;
a dozen numbers do not remember what they were shown.

A ranking is the same under any rising function of the score, a likelihood is not. Where scores are log-odds, one strong
edge says all; where they add up like counts, many weak ones do too. Which of the two a log is like is not known before, so
both are learned and the one that ranks the held-out events better is kept. Where the network ranks them better alone, the
graph part is silent: no default should take from a log what it had without it.

Shapes: B = users of a step, N = items, X = edges met.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from magnn.data.interactions import Histories
from magnn.model.graph_part import GraphPart, Mixture, recent_events
from magnn.ranking.evaluate import evaluate_scorer, of_some_users, users_to_judge
from magnn.ranking.products import DotScorer, pairs
from magnn.ranking.queries import GraphScorer
from magnn.ranking.rank import Scorer
from magnn.training.losses import generalised_cross_entropy

STEPS = 250
USERS = 64  # of a step
SCORES = 2**22  # of a step at most: fewer users where the catalogue is large
CHOOSING_USERS = 5000
RATE = 0.05  # of Adam, falling to 0
Q = 0.5


class _LogOdds(nn.Module):
    """Scores as they are, times a sharpness."""

    def __init__(self) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.zeros(()))

    def forward(self, scores_BN: Tensor) -> Tensor:
        return self.sharpness.exp() * scores_BN


class _Counts(nn.Module):
    """Logarithms of scores, gently where they are small or negative: power * log softplus(sharpness * score - base)."""

    def __init__(self) -> None:
        super().__init__()
        self.sharpness, self.base, self.power = (nn.Parameter(torch.tensor(value)) for value in (0.0, 0.5, 0.0))

    def forward(self, scores_BN: Tensor) -> Tensor:
        counts_BN = nn.functional.softplus(self.sharpness.exp() * scores_BN - self.base)
        return self.power.exp() * counts_BN.clamp(min=1e-20).log()


def fit_mixture(
    part: GraphPart,
    dense: DotScorer,
    history: Histories,
    held_out: Histories,
    *,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Mixture:
    """The mixture with the least generalised cross-entropy of held-out items, in the score of all parts.

    Args:
        part: counted from `history`.
        dense: scores of the other parts, from a network that was trained on `history`.
        history, held_out: of all users; those without either are passed over.
        progress: called with steps done and steps in all.

    Returns:
        A new mixture, silent where the other parts rank better without it; that of `part` where nobody can be learned from.
    """
    users = users_to_judge(history, held_out)
    if len(users) == 0:
        return part.mixture
    judged = of_some_users(history, held_out, CHOOSING_USERS, seed)

    def metric_of(scorer: Scorer) -> float:
        return evaluate_scorer(scorer, history, judged, intervals=False).metrics["ndcg@10"]

    best, best_metric = part.mixture, -1.0
    for number, link in enumerate((_LogOdds(), _Counts())):
        mixture = copy.deepcopy(part.mixture)
        for step in _descend(part, mixture, link, dense, history, held_out, users, seed):
            if progress:
                progress(number * STEPS + step, 2 * STEPS)
        metric = metric_of(GraphScorer(dense, replace(part, mixture=mixture), history))
        if metric > best_metric:
            best, best_metric = mixture, metric
    return (Mixture.silent() if metric_of(dense) > best_metric else best).requires_grad_(False)


def _descend(
    part: GraphPart,
    mixture: Mixture,
    link: nn.Module,
    dense: DotScorer,
    history: Histories,
    held_out: Histories,
    users: NDArray[np.int64],
    seed: int,
) -> Iterator[int]:
    """Move the mixture and the link step by step; yields how many are done."""
    rng = np.random.default_rng([seed, 0])
    size = min(USERS, max(1, SCORES // history.n_items), len(users))
    turns = [rng.permutation(users) for _ in range(-(-STEPS * size // len(users)))]
    order = np.concatenate(turns)[: STEPS * size].reshape(STEPS, size)
    optimizer = torch.optim.Adam([*mixture.parameters(), *link.parameters()], lr=RATE)
    scores_BN = torch.empty(size, history.n_items)
    for step, users_B in enumerate(order):
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - step / STEPS)
        dense(users_B, scores_BN)
        linked_BN = link(scores_BN + _graph_scores(part, mixture, history.take(users_B)))
        linked_BN = linked_BN.index_put(pairs(history, users_B), torch.tensor(-torch.inf))
        row_X, wanted_X = _unseen(history, held_out, users_B)
        if len(wanted_X):
            log_share_X = linked_BN[row_X, wanted_X] - linked_BN.logsumexp(dim=1)[row_X]
            loss = generalised_cross_entropy(log_share_X, Q).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        yield step + 1


def _graph_scores(part: GraphPart, mixture: Mixture, histories: Histories) -> Tensor:
    """`GraphPart.scores` and popularity, dense (B, N), with gradients for the mixture."""
    log_counts_N = torch.from_numpy(part.log_counts_N)
    user_X, item_X, age_X = recent_events(histories, part.recent)
    shape = histories.n_users, histories.n_items
    scores_BN = (mixture.popularity * log_counts_N).repeat(shape[0])
    for number, graph in enumerate(part.graphs):
        edges = graph[item_X]  # a row for each event
        of_X = np.repeat(np.arange(len(item_X)), np.diff(edges.indptr))
        source_X, target_X = torch.from_numpy(item_X[of_X].astype(np.int64)), torch.from_numpy(edges.indices)
        value_X = mixture.edges(
            number, torch.from_numpy(edges.data), log_counts_N[source_X], log_counts_N[target_X.long()]
        )
        value_X = value_X * mixture.recency(number, torch.from_numpy(age_X)[of_X])
        place_X = torch.from_numpy(user_X[of_X].astype(np.int64)) * shape[1] + target_X
        scores_BN = scores_BN.index_add(0, place_X, value_X)
    return scores_BN.view(shape)


def _unseen(history: Histories, held_out: Histories, users_B: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Row and item of what these users did next and had not done before: what can be recommended at all."""
    n_items = history.n_items
    seen, wanted = history.take(users_B).distinct_pairs, held_out.take(users_B).distinct_pairs
    wanted = np.setdiff1d(wanted, seen, assume_unique=True)
    return torch.from_numpy(wanted // n_items), torch.from_numpy(wanted % n_items)
