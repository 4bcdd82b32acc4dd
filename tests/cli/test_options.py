"""Every option of a command that reads a log arrives where it is used; what arrives is tested elsewhere."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from magnn.data.events import read_events
from magnn.errors import InputError
from magnn.fitting import fit
from magnn.settings import make_settings
from magnn.tuning.search import tune
from tests.cli.driver import Shell

LOG = "who,what,when,liked\n" + "".join(f"{u},{i},{100 + i},{1 + i % 5}\n" for u in "abc" for i in range(4))
COLUMNS = ["--user-col", "who", "--item-col", "what", "--time-col", "when", "--rating-col", "liked"]


def recorder(calls: list[dict[str, Any]], function: Callable[..., Any]) -> Callable[..., Any]:
    """Stands for a function: notes every argument by name, and ends the command."""

    def note(*args: Any, **kwargs: Any) -> None:
        calls.append(dict(inspect.signature(function).bind(*args, **kwargs).arguments))
        raise InputError("noted")

    return note


@pytest.mark.parametrize("command", ["fit", "tune"])
def test_options_of_a_log(command: str, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr("magnn.data.events.read_events", recorder(calls, read_events))
    filters = [
        "--min-rating",
        "2.5",
        "--repeats",
        "all",
        "--min-user-events",
        "3",
        "--min-item-events",
        "2",
        "--k-core",
    ]
    rest = ["--items", "items.csv", "--query", "SELECT 1", "-o", "out.toml"]
    assert shell(command, "sqlite:///log.db", *COLUMNS, *filters, *rest).error == "error: noted"
    assert calls == [
        {
            "source": "sqlite:///log.db",
            "query": "SELECT 1",
            "user_col": "who",
            "item_col": "what",
            "time_col": "when",
            "rating_col": "liked",
            "min_rating": 2.5,
            "repeats": "all",
            "min_user_events": 3,
            "min_item_events": 2,
            "k_core": True,
            "items": "items.csv",
        }
    ]
    assert calls[0].keys() == inspect.signature(read_events).parameters.keys(), "an argument that is no option yet"


def test_options_of_a_fit(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr("magnn.fitting.fit", recorder(calls, fit))
    shell.write("e.csv", LOG)
    shell.write("c.toml", "[model]\ndim = 7\n")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    options = ["--preset", "paper", "--config", "c.toml", "--epochs", "3", "--seed", "5", "--no-refit", "--resume"]
    options += ["--device", "cuda"]
    found = shell("fit", "e.csv", *COLUMNS, "--split", "leave-one-out", "-o", "model", *options)
    assert found.error == "error: noted"
    (call,) = calls
    assert call.keys() == inspect.signature(fit).parameters.keys(), "an argument that is no option yet"
    assert call.pop("split").protocol == "leave-one-out"
    assert callable(call.pop("progress"))
    assert call.pop("checkpoints").name == "model.checkpoints"
    assert make_settings(config=call.pop("config")).model.dim == 7
    assert call == {"preset": "paper", "epochs": 3, "seed": 5, "refit": False, "device": "cuda", "resume": True}


def test_options_of_a_search(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr("magnn.tuning.search.tune", recorder(calls, tune))
    shell.write("e.csv", LOG)
    shell.write("c.toml", "[model]\ndim = 7\n")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    options = ["--preset", "paper", "--config", "c.toml", "--minutes", "2.5", "--trials", "4", "--seed", "5"]
    options += ["--device", "cuda"]
    found = shell("tune", "e.csv", *COLUMNS, "--split", "leave-one-out", "-o", "s.toml", "--study", "t.db", *options)
    assert found.error == "error: noted"
    (call,) = calls
    assert call.keys() == inspect.signature(tune).parameters.keys(), "an argument that is no option yet"
    assert call.pop("split").protocol == "leave-one-out"
    assert callable(call.pop("progress"))
    assert call.pop("study").name == "t.db"
    assert make_settings(config=call.pop("config")).model.dim == 7
    assert call == {"preset": "paper", "minutes": 2.5, "trials": 4, "seed": 5, "device": "cuda"}
