"""fit, evaluate, recommend, similar, data and demo, driven as a person would."""

import dataclasses
import hashlib
import json
import re
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

import magnn
from magnn.cli import console, demo
from magnn.data import datasets
from magnn.data.datasets import MIRROR_VARIABLE
from magnn.data.synthetic import generate_log
from magnn.errors import DownloadError
from tests.cli.driver import MAGNN, Shell
from tests.conftest import real


@pytest.fixture
def logged(logged: Shell, small_log: tuple[pl.DataFrame, pl.DataFrame]) -> Shell:
    """A shell with events.csv, items.csv and tiny.toml."""
    hostile = pl.when(pl.col("item_id") == 0).then(pl.lit("[bold]x[/bold] [/] \U0001f3b5")).otherwise("title")
    logged.write("items.csv", small_log[1].with_columns(title=hostile).write_csv())
    return logged


FIT = ["fit", "events.csv", "--items", "items.csv", "-o", "model", "--config", "tiny.toml", "--epochs", "2"]


def test_from_a_log_to_recommendations_with_titles(logged: Shell) -> None:
    fitted = logged(*FIT)
    assert fitted.code == 0 and fitted.out == ""
    assert "user = user_id, item = item_id, time = timestamp" in fitted.err
    assert "split paper" in fitted.err and "magnn evaluate model" in fitted.err
    assert "\x1b" not in fitted.err and "\r" not in fitted.err, "no bars and colours where there is no terminal"
    assert logged.made() == ["model"]
    epochs = [json.loads(line) for line in (logged.folder / "model" / "training.jsonl").read_text().splitlines()]
    assert {"epoch", "loss", "train_seconds", "valid_seconds", "metrics"} <= epochs[0].keys()

    table = logged("evaluate", "model").out
    assert all(
        name in table for name in ("magnn", "item-knn", "popularity", "recall@10", "coverage@10", "train + valid")
    )
    report = json.loads(logged("evaluate", "model", "--json", "-k", "5").out)
    assert report.keys() == {
        *("split", "protocol", "refit", "users", "items", "k", "metrics", "ci95", "baselines"),
        *("cold_users", "baselines_ci95", "item_knn_settings"),
    }
    assert (report["split"], report["protocol"], report["refit"], report["k"]) == ("test", "paper", True, 5)
    names = {f"{name}@5" for name in ("recall", "ndcg", "ndcg_fixed", "map", "mrr", "coverage")}
    assert report["metrics"].keys() == names == report["baselines"]["item-knn"].keys()
    assert report["baselines"].keys() == {"popularity", "item-knn"}
    low, high = report["ci95"]["recall@5"]
    assert low <= report["metrics"]["recall@5"] <= high

    lists = json.loads(logged("recommend", "model", "3", "1", "-k", "4", "--json").out)
    assert [entry["user"] for entry in lists] == [3, 1], "integers stay integers"
    assert all(len(entry["items"]) == 4 and entry["items"][0].keys() == {"item", "score", "title"} for entry in lists)
    scores = [item["score"] for item in lists[0]["items"]]
    assert scores == sorted(scores, reverse=True)
    seen = [item["item"] for item in lists[0]["items"]]
    stranger = json.loads(logged("recommend", "model", "--history", ",".join(map(str, seen)), "-k", "3", "--json").out)
    assert stranger[0]["user"] is None and not set(seen) & {item["item"] for item in stranger[0]["items"]}

    alike = json.loads(logged("similar", "model", str(seen[0]), "--json").out)
    assert alike["item"] == seen[0] and len(alike["items"]) == 10
    assert seen[0] not in [item["item"] for item in alike["items"]]
    assert f"similar to {seen[0]}" in logged("similar", "model", str(seen[0])).out


def test_why_and_what_if(logged: Shell) -> None:
    assert logged(*FIT).code == 0
    rec = magnn.load("model")
    events = rec.split.events
    last = str(events.item_ids[int(events.histories.of(events.user_number(3))[-1])])
    best = json.loads(logged("recommend", "model", "3", "--json").out)[0]["items"][0]
    why = json.loads(logged("explain", "model", "3", str(best["item"]), "--json").out)
    assert (why["user"], why["item"], why["rank"]) == (3, best["item"], 1)
    assert sum(why["parts"].values()) == pytest.approx(why["score"], rel=1e-4) == pytest.approx(best["score"], rel=1e-4)
    assert {"by_item", "by_memory_unit", "gate", "read"} <= why.keys()
    words = logged("explain", "model", "3", str(best["item"]))
    assert "is number 1 for 3." in words.out and "gate:" in words.out and words.err == ""

    changed = json.loads(logged("explain", "model", "3", str(best["item"]), "--without", last, "--json").out)
    assert changed["before"] == {"score": why["score"], "rank": 1}
    assert changed["score"] != why["score"]
    assert "as it is: place 1" in logged("explain", "model", "3", str(best["item"]), "--focus", "1").err
    assert json.loads(logged("explain", "model", "3", str(best["item"]), "--focus", "1", "--json").out)["gate"] == 1
    listed = json.loads(logged("recommend", "model", "3", "--focus", "-1", "--json").out)[0]["items"]
    plain = [item["item"] for item in json.loads(logged("recommend", "model", "3", "--json").out)[0]["items"]]
    assert [i["rank_before"] for i in listed] == [
        plain.index(i["item"]) + 1 if i["item"] in plain else None for i in listed
    ]
    assert "before" in logged("recommend", "model", "3", "--without", last).out
    stranger = json.loads(logged("explain", "model", str(best["item"]), "--history", last, "--json").out)
    assert stranger["user"] is None and stranger["parts"]["taste"] == 0


def test_long_titles_are_cut_in_an_explanation(logged: Shell) -> None:
    items = pl.read_csv("items.csv").with_columns(title=pl.format("{} " + "long " * 200, "item_id"))
    items.write_csv("items.csv")
    assert logged(*FIT).code == 0
    events = magnn.load("model").split.events
    longest = events.user_ids[int(events.histories.lengths.argmax())]
    out = logged("explain", "model", str(longest), "1").out
    assert "read most of the longer history" in out and "…" in out
    assert max(map(len, out.splitlines())) < 700


def test_titles_are_shown_as_they_are(logged: Shell) -> None:
    assert logged(*FIT).code == 0
    n_items = magnn.load("model").split.events.n_items
    out = logged("similar", "model", "1", "-k", str(n_items - 1)).out
    assert "[bold]x[/bold] [/]" in out and "\U0001f3b5" in out


@pytest.mark.parametrize("protocol", ["paper", "leave-one-out", "time"])
def test_every_split_can_be_evaluated_on_validation_without_refit(logged: Shell, protocol: str) -> None:
    assert logged(*FIT, "--split", protocol, "--no-refit").code == 0
    report = json.loads(logged("evaluate", "model", "--on", "valid", "--json").out)
    assert (report["protocol"], report["refit"], report["split"]) == (protocol, False, "valid")
    lines = Path("model/training.jsonl").read_text(encoding="utf-8").splitlines()
    chosen = max(json.loads(line)["metrics"]["ndcg@10"] for line in lines)
    assert report["metrics"]["ndcg@10"] == pytest.approx(chosen)


def test_same_seed_same_weights(logged: Shell) -> None:
    weights = []
    for seed in "445":
        assert logged(*FIT, "--seed", seed).code == 0
        weights.append((logged.folder / "model" / "model.safetensors").read_bytes())
    assert weights[0] == weights[1] != weights[2]


def test_a_database_is_a_log_too(logged: Shell) -> None:
    with sqlite3.connect("shop.db") as database:
        database.execute("CREATE TABLE orders (customer_id, sku, created_at)")
        events = pl.read_csv("events.csv")
        database.executemany("INSERT INTO orders VALUES (?, ?, ?)", events.rows())
    query = "SELECT customer_id, sku, created_at FROM orders"
    result = logged(
        "fit", "sqlite:///shop.db", "--query", query, "-o", "model", "--config", "tiny.toml", "--epochs", "1"
    )
    assert result.code == 0, result.err
    assert "user = customer_id, item = sku, time = created_at" in result.err


def test_thresholds_are_counted(logged: Shell) -> None:
    result = logged(*FIT, "--min-item-events", "4", "--min-user-events", "5", "--k-core")
    assert result.code == 0
    assert re.search(r"dropped [\d,]+ events: item with fewer than 4 events", result.err)


def test_data_list_and_get(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "ml-100k" in shell("data", "list").out
    mirror = shell.folder / "mirror"
    mirror.mkdir()
    with zipfile.ZipFile(mirror / "ml-latest-small.zip", "w") as archive:
        archive.writestr("ml-latest-small/ratings.csv", "userId,movieId,rating,timestamp\n1,2,4.0,9\n")
        archive.writestr("ml-latest-small/movies.csv", "movieId,title,genres\n2,Amélie,Comedy\n")
    monkeypatch.setenv("MAGNN_DATA_MIRROR", mirror.as_uri())
    wrong = shell("data", "get", "ml-latest-small", "-o", "data")
    assert wrong.code == 1 and "SHA-256" in wrong.error
    assert not list((shell.folder / "data").iterdir())
    digest = hashlib.sha256((mirror / "ml-latest-small.zip").read_bytes()).hexdigest()
    entry = datasets.DATASETS["ml-latest-small"]
    entry = dataclasses.replace(entry, file=dataclasses.replace(entry.file, sha256=digest))
    monkeypatch.setitem(datasets.DATASETS, "ml-latest-small", entry)
    assert shell("data", "get", "ml-latest-small", "-o", "data").code == 0
    assert pl.read_parquet("data/items.parquet")["title"].to_list() == ["Amélie"]


def test_what_a_fit_says_of_itself(recommender: magnn.Recommender, capsys: pytest.CaptureFixture[str]) -> None:
    log = dataclasses.replace(recommender.logs[0], train_seconds=2.0, valid_seconds=1.0)
    values = (0.1, 0.3, 0.2)
    epochs = [dataclasses.replace(log, epoch=n, metrics={"ndcg@10": v}) for n, v in enumerate(values, start=1)]
    console.describe_fit(dataclasses.replace(recommender, logs=epochs))
    assert capsys.readouterr().err == "trained 3 epochs in 9 s; best epoch 2 with validation ndcg@10 0.3000\n"
    split = recommender.split
    console.describe_split(split)
    train, valid, test = (len(part.items) for part in (split.train, split.valid, split.test))
    assert len({train, valid, test}) == 3
    assert capsys.readouterr().err == f"split paper: {train:,} train, {valid:,} valid, {test:,} test\n"


def test_the_demo_on_the_generated_log(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "generate_log", lambda: generate_log(n_users=60))
    result = shell("demo", "--offline", "-o", "d")
    assert result.code == 0
    assert all(name in result.out for name in ("magnn", "item-knn", "popularity", "Sessions"))
    assert result.out.count(", last: ") == 3 and " is number 1 for " in result.out
    assert "magnn recommend d/model 0" in result.err
    assert shell("recommend", "d/model", "0").code == 0


def test_the_demo_takes_what_can_be_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From GroupLens, else what PyPI has, else generated: each is told, with why not the one before."""
    told: list[str] = []
    tables = generate_log(n_users=5)
    monkeypatch.setattr(console, "note", told.append)
    monkeypatch.setattr(demo, "generate_log", lambda: tables)

    def unreachable(*_: Any, **__: Any) -> Any:
        raise DownloadError("no net; run the same again to go on from where it stopped")

    fetched = SimpleNamespace(events=tmp_path / "events.parquet", items=None)
    monkeypatch.setattr(demo, "get_dataset", lambda *_: fetched)
    assert demo._data(tmp_path, offline=False) == ("MovieLens-100K, from GroupLens", fetched.events, None)
    monkeypatch.setattr(demo, "get_dataset", unreachable)
    monkeypatch.setattr(demo, "movielens_100k_from_wheel", lambda: tables)
    what, events, items = demo._data(tmp_path, offline=False)
    assert "PyPI package recbole" in what and told == ["no net"]
    assert items is not None and magnn.read_events(events, items=items).n_users == 5
    monkeypatch.setattr(demo, "movielens_100k_from_wheel", unreachable)
    assert demo._data(tmp_path, offline=False)[0] == "no data can be fetched: this is a generated log"


def test_the_demo_runs_again_where_it_had_to_do_without_grouplens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MIRROR_VARIABLE, (tmp_path / "nowhere").as_uri())
    monkeypatch.setattr(demo, "movielens_100k_from_wheel", lambda: generate_log(n_users=5))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "events.parquet").write_bytes(b"my own")
    for _ in range(2):
        assert "PyPI package recbole" in demo._data(tmp_path / "data", offline=False)[0]
    assert "generated" in demo._data(tmp_path / "data", offline=True)[0]
    assert (tmp_path / "data" / "events.parquet").read_bytes() == b"my own"


@pytest.mark.parametrize(
    ("before", "said"), [(False, "saved the best so far as d/model"), (True, "left the older d/model as it was")]
)
def test_ctrl_c_in_the_demo_is_said(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, recommender: magnn.Recommender, before: bool, said: str
) -> None:
    if before:
        recommender.save("d/model")
    monkeypatch.setattr(demo, "generate_log", lambda: generate_log(n_users=60))
    fit = magnn.fit
    monkeypatch.setattr(magnn, "fit", lambda split, **_: dataclasses.replace(fit(split, epochs=1), completed=False))
    result = shell("demo", "--offline", "-o", "d")
    assert (result.code, result.out) == (130, "")
    assert result.error == f"error: interrupted: {said}; the same command starts again"
    assert magnn.load("d/model").completed is before


def test_help_needs_nothing_heavy() -> None:
    code = "import sys; sys.argv = ['magnn', '--help']\nfrom magnn.cli import main\n"
    code += "try: main()\nexcept SystemExit as stopped: code = stopped.code\n"
    code += "print(code, [name for name in ('torch', 'polars', 'numpy', 'pydantic', 'optuna') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []"
    for command in ("fit", "tune", "evaluate", "recommend", "similar", "explain", "data", "demo"):
        assert command in done.stdout


def test_version_and_no_arguments() -> None:
    done = subprocess.run([*MAGNN, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"magnn {magnn.__version__}\n"
    done = subprocess.run(MAGNN, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "Usage: magnn" in done.stdout + done.stderr


@pytest.mark.shared_data
def test_a_new_user_on_movielens(shell: Shell) -> None:
    """The commands of a first hour, on the files as GroupLens ships them; one epoch, and no refit, in place of many."""
    folder = real("ml-latest-small/ratings.csv").parent
    options: list[str | Path] = [
        "--items",
        folder / "movies.csv",
        "--min-rating",
        "4",
        "--split",
        "paper",
        "--epochs",
        "1",
        "--no-refit",
    ]
    assert shell("fit", folder / "ratings.csv", *options, "-o", "m").code == 0
    assert json.loads(shell("evaluate", "m", "--json").out)["users"] == 608, "all but one, whose single event trains"
    first = json.loads(shell("recommend", "m", "1", "-k", "10", "--json").out)[0]
    assert first["user"] == 1 and len(first["items"]) == 10 and all(item["title"] for item in first["items"])
    assert "Toy Story" in shell("similar", "m", "1").out


def test_a_log_without_neighbours_says_so(shell: Shell) -> None:
    lonely = "".join(f"u{user},i{user}\n" for user in range(12))
    (shell.folder / "e.csv").write_text("user,item\n" + lonely)
    result = shell("fit", "e.csv", "-o", "m", "--epochs", "1", "--split", "none")
    assert result.code == 0
    assert "the graph part of every score is 0" in result.err
    assert shell("explain", "m", "u0", "i3").code == 0
