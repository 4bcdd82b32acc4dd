"""Ctrl-C in every phase of a command, and what --resume makes of what it left."""

import signal
import subprocess
import time

import pytest

import magnn
from magnn.cli import bars
from tests.cli.driver import FIT, MAGNN, TINY, Shell, pressing, telling


def test_ctrl_c_before_anything_is_there_writes_nothing(logged: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bars, "training_bar", pressing(lambda progress: progress.batch == 1))
    result = logged(*FIT)
    assert (result.code, result.out) == (130, "")
    assert "nothing to save" in result.error
    assert logged.made() == []


def test_ctrl_c_before_anything_is_there_leaves_an_older_model(
    logged: Shell, monkeypatch: pytest.MonkeyPatch, recommender: magnn.Recommender
) -> None:
    recommender.save("model")
    monkeypatch.setattr(bars, "training_bar", pressing(lambda progress: progress.batch == 1))
    assert logged(*FIT).code == 130
    assert logged.made() == ["model"]
    assert magnn.load("model").recommend(3) == recommender.recommend(3)


def test_ctrl_c_leaves_an_older_whole_model_and_resume_replaces_it(
    logged: Shell, monkeypatch: pytest.MonkeyPatch, recommender: magnn.Recommender
) -> None:
    """Somebody may be using it; what the new training has is in its checkpoints."""
    recommender.save("model")
    with monkeypatch.context() as patch:
        patch.setattr(bars, "training_bar", pressing(lambda p: p.log is not None and p.epoch == 1))
        result = logged(*FIT)
    assert result.code == 130
    assert "left the older model model as it was" in result.error and "--resume" in result.error
    assert logged.made() == ["model", "model.checkpoints"]
    assert magnn.load("model").recommend(3) == recommender.recommend(3)
    assert logged(*FIT, "--resume").code == 0
    assert logged.made() == ["model"]
    assert magnn.load("model").recommend(3) != recommender.recommend(3)


@pytest.mark.parametrize(
    "at", [("select", 1), ("select", 3), ("graph", 1), ("refit", 1)], ids=lambda at: f"{at[0]}-{at[1]}"
)
def test_ctrl_c_in_any_phase_saves_and_resume_ends_where_it_would_have(
    logged: Shell, monkeypatch: pytest.MonkeyPatch, at: tuple[str, int]
) -> None:
    logged.write("slow.toml", (logged.folder / "tiny.toml").read_text() + "[training]\nlearning_rate = 0.1\n")
    command = [argument.replace("tiny", "slow") for argument in FIT]
    with monkeypatch.context() as patch:
        patch.setattr(bars, "training_bar", pressing(lambda p: p.log is not None and (p.phase, p.epoch) == at))
        result = logged(*command)
    assert (result.code, result.out) == (130, "")
    assert "saved the best so far as model" in result.error and "--resume" in result.error
    assert ("interrupted before the graph was weighed" in result.err) == (at[0] == "graph")
    cut = magnn.load("model")
    assert not cut.completed and not cut.refit

    trained = []
    with monkeypatch.context() as patch:
        patch.setattr(bars, "training_bar", telling(lambda p: trained.append((p.phase, p.epoch))))
        assert logged(*command, "--resume").code == 0
    # The first checkpoint of a phase is always written, later ones where they cost little.
    kept = {("select", 1), ("refit", 1)} if at[0] == "refit" else {("select", 1)}
    assert not kept & {*trained}, "what a checkpoint holds is not done again"
    weights = (logged.folder / "model" / "model.safetensors").read_bytes()
    assert logged.made() == ["model"], "checkpoints go with the end of the training"
    assert logged(*command).code == 0
    assert (logged.folder / "model" / "model.safetensors").read_bytes() == weights


def test_ctrl_c_while_saving_says_that_nothing_is_lost(logged: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("magnn.artifact.save_file", lambda *_: signal.raise_signal(signal.SIGINT))
        result = logged(*FIT)
    assert result.code == 130 and "--resume" in result.error
    assert logged.made() == ["model.checkpoints"]
    assert logged(*FIT, "--resume").code == 0
    assert logged.made() == ["model"]


@pytest.mark.parametrize("command", [FIT, ["evaluate", "model"], ["similar", "model", "1"]], ids=lambda c: c[0])
def test_ctrl_c_outside_training_is_one_line(
    logged: Shell, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    for slow in ("magnn.data.events.read_events", "magnn.recommender.load"):
        monkeypatch.setattr(slow, lambda *_, **__: signal.raise_signal(signal.SIGINT))
    result = logged(*command)
    assert (result.code, result.out, result.err) == (130, "", "error: interrupted\n")


def test_resume_with_nothing_to_resume_says_so_and_starts(logged: Shell) -> None:
    result = logged(*FIT, "--resume")
    assert result.code == 0 and "starting from the beginning" in result.err


def test_ctrl_c_anywhere_is_one_line(logged: Shell) -> None:
    """A real signal to a real process, in its first epoch: with batches of one, that takes longer than we wait."""
    logged.write("slow.toml", "[training]\nbatch_size = 1\n[model]\ndim = 400\n")
    command = [argument.replace("tiny", "slow") for argument in FIT]
    running = subprocess.Popen([*MAGNN, *command], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert running.stderr is not None
    for line in running.stderr:
        if line.startswith("split"):
            break
    time.sleep(0.2)  # torch loads, or the training begins: the promise is the same
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130 and out == ""
    assert err.startswith("error: ") and err.count("\n") == 1, err
    assert logged.made() == []


def test_ctrl_c_to_a_process_saves_and_resume_ends_where_it_would_have(logged: Shell) -> None:
    command = [*FIT[:-1], "20"]
    logged.write("tiny.toml", TINY + "[training]\npatience = 20\nbatch_size = 64\n")
    running = subprocess.Popen([*MAGNN, *command], stderr=subprocess.PIPE, text=True)
    checkpoint = logged.folder / "model.checkpoints" / "select.safetensors"
    deadline = time.monotonic() + 60
    while not checkpoint.exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert "--resume" in err and "Traceback" not in err
    assert magnn.load("model").completed is False
    assert logged(*command, "--resume").code == 0
    resumed = (logged.folder / "model" / "model.safetensors").read_bytes()
    assert logged.made() == ["model"]
    assert logged(*command).code == 0
    assert (logged.folder / "model" / "model.safetensors").read_bytes() == resumed


def test_ctrl_c_where_nobody_validates_does_not_say_that_the_graph_is_silent(
    logged: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged.write("graph.toml", TINY + "[graph]\nneighbours = 5\n")
    monkeypatch.setattr(bars, "training_bar", pressing(lambda p: p.log is not None and p.epoch == 1))
    command = [argument.replace("tiny", "graph") for argument in FIT]
    result = logged(*command, "--split", "none")
    assert result.code == 130 and "saved the best so far" in result.error
    part = magnn.load("model").graph_part
    assert part is not None and not part.mixture.is_silent
    assert "its part of every score is 0" not in result.err
