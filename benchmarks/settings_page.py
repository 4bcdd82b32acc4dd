"""docs/settings.md, every key of a settings file, from the settings themselves: `python -m benchmarks.settings_page`."""

import sys
from typing import Any

from benchmarks.measure import ROOT
from magnn.settings import PRESETS, TABLES

PAGE = ROOT / "docs" / "settings.md"
INTRODUCTION = """# Settings

Written by `python -m benchmarks.settings_page`, from the descriptions in the code.

`magnn fit events.csv --config settings.toml -o model` takes a TOML file of what is to differ from the preset, and in a
program `magnn.fit(split, config=...)` its name, or a dictionary of the same form. `magnn tune` writes such a file, and the
`fit.json` of every model has all settings that it was fitted with. What is `"auto"` is worked out from the training
events, once for both phases of a fit; only `gce_q` is worked out anew from the events of the refit.

    preset = "best"

    [model]
    dim = 64

    [training]
    epochs = 4

The two presets are `best`, the default, and `paper`, the network and the loss of the paper. Symbols are the paper's.
"""
WORDS = {"boolean": "true, false", "integer": "integer", "number": "number", "null": '"auto"'}  # of JSON schema
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def write_page() -> str:
    """The page's text."""
    lines = [INTRODUCTION]
    for table, fields in TABLES.items():
        lines += [f"## [{table}]", "", "| key | `best` | `paper` | may be | what it is |", "|---|---|---|---|---|"]
        for name, schema in fields.model_json_schema()["properties"].items():
            values = [_shown(getattr(getattr(PRESETS[preset], table), name)) for preset in ("best", "paper")]
            words = schema["description"].replace("|", "\\|")  # or it would end the cell
            lines.append(f"| `{name}` | {' | '.join(values)} | {_allowed(schema)} | {words} |")
        lines.append("")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    """A value as TOML has it."""
    if value is None:
        return '`"auto"`'
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def _allowed(schema: dict[str, Any]) -> str:
    """Kind and bounds, from a JSON schema."""
    if "anyOf" in schema:
        return ", ".join(map(_allowed, schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f'"{value}"' for value in schema["enum"])
    bounds = (f"{sign} {schema[name]:g}" for name, sign in BOUNDS.items() if name in schema)
    return " ".join([WORDS[schema["type"]], *bounds])


if __name__ == "__main__":
    PAGE.write_text(write_page())
    print(f"wrote {PAGE.relative_to(ROOT)}", file=sys.stderr)
