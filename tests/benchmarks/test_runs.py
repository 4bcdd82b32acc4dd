"""Runs are stored whole, found again, and refused if they are of something else."""

import json
import signal
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import magnn
from benchmarks import process, runs
from benchmarks.measure import ROOT
from benchmarks.process import run_missing
from benchmarks.runs import (
    KS,
    Run,
    Spec,
    StaleRunError,
    describe,
    failed,
    is_finished,
    judge,
    load,
    log_path,
    ours,
    until_stopped,
    users_of,
)
from magnn.data.split import Protocol, Split
from magnn.errors import InputError
from magnn.ranking.rank import rank
from tests.conftest import real


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(runs, "RUNS", tmp_path)
    return tmp_path


@pytest.fixture
def spec() -> Spec:
    return ours("ml-1m", "paper", variant="MF + S", config={"model": {"long_term": False}}, seed=3)


@pytest.mark.shared_data
@pytest.mark.parametrize("data", runs.LOGS)
def test_a_log_has_the_events_and_items_that_its_settings_follow_from(data: str) -> None:
    log = runs.LOGS[data]
    real(log.file)
    for protocol, train in log.train.items():
        split = runs.read_split(data, protocol)
        assert (split.events.n_events, split.events.n_items) == (log.events, log.items)
        assert len(split.train.items) == train


def judged(spec: Spec, recommender: magnn.Recommender) -> tuple[Run, Split]:
    split = recommender.split
    everybody = np.arange(split.events.n_users)
    lists, _ = rank(recommender.scorer(split.train_and_valid), everybody, split.train_and_valid, max(KS))
    return judge(spec, split, lists, epochs=7, fit_seconds=2.5), split


def test_lists_are_judged_as_the_package_evaluates(spec: Spec, recommender: magnn.Recommender) -> None:
    run, split = judged(spec, recommender)
    for k in KS:
        expected = magnn.evaluate(recommender, split, k=k, baselines=False)
        assert {name: run.metrics[name] for name in expected.metrics} == pytest.approx(expected.metrics, abs=1e-6)
    users = users_of(spec)
    assert users["recall@10"].mean() == pytest.approx(run.metrics["recall@10"], abs=1e-6)
    assert len(users) == expected.n_users
    low, high = run.ci95["recall@10"]
    assert low <= run.metrics["recall@10"] <= high


def test_a_run_is_found_again(spec: Spec, recommender: magnn.Recommender, folder: Path) -> None:
    assert load(spec) is None
    assert not is_finished(spec)
    run, _ = judged(spec, recommender)
    assert load(spec) == run
    assert is_finished(spec)
    assert spec.path.relative_to(folder) == Path("ml-1m-paper-refit-test/ma-gnn-mf-plus-s-3.json")
    assert "7 epochs" in describe(run)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"data_sha256": "0" * 64}, "data_sha256"),
        ({"code": "magnn-0"}, "code is 'magnn-0'"),
        ({"settings": {"model": {"dim": 7}}}, "settings"),
    ],
)
def test_another_data_code_or_setting_is_refused(
    spec: Spec, recommender: magnn.Recommender, change: dict[str, object], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    judged(spec, recommender)
    stored = json.loads(spec.path.read_text())
    spec.path.write_text(json.dumps(stored | {"spec": stored["spec"] | change}))
    with pytest.raises(StaleRunError, match=word):
        load(spec)
    assert not is_finished(spec)
    assert word in capsys.readouterr().err


def test_a_setting_that_came_later_does_not_make_a_run_stale(spec: Spec, recommender: magnn.Recommender) -> None:
    judged(spec, recommender)
    stored = json.loads(spec.path.read_text())
    del stored["spec"]["settings"]["model"]["cosine"]  # as if it had not been there; its default is off
    spec.path.write_text(json.dumps(stored))
    assert is_finished(spec)


def test_what_a_log_decides_is_the_same_as_what_is_given(recommender: magnn.Recommender) -> None:
    """MovieLens-1M is very dense with leave-one-out: there the preset has no cosine scores, with `paper` it has."""
    protocols: tuple[tuple[Protocol, bool], ...] = (("leave-one-out", False), ("paper", True))
    for protocol, cosine in protocols:
        decided = {"model": {"cosine": cosine, "feed_forward": True}}
        judged(ours("ml-1m", protocol, preset="best", config=decided), recommender)
        assert load(ours("ml-1m", protocol, preset="best")) is not None
        with pytest.raises(StaleRunError, match=r"settings\.model\.cosine"):
            load(ours("ml-1m", protocol, preset="best", config={"model": {"cosine": not cosine}}))


def test_a_run_with_a_setting_that_is_gone_is_stale(spec: Spec, recommender: magnn.Recommender) -> None:
    judged(spec, recommender)
    stored = json.loads(spec.path.read_text())
    stored["spec"]["settings"]["model"]["gone"] = 1
    spec.path.write_text(json.dumps(stored))
    with pytest.raises(StaleRunError, match=r"model\.gone"):
        load(spec)


def test_no_run_is_started_or_recorded_without_its_gpu(
    spec: Spec, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="this PyTorch finds no GPU"):
        run_missing([spec], Namespace(jobs=1, device="cuda", retry=False))
    assert load(spec) is None


@pytest.mark.parametrize("code", [130, -signal.SIGINT])
def test_ctrl_c_is_no_failure(spec: Spec, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Before it can answer Ctrl-C, the signal ends the process."""
    monkeypatch.setattr(process, "log_path", lambda data: Path())
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, code))
    with pytest.raises(KeyboardInterrupt):
        process.run_in_process(spec)
    assert load(spec) is None


def test_no_run_is_started_or_recorded_without_its_log(
    spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "DATA", tmp_path)

    def command() -> None:
        run_missing([spec], Namespace(jobs=1, device="cpu", retry=False))

    with pytest.raises(SystemExit, match=r"ml-1m/events\.parquet: no such file; MAGNN_BENCH_DATA names the folder"):
        until_stopped(command)
    assert load(spec) is None


def test_another_log_of_that_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "DATA", tmp_path)
    (tmp_path / "ml-1m").mkdir()
    (tmp_path / "ml-1m/events.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"not the file that the results are of \(SHA-256 "):
        log_path("ml-1m")


def test_a_broken_file_is_refused(spec: Spec) -> None:
    spec.path.parent.mkdir(parents=True)
    spec.path.write_text('{"spec": 3}')
    with pytest.raises(StaleRunError, match="spec"):
        load(spec)
    spec.path.write_text("{")
    with pytest.raises(StaleRunError, match="JSON"):
        load(spec)


def test_a_failure_is_recorded_with_its_last_lines(spec: Spec) -> None:
    run = failed(spec, "\n".join(f"line {n}" for n in range(100)) + "\nMemoryError: no more\n")
    assert load(spec) == run
    assert run.error is not None
    assert "line 99" in run.error
    assert "line 50" not in run.error
    assert describe(run) == "failed: MemoryError: no more"
    assert is_finished(spec)
    assert not is_finished(spec, retry=True)


def test_a_failure_does_not_say_where_it_was(spec: Spec) -> None:
    line = f'File "{ROOT}/benchmarks/peers/own/adapter.py", line 1, File "{sys.base_prefix}/lib/random.py"'
    assert failed(spec, line).error == ('File "benchmarks/peers/own/adapter.py", line 1, File "lib/random.py"')


@pytest.mark.skipif(
    f"torch=={torch.__version__.split('+')[0]}" not in (ROOT / "constraints.txt").read_text().splitlines(),
    reason="NOT RUN: dropout draws other numbers in another PyTorch than that of constraints.txt",
)
def test_the_method_number_stands_for_the_results(small_log: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    """If this fails, a change has changed what a preset learns: raise its number in benchmarks/runs.py, and here."""
    events, _ = small_log
    split = magnn.split(magnn.read_events(events), "paper")
    training = {"batch_size": 64, "learning_rate": 0.03, "l2": 0.1, "negatives": 2, "targets": 3, "epochs": 6}
    shape = {"dim": 8, "heads": 4}
    fitted = magnn.fit(split, preset="paper", config={"model": shape, "training": training}, refit=False)
    assert (runs.METHODS["paper"], round(fitted.logs[-1].loss, 3)) == ("magnn-2", 1.185)
    best = magnn.fit(split, config={"model": shape, "training": {"batch_size": 64, "epochs": 6}}, refit=False)
    assert best.graph_part is not None
    learned = round(best.logs[-2].loss, 3), round(best.graph_part.mixture.scale_G[0].item(), 2)
    assert (runs.METHODS["best"], *learned) == ("best-4", 2.417, 3.85)
    as_dense = {
        "model": shape | {"feed_forward": True, "cosine": False},
        "training": {"batch_size": 64, "epochs": 6, "gce_q": 0},
    }
    dense = magnn.fit(split, config=as_dense | {"graph": {"neighbours": 0}}, refit=False)
    assert (runs.METHODS["best"], round(dense.logs[-1].loss, 3)) == ("best-4", 4.688)
