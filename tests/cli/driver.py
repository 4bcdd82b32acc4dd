"""The command line as a person drives it, in this process so that torch is loaded once."""

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from magnn.cli import main


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
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path
