"""docs/results.md and its pictures, from results/runs/ and nothing else: `python -m benchmarks.results_page`."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import ROOT
from benchmarks.paper import published
from benchmarks.paper.experiments import ABLATION, DEFAULT_SIZE, FEWER_SEEDS, SIZES, main_result, size_run, tuning
from benchmarks.paper.experiments import PROTOCOL as PAPER
from benchmarks.peers.comparison import BEST, COMPARISONS, MAGNN, NAMES, OURS, SEEDS, final_specs
from benchmarks.results_pictures import plot_seeds, plot_sizes, plot_time
from benchmarks.runs import KS, Run, Spec, StaleRunError, load, ours, users_of
from benchmarks.significance import TEST, paired_p
from magnn.data.split import Protocol
from magnn.reporting.attributes import holm

PAGE = ROOT / "docs" / "results.md"
PICTURES = ROOT / "docs" / "results"
CDS = "amazon-cds"
COMPARED = ("recall@10", "ndcg@10")
INTRODUCTION = """# Results

Written by `python -m benchmarks.results_page` from one JSON file a run (`benchmarks/results/runs/`). Every system ranks the
whole catalogue without what the user has seen; all lists are judged by the package's own evaluator. `ndcg@k` divides by the
user's own ideal, `ndcg_fixed@k` by that of k hits whatever the user has, as the paper's numbers do. "Refit" means that the
final model is trained on train + validation for the epochs that the validation events chose; no table mixes the two.
"""


class Page:
    """Lines of the page, and what was refused while they were written."""

    def __init__(self, pictures: Path) -> None:
        self.pictures = pictures
        self.lines = [INTRODUCTION]
        self.refused: list[str] = []

    def add(self, *lines: str) -> None:
        """Paragraphs."""
        for line in lines:
            self.lines += [line, ""]

    def table(self, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """The first column holds words, the others numbers."""
        self.lines += [_cells(head), "|---|" + "---:|" * (len(head) - 1), *map(_cells, rows), ""]

    def runs(self, specs: Iterable[Spec]) -> list[Run]:
        """Those that are there and did not fail; a file of something else is refused, and the page says so."""
        found = []
        for spec in specs:
            try:
                run = load(spec)
            except StaleRunError as stale:
                self.refused.append(str(stale))
            else:
                if run is not None:
                    found.append(run)
        return found

    def finals(self, name: str, data: str, protocol: Protocol, *, refit: bool) -> list[Run]:
        """The one run of a system on the test events: of whichever of its settings, but of no others."""
        reasons = []
        for spec in final_specs(name, data, protocol, refit=refit):
            try:
                run = load(spec)
            except StaleRunError as stale:
                reasons.append(str(stale))
            else:
                if run is not None:
                    return [run]
        self.refused += reasons[:1]
        return []


def write_page(pictures: Path = PICTURES) -> str:
    """Draw the pictures into a folder, and give the page's text."""
    page = Page(pictures)
    pictures.mkdir(parents=True, exist_ok=True)
    _main_result(page)
    _ablation(page)
    _sizes(page)
    _tuning(page)
    for data, protocol, refit in COMPARISONS:
        _comparison(page, data, protocol, refit)
    if page.refused:
        page.add("## Refused", "Result files of other data, code or settings than the tables are about; not in them.")
        page.lines += [f"- {reason}" for reason in page.refused]
    return "\n".join(page.lines).rstrip() + "\n"


def _main_result(page: Page) -> None:
    runs = page.runs(main_result(CDS))
    finished = [run for run in runs if not run.error]
    page.add("## The paper's main result: Amazon CDs", "Protocol `paper`, refit; 17,052 users, 35,118 items.")
    rows = [[f"{name}, published", _f(r), "", _f(n)] for name, (r, n) in published.CDS.items()]
    if finished:
        means = [_mean_sd(finished, metric) for metric in ("recall@10", "ndcg@10", "ndcg_fixed@10")]
        rows.append([f"**MA-GNN, here, preset `paper`, {_seeds(finished)}**", *(f"**{mean}**" for mean in means)])
    for name in ("Item-kNN with recency", "Popularity"):
        rows += [
            [f"{name}, here", *(_f(run.metrics[m]) for m in ("recall@10", "ndcg@10", "ndcg_fixed@10"))]
            for run in page.finals(name, CDS, PAPER, refit=True)
            if not run.error
        ]
    page.table(("", "recall@10", "ndcg@10", "ndcg_fixed@10"), rows)
    if not finished:
        return
    page.add(f"At other lengths of the list, mean and standard deviation over {_seeds(finished)}:")
    page.table(
        ("", *(f"k = {k}" for k in KS)),
        [[m, *(_mean_sd(finished, f"{m}@{k}") for k in KS)] for m in ("recall", "ndcg", "ndcg_fixed")],
    )
    page.table(
        ("seed", "recall@10", "ndcg@10", "ndcg_fixed@10", "epochs", "fit", "peak memory"),
        [
            [
                str(run.spec.seed),
                *(_with_ci(run, metric) for metric in ("recall@10", "ndcg@10", "ndcg_fixed@10")),
                str(run.epochs),
                f"{_minutes(run.fit_seconds)}, {_threads(run)}",
                f"{run.peak_gib:.2f} GiB",
            ]
            for run in finished
        ],
    )
    page.add(
        "In brackets, 95% bootstrap intervals over users. Fit: choosing the epoch and the final fit.",
        "![Metric against seed](results/seeds.png)",
        _provenance("python -m benchmarks.paper amazon-cds main", finished),
    )
    plot_seeds(page.pictures, finished)


def _ablation(page: Page) -> None:
    full = [run for run in page.runs(ours(CDS, PAPER, seed=seed) for seed in range(FEWER_SEEDS)) if not run.error]
    groups = {
        variant: [
            run
            for run in page.runs(
                ours(CDS, PAPER, variant=variant, config={"model": parts}, seed=seed) for seed in range(FEWER_SEEDS)
            )
            if not run.error
        ]
        for variant, parts in ABLATION.items()
    } | {"full": full}
    if not full or not all(groups.values()):
        return
    page.add("## Ablation: Amazon CDs", "S: short term; H: long term with memory. Full: gated, and co-occurrence.")
    tests = {name: _p(runs, full, "recall@10") for name, runs in groups.items() if name != "full"}
    corrected = dict(zip(tests, holm(np.array(list(tests.values()))).tolist(), strict=True))
    page.table(
        (
            "",
            "published recall@10",
            "recall@10",
            "published ndcg_fixed@10",
            "ndcg_fixed@10",
            "seeds",
            "p, against full",
        ),
        [
            [
                name,
                _f(published.CDS_ABLATION[name][0]),
                _mean_sd(runs, "recall@10"),
                _f(published.CDS_ABLATION[name][1]),
                _mean_sd(runs, "ndcg_fixed@10"),
                str(len(runs)),
                _p_words(corrected[name]) if name in corrected else "",
            ]
            for name, runs in groups.items()
        ],
    )
    page.add(
        f"p: {TEST}; of recall@10, each user's mean over seeds.",
        _provenance(
            "python -m benchmarks.paper amazon-cds ablation", [run for runs in groups.values() for run in runs]
        ),
    )


def _sizes(page: Page) -> None:
    found = {
        (setting, size): [
            run for run in page.runs(size_run(CDS, setting, size, seed) for seed in range(FEWER_SEEDS)) if not run.error
        ]
        for setting in ("heads", "memory_units")
        for size in SIZES
    }
    if not all(found.values()):
        return
    page.add("## Heads and memory units: Amazon CDs", f"The other stays at {DEFAULT_SIZE}.")
    page.table(
        ("recall@10", *map(str, SIZES)),
        [
            [words, *(_mean_sd(found[setting, size], "recall@10") for size in SIZES)]
            for setting, words in (("heads", "attention heads h"), ("memory_units", "memory units m"))
        ],
    )
    page.add(
        "![Recall against heads and memory units](results/sizes.png)",
        _provenance("python -m benchmarks.paper amazon-cds sizes", [run for runs in found.values() for run in runs]),
    )
    plot_sizes(page.pictures, found)


def _tuning(page: Page) -> None:
    runs = sorted((run for run in page.runs(tuning(CDS)) if not run.error), key=lambda run: -run.metrics["ndcg@10"])
    if not runs:
        return
    page.add(
        "## What mattered: Amazon CDs, validation events",
        "One thing changed at a time from the preset; one seed; no test event is looked at.",
    )
    page.table(
        ("", "recall@10", "ndcg@10", "best epoch", "training"),
        [
            [
                run.spec.variant.removeprefix("tuning "),
                _with_ci(run, "recall@10"),
                _with_ci(run, "ndcg@10"),
                str(run.epochs),
                f"{_minutes(run.fit_seconds)}, {_threads(run)}",
            ]
            for run in runs
        ],
    )
    page.add(_provenance("python -m benchmarks.paper amazon-cds tuning", runs))


def _threads(run: Run) -> str:
    return f"{run.threads} thread{'s' if run.threads > 1 else ''}"


def _comparison(page: Page, data: str, protocol: Protocol, refit: bool) -> None:
    runs = [run for name in NAMES for run in page.finals(name, data, protocol, refit=refit)]
    finished = sorted((run for run in runs if not run.error), key=lambda run: -run.metrics["ndcg@10"])
    by_name = {run.spec.system: run for run in finished}
    reference = by_name.get(BEST) or by_name.get(MAGNN)
    if all(run is reference for run in runs):  # nothing to compare yet
        return
    page.add(f"## {data}, {protocol}, {'refit' if refit else 'no refit'}")
    p_values: dict[tuple[str, str], float] = {}
    if reference:
        others = [run for run in finished if run is not reference]
        raw = {(run.spec.system, m): _p([run], [reference], m) for run in others for m in COMPARED}
        for metric in COMPARED:
            names = [run.spec.system for run in others]
            adjusted = holm(np.array([raw[name, metric] for name in names])).tolist()
            p_values |= {(name, metric): p for name, p in zip(names, adjusted, strict=True)}
    page.table(
        (
            "",
            *(f"{m}, p" for m in COMPARED),
            "ndcg_fixed@10",
            "coverage@10",
            "epochs",
            "ended by",
            "fit",
            "peak memory",
        ),
        [
            [
                f"**{run.spec.system}**" if run.spec.system in OURS else run.spec.system,
                *(
                    _with_ci(run, m)
                    + (f" {_p_words(p_values[key])}" if (key := (run.spec.system, m)) in p_values else "")
                    for m in COMPARED
                ),
                _f(run.metrics["ndcg_fixed@10"]),
                _f(run.metrics["coverage@10"]),
                str(run.epochs),
                run.stopped_by,
                _minutes(run.fit_seconds),
                f"{run.peak_gib:.2f} GiB",
            ]
            for run in finished
        ],
    )
    more = [spec for n in range(1, SEEDS) for spec in final_specs(BEST, data, protocol, refit=refit, seed=n)]
    best = [by_name[BEST], *(run for run in page.runs(more) if not run.error)] if BEST in by_name else []
    if len(best) > 1:
        means = ", ".join(f"{metric} {_mean_sd(best, metric)}" for metric in COMPARED)
        slowest = max(run.fit_seconds for run in best)
        page.add(
            f"{BEST} over {_seeds(best)}, mean and standard deviation: {means}; fits of {_minutes(slowest)} at most."
        )
    limits = sorted({run.limit_seconds for run in finished if run.limit_seconds})
    words = (
        f"A training ends after {' or '.join(_minutes(limit) for limit in limits)} at the latest; a system whose first "
        "setting does not end before is judged with that one. "
        if limits
        else ""
    )
    against = reference.spec.system if reference else MAGNN
    page.add(
        f"{words}p: against {against}, {TEST}. Fit: of the chosen setting, choosing the epoch and, where there is one, the "
        "final fit.",
    )
    page.lines += [f"- {run.spec.system} failed: `{(run.error or '').splitlines()[-1]}`" for run in runs if run.error]
    if checked := {run.spec.system: _disagreement(run) for run in finished if run.own_metrics}:
        furthest = max(checked, key=lambda system: checked[system])
        page.add(
            f"The peers' own evaluators, where they have one ({len(checked)}), find the same recall@10 and ndcg@10 in "
            f"these lists up to {checked[furthest]:.1g} ({furthest})."
        )
    name = f"{data}-{protocol}"
    command = f"python -m benchmarks.peers run {data} --protocol {protocol}"
    page.add(f"![ndcg@10 against training time](results/{name}.png)", _provenance(command, finished))
    plot_time(page.pictures, finished, name)


def _disagreement(run: Run) -> float:
    """Between the peer's own evaluator and the package's, on the same lists."""
    return max(abs(run.own_metrics[m] - run.metrics[m]) for m in COMPARED if m in run.own_metrics)


def _p(a: Sequence[Run], b: Sequence[Run], metric: str) -> float:
    """Between two systems, each user's metric averaged over seeds."""
    of_users = [[users_of(run.spec)[metric].to_numpy() for run in runs] for runs in (a, b)]
    first_U, second_U = (np.mean(values, axis=0, dtype=float) for values in of_users)
    return paired_p(first_U, second_U)


def _p_words(p: float) -> str:
    return "p<.01" if p < 0.01 else f"p={p:.2f}".replace("0.", ".")


def _mean_sd(runs: Sequence[Run], metric: str) -> str:
    values = [run.metrics[metric] for run in runs]
    return _f(np.mean(values)) + (f" ± {_f(np.std(values, ddof=1))}" if len(values) > 1 else "")


def _with_ci(run: Run, metric: str) -> str:
    low, high = run.ci95[metric]
    return f"{_f(run.metrics[metric])} ({_f(low)}-{_f(high)})"


def _f(value: float | np.floating[Any]) -> str:
    return f"{value:.4f}".lstrip("0") if value < 1 else f"{value:.4f}"


def _seeds(runs: Sequence[Run]) -> str:
    return f"{len(runs)} seeds" if len(runs) > 1 else "one seed"


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _cells(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _provenance(command: str, runs: Sequence[Run]) -> str:
    """Where and when, of all of them."""
    dates = sorted({run.about["date"] for run in runs})
    machines = sorted({f"{run.about['machine']}, Python {run.about['python']}" for run in runs})
    each = [run.about["versions"].items() for run in runs]
    versions = sorted({", ".join(f"{package} {number}" for package, number in pairs) for pairs in each})
    commits = sorted({run.about["commit"] for run in runs})
    when = " to ".join(dict.fromkeys([dates[0], dates[-1]]))
    return f"`{command}`: {when}; {'; '.join(machines)}; {'; '.join(versions)}; commits {', '.join(commits)}."


if __name__ == "__main__":
    text = write_page()
    PAGE.write_text(text)
    print(f"wrote {PAGE.relative_to(ROOT)}", file=sys.stderr)
