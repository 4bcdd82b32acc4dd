"""What a shell, a pipe, a keyboard and a terminal do to a command."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console

import magnn
from magnn.cli import bars, console
from magnn.recommender import Recommended
from magnn.training.trainer import EpochLog, Progress
from tests.cli.driver import Shell
from tests.conftest import SMALL_MODEL

PYTHON = [sys.executable, "-c", "from magnn.cli import main; main()"]
SCRIPT = [str(Path(sys.executable).with_name("magnn"))]
TINY = "[model]\n" + "".join(f"{name} = {value}\n" for name, value in SMALL_MODEL.items())


@pytest.fixture
def logged(shell: Shell, small_log: tuple[pl.DataFrame, pl.DataFrame]) -> Shell:
    """A shell with events.csv and tiny.toml."""
    small_log[0].write_csv(shell.folder / "events.csv")
    shell.write("tiny.toml", TINY)
    return shell


FIT = ["fit", "events.csv", "-o", "model", "--config", "tiny.toml", "--epochs", "3"]


def beside(shell: Shell) -> list[str]:
    """What is in the folder that was not put there for the fit."""
    given = {"events.csv", "tiny.toml", "slow.toml"}
    return sorted(path.name for path in shell.folder.iterdir() if path.name not in given)


def test_usage_errors_need_no_click() -> None:
    """typer carries its own since 0.26, and nothing else that is installed with magnn brings it."""
    code = "import sys; sys.modules['click'] = None; from magnn.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, "fti"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: No such command 'fti'") and done.stderr.endswith("; see magnn --help\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["data"]])
def test_no_command_shows_help(shell: Shell, arguments: list[str]) -> None:
    result = shell(*arguments)
    assert (result.code, result.err) == (2, "")
    assert result.out.startswith(f"Usage: {' '.join(['magnn', *arguments])} ")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fit"],
        ["tune"],
        ["evaluate"],
        ["recommend"],
        ["similar"],
        ["explain"],
        ["report"],
        ["demo"],
        ["data", "get"],
    ],
)
def test_help_is_complete_in_80_columns(shell: Shell, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = shell(*arguments, "--help")
    assert (result.code, result.err) == (0, "")
    assert max(map(len, result.out.splitlines())) <= 80
    assert not [line for line in result.out.splitlines()[1:] if line.endswith("...")], "a description is cut"
    if arguments == ["fit"]:
        assert "[model]" in result.out and "[training]" in result.out, "taken for markup"
    if not arguments:
        commands = [line.split()[0] for line in result.out.split("Commands:")[1].splitlines() if line.startswith("  ")]
        promised = ["fit", "tune", "evaluate", "recommend", "similar", "explain", "report", "demo", "data"]
        assert commands[: len(promised)] == promised, "no promise of more"


@pytest.mark.parametrize("options", [["--json"], []], ids=["JSON", "tables"])
def test_a_reader_that_leaves_in_the_middle_is_no_error(saved_model: Path, options: list[str]) -> None:
    """As `head` does; the answer is longer than a pipe holds."""
    arguments = ["recommend", str(saved_model), *map(str, range(40)), "-k", "60", *options]
    writing = subprocess.Popen([*PYTHON, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert writing.stdout is not None and writing.stderr is not None
    assert writing.stdout.readline()
    writing.stdout.close()
    err = writing.stderr.read()
    writing.stderr.close()
    assert (writing.wait(60), err) == (1, b""), "nothing to say to somebody who has gone"


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["data", "list"]], ids=" ".join)
def test_a_reader_that_was_never_there_is_no_error(arguments: list[str]) -> None:
    """What is buffered meets the closed end only when all is done; the interpreter would complain about that."""
    reading, writing = os.pipe()
    os.close(reading)
    buffered = {**os.environ, "PYTHONUNBUFFERED": ""}
    done = subprocess.run([*PYTHON, *arguments], stdout=writing, stderr=subprocess.PIPE, env=buffered, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize(("arguments", "code"), [(["data", "list"], 0), (["data", "get", "nope", "-o", "x"], 2)])
@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_a_closed_stream_is_nobody_listening(arguments: list[str], code: int, closed: str) -> None:
    shell = ["sh", "-c", f'"$@" {closed}', "sh", *PYTHON, *arguments]
    done = subprocess.run(shell, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert ("error: " in done.stderr) == (code == 2 and closed == ">&-") and "error" not in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="NOT RUN: no /dev/full here")
def test_a_full_disk_behind_standard_output_is_one_line() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run([*PYTHON, "data", "list"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("error: the output cannot be written: No space left on device")


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


def telling(tell: Callable[[Any], None]) -> Callable[[], Any]:
    """In place of the progress bar: `tell` hears of every batch."""

    @contextmanager
    def bar() -> Iterator[Callable[[Any], None]]:
        yield tell

    return bar


def pressing(at: Callable[[Any], bool]) -> Callable[[], Any]:
    """In place of the progress bar: Ctrl-C, as the system sends it, at a moment of the training."""

    def press(progress: Any) -> None:
        if at(progress):
            signal.raise_signal(signal.SIGINT)

    return telling(press)


def test_ctrl_c_before_anything_is_there_writes_nothing(logged: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bars, "training_bar", pressing(lambda progress: progress.batch == 1))
    result = logged(*FIT)
    assert (result.code, result.out) == (130, "")
    assert "nothing to save" in result.error
    assert beside(logged) == []


def test_ctrl_c_before_anything_is_there_leaves_an_older_model(
    logged: Shell, monkeypatch: pytest.MonkeyPatch, recommender: magnn.Recommender
) -> None:
    recommender.save("model")
    monkeypatch.setattr(bars, "training_bar", pressing(lambda progress: progress.batch == 1))
    assert logged(*FIT).code == 130
    assert beside(logged) == ["model"]
    assert magnn.load("model").recommend(3) == recommender.recommend(3)


@pytest.mark.parametrize(
    "at", [("select", 1), ("select", 3), ("graph", 1), ("refit", 1)], ids=lambda at: f"{at[0]}-{at[1]}"
)
def test_ctrl_c_in_any_phase_saves_and_resume_ends_where_it_would_have(
    logged: Shell, monkeypatch: pytest.MonkeyPatch, at: tuple[str, int]
) -> None:
    logged.write("slow.toml", (logged.folder / "tiny.toml").read_text() + "[training]\nlearning_rate = 0.1\n")
    command = [argument.replace("tiny", "slow") for argument in FIT]
    with monkeypatch.context() as patch:
        patch.setattr(bars, "training_bar", pressing(lambda p: p.log is not None and (p.phase, p.epoch) == at))
        result = logged(*command)
    assert (result.code, result.out) == (130, "")
    assert "saved the best so far as model" in result.error and "--resume" in result.error
    assert ("interrupted before the graph was weighed" in result.err) == (at[0] == "graph")
    cut = magnn.load("model")
    assert not cut.completed and not cut.refit

    trained = []
    with monkeypatch.context() as patch:
        patch.setattr(bars, "training_bar", telling(lambda p: trained.append((p.phase, p.epoch))))
        assert logged(*command, "--resume").code == 0
    # The first checkpoint of a phase is always written, later ones where they cost little.
    kept = {("select", 1), ("refit", 1)} if at[0] == "refit" else {("select", 1)}
    assert not kept & {*trained}, "what a checkpoint holds is not done again"
    weights = (logged.folder / "model" / "model.safetensors").read_bytes()
    assert beside(logged) == ["model"], "checkpoints go with the end of the training"
    assert logged(*command).code == 0
    assert (logged.folder / "model" / "model.safetensors").read_bytes() == weights


def test_ctrl_c_while_saving_says_that_nothing_is_lost(logged: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("magnn.artifact.save_file", lambda *_: signal.raise_signal(signal.SIGINT))
        result = logged(*FIT)
    assert result.code == 130 and "--resume" in result.error
    assert beside(logged) == ["model.checkpoints"]
    assert logged(*FIT, "--resume").code == 0
    assert beside(logged) == ["model"]


@pytest.mark.parametrize("command", [FIT, ["evaluate", "model"], ["similar", "model", "1"]], ids=lambda c: c[0])
def test_ctrl_c_outside_training_is_one_line(
    logged: Shell, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    for slow in ("magnn.data.events.read_events", "magnn.recommender.load"):
        monkeypatch.setattr(slow, lambda *_, **__: signal.raise_signal(signal.SIGINT))
    result = logged(*command)
    assert (result.code, result.out, result.err) == (130, "", "error: interrupted\n")


def test_resume_with_nothing_to_resume_says_so_and_starts(logged: Shell) -> None:
    result = logged(*FIT, "--resume")
    assert result.code == 0 and "starting from the beginning" in result.err


def test_ctrl_c_anywhere_is_one_line(logged: Shell) -> None:
    """A real signal to a real process, in its first epoch: with batches of one, that takes longer than we wait."""
    logged.write("slow.toml", "[training]\nbatch_size = 1\n[model]\ndim = 400\n")
    command = [argument.replace("tiny", "slow") for argument in FIT]
    running = subprocess.Popen([*SCRIPT, *command], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith("split"):
            break
    time.sleep(0.2)  # torch loads, or the training begins: the promise is the same
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130 and out == ""
    assert err.startswith("error: ") and err.count("\n") == 1, err
    assert beside(logged) == []


def test_the_current_folder_is_not_replaced_under_the_shell(logged: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stands in it would stand in a folder that is gone, and find nothing there."""
    (logged.folder / "empty" / "in it").mkdir(parents=True)
    monkeypatch.chdir(logged.folder / "empty" / "in it")
    for output in (".", "../in it", ".."):
        result = logged("fit", "../../events.csv", "-o", output, "--config", "../../tiny.toml", "--epochs", "1")
        assert result.code == 2 and f"error: {output} is the current folder, or around it" in result.error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 9 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=["NumPy", "PyTorch"],
)
def test_a_machine_that_is_too_small_is_no_bug(
    logged: Shell, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("magnn.fitting.fit", fails)
    result = logged(*FIT)
    assert result.code == 1 and result.error.startswith("error: out of memory; take a larger machine")


def test_a_name_that_is_no_text_is_told_at_once(logged: Shell) -> None:
    result = logged("fit", "events.csv", "-o", "mod\udce9l", "--config", "tiny.toml")
    assert (result.code, result.err) == (2, "error: 'mod\\udce9l' is not UTF-8; rename it, or write it in UTF-8\n")


NO_PROC = pytest.mark.skipif(not Path("/proc/self").exists(), reason="NOT RUN: no /proc here")


@pytest.mark.parametrize("output", [pytest.param("/proc/new/model", marks=NO_PROC), "events.csv/model"])
def test_a_place_that_cannot_be_written_is_told_before_the_log_is_read(logged: Shell, output: str) -> None:
    result = logged("fit", "events.csv", "-o", output, "--config", "tiny.toml", "--epochs", "1")
    assert result.code == 2 and f"error: {output}: cannot be written: " in result.error
    assert result.err.count("\n") == 1


def test_the_demo_refuses_what_it_cannot_overwrite_before_it_trains(shell: Shell) -> None:
    (shell.folder / "d" / "model").mkdir(parents=True)
    precious = shell.write("d/model/thesis.txt", "precious")
    result = shell("demo", "--offline", "-o", "d")
    assert (result.code, result.out) == (2, "") and "exists and is not a magnn model" in result.error
    assert result.err.count("\n") == 1 and precious.read_text() == "precious"
    assert [path.name for path in (shell.folder / "d").iterdir()] == ["model"]


def rendered(table: Any, width: int) -> str:
    out = StringIO()
    Console(file=out, width=width, soft_wrap=True).print(table)
    return out.getvalue()


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
        subprocess.run([*SCRIPT, *FIT], stderr=log, stdout=subprocess.DEVNULL, env=forced, check=True)
    text = (logged.folder / "log.txt").read_text()
    assert "saved model" in text and "epoch 1/" not in text and "\x1b[?25l" not in text


def test_a_seed_out_of_range_is_told_before_the_log_is_read(shell: Shell) -> None:
    assert "seed must be from 0" in shell("fit", "nowhere.csv", "-o", "m", "--seed", "-1").error


def test_ctrl_c_where_nobody_validates_does_not_say_that_the_graph_is_silent(
    logged: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged.write("graph.toml", TINY + "[graph]\nneighbours = 5\n")
    monkeypatch.setattr(bars, "training_bar", pressing(lambda p: p.log is not None and p.epoch == 1))
    command = [argument.replace("tiny", "graph") for argument in FIT]
    result = logged(*command, "--split", "none")
    assert result.code == 130 and "saved the best so far" in result.error
    part = magnn.load("model").graph_part
    assert part is not None and not part.mixture.is_silent
    assert "its part of every score is 0" not in result.err


def test_the_bars_of_a_training_and_of_a_report_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = StringIO()
    monkeypatch.setattr(
        bars, "console_of", lambda stderr: Console(file=screen, force_terminal=True, force_interactive=True, width=120)
    )
    log = EpochLog("select", 2, 0.5, 1, 1, {"recall@10": 0.1, "ndcg@10": 0.2})
    with bars.training_bar() as update:
        update(Progress("select", 1, 3, 1, 2))
        update(Progress("select", 2, 3, 2, 2, log))
    assert "epoch 2/3" in screen.getvalue() and "loss 0.500  recall@10 0.1000  ndcg@10 0.2000" in screen.getvalue()
    with bars.steps_bar() as step:
        step("measuring", 0, 4)
        step("drawing", 2, 4)
    assert "drawing" in screen.getvalue() and "step 3/4" in screen.getvalue()
    with bars.spinner("loading") as say:
        say("evaluating [it]")
    assert "evaluating [it]" in screen.getvalue(), "no markup"
