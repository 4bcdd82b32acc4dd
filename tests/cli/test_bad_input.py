"""Every kind of bad input: one line that names value, place and remedy; exit code 2; nothing written."""

import errno
import gzip
import io
import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import magnn
from magnn import artifact
from tests.cli.driver import Shell

HEADER = "user,item,timestamp,rating\n"
GOOD = HEADER + "".join(f"{u},{i},{100 + i},{1 + i % 5}\n" for u in "abc" for i in range(4))


def parquet() -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame({"user": ["a", "b"] * 500, "item": list(range(1000)), "timestamp": list(range(1000))}).write_parquet(
        buffer
    )
    return buffer.getvalue()


# name of the file, its content, further arguments, what the error must say
LOGS: dict[str, tuple[str, str | bytes, list[str], list[str]]] = {
    "empty file": ("e.csv", "", [], ["e.csv", "is empty"]),
    "header only": ("e.csv", HEADER, [], ["e.csv", "no rows"]),
    "no item column": ("e.csv", "user,foo\na,1\n", [], ["e.csv", "no item column", "user, foo", "--item-col"]),
    "given column not there": ("e.csv", GOOD, ["--user-col", "who"], ["e.csv", "'who'", "user, item"]),
    "timestamp no number": ("e.csv", GOOD + "a,9,soon,3\n", [], ["e.csv, line 14", "'timestamp'", "'soon'"]),
    "timestamp negative": ("e.csv", GOOD + "a,9,-5,3\n", [], ["e.csv, line 14", "'timestamp'", "'-5'", "negative"]),
    "timestamp missing": ("e.csv", GOOD + "a,9,,3\n", [], ["e.csv, line 14", "'timestamp'"]),
    "timestamp NaN": ("e.csv", GOOD + "a,9,NaN,3\n", [], ["e.csv, line 14", "'NaN'"]),
    "timestamp infinite": ("e.csv", GOOD + "a,9,inf,3\n", [], ["e.csv, line 14", "'inf'"]),
    "not a date": (
        "e.csv",
        "user,item,date\na,x,2014-01-02\nb,y,2014-13-02\n",
        [],
        ["line 3", "'2014-13-02'", "ISO 8601"],
    ),
    "rating no number": (
        "e.csv",
        GOOD + "a,9,9,good\n",
        ["--min-rating", "4"],
        ["e.csv, line 14", "'rating'", "'good'"],
    ),
    "rating negative": (
        "e.csv",
        GOOD + "a,9,9,-1\n",
        ["--min-rating", "4"],
        ["e.csv, line 14", "'rating'", "'-1'", "negative"],
    ),
    "line after blank and folded lines": (
        "e.csv",
        'user,item,timestamp\na,x,1\n\nb,"y\nz",2\nc,x,never\n',
        [],
        ["e.csv, line 6", "'never'"],
    ),
    "line in a gzip": (
        "e.csv.gz",
        gzip.compress((GOOD + "a,9,soon,3\n").encode()),
        [],
        ["e.csv.gz, line 14", "'soon'"],
    ),
    "user id missing": ("e.csv", GOOD + ",9,9,3\n", [], ["e.csv, line 14", "'user'", "missing"]),
    "item id missing": ("e.csv", GOOD + "a,,9,3\n", [], ["e.csv, line 14", "'item'", "missing"]),
    "not UTF-8": ("e.csv", GOOD.encode() + "a,caf\xe9,9,3\n".encode("latin-1"), [], ["e.csv, line 14", "UTF-8"]),
    "header not UTF-8": ("e.csv", "us\xe9r,item\na,b\n".encode("latin-1"), [], ["e.csv, line 1", "UTF-8"]),
    "truncated gzip": ("e.csv.gz", gzip.compress(GOOD.encode() * 500)[:-40], [], ["e.csv.gz", "gzip"]),
    "no gzip": ("e.csv.gz", GOOD, [], ["e.csv.gz", "gzip"]),
    "truncated parquet": ("e.parquet", parquet()[:-200], [], ["e.parquet", "truncated"]),
    "broken JSON lines": ("e.jsonl", '{"user": 1, "item": 2}\n{"user": 1, "it', [], ["e.jsonl"]),
    "unknown kind of file": ("e.xlsx", "PK", [], ["e.xlsx", ".parquet"]),
    "ragged line": ("e.csv", GOOD + "a,9,9,3,extra,more\n", [], ["e.csv"]),
    "all filtered away": ("e.csv", GOOD, ["--min-rating", "9"], ["no event is left", "rating below 9"]),
    "one user": ("e.csv", "user,item\na,x\na,y\n", [], ["only one user ('a')"]),
    "one item": ("e.csv", "user,item\na,x\nb,x\n", [], ["only one item ('x')"]),
    "threshold without ratings": ("e.csv", "user,item\na,x\nb,y\n", ["--min-rating", "4"], ["rating column"]),
    "query with a file": ("e.csv", GOOD, ["--query", "SELECT 1"], ["database URL"]),
    "all at one time": ("e.csv", "user,item,timestamp\na,x,5\nb,y,5\n", ["--split", "time"], ["different times"]),
    "no such preset": ("e.csv", GOOD, ["--preset", "bets"], ["'bets'", "paper"]),
    "no such split": ("e.csv", GOOD, ["--split", "random"], ["random", "leave-one-out"]),
    "epochs of 0": ("e.csv", GOOD, ["--epochs", "0"], ["training.epochs = 0"]),
    "seed below 0": ("e.csv", GOOD, ["--seed", "-1"], ["seed must be from 0 to 18,446,744,073,709,551,615, not -1"]),
    "config not there": ("e.csv", GOOD, ["--config", "no.toml"], ["no.toml"]),
    "item table not there": ("e.csv", GOOD, ["--items", "no.csv"], ["no.csv", "no such file"]),
    "unknown option": ("e.csv", GOOD, ["--sede", "1"], ["--sede"]),
}


@pytest.mark.parametrize("case", LOGS, ids=lambda case: case.replace(" ", "-"))
def test_a_log_that_cannot_be_used(shell: Shell, case: str) -> None:
    name, content, options, said = LOGS[case]
    shell.write(name, content)
    result = shell("fit", name, "-o", "model", "--epochs", "1", *options)
    assert result.code == 2, result.err
    assert result.out == ""
    for words in said:
        assert words in result.error
    assert [path.name for path in shell.folder.iterdir()] == [name], "something was written"


@pytest.mark.parametrize(
    "source", ["missing.csv", ".", "sqlite:///shop.db", "sqlite:///missing/shop.db", "nosuch://user:secret@host/db"]
)
def test_a_source_that_is_not_there(shell: Shell, source: str) -> None:
    options = ["--query", "SELECT * FROM events"] if "://" in source else []
    result = shell("fit", source, "-o", "model", *options)
    assert (result.code, result.out) == (2, "")
    assert result.error
    assert "secret" not in result.err
    assert list(shell.folder.iterdir()) == []


def test_a_database_url_needs_a_query(shell: Shell) -> None:
    assert "--query" in shell("fit", "sqlite:///shop.db", "-o", "model").error


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[training]\nlearning_rat = 0.1\n", "did you mean 'learning_rate'?"),
        ("[modell]\ndim = 3\n", "did you mean 'model'?"),
        ("[model]\ndim = -3\n", "model.dim = -3"),
        ("[model]\ndim = 'big'\n", "model.dim = 'big'"),
        ("model = 3\n", "must be a table"),
        ("preset = 'bets'\n", "'bets'"),
        ("[model\n", "not valid TOML"),
        ("[model]\ntaste=false\nshort_term=false\nlong_term=false\ncooccurrence=false\n", "every part is switched off"),
    ],
)
def test_a_config_that_cannot_be_used(shell: Shell, toml: str, said: str) -> None:
    shell.write("e.csv", GOOD)
    shell.write("c.toml", toml)
    result = shell("fit", "e.csv", "-o", "model", "--config", "c.toml")
    assert result.code == 2 and said in result.error
    assert sorted(path.name for path in shell.folder.iterdir()) == ["c.toml", "e.csv"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_an_output_that_is_no_model_is_left_alone(shell: Shell, kind: str) -> None:
    shell.write("e.csv", GOOD)
    if kind == "file":
        precious = shell.write("model", "precious")
    else:
        (shell.folder / "model").mkdir()
        precious = shell.write("model/thesis.txt", "precious")
    result = shell("fit", "e.csv", "-o", "model", "--epochs", "1")
    assert result.code == 2 and "exists and is not a magnn model" in result.error
    assert precious.read_text() == "precious"


COMMANDS: dict[str, tuple[list[str], list[str]]] = {
    "unknown user": (["recommend", "MODEL", "nobody"], ["user 'nobody'", "known ones"]),
    "unknown user number": (["recommend", "MODEL", "99999999999999999999"], ["user '99999999999999999999'"]),
    "unknown item": (["similar", "MODEL", "99999"], ["item '99999'"]),
    "unknown item in a line": (["recommend", "MODEL", "--history", "1,\nGood"], ["item 'Good'"]),
    "unknown item with a line break": (["recommend", "MODEL", "--history", '1,"Go\nod"'], [r"item 'Go\nod'"]),
    "unknown item with a comma": (["recommend", "MODEL", "--history", '1,"Good, Bad"'], ["item 'Good, Bad'"]),
    "unknown item in a history": (["recommend", "MODEL", "--history", "1,99999"], ["item '99999'"]),
    "empty history": (["recommend", "MODEL", "--history", " , "], ["at least one item"]),
    "neither user nor history": (["recommend", "MODEL"], ["--history"]),
    "both user and history": (["recommend", "MODEL", "1", "--history", "1"], ["--history"]),
    "k of 0": (["recommend", "MODEL", "1", "-k", "0"], ["k must be between 1", "not 0"]),
    "focus of 2": (["recommend", "MODEL", "1", "--focus", "2"], ["focus 2 is outside [-1, 1]"]),
    "without what is not there": (["recommend", "MODEL", "1", "--without", "99999"], ["item '99999'"]),
    "explain without item": (["explain", "MODEL", "1"], ["--history"]),
    "explain with all three": (["explain", "MODEL", "1", "2", "--history", "1"], ["--history"]),
    "explain an unknown item": (["explain", "MODEL", "1", "99999"], ["item '99999'"]),
    "explain to an unknown user": (["explain", "MODEL", "nobody", "1"], ["user 'nobody'"]),
    "negative k": (["similar", "MODEL", "1", "-k", "-3"], ["k must be between 1", "not -3"]),
    "k beyond the catalogue": (["evaluate", "MODEL", "-k", "121"], ["k must be between 1", "not 121"]),
    "k no number": (["evaluate", "MODEL", "-k", "ten"], ["-k", "valid integer"]),
    "no such model": (["evaluate", "nowhere"], ["nowhere", "no such model"]),
    "not a model": (["evaluate", "."], ["not a magnn model"]),
    "validation events that were trained on": (["evaluate", "MODEL", "--on", "valid"], ["--no-refit"]),
    "no such part": (["evaluate", "MODEL", "--on", "train"], ["train"]),
    "no such command": (["recomend", "MODEL"], ["recomend"]),
    "no such data set": (["data", "get", "ml-3m", "-o", "d"], ["ml-3m", "ml-100k"]),
    "missing argument": (["similar", "MODEL"], ["ITEM"]),
}


@pytest.mark.parametrize("case", COMMANDS, ids=lambda case: case.replace(" ", "-"))
def test_a_question_that_cannot_be_answered(shell: Shell, saved_model: Path, case: str) -> None:
    arguments, said = COMMANDS[case]
    result = shell(*(str(saved_model) if argument == "MODEL" else argument for argument in arguments))
    assert (result.code, result.out) == (2, ""), result.err
    for words in said:
        assert words in result.error
    assert list(shell.folder.iterdir()) == []


def test_nothing_held_out_nothing_to_evaluate(shell: Shell) -> None:
    shell.write("e.csv", GOOD)
    assert shell("fit", "e.csv", "-o", "model", "--epochs", "1", "--split", "none").code == 0
    result = shell("evaluate", "model")
    assert result.code == 2 and "nothing to evaluate" in result.error


@pytest.mark.parametrize("name", [*artifact.FILES, artifact.MANIFEST])
@pytest.mark.parametrize("damage", ["flipped", "cut", "deleted"])
def test_a_damaged_model_is_refused(shell: Shell, saved_model: Path, name: str, damage: str) -> None:
    model = shell.folder / "model"
    shutil.copytree(saved_model, model)
    content = (model / name).read_bytes()
    middle = len(content) // 2
    if damage == "flipped":
        (model / name).write_bytes(content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :])
    elif damage == "cut":
        (model / name).write_bytes(content[:middle])
    else:
        (model / name).unlink()
    result = shell("evaluate", "model")
    assert result.code == 2 and name in result.error


def test_a_model_of_a_newer_format_is_refused(shell: Shell, saved_model: Path) -> None:
    shutil.copytree(saved_model, shell.folder / "model")
    path = shell.folder / "model" / artifact.MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 99}))
    result = shell("recommend", "model", "1")
    assert result.code == 2 and "format version 99" in result.error and "upgrade" in result.error


@pytest.mark.parametrize("when", ["weights", "tables"])
def test_a_full_disk_leaves_the_old_model(
    shell: Shell, recommender: magnn.Recommender, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    recommender.save(shell.folder / "model")
    before = {path.name: path.read_bytes() for path in (shell.folder / "model").iterdir()}
    shell.write("e.csv", GOOD)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if when == "weights":
        monkeypatch.setattr("magnn.artifact.save_file", full)
    else:
        monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    result = shell("fit", "e.csv", "-o", "model", "--epochs", "1")
    assert result.code == 2 and "No space left on device" in result.error
    assert {path.name: path.read_bytes() for path in (shell.folder / "model").iterdir()} == before
    # The checkpoints stay: --resume saves the training once there is space.
    assert "the same command with --resume goes on from there" in result.error
    assert sorted(path.name for path in shell.folder.iterdir()) == ["e.csv", "model", "model.checkpoints"]
    monkeypatch.undo()
    monkeypatch.chdir(shell.folder)
    assert shell("fit", "e.csv", "-o", "model", "--epochs", "1", "--resume").code == 0


def test_a_name_too_long_for_the_checkpoints_is_told_before_the_log_is_read(shell: Shell) -> None:
    result = shell("fit", "missing.csv", "-o", "m" * 240)  # not for the model
    assert result.code == 2 and "File name too long" in result.error and ".checkpoints" in result.error


def test_a_file_where_the_checkpoints_would_be_is_told(shell: Shell) -> None:
    shell.write("e.csv", GOOD)
    shell.write("model.checkpoints", "mine")
    result = shell("fit", "e.csv", "-o", "model", "--epochs", "1")
    assert result.code == 2 and "model.checkpoints: cannot be written: Not a directory" in result.error
    assert (shell.folder / "model.checkpoints").read_text() == "mine"


def test_a_full_disk_while_training_is_told_too(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("magnn.training.checkpoint.save_file", full)
    shell.write("e.csv", GOOD)
    result = shell("fit", "e.csv", "-o", "model", "--epochs", "1")
    assert result.code == 2 and "No space left on device" in result.error
    assert not (shell.folder / "model").exists()


def test_checkpoints_of_another_run_are_refused(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.write("e.csv", GOOD)
    monkeypatch.setattr("magnn.fitting.discard_checkpoints", lambda _: None)
    assert shell("fit", "e.csv", "-o", "model", "--epochs", "1").code == 0
    result = shell("fit", "e.csv", "-o", "model", "--epochs", "2", "--resume")
    assert result.code == 2 and "other data, settings or seed" in result.error


def test_a_bug_is_one_line_too(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("by zero\nsecond line")

    monkeypatch.setattr("magnn.recommender.load", broken)
    monkeypatch.delenv("MAGNN_DEBUG", raising=False)
    result = shell("similar", "model", "1")
    assert result.code == 1 and "a bug in magnn: ZeroDivisionError: by zero" in result.error
    monkeypatch.setenv("MAGNN_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        shell("similar", "model", "1")
