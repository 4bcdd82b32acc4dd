"""The peers' settings and environments, without any environment; and what their adapters share."""

import json
import math
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import runs
from benchmarks.peers import __main__ as peers_command
from benchmarks.peers import contest, contract, environments
from benchmarks.peers.comparison import final_specs, setting_specs, system_of
from benchmarks.peers.contract import Ids, Log, Task
from benchmarks.peers.dropout import dropout
from benchmarks.peers.systems import SYSTEMS
from benchmarks.results_tables import Page
from benchmarks.runs import Run, Spec, load
from magnn.data.split import Split
from tests.worlds import log_of


def test_every_system_has_a_name_an_adapter_and_the_same_budget() -> None:
    assert len({system.name for system in SYSTEMS}) == len(SYSTEMS)
    for system in SYSTEMS:
        assert (environments.PEERS / system.folder / "adapter.py").exists()
        takes_seconds = system.folder == "own" or "item-kNN" in system.name
        assert takes_seconds or len(system.settings) == 3, system.name
        for data in runs.LOGS:
            written = [json.dumps(settings, sort_keys=True) for settings in system.on(data)]
            assert len(set(written)) == len(system.settings), (system.name, data)


@pytest.mark.parametrize("name", ["RecTools SASRec", "RecTools eSASRec"])
def test_movielens_is_tried_first_with_what_the_papers_have_for_it(name: str) -> None:
    system = system_of(name)
    assert [settings["session_max_len"] for settings in system.on("amazon-beauty")[:1]] == [50]
    assert [settings["session_max_len"] for settings in system.on("ml-1m")[:1]] == [200]
    assert all(settings["valid_every"] == 2 for settings in system.on("ml-1m"))
    assert all(settings["valid_every"] == 10 for settings in system.on("ml-latest-small"))


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
    monkeypatch.setattr(environments, "SHARED", {"benchmarks.peers.dropout": tmp_path / "dropout.py"})
    (tmp_path / "contract.py").write_text("")
    (tmp_path / "easy").mkdir()
    (tmp_path / "dropout.py").write_text("")
    (tmp_path / "easy" / "adapter.py").write_text("from benchmarks.peers.dropout import use_fast_dropout\nprint()\n")
    (tmp_path / "easy" / "faster.py").write_text("")
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
    for file in ("contract.py", "dropout.py", "easy/adapter.py", "easy/faster.py", "easy/requirements.txt"):
        (peers / file).write_text("# other\n" + (peers / file).read_text())
        codes.append(environments.code_of("easy"))
    assert len(set(codes)) == 6
    assert all(code.startswith("easy-") for code in codes)


def test_what_stands_for_older_code_is_the_code_that_is_there() -> None:
    """If this fails, a peer has changed: drop its line of SAME_RESULTS, or put the new hash there if results may stand."""
    assert set(environments.SAME_RESULTS) <= {environments.hash_of(system.folder) for system in SYSTEMS}


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5, 0.999])
def test_fast_dropout_drops_its_share_and_keeps_the_mean(p: float) -> None:
    values = torch.full((100, 1_001), 3.0, requires_grad=True)
    out = dropout(values, p)
    kept = out != 0
    assert np.unique(out[kept].detach().numpy()) == pytest.approx([3 / (1 - p)], rel=0.01)
    share = kept.double().mean().item()
    assert abs(share - (1 - p)) < 5 * (p * (1 - p) / values.numel()) ** 0.5 + 1e-5
    (gradient,) = torch.autograd.grad(out.sum(), values)
    assert torch.equal(gradient != 0, kept)
    assert not torch.equal(dropout(values, p) != 0, kept)


def test_fast_dropout_does_nothing_in_prediction_and_refuses_to_drop_all() -> None:
    values = torch.ones(7)
    assert dropout(values, 0.5, training=False) is values
    assert dropout(values, 0.0) is values
    with pytest.raises(ValueError, match=r"a share of 1\.0 cannot be dropped"):
        dropout(values, 1.0)


class Contest:
    """RecBole's HGN with trainings that end at once, on a log of two users: which were run, and with how much time."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, ends: str) -> None:
        self.scratch, self.ends = folder / "scratch", ends
        self.trained: list[tuple[str, float | None]] = []
        split = log_of(["abcde", "edcba"], "leave-one-out")
        monkeypatch.setattr(runs, "RUNS", folder / "runs")
        monkeypatch.setattr(contest, "SCRATCH", self.scratch)
        monkeypatch.setattr(contest, "read_split", lambda data, protocol: split)
        monkeypatch.setattr(contest, "_train", self.train)
        monkeypatch.setattr(environments, "python_of", lambda folder: Path("python"))

    def train(self, spec: Spec, split: Split, *, limit: float | None, epochs: int | None) -> dict[str, Any] | str:
        self.trained.append((spec.variant or "final", limit))
        if self.ends == "crash":
            return "Traceback\nMemoryError: no more"
        folder = contest._folder(spec)
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "lists.npy", np.full((split.events.n_users, max(runs.KS)), -1))
        report = {
            "epochs": 5,
            "best_epoch": 3,
            "train_seconds": 1.0,
            "valid_seconds": 1.0,
            "peak_gib": 1.0,
            "versions": {},
        }
        report |= {"valid": {"ndcg@10": 0.1 * len(self.trained)}, "stopped_by": self.ends, "own_metrics": {}}
        (folder / "report.json").write_text(json.dumps(report))
        return report

    def run(self, *, limit: float = 60, refit: bool = False) -> None:
        contest.compete("RecBole HGN", "amazon-beauty", "leave-one-out", refit=refit, limit=limit, retry=False)

    def judged(self, setting: int, *, refit: bool = False) -> Run | None:
        return load(final_specs("RecBole HGN", "amazon-beauty", "leave-one-out", refit=refit)[setting - 1])


@pytest.mark.parametrize(("ends", "tried"), [("patience", 3), ("time", 1)])
def test_other_settings_are_tried_only_if_the_first_ends_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: str, tried: int
) -> None:
    system = Contest(tmp_path, monkeypatch, ends)
    for _ in range(2):  # the second time, all is there
        system.run()
    assert system.trained == [(f"setting {number}", 60) for number in range(1, tried + 1)]
    assert system.judged(tried) is not None, "the best of those tried is the one that is judged"


@pytest.mark.parametrize(("limit", "trainings"), [(30, 1), (60, 1), (90, 2)])
def test_what_time_ended_is_run_again_only_with_more_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: float, trainings: int
) -> None:
    system = Contest(tmp_path, monkeypatch, "time")
    for seconds in (60, limit):
        system.run(limit=seconds)
    assert len(system.trained) == trainings
    judged = system.judged(1)
    assert judged is not None
    assert judged.limit_seconds == max(60, limit)
    assert (judged.epochs, judged.epochs_reached) == (3, 5)


def test_what_fails_with_every_setting_is_recorded_as_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = Contest(tmp_path, monkeypatch, "crash")
    for _ in range(2):  # the second time, it is known
        system.run()
    assert len(system.trained) == 3
    judged = system.judged(1)
    assert judged is not None
    assert judged.error == "Traceback\nMemoryError: no more"


def test_what_failed_for_want_of_an_environment_is_run_once_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = Contest(tmp_path, monkeypatch, "time")
    runs.failed(final_specs("RecBole HGN", "amazon-beauty", "leave-one-out", refit=False)[0], "no network")
    system.run()
    judged = system.judged(1)
    assert judged is not None
    assert judged.error is None


def test_lists_that_cannot_be_made_again_leave_the_choice_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = Contest(tmp_path, monkeypatch, "time")
    system.run(limit=60)
    judged = system.judged(1)
    assert judged is not None
    judged.spec.path.unlink()
    shutil.rmtree(system.scratch)
    system.ends = "crash"
    system.run(limit=30)
    assert system.trained[-1] == ("setting 1", 60), "with as much time as it had"
    again = system.judged(1)
    assert again is not None
    assert again.error == "its lists are gone, and the training that would make them again failed"
    (spec, *_) = setting_specs("RecBole HGN", "amazon-beauty", "leave-one-out")
    setting = load(spec)
    assert setting is not None
    assert setting.error is None


def test_a_longer_training_that_fails_leaves_the_shorter_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    system = Contest(tmp_path, monkeypatch, "time")
    system.run(limit=60)
    before = system.judged(1)
    system.ends = "crash"
    system.run(limit=90)
    assert len(system.trained) == 2
    assert system.judged(1) == before
    assert "run again, it ended in 'MemoryError: no more'; the run of before stays" in capsys.readouterr().err


def test_lists_of_another_training_are_not_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = Contest(tmp_path, monkeypatch, "time")
    system.run()
    judged = system.judged(1)
    assert judged is not None
    judged.spec.path.unlink()
    report = next(system.scratch.rglob("report.json"))
    report.write_text(report.read_text().replace('"ndcg@10": 0.1', '"ndcg@10": 0.4'))
    system.run()
    assert system.trained == [("setting 1", 60)] * 2


def test_a_result_of_an_older_choice_is_judged_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = Contest(tmp_path, monkeypatch, "patience")
    system.run()
    judged = system.judged(3)
    assert judged is not None
    runs.store(judged.model_copy(update={"valid": {"ndcg@10": 0.2}}))
    system.run()
    assert len(system.trained) == 3, "its lists are still there"
    again = system.judged(3)
    assert again is not None
    assert again.valid == {"ndcg@10": pytest.approx(0.3)}


def test_an_environment_that_fails_is_recorded_for_each_of_its_systems_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runs, "RUNS", tmp_path)
    (bpr,) = final_specs("implicit BPR", "ml-1m", "paper", refit=True)[:1]
    kept = runs.store(Run(spec=bpr, metrics={"ndcg@10": 0.1}))

    def build(folder: str) -> Path:
        if folder == "implicit":
            raise environments.BuildError("the environment of implicit was not built: pip ended with 1\nno network")
        return Path("python")

    monkeypatch.setattr(environments, "build", build)
    with pytest.raises(SystemExit):
        peers_command.build()
    assert "rectools: building" in capsys.readouterr().err, "it comes after implicit"
    assert load(bpr) == kept
    als = load(final_specs("implicit ALS", "ml-1m", "paper", refit=True)[0])
    assert als is not None
    assert als.error is not None
    assert als.error.endswith("no network")
    assert load(final_specs("RecBole BPR", "ml-1m", "paper", refit=True)[0]) is None


def test_what_breaks_the_runner_does_not_stop_the_other_systems(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = []

    def compete(name: str, *_: Any, **__: Any) -> None:
        ran.append(name)
        if name == "EASE":
            raise OSError("no space left")

    monkeypatch.setattr(peers_command, "compete", compete)
    monkeypatch.setattr("sys.argv", ["peers", "run", "ml-latest-small", "--system", "EASE", "--system", "implicit ALS"])
    with pytest.raises(SystemExit) as ended:
        peers_command.main()
    assert ran == ["EASE", "implicit ALS"]
    assert ended.value.code == "did not finish: EASE (ml-latest-small, paper)"
    assert "OSError: no space left" in capsys.readouterr().err


def test_a_system_without_its_environment_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runs, "RUNS", tmp_path)
    monkeypatch.setattr(contest, "read_split", lambda data, protocol: None)
    monkeypatch.setattr(environments, "python_of", lambda folder: None)
    contest.compete("RecBole HGN", "amazon-beauty", "leave-one-out", refit=False, limit=60, retry=False)
    assert capsys.readouterr().err == "  RecBole HGN: its environment is not built; python -m benchmarks.peers build\n"


def test_our_settings_are_tried_though_the_papers_main_result_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The preset `paper` as it is has a result of the paper's own experiments; another setting may be the better one."""
    monkeypatch.setattr(runs, "RUNS", tmp_path)
    paper, _, chosen = final_specs("MA-GNN", "ml-1m", "paper", refit=True)
    runs.store(Run(spec=paper, valid={"ndcg@10": 0.1}))
    ran: list[str] = []

    def run_in_process(spec: Spec) -> Run:
        ran.append(f"{spec.variant}, {spec.on}")
        return runs.store(Run(spec=spec, valid={"ndcg@10": 0.3 if spec.variant == "setting 3" else 0.1}))

    monkeypatch.setattr(contest, "run_in_process", run_in_process)
    for _ in range(2):
        contest.compete("MA-GNN", "ml-1m", "paper", refit=True, limit=60, retry=False)
    assert ran == ["setting 1, valid", "setting 2, valid", "setting 3, valid", "setting 3, test"]
    assert [run.spec for run in Page(tmp_path).finals("MA-GNN", "ml-1m", "paper", refit=True)] == [chosen]


@pytest.mark.parametrize(("refit", "again"), [(False, ("setting 3", 60)), (True, ("final", None))])
def test_only_the_lists_that_are_judged_must_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refit: bool, again: tuple[str, float | None]
) -> None:
    system = Contest(tmp_path, monkeypatch, "patience")
    system.run(refit=refit)
    judged = system.judged(3, refit=refit)
    assert judged is not None
    judged.spec.path.unlink()
    shutil.rmtree(system.scratch)
    system.trained.clear()
    system.run(refit=refit)
    assert system.trained == [again]


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
