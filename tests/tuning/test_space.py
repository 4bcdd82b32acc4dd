"""The search space, and settings written as TOML: whatever is found is what a fit reads."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magnn.settings import PRESETS, make_settings, named_in, to_toml
from magnn.tuning.space import SPACE, Range, space_around


def values(wanted: Range) -> st.SearchStrategy[Any]:
    if isinstance(wanted.low, int) and isinstance(wanted.high, int):
        return st.integers(wanted.low, wanted.high)
    return st.floats(wanted.low, wanted.high)


@pytest.mark.parametrize("preset", SPACE)
@given(data=st.data())
def test_whatever_is_found_is_read_back_by_fit(preset: str, data: st.DataObject) -> None:
    space = space_around(make_settings(preset), (), samples=5000, events=5000, items=1000)
    params = {name: data.draw(st.just(space.defaults[name]) | values(found)) for name, found in space.ranges.items()}
    settings = space.settings(params)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "settings.toml"
        path.write_text("# a comment\n" + to_toml(settings) + "\n", encoding="utf-8")
        assert make_settings(config=path) == settings
        assert named_in(path) <= {*space.ranges, "training.batch_size"}


@pytest.mark.parametrize("preset", PRESETS)
def test_the_defaults_are_the_preset_itself_and_inside_the_ranges(preset: str) -> None:
    base = make_settings(preset)
    space = space_around(base, (), samples=100_000, events=100_000, items=1000)
    assert space.settings(space.defaults) == base
    for name, wanted in SPACE[preset].items():
        scale = space.defaults[name] if wanted.relative else 1
        assert wanted.low * scale <= space.defaults[name] <= wanted.high * scale
        assert wanted.why


def test_what_a_preset_has_outside_the_ranges_is_taken_in() -> None:
    space = space_around(make_settings("best", {"model": {"dim": 500}}), (), samples=1000, events=1000, items=1000)
    assert (space.ranges["model.dim"].low, space.ranges["model.dim"].high) == (32, 500)


def test_a_learning_rate_comes_with_the_batch_it_is_of() -> None:
    """A refit has more samples, from which another batch may follow; the rate was not tried with that."""
    space = space_around(make_settings("best"), (), samples=100_000, events=100_000, items=1000)
    changed = space.settings({"training.learning_rate": 0.001}).training
    assert (changed.learning_rate, changed.batch_size) == (0.001, make_settings("best").training.batch_of(100_000))
    assert space.settings({"model.dim": 100}).training == make_settings("best").training
