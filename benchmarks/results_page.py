"""docs/results.md and its pictures, from results/runs/ and nothing else: `python -m benchmarks.results_page`."""

import sys
from pathlib import Path

import numpy as np

from benchmarks.additions import additions_section
from benchmarks.measure import ROOT
from benchmarks.peers.comparison import BEST, COMPARISONS, MAGNN, NAMES, OURS, SEEDS, final_specs
from benchmarks.results_paper import ablation_section, main_result_section, sizes_section, tuning_section
from benchmarks.results_pictures import plot_time
from benchmarks.results_tables import (
    Page,
    duration,
    letters_of_machines,
    mean_sd,
    number,
    p_between,
    p_words,
    provenance,
    seeds_in_words,
    threads_in_words,
    with_ci,
)
from benchmarks.runs import Run
from benchmarks.significance import TEST
from magnn.data.split import Protocol
from magnn.reporting.attributes import holm

PAGE = ROOT / "docs" / "results.md"
PICTURES = ROOT / "docs" / "results"
COMPARED = ("recall@10", "ndcg@10")
_PUBLISHED = (
    "As its authors published it for a log of as many users, items and events "
    "(github.com/blondered/transformer_benchmark), eSASRec has recall@10 {} and ndcg@10 {}"
)
_FEW_STEPS = (
    "An epoch of 609 users is few steps, and some trainings ended by their patience while they still ranked much as "
    "popularity does (.056 on validation): RecBole GC-SAN, and two of three settings of RecBole GRU4Rec and Caser. Their "
    "rows tell what these settings do here, not what the models can."
)
NOTES = {  # on a comparison
    ("amazon-beauty", "leave-one-out"): _PUBLISHED.format(".0928", ".0523")
    + "; the setting here is theirs. How that training went is in docs/experiments.md.",
    ("ml-1m", "leave-one-out"): _PUBLISHED.format(".3133", ".1772") + "; the setting here is theirs.",
    ("ml-latest-small", "paper"): _FEW_STEPS,
}
INTRODUCTION = """# Results

Written by `python -m benchmarks.results_page` from one JSON file a run (`benchmarks/results/runs/`). Every system ranks the
whole catalogue without what the user has seen; all lists are judged by the package's own evaluator. `ndcg@k` divides by the
user's own ideal, `ndcg_fixed@k` by that of k hits whatever the user has, as the paper's numbers do. "Refit" means that the
final model is trained on train + validation for the epochs that the validation events chose; no table mixes the two.
"""


def write_page(pictures: Path = PICTURES) -> str:
    """Draw the pictures into a folder, and give the page's text."""
    page = Page(pictures)
    page.lines.append(INTRODUCTION)
    pictures.mkdir(parents=True, exist_ok=True)
    main_result_section(page)
    ablation_section(page)
    sizes_section(page)
    tuning_section(page)
    for data, protocol, refit in COMPARISONS:
        _comparison(page, data, protocol, refit)
    additions_section(page)
    if page.refused:
        page.add("## Refused", "Result files of other data, code or settings than the tables are about; not in them.")
        page.lines += [f"- {reason}" for reason in page.refused]
    return "\n".join(page.lines).rstrip() + "\n"


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
        raw = {(run.spec.system, m): p_between([run], [reference], m) for run in others for m in COMPARED}
        for metric in COMPARED:
            names = [run.spec.system for run in others]
            adjusted = holm(np.array([raw[name, metric] for name in names])).tolist()
            p_values |= {(name, metric): p for name, p in zip(names, adjusted, strict=True)}
    letters = letters_of_machines(finished)
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
                    with_ci(run, m)
                    + (f" {p_words(p_values[key])}" if (key := (run.spec.system, m)) in p_values else "")
                    for m in COMPARED
                ),
                number(run.metrics["ndcg_fixed@10"]),
                number(run.metrics["coverage@10"]),
                str(run.epochs),
                _end(run),
                f"{duration(run.fit_seconds)} {letters.get(run.about['machine'], '')}".rstrip()
                + (f", {threads_in_words(run)}" if run.threads == 1 else ""),
                f"{run.peak_gib:.2f} GiB",
            ]
            for run in finished
        ],
    )
    more = [spec for n in range(1, SEEDS) for spec in final_specs(BEST, data, protocol, refit=refit, seed=n)]
    best = [by_name[BEST], *(run for run in page.runs(more) if not run.error)] if BEST in by_name else []
    if len(best) > 1:
        means = ", ".join(f"{metric} {mean_sd(best, metric)}" for metric in COMPARED)
        slowest = {threads_in_words(run): run for run in sorted(best, key=lambda run: run.fit_seconds)}
        fits = " and ".join(f"{duration(run.fit_seconds)} at most on {threads}" for threads, run in slowest.items())
        page.add(f"{BEST} over {seeds_in_words(best)}, mean and standard deviation: {means}; fits of {fits}.")
    words = (
        "A system whose first setting does not end within its time is judged with that one, at the best of the epochs it "
        "reached. "
        if any(run.stopped_by == "time" for run in finished)
        else ""
    )
    against = f"p: against {reference.spec.system}, {TEST}. " if reference else ""
    page.add(
        f"{words}{against}Fit: of the chosen setting, choosing the epoch and, where there is one, the "
        "final fit" + ("; a letter names the machine, and times compare only between runs of one." if letters else "."),
    )
    for run in runs:
        if run.error:
            page.add(f"{run.spec.system} failed: `{run.error.splitlines()[-1]}`")
    if note := NOTES.get((data, protocol)):
        page.add(note)
    if missing := [name for name in NAMES if name not in {run.spec.system for run in runs}]:
        page.add(f"Not run: {', '.join(missing)}.")
    if checked := {run.spec.system: _disagreement(run) for run in finished if run.own_metrics}:
        furthest = max(checked, key=lambda system: checked[system])
        page.add(
            f"The peers' own evaluators, where they have one ({len(checked)}), find the same recall@10 and ndcg@10 in "
            f"these lists up to {checked[furthest]:.1g} ({furthest})."
        )
    name = f"{data}-{protocol}"
    command = f"python -m benchmarks.peers run {data} --protocol {protocol}"
    page.add(f"![ndcg@10 against training time](results/{name}.png)", provenance(command, finished))
    plot_time(page.pictures, finished, name)


def _end(run: Run) -> str:
    """What ended the training; of a limit, which."""
    if run.stopped_by == "time" and run.limit_seconds:
        return f"time, {duration(run.limit_seconds)}"
    return run.stopped_by


def _disagreement(run: Run) -> float:
    """Between the peer's own evaluator and the package's, on the same lists."""
    return max(abs(run.own_metrics[m] - run.metrics[m]) for m in COMPARED if m in run.own_metrics)


if __name__ == "__main__":
    text = write_page()
    PAGE.write_text(text)
    print(f"wrote {PAGE.relative_to(ROOT)}", file=sys.stderr)
