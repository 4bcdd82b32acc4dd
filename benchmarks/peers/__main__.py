"""Peers beside MA-GNN on the same split: `python -m benchmarks.peers build`, then `python -m benchmarks.peers run`.

For each system and each of its settings: train in a process of its own, choosing the epoch on the validation events, until
the system's time is used up. The best setting by validation ndcg@10 is trained once more on train + valid, where the
protocol refits, and ranked on the test events. Only these lists are judged on the test events. What is finished is not run
again; what fails is recorded with its last lines and does not stop the rest.
"""

import sys
import traceback
from argparse import ArgumentParser

from benchmarks.peers import environments
from benchmarks.peers.comparison import COMPARISONS, NAMES, final_specs
from benchmarks.peers.contest import compete
from benchmarks.peers.systems import SYSTEMS
from benchmarks.runs import failed, until_stopped
from magnn.errors import InputError


def main() -> None:
    """Build environments, or run what is missing."""
    parser = ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("action", choices=("build", "run", "list"))
    parser.add_argument("data", nargs="?", help="one data set; all if none is named")
    parser.add_argument("--protocol", help="one protocol; all if none is named")
    parser.add_argument("--system", action="append", metavar="NAME", help="one system (may be repeated); all if none")
    parser.add_argument(
        "--minutes", type=float, default=60, help="for the trainings of a system, all its settings (%(default)s)"
    )
    parser.add_argument(
        "--setting",
        type=int,
        metavar="K",
        help="try this one only, counted from 1, with these minutes for itself; as the one that was best for the same log "
        "with the other protocol",
    )
    parser.add_argument("--retry", action="store_true", help="run again what failed")
    arguments = parser.parse_args()
    if unknown := set(arguments.system or []) - set(NAMES):
        parser.error(f"no system {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    broken: list[str] = []
    chosen = [c for c in COMPARISONS if arguments.data in (None, c[0]) and arguments.protocol in (None, c[1])]
    if not chosen:
        parser.error("there are " + "; ".join(f"{data} {protocol}" for data, protocol, _ in COMPARISONS))
    if arguments.action == "list":
        print("\n".join(NAMES))
    elif arguments.action == "build":
        build()
    else:
        for data, protocol, refit in chosen:
            print(f"{data}, {protocol}, {'refit' if refit else 'no refit'}", file=sys.stderr)
            for name in arguments.system or NAMES:
                try:
                    compete(
                        name,
                        data,
                        protocol,
                        refit=refit,
                        limit=60 * arguments.minutes,
                        retry=arguments.retry,
                        setting=arguments.setting,
                    )
                except Exception as error:
                    said = f"  {name}: {error}" if isinstance(error, InputError) else traceback.format_exc()
                    print(said, file=sys.stderr)
                    broken.append(f"{name} ({data}, {protocol})")
    if broken:
        sys.exit(f"did not finish: {', '.join(broken)}")


def build() -> None:
    """Every peer's environment. Of one that fails, the systems without a result are recorded as failed.

    Raises:
        SystemExit: one failed.
    """
    broken = []
    for folder in dict.fromkeys(system.folder for system in SYSTEMS):
        print(f"{folder}: building its environment", file=sys.stderr)
        try:
            environments.build(folder)
        except environments.BuildError as error:
            broken.append(folder)
            print(error, file=sys.stderr)
            for name in (system.name for system in SYSTEMS if system.folder == folder):
                specs = (final_specs(name, data, protocol, refit=refit)[0] for data, protocol, refit in COMPARISONS)
                for spec in specs:
                    if not spec.path.exists():
                        failed(spec, str(error))
    if broken:
        sys.exit(f"not built: {', '.join(broken)}; once they are, python -m benchmarks.peers run")


if __name__ == "__main__":
    until_stopped(main)
