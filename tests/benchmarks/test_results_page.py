"""The page of results: every table from the files, and nothing in it that is of something else."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks import additions, results_page, runs
from benchmarks.paper.experiments import ablation, main_result, sizes
from benchmarks.peers.comparison import BEST, COMPARISONS, NAMES, final_specs, setting_specs
from benchmarks.runs import KS, PER_USER_METRICS, Run, Spec, failed, store
from magnn.ranking.metrics import PER_USER

USERS = 300


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(runs, "RUNS", tmp_path / "runs")
    return tmp_path


def make_up(
    specs: Iterable[Spec],
    level: float = 0.1,
    machine: str = "a machine",
    limit_seconds: float | None = None,
    device: str = "cpu",
    epochs_reached: int = 0,
    peer_versions: dict[str, str] | None = None,
    fit_seconds: float = 345.0,
) -> None:
    """Runs as if they had been made, each user's metrics around `level`."""
    about = {
        "date": "2026-01-02",
        "machine": machine,
        "python": "3.11",
        "versions": {"magnn": "0"},
        "commit": "abc",
    } | ({"peer_versions": peer_versions} if peer_versions else {})
    for spec in specs:
        each = np.random.default_rng(spec.seed).uniform(0, 2 * level, USERS)
        names = [f"{name}@{k}" for name in (*PER_USER, "coverage") for k in KS]
        run = Run(
            spec=spec,
            metrics={name: round(float(each.mean()), 6) for name in names},
            valid={"ndcg@10": round(float(each.mean()), 6)} if spec.on == "valid" else {},
            ci95=dict.fromkeys(names, (level * 0.9, level * 1.1)),
            epochs=12,
            epochs_reached=epochs_reached,
            fit_seconds=fit_seconds,
            limit_seconds=limit_seconds,
            threads=2,
            device=device,
            peak_gib=0.5,
            stopped_by="time" if limit_seconds else "patience",
            about=about,
        )
        store(run)
        table = {"user": pl.Series(range(USERS), dtype=pl.UInt32)} | dict.fromkeys(PER_USER_METRICS, pl.Series(each))
        pl.DataFrame(table).write_parquet(spec.path.with_suffix(".parquet"))


def section(text: str, title: str) -> str:
    return text.split(f"## {title}")[1].split("\n## ")[0]


def test_the_page_is_up_to_date(tmp_path: Path) -> None:
    """If this fails: python -m benchmarks.results_page."""
    assert results_page.write_page(tmp_path) == results_page.PAGE.read_text()


def test_nothing_run_is_a_page_of_published_numbers(folder: Path) -> None:
    text = results_page.write_page(folder)
    assert "MA-GNN, published | .0442" in text
    assert "here" not in section(text, "The paper's main result")
    assert "Refused" not in text


def test_everything_run_is_in_the_tables(folder: Path) -> None:
    make_up(main_result("amazon-cds"), 0.2)
    make_up([*ablation("amazon-cds"), *sizes("amazon-cds")], 0.1)
    for data, protocol, refit in COMPARISONS:
        for place, name in enumerate(NAMES):
            if (data, name) != ("amazon-cds", "MA-GNN"):  # that is the main result's
                # Apart in time: names at one point of the picture take half a minute to be placed.
                make_up(final_specs(name, data, protocol, refit=refit)[:1], 0.1, fit_seconds=2.0**place)
    text = results_page.write_page(folder)
    main = section(text, "The paper's main result")
    assert "**MA-GNN, here, preset `paper`, 5 seeds**" in main
    assert main.count("| 12 | 6 min, 2 threads | 0.50 GiB |") == 5  # a row a seed
    parts = section(text, "Ablation")
    assert "| MF + S + H, gated | .0401 |" in parts
    assert parts.count("| p<.01 |") == 5  # half as good as the full model, all of them
    assert parts.count("| p=1.00 |") == 4  # and as good as the gated one
    assert "MF + S against MF: +.0000 (over users p=1.00, over seeds p=1.00)" in parts
    assert "full against MF + S + H, gated: +." in parts
    ahead = main.split("and ahead of")[1].split(". In recall@10")[0]
    assert "RecTools eSASRec" in ahead
    assert "(p" not in ahead  # each with p<.01
    assert "| attention heads h |" in section(text, "Heads and memory units")
    for data, protocol, _ in COMPARISONS:
        table = section(text, f"{data}, {protocol}")
        assert all(f"| {name} |" in table or f"| **{name}** |" in table for name in NAMES)
        assert "Not run" not in table
        assert (folder / f"{data}-{protocol}.png").stat().st_size > 5_000
    assert "p<.01" in section(text, "amazon-cds, paper")
    assert "p=1.00" in section(text, "ml-1m, paper")  # all made up alike
    assert "Refused" not in text


def test_times_of_several_machines_are_told_apart_and_a_limit_that_ended_one_is_named(folder: Path) -> None:
    data, protocol, refit = COMPARISONS[0]
    best, popularity, ease = (
        final_specs(name, data, protocol, refit=refit)[:1] for name in (BEST, "Popularity", "EASE")
    )
    make_up(best)
    make_up(popularity)
    table = section(results_page.write_page(folder), f"{data}, {protocol}")
    assert table.count("| patience | 6 min | 0.50 GiB |") == 2
    assert "letter" not in table
    make_up(ease, machine="one more", limit_seconds=600)
    table = section(results_page.write_page(folder), f"{data}, {protocol}")
    assert table.count("| patience | 6 min A | 0.50 GiB |") == 2
    assert table.count("| time, 10 min | 6 min B | 0.50 GiB |") == 1
    assert "A: a machine, Python 3.11; B: one more, Python 3.11" in table


def test_what_an_addition_is_worth_is_beside_the_preset(folder: Path) -> None:
    of_beauty = additions.specs("amazon-beauty")
    make_up([of_beauty[additions.WHOLE]], 0.2)
    make_up([of_beauty["without the graph part"], of_beauty["log loss"]], 0.1)
    page = results_page.write_page(folder)
    table = section(page, "What each addition is worth: amazon-beauty")
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith(("| with", "| log", "| **"))]
    assert rows[0][0] == "| **preset `best`**"
    assert {row[0]: row[3:5] for row in rows[1:]} == {
        "| without the graph part": ["50%", "p<.01"],
        "| log loss": ["50%", "p<.01"],
    }
    assert "ml-1m, validation" not in page
    assert "6 min, 2 threads" in table
    make_up([of_beauty["log loss"]], 0.1, device="a GPU")
    shared = section(results_page.write_page(folder), "What each addition is worth: amazon-beauty")
    assert "6 min" not in shared
    assert "a machine, a GPU, Python 3.11" in shared


def test_every_variant_is_another_model() -> None:
    for data in additions.PROTOCOLS:
        found = [spec.model_copy(update={"variant": ""}) for spec in additions.specs(data).values()]
        assert len({spec.model_dump_json() for spec in found}) == len(found)


def test_what_is_of_other_code_is_refused_and_said(folder: Path) -> None:
    specs = main_result("amazon-cds")
    make_up(specs)
    stored = json.loads(specs[1].path.read_text())
    stored["spec"]["code"] = "magnn-0"
    specs[1].path.write_text(json.dumps(stored))
    text = results_page.write_page(folder)
    assert "4 seeds" in text
    assert "ma-gnn-1.json: code is 'magnn-0'" in section(text, "Refused")


@pytest.mark.parametrize("how", ["stale", "failed"])
def test_a_chosen_setting_of_ours_is_not_passed_over_for_a_worse_one(how: str, folder: Path) -> None:
    data, protocol, refit = COMPARISONS[1]
    worse, chosen, _ = final_specs("MA-GNN", data, protocol, refit=refit)
    make_up([worse, *final_specs("Item-kNN with recency", data, protocol, refit=refit)[:1]])
    if how == "failed":
        failed(chosen, "MemoryError: no more")
    else:
        make_up([chosen])
        chosen.path.write_text(chosen.path.read_text().replace('"code": "magnn-', '"code": "old-'))
    text = results_page.write_page(folder)
    if how == "failed":
        assert "MA-GNN failed: `MemoryError: no more`" in section(text, f"{data}, {protocol}")
    else:
        assert "code is 'old-" in section(text, "Refused")


def test_a_failure_is_named_below_its_table(folder: Path) -> None:
    data, protocol, refit = COMPARISONS[1]
    make_up(final_specs("Item-kNN with recency", data, protocol, refit=refit)[:1])
    broken = next(name for name in NAMES if name.startswith("RecBole"))
    failed(final_specs(broken, data, protocol, refit=refit)[0], "Traceback\nMemoryError: no more")
    text = section(results_page.write_page(folder), f"{data}, {protocol}")
    assert f"{broken} failed: `MemoryError: no more`" in text
    assert f"| {broken} |" not in text
    not_run = text.split("Not run: ")[1].split(".\n")[0].split(", ")
    assert {broken, "Item-kNN with recency"}.isdisjoint(not_run)
    assert "Popularity" in not_run


def test_failures_alone_are_named_without_a_table(folder: Path) -> None:
    data, protocol, refit = COMPARISONS[0]
    failed(final_specs("EASE", data, protocol, refit=refit)[0], "Traceback\nValueError: more than 20,000 items")
    text = section(results_page.write_page(folder), f"{data}, {protocol}")
    assert "EASE failed: `ValueError: more than 20,000 items`" in text
    assert "| " not in text


def test_what_was_only_tried_on_the_validation_events_is_not_called_not_run(folder: Path) -> None:
    data, protocol, refit = COMPARISONS[1]
    make_up([*final_specs("EASE", data, protocol, refit=refit)[:1], *setting_specs("RecBole HGN", data, protocol)[:1]])
    text = section(results_page.write_page(folder), f"{data}, {protocol}")
    assert "Tried on the validation events only (best ndcg@10 there): RecBole HGN (." in text
    assert "RecBole HGN" not in text.split("Not run: ")[1].split("\n")[0]


def test_how_far_a_peers_own_count_is_from_ours_is_said(folder: Path) -> None:
    data, protocol, refit = COMPARISONS[1]
    spec = final_specs("RecBole BPR", data, protocol, refit=refit)[0]
    make_up([spec])
    stored = json.loads(spec.path.read_text())
    stored["own_metrics"] = {m: stored["metrics"][m] + 0.002 for m in ("recall@10", "ndcg@10")}
    spec.path.write_text(json.dumps(stored))
    text = section(results_page.write_page(folder), f"{data}, {protocol}")
    of_one = "of 1, at most 0.002 (RecBole BPR)"
    assert f"are from the package's: in recall@10, {of_one}; in ndcg@10, {of_one}." in text


@pytest.mark.parametrize("first", [0, 1])
def test_how_many_settings_were_tried_and_which_is_judged_is_said(folder: Path, first: int) -> None:
    data, protocol, refit = COMPARISONS[1]
    finals = final_specs("RecBole BPR", data, protocol, refit=refit)
    tried = setting_specs("RecBole BPR", data, protocol)[first:2]
    make_up(tried, peer_versions={"recbole": "1.2.1"}, machine="one more")
    make_up(finals[1:2], epochs_reached=20)
    text = section(results_page.write_page(folder), f"{data}, {protocol}")
    assert f"| {len(tried)} | 12 of 20 | patience |" in text
    assert "Chosen: RecBole BPR (learning_rate 0.0005)." in text
    assert "The peers: recbole 1.2.1." in text
    assert "one more" not in text, "where settings were tried has no part in the table"


def test_one_setting_of_ours_that_is_not_the_first_is_named(folder: Path) -> None:
    data, protocol, refit = next(each for each in COMPARISONS if each[0] == "ml-1m")
    make_up(setting_specs("MA-GNN", data, protocol)[2:])
    make_up(final_specs("MA-GNN", data, protocol, refit=refit)[2:])
    make_up(final_specs(BEST, data, protocol, refit=refit)[:1])
    text = section(results_page.write_page(folder), f"{data}, {protocol}")
    assert "Chosen: MA-GNN (l2 2.0)." in text


def test_what_others_published_for_such_a_log_is_below_its_table(folder: Path) -> None:
    for data, protocol, refit in COMPARISONS[:2]:
        make_up(final_specs("Popularity", data, protocol, refit=refit)[:1])
    text = results_page.write_page(folder)
    assert "| BSARec | .1002 | .0610 | RecBoard, 5 seeds |" in section(text, "amazon-beauty, leave-one-out")
    assert "What others published for" in section(text, "amazon-beauty, leave-one-out")
    assert "What others published for" not in section(text, "amazon-cds, paper")
