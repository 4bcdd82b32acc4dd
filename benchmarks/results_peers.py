"""The sections of docs/results.md about the peers: every system on one split."""

from collections.abc import Iterable, Sequence

import numpy as np

from benchmarks.paper.published import PEERS, SOURCES
from benchmarks.peers.comparison import (
    BEST,
    NAMES,
    OURS,
    SEEDS,
    SELECT_BY,
    final_specs,
    setting_specs,
    system_of,
)
from benchmarks.peers.systems import OF_TRAINING
from benchmarks.results_pictures import plot_time
from benchmarks.results_tables import (
    Page,
    duration,
    letters_of_machines,
    mean_sd,
    memory_in_words,
    number,
    p_between,
    p_words,
    provenance,
    seeds_in_words,
    threads_in_words,
    with_ci,
)
from benchmarks.runs import Run
from magnn.data.split import Protocol
from magnn.reporting.attributes import holm

COMPARED = ("recall@10", "ndcg@10")
LEVELLED_OFF = (
    "eSASRec's row has the setting of its authors' README, 64 factors and dropout .2; with that of their configuration "
    "file it levels off at .0726/.0403, with 64 factors and dropout .5 it had .0737/.0399 and was still getting better "
    "when its time was over: each below what they publish (docs/experiments.md). The second and third of RecBole's "
    "GC-SAN have not been tried; RecTools SASRec's second was stopped after 5 minutes (.0186 after 26 epochs). The log "
    "has a day's events by item id. With each day's in random order, which is no less true, magnn best has .1078 in "
    "recall@10, RecBole's SASRec .0881, EASE .0828, eSASRec with dropout .5 .0784, item-kNN .0782 and MA-GNN .0599 "
    "(`python -m benchmarks.ties`): the published numbers may be of either order. The lead of magnn best over EASE is "
    "52% with the order by id and 30% in random order, that over item-kNN 45% and 38%."
)
ON_MOVIELENS = (
    "RecBole's SASRec has low dropout, as its paper has for MovieLens; in its hour validation ndcg@10 was .1615 after 5 "
    "epochs, .1684 after 7, .1697 after 8. GRU4Rec, with the library's defaults, was still getting better too (.1467 "
    "after 9, .1488 after 10), and so was GC-SAN, with them too (.1388 after 5, .1466 after 6, .1500 after a seventh "
    "that was cut short; three of its epochs took up to a fifth longer, beside small tests). Caser's first two settings "
    "ended by patience (.1688 after 33 of 43 epochs, .1616 after 22 of 32), its third had the five minutes that were "
    "left of the hour (.1565 after 6 and still getting better; a seventh was cut short). RecTools' SASRec has the "
    "setting that was best on Amazon Beauty, which sees the last 50 events of a user only; patience ended it after 7 "
    "minutes. eSASRec has its authors' setting; they train it for up to 100 epochs. In 61 minutes it had 140, and was "
    "getting better very slowly (.1714 after 86, .1728 after 108, .1763 after 132, no better up to 140); an hour of an "
    "older adapter had been 60 (.1675). Other settings of these, but Caser's and one of eSASRec's (a block less, the "
    "last 50 events; docs/experiments.md), have not been tried."
)
FEW_STEPS = (
    "An epoch of 609 users is few steps, and some trainings ended by their patience while they still ranked much as "
    "popularity does (.056 on validation): RecBole GC-SAN, and two of three settings of RecBole GRU4Rec and Caser. Their "
    "rows tell what these settings do here, not what the models can. Of RecTools' SASRec the first setting only was "
    "tried, and it was not judged on the test events."
)
ON_CDS = (
    "RecBole's SASRec has the library's defaults; its hour had 34 epochs, and it was hardly getting better any more "
    "(validation ndcg@10 .0556 after 20, .0566 after 30). GRU4Rec, with the library's defaults too, had 21 epochs in "
    "its half hour and was still getting better, slowly (.0338 after 13, .0369 after 20). GC-SAN, with them too, had 13 "
    "epochs in its half hour, the last cut short, and was getting better up to there (.0360 after 9, .0422 after 11, "
    ".0433 after 12). HGN with the last 5 events, as in its paper, is better than with the library's 50 (.0539 and "
    ".0502); its third setting had the two minutes left of the hour, which is two epochs. The other two settings of "
    "SASRec, GRU4Rec, GC-SAN and RecBole's BPR have not been tried. Caser's first setting was best after 20 epochs, and "
    "patience ended it; its second, which had what was left of half an hour, was level with it after as many (.0214 and "
    ".0213 after 11); its third has not been tried. eSASRec has its authors' setting for Amazon Beauty; it was hardly "
    "getting better when its hour was over (validation ndcg@10 .028 after 20 epochs, .031 after 36, .0335 after 68, no "
    "better up to 75). Its second was stopped after 14 minutes (.029 after 54 epochs); its third has not been tried. "
    "RecTools' SASRec has the setting that was best on Amazon Beauty; patience ended it within its half hour (.0360 "
    "after 18 epochs, .0403 after 24, no better up to 34); its other two have not been tried."
)
AS_ELSEWHERE = (
    "The networks of RecBole and RecTools have one setting each: the one of their row for this log with leave-one-out."
)
ON_BEAUTY_PAPER = (
    f"{AS_ELSEWHERE} Not so GC-SAN: all three of its own had half an hour together, which ended the third after five "
    "minutes, while it was still getting better (validation ndcg@10 .0523, .0547, .0555 after 17 to 19 epochs). Nor "
    "eSASRec, which has 64 factors and dropout .5, its setting of there before its third was tried; it was still "
    "getting better, slowly, when its 25 minutes were over (.0505 after 74, .0514 after 86, .0524 after 100 of 115)."
)
ON_MOVIELENS_PAPER = (
    f"{AS_ELSEWHERE} So has MA-GNN. The log has 193 training events an item here, 267 with leave-one-out, and from 200 "
    "on magnn best leaves out cosine scores: so it has them here. RecBole's SASRec was still getting better when its "
    "half hour was over (validation ndcg@10 .2314 after 4 epochs, .2374 after 5, .2405 after 6); eSASRec hardly any more "
    "(.2460 after 40, .2493 after 50, .2516 after 56, no better up to 64). GRU4Rec, with the library's defaults, had seven "
    "epochs in its half hour, and was still getting better (.1951 after 5, .2032 after 6, .2103 after 7). GC-SAN, with "
    "them too, had three of ten minutes each, and was getting better fast (.0864, .1367, .1726): its row says what half an "
    "hour of it is, not what it can. "
    "Caser's second setting was stopped after three epochs (.1655, where its first, which is judged, had .1564)."
)
NOTES = {  # on a comparison
    ("amazon-cds", "paper"): ON_CDS,
    ("amazon-beauty", "leave-one-out"): LEVELLED_OFF,
    ("ml-1m", "leave-one-out"): ON_MOVIELENS,
    ("ml-latest-small", "paper"): FEW_STEPS,
    ("amazon-beauty", "paper"): ON_BEAUTY_PAPER,
    ("ml-1m", "paper"): ON_MOVIELENS_PAPER,
}
HEAD = (
    "",
    *(f"{m}, p" for m in COMPARED),
    "ndcg_fixed@10",
    "coverage@10",
    "settings",
    "epochs",
    "ended by",
    "fit",
    "peak memory",
)


def comparison_section(page: Page, data: str, protocol: Protocol, refit: bool) -> None:
    """The table of a data set and protocol, what there is to say of it, and its picture."""
    runs = [run for name in NAMES for run in page.finals(name, data, protocol, refit=refit)]
    finished = sorted((run for run in runs if not run.error), key=lambda run: -run.metrics["ndcg@10"])
    by_name = {run.spec.system: run for run in finished}
    reference = by_name.get(BEST)
    if all(run is reference for run in runs):  # nothing to compare yet
        return
    page.add(f"## {data}, {protocol}, {'refit' if refit else 'no refit'}")
    failures = [f"{run.spec.system} failed: `{run.error.splitlines()[-1]}`" for run in runs if run.error]
    if not finished:
        page.add(*failures)
        return
    p_values = _p_values(finished, reference) if reference else {}
    letters = letters_of_machines(finished)
    tried = {run.spec.system: page.runs(setting_specs(run.spec.system, data, protocol)) for run in finished}
    page.table(
        HEAD,
        [
            [
                f"**{run.spec.system}**" if run.spec.system in OURS else run.spec.system,
                *(f"{with_ci(run, m)} {p_values.get((run.spec.system, m), '')}".rstrip() for m in COMPARED),
                number(run.metrics["ndcg_fixed@10"]),
                number(run.metrics["coverage@10"]),
                str(max(1, len(tried[run.spec.system]))),
                f"{run.epochs} of {run.epochs_reached}" if run.epochs_reached > 1 else str(run.epochs),
                _end(run),
                f"{duration(run.fit_seconds)} {letters.get(run.about['machine'], '')}".rstrip()
                + (f", {threads_in_words(run)}" if run.threads == 1 else ""),
                memory_in_words(run),
            ]
            for run in finished
        ],
    )
    if BEST in by_name:
        _best_over_seeds(page, by_name[BEST])
    chosen = [
        f"{run.spec.system} ({_choice(run)})"
        for run in finished
        if len(tried[run.spec.system]) > 1 or _setting(run) > 0
    ]
    page.add(
        *([f"Chosen: {', '.join(chosen)}."] if chosen else []),
        *failures,
        *([note] if (note := NOTES.get((data, protocol))) else []),
    )
    _not_judged(page, [name for name in NAMES if name not in {run.spec.system for run in runs}], data, protocol)
    _cross_check(page, finished)
    _published(page, data, protocol)
    name = f"{data}-{protocol}"
    command = f"python -m benchmarks.peers run {data} --protocol {protocol}"
    page.add(
        f"![ndcg@10 against training time](results/{name}.png)",
        provenance(command, finished) + _libraries(run for runs in tried.values() for run in runs),
    )
    plot_time(page.pictures, finished, letters, name)


def _best_over_seeds(page: Page, first: Run) -> None:
    """Its mean, where there are more seeds than the first."""
    specs = (
        spec
        for seed in range(1, SEEDS)
        for spec in final_specs(BEST, first.spec.data, first.spec.protocol, refit=first.spec.refit, seed=seed)
    )
    runs = [first, *page.runs(specs)]
    if len(runs) == 1:
        return
    means = ", ".join(f"{metric} {mean_sd(runs, metric)}" for metric in COMPARED)
    slowest = {threads_in_words(run): run for run in sorted(runs, key=lambda run: run.fit_seconds)}
    fits = " and ".join(f"{duration(run.fit_seconds)} at most on {threads}" for threads, run in slowest.items())
    page.add(f"{BEST} over {seeds_in_words(runs)}, mean and standard deviation: {means}; fits of {fits}.")


def _not_judged(page: Page, names: Sequence[str], data: str, protocol: Protocol) -> None:
    """On systems without a row: what the validation events said of those that were tried, and which were not."""
    best = {
        name: max(run.valid[SELECT_BY] for run in tried)
        for name in names
        if (tried := page.runs(setting_specs(name, data, protocol)))
    }
    if best:
        tried_words = ", ".join(f"{name} ({number(value)})" for name, value in best.items())
        page.add(f"Tried on the validation events only (best {SELECT_BY} there): {tried_words}.")
    if untried := [name for name in names if name not in best]:
        page.add(f"Not run: {', '.join(untried)}.")


def _published(page: Page, data: str, protocol: Protocol) -> None:
    """What others say of such a log, and where."""
    published = PEERS.get((data, protocol))
    if not published:
        return
    page.add("What others published for a log of as many users, items and events, ranked and split likewise:")
    page.table(
        ("", "recall@10", "ndcg@10", "by"),
        [[name, number(recall), number(ndcg), who] for name, (recall, ndcg, who) in published.items()],
    )
    page.add(" ".join(f"{who}: {SOURCES[who]}." for who in dict.fromkeys(who for *_, who in published.values())))


def _p_values(runs: Sequence[Run], reference: Run) -> dict[tuple[str, str], str]:
    """p of each other system and metric, corrected, as the table shows it."""
    others = [run for run in runs if run is not reference]
    found: dict[tuple[str, str], str] = {}
    for metric in COMPARED:
        adjusted = holm(np.array([p_between([run], [reference], metric) for run in others])).tolist()
        found |= {(run.spec.system, metric): p_words(p) for run, p in zip(others, adjusted, strict=True)}
    return found


def _setting(run: Run) -> int:
    """Which of its system's settings it has, from 0; with the first a system is tried where it is tried once."""
    if run.spec.system in OURS:
        return int(run.spec.variant.removeprefix("setting ") or 1) - 1
    return system_of(run.spec.system).on(run.spec.data).index(run.spec.settings)


def _choice(run: Run) -> str:
    """What tells the judged setting from the others that the system has."""
    name = run.spec.system
    if name in OURS:
        _, configs = OURS[name]
        changed = configs[_setting(run)].values()
        words = ", ".join(f"{key} {value}" for part in changed for key, value in part.items())
        return words or "the preset"
    settings = system_of(name).on(run.spec.data)
    library = [key for key in run.spec.settings if key not in OF_TRAINING]
    differing = [key for key in library if any(each.get(key) != settings[0].get(key) for each in settings)]
    return ", ".join(f"{key} {run.spec.settings[key]}" for key in differing) or "its first setting"


def _libraries(runs: Iterable[Run]) -> str:
    """What the peers ran with, in their own environments."""
    own = {
        ", ".join(f"{package} {number}" for package, number in versions.items())
        for run in runs
        if "magnn" not in (versions := run.about.get("peer_versions", {})) and versions
    }
    return f" The peers: {'; '.join(sorted(own))}." if own else ""


def _cross_check(page: Page, runs: Sequence[Run]) -> None:
    """How far the peers' own evaluators are from the package's."""
    apart = {
        m: {run.spec.system: abs(run.own_metrics[m] - run.metrics[m]) for run in runs if m in run.own_metrics}
        for m in COMPARED
    }
    found = [
        f"in {metric}, of {len(systems)}, at most {max(systems.values()):.1g} ({max(systems, key=systems.__getitem__)})"
        for metric, systems in apart.items()
        if systems
    ]
    if found:
        page.add(
            f"How far the peers' own evaluators, where they have one, are from the package's: {'; '.join(found)}. That of "
            "implicit ranks anew, the others judge the same lists."
        )


def _end(run: Run) -> str:
    """What ended the training; of a limit, which."""
    if run.stopped_by == "time" and run.limit_seconds:
        return f"time, {duration(run.limit_seconds)}"
    return run.stopped_by
