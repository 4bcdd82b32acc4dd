"""One run of the package's own model, in a process of its own: `python -m benchmarks.paper.process SPEC`, as JSON."""

import os
import shutil
import subprocess
import sys
import traceback

import numpy as np
import torch

import magnn
from benchmarks.measure import ROOT, SCRATCH, peak_gib
from benchmarks.runs import KS, Run, Spec, failed, judge, load, read_split
from magnn.cli.console import training_bar
from magnn.ranking.rank import rank

STOPPED = 130  # what a shell says of a process that Ctrl-C ended


def run_in_process(spec: Spec, *, threads: int | None = None, quiet: bool = False) -> Run:
    """The finished run, or the failed one.

    Args:
        threads: of PyTorch; all cores if not given.
        quiet: no progress bar.

    Raises:
        KeyboardInterrupt: it was stopped; another call goes on from there.
    """
    command = [sys.executable, "-m", "benchmarks.paper.process", spec.model_dump_json()]
    environment = os.environ | ({"OMP_NUM_THREADS": str(threads)} if threads else {})
    stderr = subprocess.DEVNULL if quiet else None
    code = subprocess.run(command, cwd=ROOT, env=environment, stderr=stderr, check=False).returncode
    if code == STOPPED:
        raise KeyboardInterrupt
    return failed(spec, f"the process ended with {code}") if code else load(spec) or failed(spec, "it left no result")


def run(spec: Spec) -> Run | None:
    """Fit, rank, judge and store; None after Ctrl-C, from where the next call goes on."""
    split = read_split(spec.data, spec.protocol)
    checkpoints = SCRATCH / "runs" / spec.path.parent.name / spec.path.stem
    with training_bar() as progress:
        recommender = magnn.fit(
            split,
            config=spec.settings,
            seed=spec.seed,
            refit=spec.refit,
            checkpoints=checkpoints,
            resume=True,
            progress=progress,
        )
    if not recommender.completed:
        return None
    peak = peak_gib()
    history = split.train_and_valid if spec.on == "test" else split.train
    everybody = np.arange(history.n_users)
    items_UK, _ = rank(recommender.scorer(history), everybody, history, max(KS))
    logs = recommender.logs
    select_by = recommender.settings.training.select_by
    selected = [log for log in logs if log.phase == "select"]
    best = max(selected, key=lambda log: log.metrics[select_by])
    finished = judge(
        spec,
        split,
        items_UK,
        valid={name: round(value, 6) for name, value in best.metrics.items()},
        epochs=best.epoch,
        fit_seconds=round(sum(log.train_seconds + log.valid_seconds for log in logs), 1),
        peak_gib=round(peak, 3),
        threads=torch.get_num_threads(),
        stopped_by="epochs" if len(selected) == recommender.settings.training.epochs else "patience",
    )
    shutil.rmtree(checkpoints, ignore_errors=True)
    return finished


if __name__ == "__main__":
    task = Spec.model_validate_json(sys.argv[1])
    try:
        done = run(task)
    except KeyboardInterrupt:
        done = None
    except Exception:
        done = failed(task, traceback.format_exc())
    sys.exit(0 if done else STOPPED)
