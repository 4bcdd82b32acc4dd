"""Settings that follow from the log: they stay in their bounds, and hardly move when the log is drawn anew."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnn.model.config import ModelConfig
from magnn.settings import PRESETS
from magnn.training.config import TrainingConfig
from tests.worlds import histories_of


@pytest.mark.parametrize("preset", PRESETS)
@given(events=st.integers(1, 10**8), items=st.integers(1, 10**6))
def test_what_follows_from_a_log_stays_in_its_bounds(preset: str, events: int, items: int) -> None:
    config = PRESETS[preset].training
    smallest, largest = (512, 2048) if config.loss == "softmax" else (1024, 16_384)
    assert smallest <= config.batch_of(events) <= largest
    assert 1e-3 <= config.rate_of(config.batch_of(events)) <= 4e-3
    assert 0 <= config.q_of(events, items) <= 0.3
    assert config.q_of(2 * events, items) <= config.q_of(events, items)  # the denser, the nearer to the log loss
    epochs, of_twice = (config.for_log(n).epochs for n in (events, 2 * events))
    assert epochs is not None and of_twice is not None
    assert epochs >= of_twice >= 1
    assert 1 <= epochs <= 60


@pytest.mark.parametrize("seed", range(5))
def test_the_same_settings_follow_from_a_resampled_log(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lengths = rng.lognormal(3, 1, 2000).astype(int) + 1
    whole = histories_of([rng.integers(900, size=n).tolist() for n in lengths], 900)
    again = whole.take(rng.integers(whole.n_users, size=whole.n_users))
    config = TrainingConfig(loss="softmax", targets=1)
    one, other = (config.q_of(len(h.items), len(np.unique(h.items))) for h in (whole, again))
    assert 0.05 < one < 0.25  # in the range where it moves at all
    assert abs(one - other) < 0.02
    shape = ModelConfig(feed_forward=None, cosine=None)
    for history in (whole, again):  # a fifth above each of the bounds, and below it
        decided = [shape.for_log(len(history.items), n_items) for n_items in (270, 420, 900, 1400)]
        assert [config.cosine for config in decided] == [False, True, True, True]
        assert [config.feed_forward for config in decided] == [True, True, True, False]
    batches = config.batch_of(len(whole.items)), config.batch_of(len(again.items))
    assert max(batches) <= 2 * min(batches)


def test_batches_that_follow_from_a_log() -> None:
    """A power of two nearest to a sixteenth or, of a softmax, a 64th of the samples, within bounds."""
    for loss, batches in (
        ("bpr", {1: 1024, 30_000: 2048, 100_000: 8192, 10**7: 16_384}),
        ("softmax", {1: 512, 40_000: 512, 70_000: 1024, 100_000: 2048, 10**7: 2048}),
    ):
        config = TrainingConfig.model_validate({"loss": loss, "targets": 1})
        assert {samples: config.batch_of(samples) for samples in batches} == batches


def test_what_is_given_is_taken() -> None:
    for on in (True, False):
        for log in ((1, 10**6), (10**9, 1)):
            decided = ModelConfig(feed_forward=on, cosine=on).for_log(*log)
            assert (decided.feed_forward, decided.cosine) == (on, on)
    config = TrainingConfig(gce_q=0.5, batch_size=100, learning_rate=0.1)
    assert (config.q_of(10**9, 1), config.batch_of(10**9), config.rate_of(7)) == (0.5, 100, 0.1)
    assert TrainingConfig(epochs=40).for_log(10**9).epochs == 40
