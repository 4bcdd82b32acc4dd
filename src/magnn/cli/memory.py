"""How the process of a command keeps its memory."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def keep_freed_memory() -> None:
    """Let freed memory stay with the process, to be used again.

    A training step takes and frees the same hundreds of megabytes. Given back to the system each time, they come back page
    by page: a tenth of a step. For commands only: a library does not change the allocator of the program that calls it.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
        if mallopt is not None:
            mallopt(M_MMAP_THRESHOLD, 2**30)
            mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
