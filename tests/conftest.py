"""What many tests stand on: real data where it is there, and one small fitted recommender."""

import signal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import settings

import magnn
from benchmarks.measure import DATA
from magnn.data.synthetic import generate_log

# A machine that does much else is no fault of the code.
settings.register_profile("magnn", deadline=None)
settings.load_profile("magnn")

# A shell that runs the tests in the background has them ignore Ctrl-C, which some of them send.
signal.signal(signal.SIGINT, signal.default_int_handler)

SMALL_MODEL = {"dim": 8, "heads": 2, "memory_units": 3, "long_window": 6}


def real(file: str) -> Path:
    """A file of the real data sets; the test is not run where it is absent."""
    if not (DATA / file).exists():
        pytest.skip(f"NOT RUN: {file} is not there (see CONTRIBUTING.md)")
    return DATA / file


@pytest.fixture(scope="session")
def small_log() -> tuple[pl.DataFrame, pl.DataFrame]:
    """A generated log of 40 users, and its items."""
    return generate_log(n_users=40, n_series=2, events_per_user=20)


@pytest.fixture(scope="session")
def recommender(small_log: tuple[pl.DataFrame, pl.DataFrame]) -> magnn.Recommender:
    """Preset `paper`, fitted on the small log for one epoch and one of refit."""
    events, items = small_log
    split = magnn.split(magnn.read_events(events, items=items), "paper")
    return magnn.fit(split, preset="paper", config={"model": SMALL_MODEL}, epochs=1)


@pytest.fixture(scope="session")
def best_recommender(recommender: magnn.Recommender) -> magnn.Recommender:
    """The same log under the preset `best`, with its graph part."""
    return magnn.fit(recommender.split, preset="best", config={"model": SMALL_MODEL}, epochs=1)


@pytest.fixture(scope="session")
def saved_model(recommender: magnn.Recommender, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small recommender on disk; not to be changed."""
    path = tmp_path_factory.mktemp("saved") / "model"
    recommender.save(path)
    return path
