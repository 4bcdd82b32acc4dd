"""What `import magnn` offers, and that the README uses it as it is."""

import inspect
import re
import tomllib
from pathlib import Path

import polars as pl
import pytest

import magnn


def test_every_public_name_is_there_and_documented() -> None:
    for name in magnn.__all__:
        assert inspect.getdoc(getattr(magnn, name)), name
    assert set(magnn.__all__) == set(magnn._HOMES)


def test_the_program_of_the_readme_runs(
    small_log: tuple[pl.DataFrame, pl.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = Path(__file__).parents[1] / "README.md"
    (program,) = re.findall(r"```python\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)
    user, item = pl.col("user_id").cast(str), pl.col("item_id").cast(str)
    events, items = small_log
    monkeypatch.chdir(tmp_path)
    events.with_columns(user.replace("3", "alice"), item.replace("0", "heat")).write_csv("events.csv")
    items.with_columns(item.replace("0", "heat")).write_csv("items.csv")
    exec(compile(program, readme, "exec"), {})
    assert Path("report.html").stat().st_size > 10_000 and magnn.load("model").recommend("alice")


def test_the_oldest_versions_are_the_lower_ends_of_the_ranges() -> None:
    root = Path(__file__).parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = (project["optional-dependencies"][extra] for extra in ("database", "plots", "report", "tune"))
    needed = [requirement for part in (project["dependencies"], *extras) for requirement in part]
    pinned = (root / "constraints-lowest.txt").read_text(encoding="utf-8").splitlines()[1:]
    lowest = dict(line.split("==") for line in pinned)
    for requirement in needed:
        name, lower = requirement.split(">=")
        assert f"{lowest[name]}.".startswith(f"{lower}."), requirement
    assert lowest.keys() == {requirement.split(">=")[0] for requirement in needed}
