"""The peers' settings and environments, without any environment; and what their adapters share."""

import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import runs
from benchmarks.peers import contest, contract, environments
from benchmarks.peers.comparison import final_specs
from benchmarks.peers.contract import Ids, Log, Task
from benchmarks.peers.systems import SYSTEMS
from benchmarks.runs import Run, Spec, load, store


def test_every_system_has_a_name_an_adapter_and_the_same_budget() -> None:
    assert len({system.name for system in SYSTEMS}) == len(SYSTEMS)
    for system in SYSTEMS:
        assert (environments.PEERS / system.folder / "adapter.py").exists()
        assert len(system.settings) == 3 or system.folder == "own", system.name
        written = [json.dumps(settings, sort_keys=True) for settings in system.settings]
        assert len(set(written)) == len(written), system.name


@pytest.mark.parametrize("folder", sorted({system.folder for system in SYSTEMS} - {"own"}))
def test_requirements_pin_everything_and_name_no_place(folder: str) -> None:
    lines = (environments.PEERS / folder / "requirements.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(line.count("==") == 1 and "@" not in line and "/" not in line and "+" not in line for line in pins)
    assert any(line.lower().startswith(f"{folder}==") for line in pins)
    if folder != "implicit":
        assert "torch==2.13.0" in pins  # a looser pin would bring another build


@pytest.fixture
def peers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of peers with one that needs nothing."""
    monkeypatch.setattr(environments, "PEERS", tmp_path)
    (tmp_path / "contract.py").write_text("")
    (tmp_path / "easy").mkdir()
    (tmp_path / "easy" / "adapter.py").write_text("print()\n")
    (tmp_path / "easy" / "requirements.txt").write_text("# nothing\n")
    return tmp_path


def test_an_environment_is_built_once_and_again_for_other_requirements(peers: Path) -> None:
    assert environments.python_of("easy") is None
    python = environments.build("easy")
    assert environments.python_of("easy") == python
    assert python.exists()
    mark = peers / "easy" / ".venv" / "mark"
    mark.touch()
    assert environments.build("easy") == python
    assert mark.exists()
    (peers / "easy" / "requirements.txt").write_text("# nothing, put otherwise\n")
    assert environments.python_of("easy") is None


def test_a_failed_build_ends_with_pips_last_lines(peers: Path) -> None:
    (peers / "easy" / "requirements.txt").write_text("no such package!\n")
    with pytest.raises(environments.BuildError, match=r"(?s)environment of easy.*no such package!"):
        environments.build("easy")
    assert environments.python_of("easy") is None


def test_a_peer_without_requirements_runs_here(peers: Path) -> None:
    (peers / "easy" / "requirements.txt").unlink()
    python = environments.python_of("easy")
    assert python is not None
    assert environments.build("easy") == python


def test_the_code_of_a_peer_changes_with_each_of_its_files(peers: Path) -> None:
    codes = [environments.code_of("easy")]
    for file in ("contract.py", "easy/adapter.py", "easy/requirements.txt"):
        (peers / file).write_text("# other\n" + (peers / file).read_text())
        codes.append(environments.code_of("easy"))
    assert len(set(codes)) == 4
    assert all(code.startswith("easy-") for code in codes)


@pytest.mark.parametrize(("ends", "tried"), [("patience", 3), ("time", 1)])
def test_other_settings_are_tried_only_if_the_first_ends_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: str, tried: int
) -> None:
    name, data = "RecBole HGN", "amazon-beauty"
    monkeypatch.setattr(runs, "RUNS", tmp_path)
    monkeypatch.setattr(environments, "python_of", lambda folder: Path("python"))
    tries: list[str] = []

    def train(spec: Spec, limit: float) -> None:
        tries.append(spec.variant)
        found = {"ndcg@10": 0.1 * len(tries)}
        store(Run(spec=spec, valid=found, epochs=3, stopped_by=ends, limit_seconds=limit))

    monkeypatch.setattr(contest, "_try_setting", train)
    monkeypatch.setattr(contest, "_judge_on_test", lambda spec, chosen: store(Run(spec=spec, valid=chosen.valid)))
    for _ in range(2):  # the second time, all is there
        contest.compete(name, data, "leave-one-out", refit=False, limit=60, retry=False)
    assert tries == [f"setting {number}" for number in range(1, tried + 1)]
    best = final_specs(name, data, "leave-one-out", refit=False)[tried - 1]
    assert load(best) is not None, "the best of those tried is the one that is judged, or this raises"


# The loop that the adapters share, with a model whose lists are told beforehand.

USERS, ITEMS = 3, 12


class Told:
    """After epoch e, it ranks each user's held-out item at place[e] (from 0; None for not at all)."""

    most_epochs: int | None = None

    def __init__(self, places: list[int | None], pause: float = 0) -> None:
        self.places, self.pause, self.epoch = places, pause, 0

    def train_epoch(self, deadline: float) -> float:
        time.sleep(self.pause)
        self.epoch += 1
        return 0.5

    def rank(self, users: Ids, seen: Log) -> Ids:
        place = self.places[min(self.epoch, len(self.places)) - 1]
        lists = np.array([[item for item in range(ITEMS) if item != user] for user in users])
        for row, user in zip(lists, users, strict=True):
            if place is not None:
                row[place] = user
        return lists[:, :10]

    def weights(self) -> Any:
        return self.epoch

    def load(self, weights: Any) -> None:
        self.epoch = weights


def log(items: list[int]) -> Log:
    return Log(np.arange(USERS), np.array(items), USERS)


def fit(model: Told, valid: Log | None = None, **changes: Any) -> dict[str, Any]:
    common: dict[str, Any] = {"folder": Path(), "model": "", "settings": {}, "k": 10, "threads": 1, "seed": 0}
    limits: dict[str, Any] = {
        "patience": 3,
        "valid_every": 1,
        "seconds": 1e9,
        "epochs": None,
        "n_users": USERS,
        "n_items": ITEMS,
    }
    return contract.fit(model, Task(**(common | limits | changes)), log([3, 4, 5]), valid)


def test_the_best_weights_are_kept_and_patience_ends_the_training() -> None:
    model = Told([5, 2, 1, 4, None, 1, 0])
    report = fit(model, log([0, 1, 2]))
    assert (report["epochs"], report["best_epoch"], report["stopped_by"]) == (6, 3, "patience")
    assert report["valid"] == {"ndcg@10": pytest.approx(1 / math.log2(3))}
    assert model.epoch == 3


def test_it_validates_every_few_epochs_and_after_the_last() -> None:
    report = fit(Told([9, 9, 9, 9, 0]), log([0, 1, 2]), valid_every=2, epochs=5)
    assert (report["epochs"], report["best_epoch"], report["stopped_by"]) == (5, 5, "epochs")


def test_the_time_limit_is_of_training() -> None:
    report = fit(Told([0], pause=0.05), log([0, 1, 2]), seconds=0.12, patience=99)
    assert (report["epochs"], report["best_epoch"], report["stopped_by"]) == (3, 1, "time")
    assert report["train_seconds"] >= 0.15


def test_a_model_that_is_trained_at_once_has_one_epoch() -> None:
    model = Told([0])
    model.most_epochs = 1
    assert fit(model, log([0, 1, 2]))["epochs"] == 1


def test_a_final_fit_must_know_its_epochs() -> None:
    assert fit(Told([None]), epochs=4)["best_epoch"] == 4
    with pytest.raises(ValueError, match="epochs"):
        fit(Told([None]))


def test_ndcg_has_each_users_own_ideal() -> None:
    held_out = Log(np.array([0, 0, 1]), np.array([7, 8, 9]), 2)
    lists = np.array([[7, 1, 8, -1], [2, 9, 3, 4]])
    expected = ((1 + 0.5) / (1 + 1 / math.log2(3)) + 1 / math.log2(3)) / 2
    assert contract.ndcg(lists, np.array([0, 1]), held_out) == pytest.approx(expected)


def test_a_log_knows_its_users() -> None:
    events = Log(np.array([0, 0, 2]), np.array([5, 6, 7]), 3)
    assert [events.of(user).tolist() for user in range(3)] == [[5, 6], [], [7]]
    assert events.times.tolist() == [0, 1, 0]
    assert events.only(np.array([True, True, False])).items.tolist() == [5, 6]


@pytest.mark.parametrize(
    ("row", "word"),
    [([1, 1, 2], "different"), ([1, -1, 2], "different"), ([1, 2, 12], "different"), ([1, 3, 2], "history")],
)
def test_lists_that_break_the_contract_are_refused(row: list[int], word: str) -> None:
    task = Task(Path(), "", {}, 1, 1, 3, 1, 0, 1.0, 1, 1, ITEMS)
    with pytest.raises(ValueError, match=word):
        contract.check(np.array([row], np.int32), Log(np.array([0]), np.array([3]), 1), task)
