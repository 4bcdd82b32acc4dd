"""What a shell, a pipe, a disk and a machine that is too small do to a command."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.driver import FIT, MAGNN, Shell


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
    writing = subprocess.Popen([*MAGNN, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
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
    done = subprocess.run([*MAGNN, *arguments], stdout=writing, stderr=subprocess.PIPE, env=buffered, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize(("arguments", "code"), [(["data", "list"], 0), (["data", "get", "nope", "-o", "x"], 2)])
@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_a_closed_stream_is_nobody_listening(arguments: list[str], code: int, closed: str) -> None:
    shell = ["sh", "-c", f'"$@" {closed}', "sh", *MAGNN, *arguments]
    done = subprocess.run(shell, capture_output=True, text=True, check=False)
    assert done.returncode == code
    assert ("error: " in done.stderr) == (code == 2 and closed == ">&-") and "error" not in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="NOT RUN: no /dev/full here")
def test_a_full_disk_behind_standard_output_is_one_line() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run([*MAGNN, "data", "list"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("error: the output cannot be written: No space left on device")


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


def test_a_seed_out_of_range_is_told_before_the_log_is_read(shell: Shell) -> None:
    assert "seed must be from 0" in shell("fit", "nowhere.csv", "-o", "m", "--seed", "-1").error
