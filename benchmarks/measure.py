"""How anything is measured here: several runs, median and extremes, in turn with what it is compared to, peak memory.

A benchmark is a module of this folder with a function `run()` that returns rows. `python -m benchmarks.NAME` runs it in a
process of its own, so that its peak memory is its own, and prints its JSON.
"""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
DATA = Path(os.environ.get("MAGNN_BENCH_DATA", ROOT.parent / "shared" / "data"))  # the logs; see CONTRIBUTING.md
CDS = DATA / "amazon-cds" / "events.parquet"
SCRATCH = Path(os.environ.get("MAGNN_BENCH_SCRATCH", ROOT / "benchmarks" / "scratch"))
# Generated logs are large; they are kept from one benchmark to the next, and removed by `python -m benchmarks`.
GENERATED = SCRATCH / "generated"


@dataclass(frozen=True)
class Row:
    """One measurement.

    Attributes:
        what: the work; size: on what.
        unit: of `median`, `low` and `high`, which are over `runs`.
        reach: the number to reach, in the same unit; None where there is none.
        peak_gib: largest memory of the process so far; None where it says nothing.
        ratio: how many times as long the plain reference took, in the same call; None without one.
        x: for a growth curve, where on it this row stands.
    """

    what: str
    size: str
    unit: str
    median: float
    low: float
    high: float
    runs: int
    reach: float | None = None
    peak_gib: float | None = None
    ratio: float | None = None
    x: float | None = None


def seconds(work: Callable[[], object]) -> float:
    """How long one run of it takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def timed(work: Callable[[], object], runs: int, warm_up: int = 1) -> list[float]:
    """Seconds of each run."""
    for _ in range(warm_up):
        work()
    return [seconds(work) for _ in range(runs)]


def in_turn(ours: Callable[[], object], plain: Callable[[], object], runs: int) -> tuple[list[float], list[float]]:
    """Seconds of both, run A B A B: what slows the machine down slows both."""
    ours(), plain()
    pairs = [(seconds(ours), seconds(plain)) for _ in range(runs)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def row(what: str, size: str, values: list[float], unit: str = "s", *, scale: float = 1, **more: Any) -> Row:
    """A row of the median and the extremes of `values`, each times `scale`."""
    scaled = sorted(value * scale for value in values)
    return Row(what, size, unit, statistics.median(scaled), scaled[0], scaled[-1], len(values), **more)


def in_new_process(name: str, *arguments: str | int) -> dict[str, float]:
    """Call "module.function" of this folder in a fresh interpreter; the numbers it returns, and "peak_gib" beside them."""
    module, function = name.split(".")
    code = (
        "import json; from benchmarks.peak import peak_gib; "
        f"from benchmarks.{module} import {function} as work; "
        f"result = work(*{arguments!r}); print(json.dumps({{**result, 'peak_gib': peak_gib()}}))"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def about() -> dict[str, Any]:
    """Where and when: machine, versions, commit, date."""
    commit = _git("rev-parse", "--short", "HEAD")
    if _git("status", "--porcelain", "--", "src", "benchmarks", ":!benchmarks/results"):
        commit += "-dirty"
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("magnn", "torch", "numpy", "scipy", "polars")},
        "commit": commit,
    }


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def _processor() -> str:
    """Its name, and what tells apart those of one name, of which one may be three times as fast."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    if "model name" not in told:
        return platform.machine()
    return f"{told['model name']} (family {told.get('cpu family', '?')}, model {told.get('model', '?')})"


def main(name: str, run: Callable[[], list[Row]]) -> None:
    """Measure, print, and store as `results/NAME.json`."""
    rows = run()
    result = {"benchmark": name, **about(), "rows": [asdict(r) for r in rows]}
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(result, indent=2) + "\n"
    (RESULTS / f"{name}.json").write_text(text)
    print(text)
