"""The page of settings: every key is there, with what the presets make of it."""

from benchmarks import settings_page
from magnn.settings import TABLES


def test_the_page_is_up_to_date() -> None:
    """If this fails: python -m benchmarks.settings_page."""
    assert settings_page.write_page() == settings_page.PAGE.read_text()


def test_every_key_has_a_row_and_a_description() -> None:
    text = settings_page.write_page()
    for table, fields in TABLES.items():
        rows = text.split(f"## [{table}]")[1].split("## ")[0].splitlines()
        for name in fields.model_fields:
            (row,) = (row for row in rows if row.startswith(f"| `{name}` |"))
            assert len(row.replace("\\|", "").split(" | ")) == 5 and not row.endswith("|  |")


def test_values_stand_as_toml_has_them() -> None:
    text = settings_page.write_page()
    assert '| `cosine` | `"auto"` | `false` | true, false, "auto" |' in text
    assert '| `loss` | `"softmax"` | `"bpr"` | "bpr", "softmax" |' in text
    assert "| `dropout` | `0.2` | `0.0` | number ≥ 0 < 1 |" in text
