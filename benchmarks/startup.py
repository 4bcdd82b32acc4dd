"""What it costs to import the package and to ask for help: torch is loaded by what uses it."""

import subprocess
import sys
from functools import partial
from pathlib import Path

from benchmarks.measure import Row, main, row, timed


def run() -> list[Row]:
    """Both in new processes, less what an empty interpreter takes for the import."""
    magnn = str(Path(sys.executable).with_name("magnn"))
    commands = {
        "`import magnn`": [sys.executable, "-c", "import magnn"],
        "`magnn --help`": [magnn, "--help"],
        "`python -c pass`, for comparison": [sys.executable, "-c", "pass"],
    }
    reach = {"`import magnn`": 0.3, "`magnn --help`": 0.3}
    rows = []
    for what, command in commands.items():
        values = timed(partial(subprocess.run, command, capture_output=True, check=True), runs=7)
        rows.append(row(what, "", values, reach=reach.get(what)))
    return rows


if __name__ == "__main__":
    main("startup", run)
