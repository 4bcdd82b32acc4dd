"""All settings of a fit: presets, and the TOML file or dictionary that changes them, read and written."""

import difflib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from magnn.errors import InputError
from magnn.model.config import ModelConfig
from magnn.model.graph_part import GraphConfig
from magnn.training.config import TrainingConfig


class Settings(BaseModel):
    """Architecture, training and graph part, as stored in a model's directory.

    Example:
        >>> Settings().model.dim
        50
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: str = "paper"
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    graph: GraphConfig = GraphConfig()

    def for_log(self, events: int, items: int) -> "Settings":
        """These settings for a log of so many training events and items: what was left to it is decided."""
        decided = {"model": self.model.for_log(events, items), "training": self.training.for_log(events)}
        return self.model_copy(update=decided)


PRESETS = {
    # What we would use ourselves: the paper's network with a window weighted by age and one vector an item, without taste
    # (a row for each user overfits), under a loss that looks at the top of the list; and two graphs of items given a part
    # of the score. Chosen on the validation events of several logs (docs/experiments.md).
    "best": Settings(
        preset="best",
        model=ModelConfig(
            dim=128,
            short_window=10,
            long_window=40,
            heads=4,
            graph_links=64,
            taste=False,
            recency=True,
            tied=True,
            feed_forward=None,
            dropout=0.2,
            cosine=None,
        ),
        training=TrainingConfig(
            loss="softmax",
            targets=1,
            whole_window=False,
            epochs=None,
            decay=True,
            weight_rate=1,
            l2=0,
        ),
        graph=GraphConfig(neighbours=200),
    ),
    # The paper's model; what the paper leaves open was chosen on the validation events of Amazon CDs.
    "paper": Settings(preset="paper"),
}
DEFAULT_PRESET = "best"
TABLES: dict[str, type[BaseModel]] = {"model": ModelConfig, "training": TrainingConfig, "graph": GraphConfig}


Config = Path | str | Mapping[str, Any]  # a TOML file, or its tables


def make_settings(preset: str | None = None, config: Config | None = None, epochs: int | None = None) -> Settings:
    """A preset, changed by a TOML file or a dictionary of the same form, changed by arguments.

    Args:
        preset: name of a preset; also settable as `preset` in `config`.
        config: tables `model`, `training` and `graph`, whose keys are the fields of ModelConfig, TrainingConfig and
            GraphConfig. What may be left to the log is None or "auto".
        epochs: shorthand for `training.epochs`.

    Raises:
        InputError: no such preset or file, broken TOML, an unknown key, or a value out of range.

    Example:
        >>> make_settings("paper", {"model": {"dim": 32}}).model.dim
        32
    """
    origin, changes = _read(config)
    name = preset or changes.pop("preset", DEFAULT_PRESET)
    changes.pop("preset", None)
    if not isinstance(name, str) or name not in PRESETS:
        raise InputError(f"there is no preset {name!r}; choose one of {', '.join(PRESETS)}")
    values = PRESETS[name].model_dump()
    for table, entries in changes.items():
        if table not in TABLES:
            raise InputError(f"{origin}: unknown key {table!r}{_hint(table, ['preset', *TABLES])}")
        if not isinstance(entries, Mapping):
            raise InputError(f"{origin}: {table!r} must be a table of settings, not {entries!r}")
        values[table].update(entries)
    if epochs is not None:
        values["training"]["epochs"] = epochs
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        if epochs is not None and error.errors()[0]["loc"] == ("training", "epochs"):
            origin = "settings"
        raise InputError(f"{origin}: {_first_problem(error)}") from None


def named_in(config: Config | None) -> set[str]:
    """What a configuration sets itself, changed or not.

    Example:
        >>> named_in({"preset": "best", "model": {"dim": 64}})
        {'model.dim'}
    """
    tables = {table: entries for table, entries in _read(config)[1].items() if isinstance(entries, Mapping)}
    return {f"{table}.{name}" for table, entries in tables.items() for name in entries}


def to_toml(settings: Settings) -> str:
    """What differs from the preset, as a TOML file that `make_settings` reads back to the same settings.

    Example:
        >>> print(to_toml(make_settings("best", {"model": {"dim": 32, "taste": True}})))
        preset = "best"
        <BLANKLINE>
        [model]
        dim = 32
        taste = true
    """
    lines = [f"preset = {json.dumps(settings.preset)}"]
    plain = PRESETS[settings.preset].model_dump()
    for table in TABLES:
        entries = settings.model_dump()[table]
        changes = {name: value for name, value in entries.items() if value != plain[table][name]}
        if changes:
            lines += ["", f"[{table}]", *(f"{name} = {_toml_value(value)}" for name, value in changes.items())]
    return "\n".join(lines)


def _toml_value(value: Any) -> str:
    return json.dumps("auto" if value is None else value)


def _read(config: Config | None) -> tuple[str, dict[str, Any]]:
    if config is None:
        return "settings", {}
    if isinstance(config, Mapping):
        return "config", dict(config)
    try:
        return str(config), tomllib.loads(Path(config).read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{config}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{config}: not valid TOML: {error}") from None


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        table, name = str(first["loc"][0]), str(first["loc"][-1])
        known = TABLES[table].model_fields
        return f"unknown key {key!r}{_hint(name, list(known))}"
    if first["type"] == "value_error":  # a check of our own on a whole table, whose other values say nothing
        return f"{key}: {first['ctx']['error']}"
    return f"{key} = {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}"


def _hint(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known keys are {', '.join(known)}"
