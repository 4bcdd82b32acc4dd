"""The peak memory of a process is its own."""

import subprocess
import sys

import numpy as np
import pytest

from benchmarks.measure import ROOT
from benchmarks.peak import peak_gib, peak_of_the_program

TOLD = "from benchmarks.peak import peak_gib; {}; print(peak_gib())"


def told(work: str) -> float:
    command = [sys.executable, "-c", TOLD.format(work)]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT).stdout)


@pytest.mark.skipif(
    peak_of_the_program() is None, reason="NOT RUN: this system does not tell the peak of a program alone"
)
def test_a_process_does_not_have_the_peak_of_the_one_that_starts_it() -> None:
    assert np.ones(2**26).sum() == 2**26  # half a GiB, and given back
    assert peak_gib() > 0.5
    assert told("pass") < 0.1
    assert 0.25 < told("memory = b'x' * 2**28; del memory") < 0.35
