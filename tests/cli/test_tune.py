"""magnn tune, driven as a person would."""

import re
import shlex
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import magnn
from magnn.cli import bars
from magnn.cli.log_options import LogOptions
from magnn.cli.tune import _command_line, trials_table, verdict
from magnn.settings import make_settings
from magnn.tuning.plot import plot_search
from magnn.tuning.result import Tuned
from magnn.tuning.search import TuningProgress
from magnn.tuning.study import Trial
from tests.cli.driver import MAGNN, TINY, Shell, pressing, rendered
from tests.conftest import SMALL_MODEL

TUNE = ["tune", "events.csv", "-o", "s.toml", "--config", "tiny.toml"]


@pytest.fixture
def logged(logged: Shell) -> Shell:
    """A shell with events.csv and a tiny.toml of two epochs."""
    logged.write("tiny.toml", f"preset = 'paper'\n{TINY}[training]\nepochs = 2\n")
    return logged


def test_from_a_search_to_a_fit_with_what_it_found(logged: Shell) -> None:
    found = logged(*TUNE, "--trials", "3", "--plot", "s.png")
    assert found.code == 0, found.err
    assert logged.made() == ["s.png", "s.study.db", "s.toml"]
    assert "\x1b" not in found.err and "\r" not in found.err and "Trial" not in found.err, "nothing of Optuna's"
    assert all(words in found.out for words in ("defaults", "validation ndcg@10", "training.l2", "standard error"))
    assert "3 trials:" in found.err and "magnn fit events.csv --config s.toml" in found.err
    assert (logged.folder / "s.png").read_bytes().startswith(b"\x89PNG")

    toml = (logged.folder / "s.toml").read_text()
    assert f"# magnn {magnn.__version__}, 20" in toml
    assert "# magnn tune events.csv -o s.toml --config tiny.toml --trials 3 --plot s.png\n" in toml
    assert re.search(r"# events.csv: 40 users, [\d,]+ items, [\d,]+ events, split paper\n", toml)
    said = re.search(r"# validation ndcg@10 (\S+) \(defaults: (\S+)\), .* in trial \d of 3: ", toml)
    assert said is not None and float(said[1]) >= float(said[2])

    assert logged("fit", "events.csv", "--config", "s.toml", "-o", "model", "--no-refit").code == 0
    rec = magnn.load("model")
    value = magnn.evaluate(rec, on="valid", baselines=False).metrics["ndcg@10"]
    assert f"{value:.4f}" == said[1]

    more = logged(*TUNE, "--trials", "2", "--plot", "s.svg")
    assert more.code == 0 and f"going on from 3 trials, best {said[1]}" in more.err and "5 trials:" in more.err
    assert "<svg" in (logged.folder / "s.svg").read_text()


def test_ctrl_c_saves_the_best_so_far(logged: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(bars, "tuning_bar", pressing(lambda at: at.trial == 2 and at.training is not None))
        result = logged(*TUNE)
    assert result.code == 130
    assert "saved the best so far as s.toml" in result.error and "goes on from s.study.db" in result.error
    assert logged.made() == ["s.study.db", "s.toml"]
    assert make_settings(config=Path("s.toml")).model.dim == SMALL_MODEL["dim"]
    assert "going on from 3 trials" in logged(*TUNE, "--trials", "1").err


def test_ctrl_c_before_anything_is_there_leaves_an_older_file(logged: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    logged.write("s.toml", "precious")
    monkeypatch.setattr(bars, "tuning_bar", pressing(lambda at: at.training is not None))
    result = logged(*TUNE)
    assert (result.code, result.out) == (130, "") and "nothing to save" in result.error
    assert Path("s.toml").read_text() == "precious"


def states() -> list[str]:
    """Of the trials in the study, as SQLite has them; none where it is just being made."""
    try:
        with sqlite3.connect("s.study.db") as database:
            return [state for (state,) in database.execute("SELECT state FROM trials ORDER BY number")]
    except sqlite3.OperationalError:
        return []


def test_kill_loses_the_running_trial_and_nothing_else(logged: Shell) -> None:
    running = subprocess.Popen([*MAGNN, *TUNE], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    try:
        while (found := states())[-1:] != ["RUNNING"] or "COMPLETE" not in found:
            assert time.monotonic() < deadline, found
            time.sleep(0.01)
    finally:
        running.kill()
        running.wait()
    before = states()  # not earlier: a process that only stands still may hold SQLite's lock, and nothing could be read
    assert "RUNNING" in before, "it was to be killed in a trial"
    result = logged(*TUNE, "--trials", "1")
    assert result.code == 0, result.err
    ended = ["COMPLETE" if state == "COMPLETE" else "FAIL" if state == "RUNNING" else state for state in before]
    assert states()[: len(before)] == ended and len(states()) == len(before) + 1
    assert logged.made() == ["s.study.db", "s.toml"]


BAD: dict[str, tuple[list[str], list[str]]] = {
    "no time": (["--minutes", "0"], ["minutes must be more than 0, not 0"]),
    "less than no time": (["--minutes", "-5"], ["not -5"]),
    "no number": (["--minutes", "soon"], ["Invalid value for '--minutes'", "valid "]),
    "no trial": (["--trials", "0"], ["trials must be 1 or more, not 0"]),
    "no folder": (["-o", "nowhere/s.toml"], ["nowhere/s.toml", "no folder nowhere", "create it"]),
    "no folder for the study": (["--study", "nowhere/s.db"], ["nowhere/s.db", "no folder nowhere"]),
    "a folder": (["-o", "folder.toml"], ["folder.toml is a directory", "name a file"]),
    "no name": (["-o", "."], [".toml"]),
    "a seed too large": (
        ["--seed", "18446744073709551616"],
        ["from 0 to 18,446,744,073,709,551,615, not"],
    ),
    "the log as output": (["-o", "events.csv"], ["events.csv", ".toml"]),
    "the configuration as output": (
        ["-o", "tiny.toml"],
        ["tiny.toml", "what the search starts from", "name of its own"],
    ),
    "the output as study": (["--study", "s.toml"], ["s.toml", "name of its own"]),
    "the output as study, by another way": (["--study", "./folder.toml/../s.toml"], ["name of its own"]),
    "the study as picture": (["--study", "s.svg", "--plot", "s.svg"], ["s.svg", "the study already"]),
    "no picture": (["--plot", "s.xlsx"], ["s.xlsx", ".png"]),
    "a study that is text": (["--study", "events.csv"], ["events.csv", "not an SQLite file", "--study"]),
    "a study that is a shop": (["--study", "shop.db"], ["shop.db", "no study of magnn", "--study"]),
    "a study that is damaged": (["--study", "damaged.db"], ["damaged.db", "cannot be read", "--study"]),
    "no such preset": (["--preset", "bets"], ["'bets'"]),
    "no validation events": (["--split", "none"], ["validation events"]),
}


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.replace(" ", "-"))
def test_what_cannot_be_searched(logged: Shell, case: str) -> None:
    (logged.folder / "folder.toml").mkdir()
    with sqlite3.connect("shop.db") as database:
        database.execute("CREATE TABLE orders (customer_id, sku, created_at)")
    logged.write("damaged.db", Path("shop.db").read_bytes()[:100] + b"\xff" * 5000)
    before = {path: path.read_bytes() for path in logged.folder.iterdir() if path.is_file()}
    options, said = BAD[case]
    result = logged(*TUNE, "--trials", "1", *options)
    assert (result.code, result.out) == (2, ""), result.err
    for words in said:
        assert words in result.error
    after = {path: path.read_bytes() for path in logged.folder.iterdir() if path.is_file()}
    assert after == before


@pytest.mark.parametrize(("library", "extra"), [("optuna", "tune"), ("sqlalchemy", "tune"), ("matplotlib", "plots")])
def test_a_library_that_is_not_installed(
    logged: Shell, monkeypatch: pytest.MonkeyPatch, library: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    result = logged(*TUNE, "--plot", "s.png")
    assert result.code == 2 and f"pip install 'magnn[{extra}]'" in result.error
    assert logged.made() == []


def test_optuna_is_loaded_only_when_it_is_used() -> None:
    code = "import sys, magnn, magnn.cli.app, magnn.tuning.search; print('optuna' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_full_disk_is_told(logged: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("optuna.study.Study.tell", full)
    result = logged(*TUNE)
    assert result.code == 2 and "s.study.db" in result.error and "disk is full" in result.error


def test_no_password_is_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://me:secret@host/shop?key=secret"
    monkeypatch.setattr(sys, "argv", ["magnn", "tune", url, "-o", "my settings.toml"])
    assert _command_line(LogOptions(url)) == "magnn tune postgresql://... -o 'my settings.toml'"


BEST = Trial(2, "complete", {"model.dim": 100, "training.learning_rate": 0.00123456}, 0.22, 0.004, 60.0)
DEFAULT = Trial(0, "complete", {"model.dim": 64, "training.learning_rate": 0.002}, 0.20, 0.0, 20.0)
TRIALS = (DEFAULT, Trial(1, "pruned", BEST.params, ended=40.0), BEST, Trial(3, "failed", {}, error="E: no"))
TUNED = Tuned(make_settings("best"), BEST, DEFAULT, TRIALS, True)


def test_the_verdict_is_honest() -> None:
    assert TUNED.margin == pytest.approx(1.645 * 0.004, rel=1e-3), "one trial is compared: the 95% quantile"
    assert "2 is 0.0200 above the defaults, more than noise" in verdict(TUNED)
    assert "2 complete, 1 pruned, 1 failed" in verdict(TUNED) and "trial 3 failed with E: no" in verdict(TUNED)
    noisy = replace(BEST, noise=0.02)
    assert "within noise" in verdict(replace(TUNED, best=noisy))
    many = (*TRIALS, *(replace(BEST, number=4 + n, value=0.1) for n in range(99)))
    assert replace(TUNED, trials=many).margin == pytest.approx(3.29 * 0.004, rel=1e-3), "the more, the luckier"
    assert "nothing better than the defaults" in verdict(replace(TUNED, best=DEFAULT))
    assert "nothing to compare with" in verdict(replace(TUNED, default=None, best=replace(BEST, noise=None)))
    assert "too few users" in verdict(replace(TUNED, best=replace(BEST, noise=None)))


def test_the_table_is_whole_in_80_columns() -> None:
    names = [*make_settings("best").model_dump()["training"]][:8]
    params = {f"training.{name}": 0.000123456 for name in names}
    trials = tuple(Trial(n + 100, "complete", params, 0.1 + n / 100, 0.01, 1.0) for n in range(9))
    shown = rendered(trials_table(Tuned(make_settings("best"), trials[-1], trials[0], trials, True)), 80)
    assert "…" not in shown and max(map(len, shown.splitlines())) <= 80
    assert [f"trial {n}" in shown for n in (108, 106, 105)] == [True, True, False]
    assert all(name in shown for name in params) and "+0.0800" in shown


@pytest.mark.parametrize(
    "tuned", [TUNED, replace(TUNED, default=None), replace(TUNED, best=DEFAULT, trials=(DEFAULT,))]
)
def test_every_search_can_be_drawn(tuned: Tuned, tmp_path: Path) -> None:
    plot_search(tuned, tmp_path / "s.svg")
    assert b"<svg" in (tmp_path / "s.svg").read_bytes()


def test_the_bar_shows_trial_epoch_and_best(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Console(stderr=True, force_terminal=True, force_interactive=True, width=100)
    monkeypatch.setattr(bars, "console_of", lambda stderr: terminal)
    with bars.tuning_bar() as update:
        update(TuningProgress(7, 90.0, 600.0, None, 0.1234, 0.1111, earlier=6))
    shown = capsys.readouterr().err
    assert all(words in shown for words in ("going on from 6 trials, best 0.1234", "trial 7", "1.5/10 min"))
    assert "defaults 0.1111" in shown


@pytest.mark.parametrize("others", [(), (Trial(1, "stopped", BEST.params, ended=60.0),)], ids=["none", "cut-short"])
def test_a_search_that_had_no_time_does_not_say_that_nothing_is_better(others: tuple[Trial, ...]) -> None:
    said = verdict(replace(TUNED, best=DEFAULT, trials=(DEFAULT, *others)))
    assert "no other trial came to its end; the defaults took 0.3 minutes" in said
    assert "nothing better" in verdict(replace(TUNED, best=DEFAULT, trials=(DEFAULT, TRIALS[1], *others)))


def test_what_comes_next_is_of_the_same_log() -> None:
    log = LogOptions("my logs/*.csv", user_col="who", min_rating=3.5, k_core=True, split="time")
    words = "'my logs/*.csv' --user-col who --min-rating 3.5 --k-core --split time"
    assert shlex.join(log.arguments) == words
    assert LogOptions("sqlite:///secret.db", query="SELECT 1").arguments == ["sqlite://...", "--query", "SELECT 1"]


def test_the_next_command_can_be_typed(logged: Shell) -> None:
    logged.write("my log.csv", Path("events.csv").read_text().replace("user_id", "who", 1))
    command = ["my log.csv" if word == "events.csv" else word for word in TUNE]
    result = logged(*command, "--user-col", "who", "--seed", "7", "--trials", "1")
    assert result.code == 0, result.err
    words = shlex.split(result.err.rstrip().rpartition("next: ")[2])
    assert words[-4:] == ["--seed", "7", "-o", "model"]
    assert words[0] == "magnn" and logged(*words[1:], "--epochs", "1").code == 0
