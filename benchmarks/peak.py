"""Peak memory. The standard library only: the adapters of peers, in environments without the package, use it too."""

import resource
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")  # of Linux


def peak_gib() -> float:
    """Peak resident memory of this process, in GiB.

    Where the system tells it, of the program alone. What getrusage tells takes in the peak of the process that started it.
    """
    alone = peak_of_the_program()
    return _rusage_gib(resource.RUSAGE_SELF) if alone is None else alone


def peak_gib_of_children() -> float:
    """Peak of the largest process that this one has started and waited for; its own until then, if that was larger."""
    return _rusage_gib(resource.RUSAGE_CHILDREN)


def peak_of_the_program() -> float | None:
    """In GiB, without that of the process which started it; None where the system does not tell it."""
    if STATUS.exists():
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 2**20
    return None


def _rusage_gib(who: int) -> float:
    return resource.getrusage(who).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
