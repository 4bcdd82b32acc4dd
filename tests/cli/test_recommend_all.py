"""recommend --all: everybody's lists in a file, as a person makes it, interrupts it and mistypes it."""

import json
from io import StringIO
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from magnn import batch
from magnn.batch import BatchProgress
from magnn.cli import bars
from tests.cli.driver import Shell, pressing


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six parts for the 40 users."""
    monkeypatch.setattr(batch, "CHUNK", 7)


def test_everybody_to_a_file_that_says_what_recommend_says(shell: Shell, saved_model: Path) -> None:
    result = shell("recommend", saved_model, "--all", "-o", "new/recs.parquet", "-k", "7")
    assert (result.code, result.out, result.err) == (0, "", "wrote new/recs.parquet: 40 users, 280 rows\n")
    assert [path.name for path in (shell.folder / "new").iterdir()] == ["recs.parquet"]
    frame = pl.read_parquet("new/recs.parquet")
    for user in (0, 39):
        asked = json.loads(shell("recommend", saved_model, str(user), "-k", "7", "--json").out)[0]["items"]
        found = frame.filter(pl.col("user") == user)
        assert found["rank"].to_list() == [1, 2, 3, 4, 5, 6, 7]
        assert found["item"].to_list() == [one["item"] for one in asked]
        assert found["score"].to_list() == pytest.approx([one["score"] for one in asked], rel=1e-4)


def test_ctrl_c_is_one_line_and_the_same_command_goes_on(
    shell: Shell, saved_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["recommend", str(saved_model), "--all", "-o", "recs.parquet"]
    with monkeypatch.context() as patch:
        patch.setattr(bars, "users_bar", pressing(lambda at: at.done == 14))
        result = shell(*command)
    said = "error: interrupted: 14 of 40 users are done; the same command goes on\n"
    assert (result.code, result.out, result.err) == (130, "", said)
    assert [path.name for path in shell.folder.iterdir()] == ["recs.parquet.parts"]
    result = shell(*command)
    note = "going on: 14 of 40 users were done before\n"
    assert (result.code, result.err) == (0, note + "wrote recs.parquet: 40 users, 400 rows\n")
    assert shell(*command[:-1], "whole.parquet").err == "wrote whole.parquet: 40 users, 400 rows\n"
    assert Path("recs.parquet").read_bytes() == Path("whole.parquet").read_bytes()


def test_another_command_starts_again_and_says_so(
    shell: Shell, saved_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["recommend", str(saved_model), "--all", "-o", "recs.parquet"]
    with monkeypatch.context() as patch:
        patch.setattr(bars, "users_bar", pressing(lambda at: at.done == 14))
        assert shell(*command).code == 130
    result = shell(*command, "-k", "3")
    note, wrote = result.err.splitlines()
    assert note == "what recs.parquet.parts held is of another model, log or k: starting from the beginning"
    assert wrote == "wrote recs.parquet: 40 users, 120 rows"


MISTAKES: dict[str, tuple[list[str], list[str]]] = {
    "no file": (["MODEL", "--all"], ["--all", "-o FILE.parquet"]),
    "a file without all": (["MODEL", "-o", "r.parquet"], ["-o r.parquet is for --all"]),
    "a file for one user": (["MODEL", "1", "-o", "r.parquet"], ["-o r.parquet is for --all", "--json > FILE"]),
    "all and one": (["MODEL", "1", "--all", "-o", "r.parquet"], ["--all is for every user", "leave out USER"]),
    "all and a history": (["MODEL", "--all", "-o", "r.parquet", "--history", "1"], ["leave out --history"]),
    "all as JSON": (["MODEL", "--all", "-o", "r.parquet", "--json"], ["into a file", "leave out --json"]),
    "all of it": (["MODEL", "1", "--all", "--json", "--history", ""], ["leave out USER and --history and --json"]),
    "a directory": (["MODEL", "--all", "-o", "."], [". is a directory", "name a file", "recommendations.parquet"]),
    "not Parquet": (["MODEL", "--all", "-o", "r.csv"], ["r.csv", "written as Parquet", "name it r.parquet"]),
    "no ending": (["MODEL", "--all", "-o", "recs"], ["name it recs.parquet"]),
    "k of 0": (["MODEL", "--all", "-o", "r.parquet", "-k", "0"], ["k must be between 1", "not 0"]),
    "k beyond the catalogue": (["MODEL", "--all", "-o", "r.parquet", "-k", "121"], ["not 121"]),
    "no such model": (["nowhere", "--all", "-o", "r.parquet"], ["nowhere", "no such model"]),
    "neither": (["MODEL"], ["--history", "--all -o FILE.parquet"]),
}


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case.replace(" ", "-"))
def test_a_mistyped_command_is_one_line_and_writes_nothing(shell: Shell, saved_model: Path, case: str) -> None:
    arguments, said = MISTAKES[case]
    result = shell("recommend", *(str(saved_model) if argument == "MODEL" else argument for argument in arguments))
    assert (result.code, result.out) == (2, ""), result.err
    assert result.err == result.error + "\n"
    for words in said:
        assert words in result.error
    assert list(shell.folder.iterdir()) == []


def test_a_place_that_cannot_be_written(shell: Shell, saved_model: Path) -> None:
    shell.write("file", "precious")
    result = shell("recommend", saved_model, "--all", "-o", "file/recs.parquet")
    assert result.code == 2 and "cannot be written" in result.error and "choose another place" in result.error
    assert [path.name for path in shell.folder.iterdir()] == ["file"]


@pytest.mark.parametrize(("done", "shown"), [(7, "ranking"), (40, "joining")])
def test_the_bar_counts_users_on_a_terminal(monkeypatch: pytest.MonkeyPatch, done: int, shown: str) -> None:
    screen = StringIO()
    monkeypatch.setattr(
        bars, "console_of", lambda stderr: Console(file=screen, force_terminal=True, force_interactive=True, width=80)
    )
    with bars.users_bar() as update:
        update(BatchProgress(0, 40, "[/] going on"))
        update(BatchProgress(done, 40))
    assert "[/] going on" in screen.getvalue(), "no markup"
    assert shown in screen.getvalue() and f" {done}/40 users" in screen.getvalue()
