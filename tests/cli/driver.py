"""The command line as a person drives it, in this process so that torch is loaded once."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from magnn.cli import main
from tests.conftest import SMALL_MODEL

MAGNN = [str(Path(sys.executable).with_name("magnn"))]  # the command itself, for a process of its own
TINY = "[model]\n" + "".join(f"{name} = {value}\n" for name, value in SMALL_MODEL.items())
FIT = ["fit", "events.csv", "-o", "model", "--config", "tiny.toml", "--epochs", "3"]


@dataclass(frozen=True)
class Result:
    """What came out of one command."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of error, which is the last on standard error."""
        lines = self.err.strip().splitlines()
        errors = [line for line in lines if line.startswith("error: ")]
        assert len(errors) == 1 and lines[-1] == errors[0], f"not one line of error at the end: {self.err!r}"
        return errors[0]


@dataclass(frozen=True)
class Shell:
    """Runs `magnn ARGUMENTS` in an empty folder."""

    folder: Path
    capture: pytest.CaptureFixture[str]
    patch: pytest.MonkeyPatch
    given: set[str] = field(default_factory=set)

    def __call__(self, *arguments: str | Path) -> Result:
        self.patch.setattr(sys, "argv", ["magnn", *map(str, arguments)])
        self.capture.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        code = stopped.value.code
        out, err = self.capture.readouterr()
        assert isinstance(code, int)
        return Result(code, out, err)

    def write(self, name: str, content: str | bytes) -> Path:
        """A file in the folder."""
        self.given.add(name)
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def made(self) -> list[str]:
        """What is in the folder that was not written there for the command."""
        return sorted({path.name for path in self.folder.iterdir()} - self.given)


def telling(tell: Callable[[Any], None]) -> Callable[[], Any]:
    """In place of a progress bar: `tell` hears of every step."""

    @contextmanager
    def bar() -> Iterator[Callable[[Any], None]]:
        yield tell

    return bar


def pressing(at: Callable[[Any], bool]) -> Callable[[], Any]:
    """In place of a progress bar: Ctrl-C, as the system sends it, at the steps that `at` names."""

    def press(progress: Any) -> None:
        if at(progress):
            signal.raise_signal(signal.SIGINT)

    return telling(press)


def rendered(table: Any, width: int) -> str:
    """What a terminal of `width` columns shows of a table."""
    out = StringIO()
    Console(file=out, width=width, soft_wrap=True).print(table)
    return out.getvalue()
