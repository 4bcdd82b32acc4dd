"""A virtual environment for each peer library, beside its adapter: the libraries ask for versions that exclude each other.

Built from the folder's requirements.txt, which pins everything, and rebuilt when that changes. A folder without one runs in
the project's own environment. RecBole's dependencies end at Python 3.11.
"""

import hashlib
import subprocess
import sys
from pathlib import Path

from magnn.errors import InputError
from magnn.ranking import baselines
from magnn.storage import file_sha256

PEERS = Path(__file__).parent
STAMP = "requirements.sha256"
LAST_LINES = 15
# Modules beside contract.py that some adapters import, and what of them makes results.
SHARED = {
    "benchmarks.peers.dropout": PEERS / "dropout.py",
    "magnn.ranking.baselines": Path(baselines.__file__),
}
# Code -> that of stored results which it would find again, up to rounding and random numbers: only speed or words changed.
# The stored ones then stand, and new ones are called the same; `about` of a run has its commit. Where time ended a
# training, they are of the epochs it reached, as they are on a slower machine; more --minutes run it again.
SAME_RESULTS = {
    "own-a6ecb92ccbad": "own-89d7128979e7",  # the hash has taken in baselines.py, which is as it was
    "implicit-707d81ae8069": "implicit-25ebddbfefb2",  # memory is measured otherwise, here and in the others
    "recbole-cfe3d26aeaa4": "recbole-b37612c0f99d",  # faster dropout, and faster.py
    "rectools-67192d2172c3": "rectools-eff01fe06bba",  # faster.py; a test holds each of these against its library
}


class NotBuiltError(InputError):
    """A peer cannot run yet."""

    def __init__(self, folder: str) -> None:
        super().__init__(f"the environment of {folder} is not built; python -m benchmarks.peers build")


class BuildError(Exception):
    """An environment could not be built; the message ends with pip's last lines."""


def python_of(folder: str) -> Path | None:
    """The interpreter of a peer's environment; None if it is not built, or built from other requirements."""
    if not _requirements(folder).exists():
        return Path(sys.executable)
    stamp, python = _environment(folder) / STAMP, _python(folder)
    if not (stamp.exists() and python.exists()) or stamp.read_text() != file_sha256(_requirements(folder)):
        return None
    return python


def build(folder: str) -> Path:
    """Build a peer's environment, unless it is there; its interpreter.

    Raises:
        BuildError: pip or venv failed.
    """
    if (python := python_of(folder)) is not None:
        return python
    _run([sys.executable, "-m", "venv", "--clear", str(_environment(folder))], folder)
    _run([str(_python(folder)), "-m", "pip", "install", "-r", str(_requirements(folder))], folder)
    (_environment(folder) / STAMP).write_text(file_sha256(_requirements(folder)))
    return _python(folder)


def code_of(folder: str) -> str:
    """What stands for a peer's version in its results: they are of this folder's code and requirements, and of no other.

    But for SAME_RESULTS.
    """
    code = hash_of(folder)
    return SAME_RESULTS.get(code, code)


def hash_of(folder: str) -> str:
    """A short hash of the files that make a peer's results."""
    adapter = PEERS / folder / "adapter.py"
    shared = [file for module, file in SHARED.items() if f"from {module} import" in adapter.read_text()]
    beside = sorted(set(adapter.parent.glob("*.py")) - {adapter})
    files = [PEERS / "contract.py", adapter, _requirements(folder), *beside, *shared]
    return f"{folder}-{hashlib.sha256(b''.join(file.read_bytes() for file in files if file.exists())).hexdigest()[:12]}"


def _environment(folder: str) -> Path:
    return PEERS / folder / ".venv"


def _python(folder: str) -> Path:
    return _environment(folder) / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def _requirements(folder: str) -> Path:
    return PEERS / folder / "requirements.txt"


def _run(command: list[str], folder: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        last = "\n".join(done.stdout.strip().splitlines()[-LAST_LINES:])
        raise BuildError(
            f"the environment of {folder} was not built: {' '.join(command[1:4])} ended with {done.returncode}\n{last}"
        )
