"""What a run trains on, ranks by and is judged on: peers and our own models, through the code that makes the tables."""

import sys
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import pytest
import torch

import magnn
from benchmarks import process, runs
from benchmarks.peers import contest, environments
from benchmarks.peers.comparison import final_specs, setting_specs
from benchmarks.peers.own.adapter import ease
from benchmarks.runs import KS, ours
from magnn.data.interactions import Histories
from magnn.ranking.baselines import popularity
from magnn.ranking.rank import rank
from tests.worlds import SMALL, histories_of, small_world


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for what runs leave behind."""
    monkeypatch.setattr(runs, "RUNS", tmp_path / "runs")
    for module in (contest, process):
        monkeypatch.setattr(module, "SCRATCH", tmp_path / "scratch")
    return tmp_path


@pytest.mark.parametrize("final", [False, True], ids=["choosing", "final fit"])
def test_a_peer_trains_and_ranks_by_what_it_may_know(final: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "python_of", lambda _: Path(sys.executable))
    split = small_world("leave-one-out")
    of = final_specs("Popularity", "amazon-beauty", "leave-one-out", refit=True) if final else None
    spec = (of or setting_specs("Popularity", "amazon-beauty", "leave-one-out"))[0]
    report = contest._train(spec, split, limit=None if final else 60.0, epochs=1 if final else None)
    assert isinstance(report, dict), report
    written = {
        path.stem: pl.read_csv(path, separator="\t").select("user", "item").rows()
        for path in contest._folder(spec).glob("*.tsv")
    }

    def rows(histories: Histories) -> list[tuple[int, int]]:
        return list(zip(histories.users.tolist(), histories.items.tolist(), strict=True))

    train = split.train_and_valid if final else split.train
    held_out = {} if final else {"valid": rows(split.valid)}
    assert written == {
        "train": rows(train),
        "history": rows(split.train_and_valid),
        "test": rows(split.test),
        **held_out,
    }
    lists = np.load(contest._folder(spec) / "lists.npy")
    everybody = np.arange(split.events.n_users)
    expected, _ = rank(popularity(train), everybody, split.train_and_valid, max(KS))
    np.testing.assert_array_equal(lists, expected)


@pytest.mark.parametrize(("on", "refit"), [("valid", False), ("test", False), ("test", True)])
def test_a_run_of_ours_is_what_evaluate_says(
    on: Literal["valid", "test"], refit: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = small_world()
    monkeypatch.setattr(process, "read_split", lambda *_: split)
    settings = {"model": SMALL, "training": {"epochs": 2}}
    spec = ours("ml-latest-small", "paper", preset="best", config=settings, refit=refit, on=on)
    run = process.run(spec)
    assert run is not None
    rec = magnn.fit(split, config=spec.settings, refit=refit)
    for k in KS:
        expected = magnn.evaluate(rec, on=on, k=k, baselines=False).metrics
        assert {name: run.metrics[name] for name in expected} == pytest.approx(expected, abs=1e-6)


def test_ease_is_a_ridge_regression_of_each_item_on_the_others() -> None:
    rng = np.random.default_rng(0)
    log = histories_of([rng.permutation(6)[:3].tolist() for _ in range(20)], 6)
    seen_UN = np.zeros((20, 6))
    seen_UN[log.users, log.items] = 1
    scores = torch.empty(20, 6)
    ease(log, log, 2.5)(np.arange(20), scores)
    for item in range(6):
        others = np.delete(seen_UN, item, axis=1)
        weights = np.linalg.solve(others.T @ others + 2.5 * np.eye(5), others.T @ seen_UN[:, item])
        np.testing.assert_allclose(scores[:, item], others @ weights, rtol=1e-4, atol=1e-5)
