"""A shell in an empty folder, and one with a log."""

from pathlib import Path

import polars as pl
import pytest

from tests.cli.driver import TINY, Shell


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    """`magnn` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path, capsys, monkeypatch)


@pytest.fixture
def logged(shell: Shell, small_log: tuple[pl.DataFrame, pl.DataFrame]) -> Shell:
    """A shell with events.csv and tiny.toml."""
    shell.write("events.csv", small_log[0].write_csv())
    shell.write("tiny.toml", TINY)
    return shell
