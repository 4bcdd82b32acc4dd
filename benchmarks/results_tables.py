"""What the sections of docs/results.md are made with: a page that collects lines, and how numbers look on it."""

import string
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.comparison import OURS, SELECT_BY, final_specs
from benchmarks.runs import Run, Spec, StaleRunError, load, users_of
from benchmarks.significance import paired_p
from magnn.data.split import Protocol


class Page:
    """Lines of the page, and what was refused while they were written."""

    def __init__(self, pictures: Path) -> None:
        self.pictures = pictures
        self.lines: list[str] = []
        self.refused: list[str] = []

    def add(self, *lines: str) -> None:
        """Paragraphs."""
        for line in lines:
            self.lines += [line, ""]

    def table(self, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """The first column holds words, the others numbers."""
        self.lines += [cells(head), "|---|" + "---:|" * (len(head) - 1), *map(cells, rows), ""]

    def runs(self, specs: Iterable[Spec]) -> list[Run]:
        """Those that are there and did not fail; a file of something else is refused, and the page says so."""
        found, reasons = _read(specs)
        self.refused += reasons
        return [run for run in found if not run.error]

    def finals(self, name: str, data: str, protocol: Protocol, *, refit: bool) -> list[Run]:
        """The one run of a system on the test events, of whichever of its settings: the best on the validation events.

        Of ours there can be two, for the paper's main result is of one of them. One that failed is told, not passed over.
        """
        found, reasons = _read(final_specs(name, data, protocol, refit=refit))
        # A peer's settings share a place, so that of all but one the file there is of another. Of ours each has its own.
        self.refused += reasons if name in OURS else [] if found else reasons[:1]
        return sorted(found, key=lambda run: (bool(run.error), run.valid.get(SELECT_BY, 0)), reverse=True)[:1]


def _read(specs: Iterable[Spec]) -> tuple[list[Run], list[str]]:
    """Runs that are there, and why others are of something else."""
    found, reasons = [], []
    for spec in specs:
        try:
            run = load(spec)
        except StaleRunError as stale:
            reasons.append(str(stale))
        else:
            if run is not None:
                found.append(run)
    return found, reasons


def p_between(a: Sequence[Run], b: Sequence[Run], metric: str) -> float:
    """Between two systems, each user's metric averaged over seeds."""
    of_users = [[users_of(run.spec)[metric].to_numpy() for run in runs] for runs in (a, b)]
    first_U, second_U = (np.mean(values, axis=0, dtype=float) for values in of_users)
    return paired_p(first_U, second_U)


def p_words(p: float) -> str:
    """As a table shows it."""
    return "p<.01" if p < 0.01 else f"p={p:.2f}".replace("0.", ".")


def mean_sd(runs: Sequence[Run], metric: str) -> str:
    """Mean over runs, and their standard deviation where there are several."""
    values = [run.metrics[metric] for run in runs]
    return number(np.mean(values)) + (f" ± {number(np.std(values, ddof=1))}" if len(values) > 1 else "")


def with_ci(run: Run, metric: str) -> str:
    """A metric of a run and its 95% interval."""
    low, high = run.ci95[metric]
    return f"{number(run.metrics[metric])} ({number(low)}-{number(high)})"


def number(value: float | np.floating[Any]) -> str:
    """Four decimals, without the zero before the point."""
    return f"{value:.4f}".lstrip("0") if value < 1 else f"{value:.4f}"


def seeds_in_words(runs: Sequence[Run]) -> str:
    """How many runs."""
    return f"{len(runs)} seeds" if len(runs) > 1 else "one seed"


def on_gpu(runs: Sequence[Run]) -> str:
    """A star for runs of which one was not trained on a CPU."""
    return "" if all(run.device == "cpu" for run in runs) else "*"


def duration(seconds: float) -> str:
    """In seconds or minutes."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def memory_in_words(run: Run) -> str:
    """Its peak memory. Below half a GiB it may be that of the process which started it (`benchmarks.peak`)."""
    return "< 0.5 GiB" if run.peak_gib < 0.5 else f"{run.peak_gib:.2f} GiB"


def threads_in_words(run: Run) -> str:
    """That a run had."""
    return f"{run.threads} thread{'s' if run.threads > 1 else ''}"


def cells(words: Sequence[str]) -> str:
    """A row of a table."""
    return "| " + " | ".join(words) + " |"


def letters_of_machines(runs: Sequence[Run]) -> dict[str, str]:
    """What stands for each machine where times of several are side by side; nothing if there is one."""
    machines = sorted({run.about["machine"] for run in runs})
    return dict(zip(machines, string.ascii_uppercase, strict=False)) if len(machines) > 1 else {}


def provenance(command: str, runs: Sequence[Run]) -> str:
    """Where and when, of all of them."""
    dates = sorted({run.about["date"] for run in runs})
    letters = letters_of_machines(runs)
    where = {
        (run.about["machine"], "" if run.device == "cpu" else f", {run.device}", run.about["python"]) for run in runs
    }
    machines = [
        f"{letters[machine] + ': ' if letters else ''}{machine}{gpu}, Python {python}"
        for machine, gpu, python in sorted(where)
    ]
    each = [run.about["versions"].items() for run in runs]
    versions = sorted({", ".join(f"{package} {number}" for package, number in pairs) for pairs in each})
    commits = sorted({run.about["commit"] for run in runs})
    when = " to ".join(dict.fromkeys([dates[0], dates[-1]]))
    return f"`{command}`: {when}; {'; '.join(machines)}; {'; '.join(versions)}; commits {', '.join(commits)}."
