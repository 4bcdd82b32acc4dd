"""The graph's numbers are judged on users they were not learned from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import unseen_graph
from benchmarks.results_tables import Page
from magnn.data.interactions import Histories
from magnn.model.graph_part import Mixture
from magnn.ranking.evaluate import evaluate_scorer
from tests.worlds import log_of


def test_nobody_is_judged_by_what_was_learned_from_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    split = log_of([[f"{item:02d}" for item in rng.permutation(20)[:6]] for _ in range(11)], "leave-one-out")
    learned: list[set[int]] = []
    judged: list[set[int]] = []

    def learn(part: Any, dense: Any, history: Histories, held_out: Histories, *, seed: int) -> Mixture:
        learned.append({*held_out.users.tolist()})
        return Mixture()

    def judge(scorer: Any, history: Histories, held_out: Histories, **how: Any) -> Any:
        judged.append({*held_out.users.tolist()})
        return evaluate_scorer(scorer, history, held_out, **how)

    monkeypatch.setattr(unseen_graph, "fit_mixture", learn)
    monkeypatch.setattr(unseen_graph, "evaluate_scorer", judge)
    page = Page(Path())
    unseen_graph.compare(split, page)
    everybody = {*range(11)}
    halves = [half for half in judged if half != everybody]
    assert [*zip(learned, halves, strict=True)] == [(half, everybody - half) for half in learned]
    assert learned[:2] == learned[2:] and learned[0] | learned[1] == everybody
    assert {len(half) for half in learned} == {5, 6} and judged.count(everybody) == 2
    assert [line.count("|") for line in page.lines if "learned on" in line] == [4, 4, 4]
