"""Accuracy, one run a file: what was trained on what, and how well it ranked. A finished run is never repeated.

A run is named by its `Spec`. Its JSON lies in results/runs/, and beside it a Parquet file of each user's metrics, for tests
between systems. Lists from anywhere, ours or a peer's, are judged by the package's own evaluator.
"""

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

import magnn
from benchmarks.measure import DATA, RESULTS, ROOT, about
from magnn.data.split import Protocol, Split
from magnn.errors import InputError
from magnn.ranking.evaluate import evaluate_lists, users_to_judge
from magnn.settings import Settings, make_settings
from magnn.storage import atomic_file, file_sha256

RUNS = RESULTS / "runs"
KS = (5, 10, 15, 20)
PER_USER_METRICS = ("recall@10", "ndcg@10", "ndcg_fixed@10")

# Of the package's own presets. Raise a number with a change that changes results (a test notices): runs of another number
# are then refused, not mixed in.
METHODS = {"paper": "magnn-2", "best": "best-4"}
SYSTEMS_OF = {"paper": "MA-GNN", "best": "magnn best"}  # as tables name them


@dataclass(frozen=True)
class Log:
    """A data set, its SHA-256 (results from another file of that name are refused), its events and items.

    `train`: training events by protocol, from which a fit decides what is left to the log.
    """

    file: str
    sha256: str
    events: int
    items: int
    train: dict[Protocol, int]
    min_rating: float | None = None


LOGS = {
    "amazon-cds": Log(
        "amazon-cds/events.parquet",
        "10eb1510a279edfaa8e86a2c78a7a7af157b614d0e159af45d5dab12a505be96",
        472_265,
        35_118,
        {"paper": 327_438},
    ),
    "amazon-beauty": Log(
        "amazon-beauty/events.parquet",
        "bc4a38e153f10de7f43f6a6700ef56ef597a1767fc6b9195742eb937dd5ccd5a",
        198_502,
        12_101,
        {"leave-one-out": 153_776, "paper": 124_584},
    ),
    "ml-1m": Log(
        "ml-1m/events.parquet",
        "6f0f4d124709e7d8c48b0d9af06da15cf7fe0739a0a689b87ad405df64ace7a5",
        1_000_209,
        3_706,
        {"leave-one-out": 988_129, "paper": 715_393},
    ),
    "ml-latest-small": Log(
        "ml-latest-small/ratings.csv",
        "aa289ca83157595d0df6aea1be6a4ded676ddc4385472e8313a8ed9805352646",
        48_580,
        6_298,
        {"paper": 34_476},
        min_rating=4,
    ),
}


class Spec(BaseModel):
    """What names a run: two runs of one spec have the same result, up to the machine's last digits.

    Attributes:
        data: a key of LOGS.
        refit: whether the validation events were trained on before the test.
        on: what was ranked. Settings are compared on "valid"; "test" is for the chosen ones.
        system: as tables name it.
        variant: of the system, "" for the one that stands for it.
        settings: all of them.
        code: of METHODS, or what stands for a peer's version.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str
    protocol: Protocol
    refit: bool
    on: Literal["valid", "test"] = "test"
    system: str
    variant: str = ""
    settings: dict[str, Any] = {}
    seed: int = 0
    data_sha256: str
    code: str = METHODS["paper"]

    @property
    def path(self) -> Path:
        """Where its JSON lies."""
        fit = "refit" if self.refit else "no-refit"
        name = "-".join(_slug(word) for word in (self.system, self.variant) if word)
        return RUNS / f"{self.data}-{self.protocol}-{fit}-{self.on}" / f"{name}-{self.seed}.json"


class Run(BaseModel):
    """A finished run, or a failed one.

    Attributes:
        metrics: name@k -> mean over users; empty if it failed.
        ci95: name@k -> bootstrap interval.
        valid: metrics of the chosen epoch on the validation events, by the system's own count.
        epochs: that the final model was trained for.
        epochs_reached: of the training that chose them; 0 in a run from before this was kept.
        fit_seconds: choosing the epoch and the final fit, for these settings.
        limit_seconds: that a training was allowed; None without a limit.
        threads: that it was trained with.
        device: that it was trained on: "cpu", or the name of a GPU.
        peak_gib: largest memory of the training process.
        stopped_by: what ended the training: "patience", "epochs" or "time".
        own_metrics: the same lists by the peer's own evaluator, as a check.
        about: date, machine, versions, commit; "peer_versions" of what a peer ran with.
        error: last lines of a run that failed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    spec: Spec
    metrics: dict[str, float] = {}
    ci95: dict[str, tuple[float, float]] = {}
    valid: dict[str, float] = {}
    epochs: int = 0
    epochs_reached: int = 0
    fit_seconds: float = 0
    limit_seconds: float | None = None
    threads: int = 0
    device: str = "cpu"
    peak_gib: float = 0
    stopped_by: str = ""
    own_metrics: dict[str, float] = {}
    about: dict[str, Any] = {}
    error: str | None = None


NOT_THERE = "(not there)"  # what a setting is that one of two runs does not have


class StaleRunError(Exception):
    """A result file is not of the run that was asked for."""


def log_path(data: str) -> Path:
    """Where a log is.

    Raises:
        InputError: it is not there, or not the one that the results are of.
    """
    log = LOGS[data]
    path = DATA / log.file
    if not path.exists():
        raise InputError(f"{path}: no such file; MAGNN_BENCH_DATA names the folder of {log.file} (see CONTRIBUTING.md)")
    if file_sha256(path) != log.sha256:
        raise InputError(
            f"{path}: not the file that the results are of (SHA-256 {file_sha256(path)}); with other events, change "
            f"LOGS in benchmarks/runs.py and run all again"
        )
    return path


@cache
def read_split(data: str, protocol: Protocol) -> Split:
    """The split that every system gets.

    Raises:
        InputError: see `log_path`.
    """
    return magnn.split(magnn.read_events(log_path(data), min_rating=LOGS[data].min_rating), protocol)


def ours(
    data: str,
    protocol: Protocol,
    *,
    preset: str = "paper",
    variant: str = "",
    config: dict[str, Any] | None = None,
    seed: int = 0,
    refit: bool = True,
    on: Literal["valid", "test"] = "test",
) -> Spec:
    """Spec of a model of the package: a preset, changed by `config`, with the epochs that such a log gets."""
    log = LOGS[data]
    settings = make_settings(preset, config)
    settings = settings.model_copy(update={"training": settings.training.for_log(log.train[protocol])})
    return Spec(
        data=data,
        protocol=protocol,
        refit=refit,
        on=on,
        system=SYSTEMS_OF[preset],
        variant=variant,
        settings=settings.model_dump(mode="json"),
        seed=seed,
        data_sha256=log.sha256,
        code=METHODS[preset],
    )


def load(spec: Spec) -> Run | None:
    """The finished or failed run of a spec; None if there is none.

    Raises:
        StaleRunError: the file there is of another spec (data, code, settings), or is no run.
    """
    if not spec.path.exists():
        return None
    name = spec.path.relative_to(RUNS)
    wanted = _flat(spec)
    try:
        run = Run.model_validate_json(spec.path.read_text())
        found = _flat(run.spec)
    except ValidationError as error:
        first = error.errors()[0]
        raise StaleRunError(f"{name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    for field in wanted | found:
        now, then = wanted.get(field, NOT_THERE), found.get(field, NOT_THERE)
        if now != then:
            raise StaleRunError(f"{name}: {field} is {then!r}, not {now!r}; run it again")
    return run


def _flat(spec: Spec) -> dict[str, Any]:
    """Fields of a spec, and each of its settings as one: "settings.model.dim"."""
    fields = spec.model_dump()
    settings = fields.pop("settings")
    if spec.code in METHODS.values():
        # A setting that came later has its default in an older run; what is left to the log is what it decides.
        log = LOGS[spec.data]
        settings = Settings.model_validate(settings).for_log(log.train[spec.protocol], log.items).model_dump()
    for name, value in settings.items():
        inner = value if isinstance(value, dict) else {"": value}
        fields |= {f"settings.{name}.{key}".rstrip("."): each for key, each in inner.items()}
    return fields


def stored(spec: Spec, *, retry: bool = False) -> Run | None:
    """The run, if it need not be repeated. One of older code or settings must, and `retry` the failed too."""
    try:
        run = load(spec)
    except StaleRunError as stale:
        print(stale, file=sys.stderr)
        return None
    return None if run is None or (retry and run.error) else run


def is_finished(spec: Spec, *, retry: bool = False) -> bool:
    """Whether the run is there and need not be repeated; see `stored`."""
    return stored(spec, retry=retry) is not None


def describe(run: Run) -> str:
    """One line on how it went."""
    if run.error:
        return f"failed: {run.error.splitlines()[-1]}"
    metrics = run.metrics or run.valid
    shown = [f"{name} {metrics[name]:.4f}" for name in ("recall@10", "ndcg@10") if name in metrics]
    return "  ".join([*shown, f"{run.epochs} epochs", f"{run.fit_seconds:.0f} s", f"{run.peak_gib:.2f} GiB"])


def users_of(spec: Spec) -> pl.DataFrame:
    """Metrics of each user: `user` and PER_USER_METRICS."""
    return pl.read_parquet(spec.path.with_suffix(".parquet"))


def judge(
    spec: Spec,
    split: Split,
    items_UK: NDArray[np.int64],
    *,
    peer_versions: dict[str, str] | None = None,
    **outcome: Any,
) -> Run:
    """Judge lists and store the run.

    Args:
        spec: what made the lists.
        split: what they were made on.
        items_UK: a row for every user of the log, K = max(KS), -1 where a list ends early.
        peer_versions: of the libraries that made the lists, if those are not the project's own.
        outcome: the other fields of `Run`.
    """
    history, held_out = (split.train_and_valid, split.test) if spec.on == "test" else (split.train, split.valid)
    users = users_to_judge(history, held_out)
    metrics: dict[str, float] = {}
    ci95: dict[str, tuple[float, float]] = {}
    each: dict[str, NDArray[np.float64]] = {}
    for k in KS:
        result = evaluate_lists(items_UK[users, :k], users, held_out)
        metrics |= result.metrics
        ci95 |= result.ci95
        each |= {f"{name}@{k}": values for name, values in result.per_user.items()}
    where = about() | ({"peer_versions": peer_versions} if peer_versions else {})
    run = Run(spec=spec, metrics=_rounded(metrics), ci95={k: _pair(v) for k, v in ci95.items()}, about=where, **outcome)
    columns = {name: pl.Series(each[name], dtype=pl.Float32) for name in PER_USER_METRICS}
    spec.path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(spec.path.with_suffix(".parquet")) as temporary:
        pl.DataFrame({"user": pl.Series(users, dtype=pl.UInt32), **columns}).write_parquet(temporary)
    return store(run)


def store(run: Run) -> Run:
    """Write a run's JSON."""
    run.spec.path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(run.spec.path) as temporary:
        temporary.write_text(json.dumps(run.model_dump(), indent=1) + "\n")
    return run


def failed(spec: Spec, error: str) -> Run:
    """Store that a run failed, with its last lines, without the machine's own folders."""
    last = "\n".join(error.strip().splitlines()[-12:])
    for folder in (ROOT, Path(sys.base_prefix)):
        last = last.replace(f"{folder}/", "")
    return store(Run(spec=spec, about=about(), error=last))


def _rounded(metrics: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in metrics.items()}


def _pair(interval: tuple[float, float]) -> tuple[float, float]:
    return round(interval[0], 6), round(interval[1], 6)


def _slug(words: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", words.lower().replace("+", "-plus-")).strip("-")


def until_stopped(main: Callable[[], None], said: str = "stopped; the same command goes on from here") -> None:
    """Run a command; after Ctrl-C, what is `said`, and of an input error one line."""
    try:
        main()
    except InputError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print(said, file=sys.stderr)
        sys.exit(130)
