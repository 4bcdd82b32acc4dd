"""What several commands take and print alike."""

import codecs
import json
import re
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

Preset = Annotated[
    str | None, typer.Option(metavar="NAME", help="Settings to start from: best, paper. [default: best]")
]
Device = Annotated[Literal["cpu", "cuda"], typer.Option(help="Where to train; cuda needs a CUDA build of PyTorch.")]
ModelPath = Annotated[Path, typer.Argument(metavar="MODEL", help="Directory written by magnn fit.")]
K = Annotated[int, typer.Option("-k", help="Length of the list.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def printable(text: str) -> str:
    """Without what would control the terminal: ids, titles and names of columns come from a log."""
    return re.sub(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]", "\N{REPLACEMENT CHARACTER}", text)


def print_json(value: Any) -> None:
    """For programs, on standard output."""
    # A pipe on Windows, for one, may speak something else.
    as_utf8 = codecs.lookup(sys.stdout.encoding or "ascii").name == "utf-8"
    text = json.dumps(value, indent=2, ensure_ascii=not as_utf8)
    print(re.sub(r"[\x7f-\x9f]", lambda found: f"\\u{ord(found[0]):04x}", text))  # they too control a terminal
