"""MovieLens-100K out of the wheel of RecBole, where GroupLens is out of reach."""

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from magnn.data import wheel
from magnn.data.events import read_events
from magnn.data.wheel import movielens_100k_from_wheel
from magnn.errors import DownloadError
from tests.data.archives import zipped

BASE = "recbole/dataset_example/ml-100k/ml-100k"
WHEEL = zipped(
    {
        "recbole/__init__.py": "raise SystemExit('no code of the wheel runs')",
        f"{BASE}.inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        "196\t242\t3\t881250949\n22\t51\t1\t878887116\n",
        f"{BASE}.item": "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "51\tCité des enfants perdus, La\t1995\tAdventure Sci-Fi\n"
        '242\tThe "Kolya" Film\t1996\tComedy\n267\tunknown\t\tunknown\n1412\tLand Before Time III\tV\tAnimation\n',
    },
    "utf-8",
)


def pip_that_brings(
    wheels: dict[str, bytes], code: int = 0, said: str = ""
) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        assert command[:4] == [sys.executable, "-m", "pip", "download"] and command[-1] == "recbole==1.2.1"
        assert "--only-binary=:all:" in command, "a source package would run its setup"
        for name, content in wheels.items():
            (Path(command[command.index("--dest") + 1]) / name).write_bytes(content)
        return subprocess.CompletedProcess(command, code, "", said)

    return run


def test_the_wheel_holds_the_same_two_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", pip_that_brings({"recbole-1.2.1-py3-none-any.whl": WHEEL}))
    monkeypatch.setattr(wheel, "RECBOLE_SHA256", hashlib.sha256(WHEEL).hexdigest())
    log, items = movielens_100k_from_wheel()
    assert log.columns == ["user_id", "item_id", "rating", "timestamp"]
    assert log.rows() == [(196, 242, 3, 881250949), (22, 51, 1, 878887116)]
    assert items.columns == ["item_id", "title", "genres"]
    assert items.rows() == [
        (51, "Cité des enfants perdus, La (1995)", "Adventure|Sci-Fi"),
        (242, 'The "Kolya" Film (1996)', "Comedy"),
        (267, "unknown", "unknown"),
        (1412, "Land Before Time III", "Animation"),  # such years are in the file
    ]
    assert read_events(log, items=items).title(0) == "Cité des enfants perdus, La (1995)"


def test_another_wheel_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", pip_that_brings({"recbole-1.2.1-py3-none-any.whl": WHEEL}))
    with pytest.raises(DownloadError) as caught:
        movielens_100k_from_wheel()
    assert "not the expected one" in str(caught.value) and hashlib.sha256(WHEEL).hexdigest() in str(caught.value)


@pytest.mark.parametrize(
    ("wheels", "code", "said", "reason"),
    [
        ({}, 1, "WARNING: retrying\nERROR: No matching distribution found\n", "ERROR: No matching distribution found"),
        ({"recbole-1.2.1-py3-none-any.whl": WHEEL}, 1, "ERROR: half of it\n", "ERROR: half of it"),
        ({}, 0, "", "no wheel came"),
        ({"a.whl": WHEEL, "b.whl": WHEEL}, 0, "", "no wheel came"),
    ],
)
def test_what_pip_says_last_is_why_it_failed(
    wheels: dict[str, bytes], code: int, said: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "run", pip_that_brings(wheels, code, said))
    with pytest.raises(DownloadError) as caught:
        movielens_100k_from_wheel()
    assert str(caught.value) == f"pip cannot download recbole==1.2.1: {reason}"
