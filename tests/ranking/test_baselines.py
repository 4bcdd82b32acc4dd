"""The baselines against naive double loops."""

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from magnn.ranking.baselines import DECAYS, EXPONENTS, KnnSettings, choose_knn, item_knn, popularity
from magnn.ranking.evaluate import evaluate_scorer
from tests.worlds import histories_of


@settings(deadline=None, max_examples=50)
@given(
    train=st.lists(st.lists(st.integers(0, 5), max_size=8), min_size=2, max_size=5),
    more=st.lists(st.integers(0, 5), max_size=3),
    recent=st.integers(1, 5),
    exponent=st.sampled_from([0.5, 0.7]),
)
def test_item_knn_is_its_formula(train: list[list[int]], more: list[int], recent: int, exponent: float) -> None:
    n_items, shrink, decay = 6, 5.0, 0.3
    history = [sequence + more for sequence in train]
    counts = np.bincount(histories_of(train, n_items).items, minlength=n_items)
    together = np.zeros((n_items, n_items))
    for sequence in train:
        for i in set(sequence):
            for j in set(sequence) - {i}:
                together[i, j] += 1 / math.sqrt(len(sequence))
    expected = np.zeros((len(train), n_items))
    for user, sequence in enumerate(history):
        for age, i in enumerate(reversed(sequence)):
            if age < recent:
                norm = (counts[i] + shrink) ** exponent * (counts + shrink) ** (1 - exponent)
                expected[user] += math.exp(-decay * age) * together[i] / norm
    settings = KnnSettings(exponent, decay, shrink, recent)
    scorer = item_knn(histories_of(train, n_items), histories_of(history, n_items), settings)
    out = torch.full((len(train), n_items), torch.nan)
    scorer(np.arange(len(train)), out)
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_popularity_counts_training_events_only() -> None:
    scorer = popularity(histories_of([[0, 1], [1], [1, 2, 2]], 4))
    out = torch.empty(2, 4)
    scorer(np.array([2, 0]), out)
    assert out.tolist() == [[1, 3, 2, 0]] * 2


def test_evaluation_skips_users_without_history_or_future() -> None:
    history = histories_of([[0], [], [1], [2]], 4)
    held_out = histories_of([[1, 1], [2], [], [0]], 4)
    result = evaluate_scorer(popularity(histories_of([[1], [1], [0], [2]], 4)), history, held_out, k=1)
    assert result.users.tolist() == [0, 3]
    assert result.per_user["recall"].tolist() == [1.0, 0.0], "a repeated test item is one relevant item"
    assert result.metrics["recall@1"] == 0.5


def test_item_knn_chooses_what_validates_best() -> None:
    rng = np.random.default_rng(3)
    walks = [[(start + step) % 30 for step in range(6)] for start in rng.integers(30, size=80).tolist()]
    noisy = [[*rng.integers(30, size=4).tolist(), *walk] for walk in walks]
    train, valid = histories_of([w[:-1] for w in noisy], 30), histories_of([w[-1:] for w in noisy], 30)
    values = {
        (exponent, decay): evaluate_scorer(
            item_knn(train, train, KnnSettings(exponent, decay)), train, valid, intervals=False
        ).metrics["ndcg@10"]
        for exponent in EXPONENTS
        for decay in DECAYS
    }
    assert len(set(values.values())) > 1, "there is something to choose"
    chosen = choose_knn(train, valid)
    assert values[chosen.exponent, chosen.decay] == max(values.values())


def test_without_validation_events_item_knn_is_the_cosine() -> None:
    train = histories_of([[0, 1], [1, 2]], 3)
    assert choose_knn(train, histories_of([[], []], 3)).exponent == 0.5
