"""One system on one split: try its settings on the validation events, judge the best on the test events."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.measure import SCRATCH, about
from benchmarks.peers import environments
from benchmarks.peers.comparison import BEST, OURS, SEEDS, best_of, final_specs, setting_specs, system_of
from benchmarks.process import run_in_process
from benchmarks.runs import KS, Run, Spec, describe, failed, judge, read_split, store, stored
from magnn.data.interactions import Histories
from magnn.data.split import Protocol, Split
from magnn.errors import InputError

THREADS = os.cpu_count() or 1
LEAST = 60.0  # seconds for which it is worth to begin with another setting
GRACE = 1800.0  # seconds at least beyond the limit of training: for reading, validating and ranking


def compete(
    name: str,
    data: str,
    protocol: Protocol,
    *,
    refit: bool,
    limit: float,
    retry: bool,
    setting: int | None = None,
) -> None:
    """Run what is missing, and say on standard error how it went.

    A system's settings are tried one after the other until the limit is used up; what it ends is judged at the best of the
    epochs it reached. A training that ended within a smaller limit than it would have now is run again.

    Args:
        name: of the system.
        data, protocol, refit: the comparison.
        limit: seconds for training on the validation events, of all settings together; our own end by patience or epochs.
        retry: run again what failed.
        setting: try this one only, counted from 1, with the limit for itself; the best is chosen among it and what was
            tried before.

    Raises:
        InputError: there is no such setting, or no time for any.
        NotBuiltError: the peer has no environment.
    """
    if name == BEST:  # nothing to choose
        for seed in range(SEEDS):
            (spec,) = final_specs(name, data, protocol, refit=refit, seed=seed)
            _say(name, f"seed {seed}", stored(spec, retry=retry) or run_in_process(spec))
        return
    finals = final_specs(name, data, protocol, refit=refit)
    if setting is not None and not 1 <= setting <= len(finals):
        raise InputError(f"no setting {setting}: it has settings 1 to {len(finals)}")
    tried = _try_settings(name, data, protocol, limit, retry=retry, setting=setting)
    if not tried:
        raise InputError(f"nothing was tried: a setting takes {LEAST:.0f} s at least; give more time")
    chosen = best_of(tried)
    # What failed before may not now: its environment may have been missing.
    final = stored(finals[chosen or 0], retry=retry or chosen is not None)
    if chosen is None:
        final = final or failed(finals[0], next(iter(tried.values())).error or "")
    elif name in OURS:
        final = final or run_in_process(finals[chosen])
    elif final is None or final.valid != tried[chosen].valid:
        # There is none yet, or one of an older choice.
        final = _judge_on_test(finals[chosen], tried[chosen], limit)
    _say(name, "test", final)


def lists_of(spec: Spec, split: Split, *, limit: float) -> NDArray[np.int64]:
    """The lists of a peer that is trained on some split, its epoch chosen on the validation events; no run is stored.

    Args:
        spec: names the peer and its settings, and the folder where the lists stay.
        limit: seconds of training.

    Returns:
        (n_users, max(KS)), -1 where a list ends early.

    Raises:
        NotBuiltError: the peer has no environment.
        InputError: the training failed; the message is its last line.
    """
    report = _train(spec, split, limit=limit, epochs=None)
    if isinstance(report, str):
        raise InputError(f"{spec.system}: {report.splitlines()[-1]}")
    lists_UK: NDArray[np.int64] = np.load(_folder(spec) / "lists.npy").astype(np.int64)
    return lists_UK


def _try_settings(
    name: str, data: str, protocol: Protocol, limit: float, *, retry: bool, setting: int | None
) -> dict[int, Run]:
    """Runs on the validation events, by the setting's index: of all, or of those for which there was time."""
    tried: dict[int, Run] = {}
    for index, spec in enumerate(setting_specs(name, data, protocol)):
        left = limit if setting else round(limit - sum(run.fit_seconds for run in tried.values()), 1)
        run = stored(spec, retry=retry)
        to_do = (left >= LEAST or name in OURS) if run is None else _may_go_further(run, left)
        if to_do and setting in (None, index + 1):
            run = run_in_process(spec) if name in OURS else _try_setting(spec, left, run)
        if run is not None:
            _say(name, spec.variant, run)
            tried[index] = run
    return tried


def _may_go_further(run: Run, limit: float) -> bool:
    """Whether time ended a training that now has more of it."""
    return run.stopped_by == "time" and run.limit_seconds is not None and run.limit_seconds < limit


def _folder(spec: Spec) -> Path:
    return SCRATCH / "peers" / spec.path.parent.name / spec.path.stem


def _try_setting(spec: Spec, limit: float, before: Run | None) -> Run:
    """Train, choosing the epoch on the validation events, and store how good that was; the lists stay in the folder.

    Args:
        spec: of the run on the validation events.
        limit: seconds of training.
        before: the run of before, if there is one; it stays if this training fails.
    """
    report = _train(spec, read_split(spec.data, spec.protocol), limit=limit, epochs=None)
    if isinstance(report, str):
        if before is None:
            return failed(spec, report)
        last = report.splitlines()[-1]
        print(f"  {spec.system}: run again, it ended in {last!r}; the run of before stays", file=sys.stderr)
        return before
    return store(
        Run(
            spec=spec,
            valid=_valid(report),
            epochs=report["best_epoch"],
            epochs_reached=report["epochs"],
            fit_seconds=round(report["train_seconds"] + report["valid_seconds"], 1),
            limit_seconds=limit,
            threads=THREADS,
            peak_gib=round(report["peak_gib"], 3),
            stopped_by=report["stopped_by"],
            about=about() | {"peer_versions": report["versions"]},
        )
    )


def _valid(report: dict[str, Any]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in report["valid"].items()}


def _has_lists(run: Run) -> bool:
    """Whether the folder has the lists of this run: it may have come without, or have those of another."""
    report = _folder(run.spec) / "report.json"
    return report.exists() and _valid(json.loads(report.read_text())) == run.valid


def _judge_on_test(spec: Spec, chosen: Run, limit: float) -> Run:
    """Train on train + valid, if the comparison refits, and judge the lists."""
    split = read_split(spec.data, spec.protocol)
    if not (spec.refit or _has_lists(chosen)):
        chosen = _try_setting(chosen.spec, chosen.limit_seconds or limit, chosen)
        if not _has_lists(chosen):
            return failed(spec, "its lists are gone, and the training that would make them again failed")
    folder, seconds, peak = _folder(chosen.spec), chosen.fit_seconds, chosen.peak_gib
    if spec.refit:
        folder = _folder(spec)
        report = _train(spec, split, limit=None, epochs=chosen.epochs)
        if isinstance(report, str):
            return failed(spec, report)
        seconds, peak = seconds + report["train_seconds"], max(peak, report["peak_gib"])
    own = json.loads((folder / "report.json").read_text())["own_metrics"] or {}
    return judge(
        spec,
        split,
        np.load(folder / "lists.npy").astype(np.int64),
        peer_versions=chosen.about["peer_versions"],
        valid=chosen.valid,
        epochs=chosen.epochs,
        epochs_reached=chosen.epochs_reached,
        fit_seconds=round(seconds, 1),
        limit_seconds=chosen.limit_seconds,
        threads=THREADS,
        peak_gib=round(peak, 3),
        stopped_by=chosen.stopped_by,
        own_metrics={name: value for name, value in own.items() if isinstance(value, float)},
    )


def _train(spec: Spec, split: Split, *, limit: float | None, epochs: int | None) -> dict[str, Any] | str:
    """Run the adapter; its report, or its last lines if it failed.

    Args:
        limit: seconds of training; None for as long as it takes.
        epochs: train on train + valid for so many; None to train on train and choose the epoch on valid.

    Raises:
        NotBuiltError: the peer has no environment.
    """
    system, folder = system_of(spec.system), _folder(spec)
    python = environments.python_of(system.folder)
    if python is None:
        raise environments.NotBuiltError(system.folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if epochs is None:
        _write_log(split.train, folder / "train.tsv")
        _write_log(split.valid, folder / "valid.tsv")
    else:
        _write_log(split.train_and_valid, folder / "train.tsv")
    _write_log(split.train_and_valid, folder / "history.tsv")
    _write_log(split.test, folder / "test.tsv")
    task = {
        "model": system.model,
        "settings": spec.settings,
        "k": max(KS),
        "threads": THREADS,
        "seed": spec.seed,
        "seconds": limit or 1e9,
        "epochs": epochs,
        "n_users": split.events.n_users,
        "n_items": split.events.n_items,
    }
    (folder / "task.json").write_text(json.dumps(task))
    command = [str(python), str(environments.PEERS / system.folder / "adapter.py"), str(folder)]
    patience = None if limit is None else limit + max(GRACE, limit)
    with (folder / "log.txt").open("w") as log:
        try:
            code = subprocess.run(command, stdout=log, stderr=log, check=False, timeout=patience).returncode
        except subprocess.TimeoutExpired:
            return f"{(folder / 'log.txt').read_text()}\nstopped: it took more than {patience:.0f} s"
    if code or not (folder / "report.json").exists():
        log_text = (folder / "log.txt").read_text()
        if code == 1 and log_text:  # an exception, whose own last line says more
            return log_text
        return f"{log_text}\nended with {code}"
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return report


def _write_log(histories: Histories, path: Path) -> None:
    """user, item and position in the user's sequence, as integers."""
    positions = np.arange(len(histories.items)) - np.repeat(histories.offsets[:-1], histories.lengths)
    log = pl.DataFrame({"user": histories.users, "item": histories.items, "time": positions})
    log.write_csv(path, separator="\t")


def _say(name: str, what: str, run: Run) -> None:
    print(f"  {name}, {what}: {describe(run)}", file=sys.stderr, flush=True)
