"""All but the long one: `python -m benchmarks`, or some: `python -m benchmarks training evaluation`.

Writes docs/performance.md. Each benchmark runs in a process of its own. Without the Amazon CDs events (in the folder
that MAGNN_BENCH_DATA names), what needs them is not run, and the page keeps its last results.
"""

import shutil
import subprocess
import sys
import time

from benchmarks.measure import CDS, GENERATED, ROOT
from benchmarks.page import write_page

NAMES = (
    "startup",
    "preparation",
    "archive",
    "training",
    "quick",
    "evaluation",
    "recommendation",
    "memory",
    "growth",
    "roofline",
)
LONG = ("catalogue",)  # only if named
NEED_CDS = {"training", "quick", "evaluation", "roofline"}


def run(names: list[str]) -> None:
    """Run benchmarks by name, in order, and write the page."""
    unknown = set(names) - {*NAMES, *LONG}
    if unknown:
        sys.exit(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES + LONG)}")
    started = time.monotonic()
    try:
        for number, name in enumerate(names, start=1):
            print(
                f"[{number}/{len(names)}] {name} ({time.monotonic() - started:.0f} s so far)",
                file=sys.stderr,
                flush=True,
            )
            if name in NEED_CDS and not CDS.exists():
                print(f"{CDS}: no such file; {name} is left out", file=sys.stderr)
                continue
            subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=ROOT, check=True)
    finally:
        shutil.rmtree(GENERATED, ignore_errors=True)
    write_page()
    print(f"wrote docs/performance.md after {time.monotonic() - started:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    run(sys.argv[1:] or list(NAMES))
