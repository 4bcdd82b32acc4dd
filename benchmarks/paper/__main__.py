"""The paper's experiments on a data set: `python -m benchmarks.paper amazon-cds main ablation sizes tuning`.

Each run is a process of its own, so that its peak memory is its own, and a JSON file of its own; first every run with seed
0, then the other seeds. What is finished is not run again; what was interrupted goes on from its last checkpoint; what
failed is recorded and does not stop the rest.
"""

import os
import sys
from argparse import ArgumentParser
from concurrent.futures import ThreadPoolExecutor

from benchmarks.paper.experiments import EXPERIMENTS
from benchmarks.paper.process import run_in_process
from benchmarks.runs import LOGS, Spec, describe, is_finished, until_stopped


def main() -> None:
    """Run what is missing."""
    parser = ArgumentParser(prog="python -m benchmarks.paper", description=__doc__)
    parser.add_argument("data", choices=list(LOGS))
    parser.add_argument("experiments", nargs="*", help=f"of {', '.join(EXPERIMENTS)}; all if none is named")
    parser.add_argument(
        "--jobs", type=int, default=1, help="runs at once, on a share of the cores each; slower one by one"
    )
    parser.add_argument("--retry", action="store_true", help="run again what failed")
    arguments = parser.parse_args()
    names = arguments.experiments or list(EXPERIMENTS)
    if unknown := set(names) - set(EXPERIMENTS):
        parser.error(f"no experiment {', '.join(sorted(unknown))}; there are {', '.join(EXPERIMENTS)}")
    specs = sorted((spec for name in names for spec in EXPERIMENTS[name](arguments.data)), key=lambda spec: spec.seed)
    missing = [spec for spec in specs if not is_finished(spec, retry=arguments.retry)]
    print(f"{len(specs)} runs, {len(specs) - len(missing)} of them finished before", file=sys.stderr)
    threads = max(1, (os.cpu_count() or 1) // arguments.jobs)

    def run(numbered: tuple[int, Spec]) -> None:
        number, spec = numbered
        title = f"[{number}/{len(missing)}] {spec.data}, {spec.variant or 'preset paper'}, seed {spec.seed}"
        print(title, file=sys.stderr, flush=True)
        done = run_in_process(spec, threads=threads, quiet=arguments.jobs > 1)
        print(f"{title}: {describe(done)}", file=sys.stderr, flush=True)

    with ThreadPoolExecutor(arguments.jobs) as pool:
        list(pool.map(run, enumerate(missing, start=1)))


if __name__ == "__main__":
    until_stopped(main)
