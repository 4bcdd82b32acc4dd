"""One system on one split: what is trained, what is judged, what of before is used again."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import runs
from benchmarks.peers import contest, environments
from benchmarks.peers.comparison import final_specs, setting_specs
from benchmarks.results_tables import Page
from benchmarks.runs import Run, Spec, load
from magnn.data.split import Split
from magnn.errors import InputError
from tests.worlds import log_of


class Contest:
    """RecBole's HGN with trainings that end at once, on a log of two users: which were run, and with how much time."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, ends: str) -> None:
        self.scratch, self.ends, self.seconds = folder / "scratch", ends, 9.0
        self.trained: list[tuple[str, float | None]] = []
        self.epochs: list[int | None] = []
        split = log_of(["abcde", "edcba"], "leave-one-out")
        monkeypatch.setattr(runs, "RUNS", folder / "runs")
        monkeypatch.setattr(contest, "SCRATCH", self.scratch)
        monkeypatch.setattr(contest, "LEAST", 5)
        monkeypatch.setattr(contest, "read_split", lambda data, protocol: split)
        monkeypatch.setattr(contest, "_train", self.train)
        monkeypatch.setattr(environments, "python_of", lambda folder: Path("python"))

    def train(self, spec: Spec, split: Split, *, limit: float | None, epochs: int | None) -> dict[str, Any] | str:
        self.trained.append((spec.variant or "final", limit))
        self.epochs.append(epochs)
        if self.ends == "crash":
            return "Traceback\nMemoryError: no more"
        folder = contest._folder(spec)
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "lists.npy", np.full((split.events.n_users, max(runs.KS)), -1))
        report = {
            "epochs": 5,
            "best_epoch": 3,
            "train_seconds": limit if limit and self.ends == "time" else self.seconds,
            "valid_seconds": 1.0,
            "peak_gib": 1.0,
            "versions": {},
        }
        report |= {"valid": {"ndcg@10": 0.1 * len(self.trained)}, "stopped_by": self.ends, "own_metrics": {}}
        (folder / "report.json").write_text(json.dumps(report))
        return report

    def run(self, *, limit: float = 60, refit: bool = False, setting: int | None = None) -> None:
        contest.compete(
            "RecBole HGN",
            "amazon-beauty",
            "leave-one-out",
            refit=refit,
            limit=limit,
            retry=False,
            setting=setting,
        )

    def judged(self, setting: int, *, refit: bool = False) -> Run | None:
        return load(final_specs("RecBole HGN", "amazon-beauty", "leave-one-out", refit=refit)[setting - 1])


@pytest.mark.parametrize(
    ("ends", "seconds", "limits"),
    [("patience", 9, [60, 50, 40]), ("patience", 29, [60, 30]), ("patience", 27, [60, 32]), ("time", 9, [60])],
)
def test_settings_are_tried_until_the_time_of_all_is_used_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: str, seconds: float, limits: list[float]
) -> None:
    system = Contest(tmp_path, monkeypatch, ends)
    system.seconds = seconds
    for _ in range(2):  # the second time, all is there
        system.run()
    assert system.trained == [(f"setting {number}", limit) for number, limit in enumerate(limits, start=1)]
    assert system.judged(len(limits)) is not None, "the best of those tried is the one that is judged"


def test_a_setting_that_is_asked_for_has_the_time_for_itself_and_is_not_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = Contest(tmp_path, monkeypatch, "time")
    system.run()
    for setting in (2, 3):
        system.run(setting=setting)
    system.run()
    assert system.trained == [(f"setting {number}", 60) for number in range(1, 4)]
    judged = system.judged(3)
    assert judged is not None
    assert judged.valid == {"ndcg@10": pytest.approx(0.3)}


@pytest.mark.parametrize("refit", [False, True])
def test_one_setting_alone_is_judged_until_a_better_one_is_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refit: bool
) -> None:
    system = Contest(tmp_path, monkeypatch, "patience")
    for setting, best in ((2, 2), (2, 2), (3, 3), (2, 3)):
        system.run(setting=setting, refit=refit)
        assert system.judged(best, refit=refit) is not None
    final = [("final", None)] * refit
    assert system.trained == [("setting 2", 60), *final, ("setting 3", 60), *final]
    chosen = [3] * refit  # of the five epochs trained, the best
    assert system.epochs == [None, *chosen, None, *chosen]
    system.run(refit=refit)
    assert ("setting 1", 60) in system.trained, "a run of all tries what is missing"


@pytest.mark.parametrize("setting", [0, 9])
def test_a_setting_that_does_not_exist_is_refused_whatever_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: int
) -> None:
    system = Contest(tmp_path, monkeypatch, "time")
    for _ in range(2):
        with pytest.raises(InputError, match=f"no setting {setting}: it has settings 1 to 3"):
            system.run(setting=setting)
        system.run(setting=1)


def test_too_little_time_for_any_setting_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="nothing was tried"):
        Contest(tmp_path, monkeypatch, "time").run(limit=3)


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
    assert system.trained[:2] == [("setting 1", 60), ("setting 1", 90)]
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


def test_an_environment_that_is_not_built_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "RUNS", tmp_path)
    monkeypatch.setattr(contest, "read_split", lambda data, protocol: None)
    monkeypatch.setattr(environments, "python_of", lambda folder: None)
    with pytest.raises(
        InputError, match=r"^the environment of recbole is not built; python -m benchmarks\.peers build$"
    ):
        contest.compete("RecBole HGN", "amazon-beauty", "leave-one-out", refit=False, limit=60, retry=False)


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


@pytest.mark.parametrize(("refit", "again"), [(False, ("setting 3", 40)), (True, ("final", None))])
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


def test_lists_on_some_split_store_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Contest(tmp_path, monkeypatch, "patience")
    spec = setting_specs("RecBole HGN", "amazon-beauty", "leave-one-out")[0]
    lists_UK = contest.lists_of(spec, log_of(["abcde", "edcba", "abc"], "leave-one-out"), limit=9)
    assert lists_UK.shape == (3, max(runs.KS))
    assert not (tmp_path / "runs").exists()


def test_lists_that_cannot_be_made_say_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Contest(tmp_path, monkeypatch, "crash")
    spec = setting_specs("RecBole HGN", "amazon-beauty", "leave-one-out")[0]
    with pytest.raises(InputError, match="RecBole HGN: MemoryError: no more"):
        contest.lists_of(spec, log_of(["abcde", "edcba"], "leave-one-out"), limit=9)
