"""The parts of whole lists are those of the explanations, and add up to the scores."""

import numpy as np
import pytest

import magnn
from magnn.explain import explain
from magnn.ranking.rank import rank
from magnn.reporting.lists import exposure, ingredients
from tests.conftest import SMALL_MODEL


@pytest.fixture(scope="module")
def others(recommender: magnn.Recommender, best_recommender: magnn.Recommender) -> dict[str, magnn.Recommender]:
    changes: dict[str, dict[str, object]] = {"concat": {"fusion": "concat"}, "short only": {"long_term": False}}
    fitted = {
        name: magnn.fit(recommender.split, preset="paper", config={"model": SMALL_MODEL | change}, epochs=1)
        for name, change in changes.items()
    }
    return {"paper": recommender, "best": best_recommender, **fitted}


@pytest.mark.parametrize("name", ["paper", "best", "concat", "short only"])
def test_parts_of_lists_add_up_and_are_those_of_explanations(others: dict[str, magnn.Recommender], name: str) -> None:
    rec = others[name]
    history = rec.split.train_and_valid
    users = np.array([7, 0, 31, 12])
    items_UK, scores_UK = rank(rec.scorer(history), users, history, 8)
    items_UK[1, 6:] = -1  # as if little were left
    found = ingredients(rec, users, history, items_UK)
    total_UK = np.sum(list(found.parts.values()), axis=0)
    there_UK = items_UK >= 0
    np.testing.assert_allclose(total_UK[there_UK], scores_UK[there_UK], rtol=1e-4, atol=1e-6)
    assert not total_UK[~there_UK].any()
    for row, user in enumerate(users.tolist()):
        one = explain(rec, user, history.take(np.array([user])), int(items_UK[row, 0]))
        for part, value in one.parts.items():
            assert found.parts[part][row, 0] == pytest.approx(value, rel=1e-4, abs=1e-5), part
        if one.gate is None:
            assert found.gate_U is None
        elif one.read:
            assert found.gate_U is not None
            assert found.gate_U[row] == pytest.approx(one.gate, rel=1e-5)
    sizes = [np.abs(share_U) for share_U in found.shares().values()]
    assert (np.sum(sizes, axis=0) <= 1 + 1e-9).all()


def test_gate_without_a_longer_history_is_no_number(recommender: magnn.Recommender) -> None:
    window = recommender.model.config.short_window
    events = recommender.split.events.histories
    short = events.where(np.concatenate([np.arange(n) < window for n in events.lengths]))
    found = ingredients(recommender, np.arange(3), short, np.zeros((3, 1), np.int64))
    assert found.gate_U is not None
    assert np.isnan(found.gate_U).all()
    assert found.lengths_U.tolist() == [window] * 3


def test_exposure_counts_what_is_shown() -> None:
    counts = np.array([1, 9, 5, 0])
    found = exposure(counts, {"one": np.array([[1, 2], [1, -1]]), "all": np.arange(4)})
    assert found.reach_X.tolist() == [0.25, 0.5, 0.75, 1]
    assert found.within["one"].tolist() == pytest.approx([2 / 3, 1, 1, 1])
    assert found.within["all"].tolist() == [0.25, 0.5, 0.75, 1]
    assert found.coverage == {"one": 0.5, "all": 1}
    assert found.of_top(0.5) == {"one": 1, "all": 0.5}
