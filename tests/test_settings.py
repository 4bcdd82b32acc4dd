"""Settings: preset, then file or dictionary, then arguments; what is unknown or out of range is refused by name."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from magnn.errors import InputError
from magnn.settings import PRESETS, Settings, make_settings, to_toml


def test_a_byte_order_mark_is_no_setting(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("\ufeff[model]\ndim = 7\n", encoding="utf-8")
    assert make_settings(config=tmp_path / "settings.toml").model.dim == 7


def toml(folder: Path, text: str) -> Path:
    path = folder / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_nothing_given_is_the_best_preset() -> None:
    assert make_settings() == make_settings("best") == PRESETS["best"]


def test_the_preset_of_the_paper_has_nothing_but_the_paper() -> None:
    settings = make_settings("paper")
    assert settings == Settings()
    assert (settings.training.loss, settings.model.cosine, settings.graph.neighbours) == ("bpr", False, 0)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_carries_its_name(name: str) -> None:
    assert make_settings(name) == PRESETS[name]
    assert make_settings(name).preset == name


def test_a_file_and_a_dictionary_of_the_same_form_say_the_same(tmp_path: Path) -> None:
    path = toml(tmp_path, "[model]\ndim = 7\nfusion = 'gru'\n[training]\nlearning_rate = 0.5\n")
    changes = {"model": {"dim": 7, "fusion": "gru"}, "training": {"learning_rate": 0.5}}
    assert make_settings(config=path) == make_settings(config=changes)
    assert make_settings(config=path).model.dim == 7
    assert make_settings(config=path).training.learning_rate == 0.5


def test_what_is_left_to_the_log_survives_a_file(tmp_path: Path) -> None:
    left = make_settings("paper", {"model": {"cosine": None, "feed_forward": "auto"}, "training": {"epochs": None}})
    assert left.model.cosine is None and left.model.feed_forward is None and left.training.epochs is None
    assert make_settings(config=toml(tmp_path, to_toml(left))) == left
    assert left.for_log(100_000, 10_000).model.cosine is True


def test_what_a_file_leaves_out_is_the_presets(tmp_path: Path) -> None:
    changed = make_settings(config=toml(tmp_path, "[model]\ndim = 7\n"))
    assert changed == PRESETS["best"].model_copy(update={"model": PRESETS["best"].model.model_copy(update={"dim": 7})})


def test_arguments_beat_the_file_and_the_file_beats_the_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Settings.model_validate({"preset": "other", "model": {"dim": 3, "heads": 2}, "training": {"epochs": 9}})
    monkeypatch.setitem(PRESETS, "other", other)
    path = toml(tmp_path, "preset = 'other'\n[model]\ndim = 7\n[training]\nepochs = 8\n")
    from_file = make_settings(config=path)
    assert (from_file.preset, from_file.model.heads, from_file.model.dim, from_file.training.epochs) == (
        "other",
        2,
        7,
        8,
    )
    assert make_settings("paper", path).preset == "paper"
    assert make_settings("paper", path).model.heads == PRESETS["paper"].model.heads
    assert make_settings(config=path, epochs=5).training.epochs == 5


def test_changes_touch_no_preset_and_no_dictionary() -> None:
    changes: dict[str, Any] = {"preset": "paper", "model": {"dim": 7}}
    before = PRESETS["paper"].model_dump()
    make_settings(config=changes, epochs=1)
    assert changes == {"preset": "paper", "model": {"dim": 7}}
    assert PRESETS["paper"].model_dump() == before


def test_settings_cannot_be_changed_once_made() -> None:
    made = make_settings()
    for part, name, value in ((made, "preset", "x"), (made.model, "dim", 3), (made.training, "epochs", 3)):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(part, name, value)


def test_settings_survive_json() -> None:
    """As a model's directory stores them."""
    made = make_settings(config={"model": {"dim": 7, "cosine": True}}, epochs=3)
    assert Settings.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": {"dims": 3}}, ["unknown key 'model.dims'", "did you mean 'dim'?"]),
        ({"training": {"lr": 3}}, ["unknown key 'training.lr'", "learning_rate"]),
        ({"traning": {}}, ["unknown key 'traning'", "did you mean 'training'?"]),
        ({"zzz": 1}, ["unknown key 'zzz'", "known keys are preset, model, training"]),
        ({"model": {"dim": 0}}, ["model.dim = 0", "greater than or equal to 1"]),
        ({"model": {"dim": "auto"}}, ["model.dim = 'auto'", "integer"]),
        ({"model": {"dim": 1.5}}, ["model.dim = 1.5", "integer"]),
        ({"model": {"dropout": 1.0}}, ["model.dropout = 1.0", "less than 1"]),
        ({"model": {"fusion": "sum"}}, ["model.fusion = 'sum'", "'gate', 'concat' or 'gru'"]),
        ({"training": {"learning_rate": 0}}, ["training.learning_rate = 0", "greater than 0"]),
        ({"training": {"select_by": "map@10"}}, ["training.select_by = 'map@10'", "recall@10"]),
        ({"training": 3}, ["'training' must be a table", "3"]),
        ({"preset": "bets"}, ["no preset 'bets'", "paper"]),
        ({"preset": ["paper"]}, ["no preset ['paper']"]),
        (
            {"model": dict.fromkeys(("taste", "short_term", "long_term", "cooccurrence"), False)},
            ["config: model: every part is switched off; leave on at least one of"],
        ),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_named(changes: dict[str, Any], said: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        make_settings(config=changes)
    for words in said:
        assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_not_a_number_is_no_learning_rate(tmp_path: Path) -> None:
    """TOML has nan; a training with it ends in NaN weights, after a long wait."""
    with pytest.raises(InputError, match=r"training\.learning_rate = nan"):
        make_settings(config=toml(tmp_path, "[training]\nlearning_rate = nan\n"))


@pytest.mark.parametrize("epochs", [0, -1])
def test_epochs_below_one_are_refused(epochs: int) -> None:
    with pytest.raises(InputError, match=f"^settings: training.epochs = {epochs}"):
        make_settings(epochs=epochs)


def test_a_file_is_not_blamed_for_an_argument(tmp_path: Path) -> None:
    path = toml(tmp_path, "[training]\nepochs = 1\n")
    with pytest.raises(InputError, match=r"^settings: training\.epochs = 0"):
        make_settings(config=path, epochs=0)
    with pytest.raises(InputError, match=r"\.toml: training\.epochs = 0"):
        make_settings(config=toml(tmp_path, "[training]\nepochs = 0\n"))


def test_a_file_may_be_named_by_a_string(tmp_path: Path) -> None:
    assert make_settings(config=str(toml(tmp_path, "[model]\ndim = 7\n"))).model.dim == 7


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[model\ndim = 3", "not valid TOML"),
        (b"[model]\ndim = 3\ndim = 4\n", "not valid TOML"),
        (b"[model]\nname = '\xe9'", "cannot be read"),
        (b"[model]\nheads = 'many'", "model.heads = 'many'"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        make_settings(config=path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "said"), [("missing.toml", "No such file"), (".", "Is a directory")])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        make_settings(config=tmp_path / name)
