"""The README's table of accuracy against the result files."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers.comparison import BEST, COMPARISONS, MAGNN, NAMES, SEEDS, final_specs
from benchmarks.results_tables import Page, number
from benchmarks.runs import Run, load

README = (Path(__file__).parents[2] / "README.md").read_text()
COLUMNS = COMPARISONS[:3]  # Amazon CDs, Amazon Beauty, MovieLens-1M


def seeds(name: str, column: int, n: int) -> list[Run]:
    """The runs of one of our own systems with the first so many seeds, of the best of its settings."""
    data, protocol, refit = COLUMNS[column]
    specs = [final_specs(name, data, protocol, refit=refit, seed=seed) for seed in range(n)]
    settings = [[run for spec in of_seeds if (run := load(spec))] for of_seeds in zip(*specs, strict=True)]
    return max((runs for runs in settings if len(runs) == n), key=lambda runs: runs[0].valid["ndcg@10"])


def of_library(library: str, page: Page, column: int) -> list[Run]:
    """The best run of all systems whose name begins so."""
    data, protocol, refit = COLUMNS[column]
    runs = [run for name in NAMES if name.startswith(library) for run in page.finals(name, data, protocol, refit=refit)]
    return [max((run for run in runs if not run.error), key=lambda run: run.metrics["ndcg@10"])]


ROWS: dict[str, Callable[[Page, int], list[Run]]] = {
    "magnn, the defaults": lambda page, column: seeds(BEST, column, SEEDS),
    "item-kNN with recency decay": lambda page, column: of_library("Item-kNN", page, column),
    "RecTools": lambda page, column: of_library("RecTools", page, column),
    "RecBole": lambda page, column: of_library("RecBole", page, column),
    "EASE": lambda page, column: of_library("EASE", page, column),
    "implicit": lambda page, column: of_library("implicit", page, column),
    "MA-GNN": lambda page, column: seeds(MAGNN, column, 1 if column else 5),
}


@pytest.mark.parametrize("column", range(3), ids=[f"{data}, {protocol}" for data, protocol, _ in COLUMNS])
@pytest.mark.parametrize("row", ROWS)
def test_the_table_says_what_was_measured(row: str, column: int, tmp_path: Path) -> None:
    (line,) = [line for line in README.splitlines() if re.match(rf"\| (\*\*)?{row}\b.*\d{{4}} / ", line)]
    cell = line.split("|")[2 + column]
    if row == "EASE" and column == 0:
        assert "not run: 35,118 items" in cell
        return
    runs = ROWS[row](Page(tmp_path), column)
    assert re.findall(r"\.\d{4}", cell) == [
        number(np.mean([run.metrics[metric] for run in runs])) for metric in ("recall@10", "ndcg@10")
    ]
    if "(" in cell:
        assert runs[0].spec.system.split(" ", 1)[1] == cell.split("(")[1].split(")")[0].removesuffix("**")
