"""The paper's experiments on a data set: `python -m benchmarks.paper amazon-cds main ablation sizes tuning`.

Each run is a process of its own, so that its peak memory is its own, and a JSON file of its own; first every run with seed
0, then the other seeds. What is finished is not run again; what was interrupted goes on from its last checkpoint; what
failed is recorded and does not stop the rest.
"""

from argparse import ArgumentParser

from benchmarks.paper.experiments import EXPERIMENTS
from benchmarks.process import how_to_run, run_missing
from benchmarks.runs import LOGS, until_stopped


def main() -> None:
    """Run what is missing."""
    parser = ArgumentParser(prog="python -m benchmarks.paper", description=__doc__)
    parser.add_argument("data", choices=list(LOGS))
    parser.add_argument("experiments", nargs="*", help=f"of {', '.join(EXPERIMENTS)}; all if none is named")
    how_to_run(parser)
    arguments = parser.parse_args()
    names = arguments.experiments or list(EXPERIMENTS)
    if unknown := set(names) - set(EXPERIMENTS):
        parser.error(f"no experiment {', '.join(sorted(unknown))}; there are {', '.join(EXPERIMENTS)}")
    specs = [spec for name in names for spec in EXPERIMENTS[name](arguments.data)]
    run_missing(sorted(specs, key=lambda spec: spec.seed), arguments)


if __name__ == "__main__":
    until_stopped(main)
