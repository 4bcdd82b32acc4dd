"""Peak memory. The standard library only: the adapters of peers, in environments without the package, use it too."""

import resource
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")  # of Linux


def peak_gib() -> float:
    """Peak resident memory of this process, in GiB.

    Where the system tells it (VmHWM), of the program alone: getrusage takes in the process that started it, as large as it
    was at the time.
    """
    if STATUS.exists():
        told = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
        return int(told["VmHWM"].removesuffix("kB")) / 2**20
    return _rusage_gib(resource.RUSAGE_SELF)


def peak_gib_of_children() -> float:
    """Of the largest process that this one has started and waited for, or of this one, if that was larger at the time."""
    return _rusage_gib(resource.RUSAGE_CHILDREN)


def _rusage_gib(who: int) -> float:
    return resource.getrusage(who).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)
