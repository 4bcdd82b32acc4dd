"""What a terminal, a narrow one, a file or an old locale shows of a command's tables and bars."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from io import BytesIO, StringIO, TextIOWrapper
from typing import Any

import polars as pl
import pytest
from rich.console import Console

import magnn
from magnn.cli import bars, console
from magnn.cli.options import print_json
from magnn.recommender import Recommended
from magnn.training.trainer import EpochLog, TrainingProgress
from tests.cli.driver import FIT, MAGNN, TINY, Shell, rendered
from tests.conftest import SMALL_MODEL


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_stream_that_is_not_utf8_is_served_too(shell: Shell, monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    """As on Windows behind a pipe, and in old locales: titles cannot all be shown there, JSON can say them all."""
    log = pl.DataFrame({"user": list("aabb"), "item": list("xyyz")})
    titles = pl.DataFrame({"item": list("xyz"), "title": ["Amélie \U0001f3b5"] * 3})
    split = magnn.split(magnn.read_events(log, items=titles), "none")
    magnn.fit(split, config={"model": SMALL_MODEL}, epochs=1).save(shell.folder / "model")
    shown = []
    for options in ([], ["--json"]):
        stream = TextIOWrapper(BytesIO(), encoding=encoding)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", stream)
            assert shell("recommend", "model", "a", "-k", "1", *options).code == 0
        stream.seek(0)
        shown.append(stream.read())
    assert r"lie \U0001f3b5" in shown[0]
    assert json.loads(shown[1])[0]["items"][0]["title"] == "Amélie \U0001f3b5"


@pytest.mark.parametrize("k", [10, 1000])
def test_the_table_of_metrics_is_whole_in_80_columns(recommender: magnn.Recommender, k: int) -> None:
    report = magnn.evaluate(recommender, k=10)

    def at_k(values: dict[str, Any]) -> dict[str, Any]:
        return {name.replace("@10", f"@{k}"): value for name, value in values.items()}

    systems = {
        name: replace(result, k=k, metrics=at_k(result.metrics), ci95=at_k(result.ci95))
        for name, result in report.systems.items()
    }
    shown = rendered(console.metrics_table(replace(report, k=k, systems=systems)), 80)
    assert "…" not in shown and max(map(len, shown.splitlines())) <= 80
    for name, result in systems.items():
        assert name in shown
        for metric, value in result.metrics.items():
            assert metric in shown and f"{value:.4f}" in shown
        for low, high in result.ci95.values():
            assert f"{low:.4f}-{high:.4f}" in shown


@pytest.mark.parametrize("width", [40, 80, 120])
def test_ids_and_titles_are_folded_not_cut(width: int) -> None:
    """An id that ends in dots cannot be copied into the next command."""
    items = [Recommended("X" * 70, 0.5, "Y" * 150), Recommended("short", 0.25, None)]
    shown = rendered(console.items_table("Q" * 90, items), width)
    assert "…" not in shown
    assert (shown.count("X"), shown.count("Y"), shown.count("Q")) == (70, 150, 90)


def test_what_a_log_holds_does_not_control_the_terminal() -> None:
    items = [Recommended("\x1b[2J", 0.5, "\x1b]0;title\x07 [red]a[/red] :heart: \U0001f468\u200d\U0001f469\r\n\x9b1m")]
    shown = rendered(console.items_table("for user \x1b[31m[/]", items), 80)
    assert not set(shown) & {"\x1b", "\x07", "\r", "\x9b"}
    assert "[red]a[/red] :heart: \U0001f468\u200d\U0001f469" in shown and "[/]" in shown


def test_json_holds_all_and_does_not_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"item": "a\x1b[2J\x9b31m\x7f \u00e9\U0001f468"}
    print_json(value)
    text = capsys.readouterr().out
    assert json.loads(text) == value
    assert not set(text) & {"\x1b", "\x9b", "\x7f"}


def test_ids_in_an_error_and_columns_in_a_note_do_not_control_the_terminal(shell: Shell) -> None:
    columns = {"user": ["\x1b[2J", "\x1b]0;t\x07", *"ab"] * 5, "item": [*"vwxyz"] * 4, "\x1b[31mname": ["n"] * 20}
    pl.DataFrame(columns).write_parquet("e.parquet")
    pl.DataFrame({"item": [*"vwxyz"], "\x1b[31mtitle": ["t"] * 5}).write_parquet("i.parquet")
    shell.write("tiny.toml", TINY)
    fitted = shell("fit", "e.parquet", "--items", "i.parquet", "-o", "model", "--config", "tiny.toml", "--epochs", "1")
    assert fitted.code == 0
    refused = shell("recommend", "model", "nobody")
    assert "known ones are for example \N{REPLACEMENT CHARACTER}[2J" in refused.error
    wrong = shell("fit", "e.parquet", "-o", "other", "--user-col", "x")
    assert "has no column 'x'" in wrong.error and "\N{REPLACEMENT CHARACTER}[31mname" in wrong.error
    assert not {"\x1b", "\x07"} & set(fitted.err + refused.err + wrong.err)


def test_ids_are_whole_in_an_explanation(
    recommender: magnn.Recommender, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a terminal, where a table is no wider than it."""
    found = recommender.explain(recommender.split.events.user_ids[3], recommender.split.events.item_ids[0])
    named = replace(found, by_item=[replace(item, item="X" * 36, title=None) for item in found.by_item])
    monkeypatch.setattr(console, "console_of", lambda stderr: Console(file=sys.stdout, width=80, soft_wrap=True))
    console.explanation(named)
    table = capsys.readouterr().out.partition("latest first")[2].partition("memory")[0]
    assert "…" not in table and table.count("X") >= 36 and table.count("X") % 36 == 0


def test_no_bar_moves_in_a_file_whatever_is_forced(logged: Shell) -> None:
    with (logged.folder / "log.txt").open("w") as log:
        forced = {**os.environ, "FORCE_COLOR": "1"}
        subprocess.run([*MAGNN, *FIT], stderr=log, stdout=subprocess.DEVNULL, env=forced, check=True)
    text = (logged.folder / "log.txt").read_text()
    assert "saved model" in text and "epoch 1/" not in text and "\x1b[?25l" not in text


def test_the_bars_of_a_training_and_of_a_report_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = StringIO()
    monkeypatch.setattr(
        bars, "console_of", lambda stderr: Console(file=screen, force_terminal=True, force_interactive=True, width=120)
    )
    log = EpochLog("select", 2, 0.5, 1, 1, {"recall@10": 0.1, "ndcg@10": 0.2})
    with bars.training_bar() as update:
        update(TrainingProgress("select", 1, 3, 1, 2))
        update(TrainingProgress("select", 2, 3, 2, 2, log))
    assert "epoch 2/3" in screen.getvalue() and "loss 0.500  recall@10 0.1000  ndcg@10 0.2000" in screen.getvalue()
    with bars.steps_bar() as step:
        step("measuring", 0, 4)
        step("drawing", 2, 4)
    assert "drawing" in screen.getvalue() and "step 3/4" in screen.getvalue()
    with bars.spinner("loading") as say:
        say("evaluating [it]")
    assert "evaluating [it]" in screen.getvalue(), "no markup"
