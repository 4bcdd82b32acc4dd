"""The peers' settings, environments and command, without any environment."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import runs
from benchmarks.peers import __main__ as peers_command
from benchmarks.peers import environments
from benchmarks.peers.comparison import final_specs, system_of
from benchmarks.peers.systems import SYSTEMS
from benchmarks.runs import Run, load


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
