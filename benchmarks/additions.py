"""What each addition to the paper's model is worth: `python -m benchmarks.additions [DATA ...]`.

The preset `best`, and the same with one thing taken back or one part of the network left out; trained on train alone and
judged on the validation events, where they were chosen. One JSON file a run; what is finished is not run again.
"""

from argparse import ArgumentParser
from typing import Any

import numpy as np

from benchmarks.process import how_to_run, run_missing
from benchmarks.results_tables import (
    Page,
    duration,
    number,
    on_gpu,
    p_between,
    p_words,
    provenance,
    threads_in_words,
    with_ci,
)
from benchmarks.runs import Run, Spec, ours, until_stopped
from benchmarks.significance import TEST
from magnn.data.split import Protocol
from magnn.reporting.attributes import holm

PROTOCOLS: dict[str, Protocol] = {
    "amazon-beauty": "leave-one-out",
    "ml-latest-small": "paper",
    "ml-1m": "leave-one-out",
}
WHOLE = "preset `best`"
VARIANTS: dict[str, dict[str, Any]] = {
    WHOLE: {},
    "without the graph part": {"graph": {"neighbours": 0}},
    "windows not weighted by age": {"model": {"recency": False}},
    "two vectors an item": {"model": {"tied": False}},
    "with taste": {"model": {"taste": True}},
    "without dropout": {"model": {"dropout": 0.0}},
    "50 numbers an item": {"model": {"dim": 50}},
    "windows of 5 and 20": {"model": {"short_window": 5, "long_window": 20}},
    "constant learning rate": {"training": {"decay": False}},
    "without short term": {"model": {"short_term": False}},
    "without long term": {"model": {"long_term": False}},
    "without co-occurrence": {"model": {"cooccurrence": False}},
}
# What of the preset follows from how dense a log is; here what a log of the other kind gets.
FOR_SPARSE: dict[str, dict[str, Any]] = {
    "log loss": {"training": {"gce_q": 0.0}},
    "with a feed-forward layer": {"model": {"feed_forward": True}},
    "scores without cosine": {"model": {"cosine": False}},
}
FOR_DENSE: dict[str, dict[str, Any]] = {
    "generalised cross-entropy": {"training": {"gce_q": 0.3}},
    "without the feed-forward layer": {"model": {"feed_forward": False}},
    "with cosine scores": {"model": {"cosine": True}},
}
OF_THE_OTHER_KIND = {"amazon-beauty": FOR_SPARSE, "ml-latest-small": FOR_SPARSE, "ml-1m": FOR_DENSE}


def specs(data: str) -> dict[str, Spec]:
    """A run for each variant."""
    cosine = OF_THE_OTHER_KIND[data] is FOR_SPARSE  # as the preset has it there
    return {
        variant: ours(
            data,
            PROTOCOLS[data],
            preset="best",
            variant="" if variant == WHOLE else variant,
            config=change | {"model": {"cosine": cosine} | change.get("model", {})},
            refit=False,
            on="valid",
        )
        for variant, change in (VARIANTS | OF_THE_OTHER_KIND[data]).items()
    }


def additions_section(page: Page) -> None:
    """A table for each log of which the preset and anything else are there."""
    for data, protocol in PROTOCOLS.items():
        finished = {variant: runs[0] for variant, spec in specs(data).items() if (runs := page.runs([spec]))}
        if WHOLE not in finished or len(finished) == 1:
            continue
        page.add(
            f"## What each addition is worth: {data}, validation events",
            f"One thing taken back at a time; protocol {protocol}, trained on train, one seed. p: against the one in bold, "
            f"{TEST}, of ndcg@10." + (" *: trained on a GPU." if on_gpu(list(finished.values())) else ""),
        )
        _table(page, finished)
        page.add(
            provenance(f"python -m benchmarks.additions {data}", list(finished.values())),
        )


def _table(page: Page, finished: dict[str, Run]) -> None:
    whole = finished[WHOLE]
    others = {variant: run for variant, run in finished.items() if variant != WHOLE}
    corrected = holm(np.array([p_between([run], [whole], "ndcg@10") for run in others.values()]))
    p_of = dict(zip(others, corrected.tolist(), strict=True))
    # Of runs that shared a GPU, times say nothing.
    timed = all(run.device == "cpu" for run in finished.values())
    page.table(
        ("", "recall@10", "ndcg@10", "of the bold", "p", *(["fit"] if timed else [])),
        [
            [
                (f"**{variant}**" if variant == WHOLE else variant) + on_gpu([run]),
                number(run.metrics["recall@10"]),
                with_ci(run, "ndcg@10"),
                f"{run.metrics['ndcg@10'] / whole.metrics['ndcg@10']:.0%}",
                p_words(p_of[variant]) if variant in p_of else "",
                *([f"{duration(run.fit_seconds)}, {threads_in_words(run)}"] if timed else []),
            ]
            for variant, run in sorted(finished.items(), key=lambda item: -item[1].metrics["ndcg@10"])
        ],
    )


def main() -> None:
    """Run what is missing."""
    parser = ArgumentParser(prog="python -m benchmarks.additions", description=__doc__)
    parser.add_argument("data", nargs="*", help=f"of {', '.join(PROTOCOLS)}; all if none is named")
    how_to_run(parser)
    arguments = parser.parse_args()
    if unknown := set(arguments.data) - set(PROTOCOLS):
        parser.error(f"no log {', '.join(sorted(unknown))}; there are {', '.join(PROTOCOLS)}")
    run_missing([spec for data in arguments.data or PROTOCOLS for spec in specs(data).values()], arguments)


if __name__ == "__main__":
    until_stopped(main)
