"""Runs of the package's own model, each in a process of its own: `python -m benchmarks.process SPEC [cuda]`."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import traceback
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

import magnn
from benchmarks.measure import ROOT, SCRATCH
from benchmarks.peak import peak_gib
from benchmarks.runs import KS, Run, Spec, describe, failed, is_finished, judge, load, log_path, read_split
from magnn.cli.bars import training_bar
from magnn.errors import Interrupted, InUseError
from magnn.fitting import check_device
from magnn.ranking.rank import rank

STOPPED = 130  # what a shell says of a process that Ctrl-C ended
IN_USE = 3


def run_in_process(spec: Spec, *, threads: int | None = None, device: str = "cpu", quiet: bool = False) -> Run:
    """The finished run, or the failed one.

    Args:
        threads: of PyTorch; all cores if not given.
        device: see `magnn.fit`.
        quiet: no progress bar.

    Raises:
        KeyboardInterrupt: it was stopped; another call goes on from there.
        InputError: its log is not there, or another process trains it; nothing is recorded.
    """
    log_path(spec.data)
    command = [sys.executable, "-m", "benchmarks.process", spec.model_dump_json(), device]
    environment = os.environ | ({"OMP_NUM_THREADS": str(threads)} if threads else {})
    stderr = subprocess.DEVNULL if quiet else None
    code = subprocess.run(command, cwd=ROOT, env=environment, stderr=stderr, check=False).returncode
    if code in (STOPPED, -signal.SIGINT):  # the second, before it could answer
        raise KeyboardInterrupt
    if code == IN_USE:
        raise InUseError(f"{spec.path.stem}: another process is training it; wait for its end")
    if code:
        return failed(spec, f"the process ended with {code}{', killed, as for want of memory' if code == -9 else ''}")
    return load(spec) or failed(spec, "it left no result")


def how_to_run(parser: ArgumentParser) -> None:
    """The options of a command that calls `run_missing`."""
    parser.add_argument(
        "--jobs", type=_one_or_more, default=1, help="runs at once, on a share of the cores each; slower one by one"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where to train")
    parser.add_argument("--retry", action="store_true", help="run again what failed")


def _one_or_more(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def run_missing(specs: Sequence[Spec], how: Namespace) -> None:
    """Run what is not finished, in this order, as `how_to_run` was answered; a line for each.

    Raises:
        InputError: there is no such device or log here; nothing is run, and nothing recorded as failed.
    """
    check_device(how.device)
    missing = [spec for spec in specs if not is_finished(spec, retry=how.retry)]
    print(f"{len(specs)} runs, {len(specs) - len(missing)} of them finished before", file=sys.stderr)
    threads = max(1, (os.cpu_count() or 1) // how.jobs)

    def of(numbered: tuple[int, Spec]) -> None:
        number, spec = numbered
        title = f"[{number}/{len(missing)}] {spec.data}, {spec.system}, {spec.variant or 'as it is'}, seed {spec.seed}"
        print(title, file=sys.stderr, flush=True)
        done = run_in_process(spec, threads=threads, device=how.device, quiet=how.jobs > 1)
        print(f"{title}: {describe(done)}", file=sys.stderr, flush=True)

    with ThreadPoolExecutor(how.jobs) as pool:
        list(pool.map(of, enumerate(missing, start=1)))


def run(spec: Spec, device: str = "cpu") -> Run | None:
    """Fit, rank, judge and store; None after Ctrl-C, from where the next call goes on."""
    split = read_split(spec.data, spec.protocol)
    # By all that names the run, its code too: a run never goes on from another's.
    name = hashlib.sha256(spec.model_dump_json().encode()).hexdigest()[:16]
    checkpoints = SCRATCH / "runs" / f"{spec.path.stem}-{name}"
    with training_bar() as progress:
        recommender = magnn.fit(
            split,
            config=spec.settings,
            seed=spec.seed,
            refit=spec.refit,
            device=device,
            checkpoints=checkpoints,
            resume=True,
            progress=progress,
        )
    if not recommender.completed:
        return None
    history = split.train_and_valid if spec.on == "test" else split.train
    everybody = np.arange(history.n_users)
    items_UK, _ = rank(recommender.scorer(history), everybody, history, max(KS))
    selected = [log for log in recommender.logs if log.phase == "select"]
    best = recommender.best_epoch
    assert best is not None, "every log here has validation events"
    finished = judge(
        spec,
        split,
        items_UK,
        valid={name: round(value, 6) for name, value in best.metrics.items()},
        epochs=best.epoch,
        epochs_reached=len(selected),
        fit_seconds=round(recommender.fit_seconds, 1),
        peak_gib=round(peak_gib(), 3),
        threads=torch.get_num_threads(),
        device=torch.cuda.get_device_name() if device == "cuda" else device,
        stopped_by="epochs" if len(selected) == recommender.settings.training.epochs else "patience",
    )
    shutil.rmtree(checkpoints, ignore_errors=True)
    return finished


if __name__ == "__main__":
    task = Spec.model_validate_json(sys.argv[1])
    try:
        done = run(task, *sys.argv[2:])
    except (KeyboardInterrupt, Interrupted):
        done = None
    except InUseError:  # no result of this process: the other will have one
        sys.exit(IN_USE)
    except Exception:
        done = failed(task, traceback.format_exc())
    sys.exit(0 if done else STOPPED)
