"""What `read_events` makes of a table of the items."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from magnn.data.events import read_events
from tests.data.logs import refusal

FILMS = pl.DataFrame({"user": [1, 2, 1], "item": [10, 20, 30], "time": [1, 2, 3]})


@pytest.mark.parametrize(
    "ids", [[30, 10, 99], ["30", "10", "99"], [30.0, 10.0, 99.0]], ids=["integers", "text", "floats"]
)
@pytest.mark.parametrize("name", ["title", "movie_title", "Title:token_seq", "name"])
def test_items_are_found_whatever_type_their_ids_have(ids: list[Any], name: str) -> None:
    table = pl.DataFrame({"movieId": ids, name: ["Thirty", "Ten", "Unsold"], "genres": ["g", "h", "i"]})
    events = read_events(FILMS, items=table)
    assert events.item_table is not None
    assert events.item_table.to_dict(as_series=False) == {
        "item": [10, 20, 30],
        "title": ["Ten", None, "Thirty"],
        "genres": ["h", None, "g"],
    }
    assert [events.title(item) for item in range(3)] == ["Ten", None, "Thirty"]
    assert events.notes[1:] == (
        f"item table: movieId is the item, {name} is the title",
        "item table: 1 of 3 items are not in it",
    )


def test_the_first_of_two_rows_of_an_item_counts_and_rows_without_an_id_do_not() -> None:
    table = pl.DataFrame({"item": ["10", None, "20", "", "10", "30"], "title": ["Ten", "?", None, "??", "Other", "T"]})
    events = read_events(FILMS, items=table)
    assert [events.title(item) for item in range(3)] == ["Ten", None, "T"]
    assert events.notes[1:] == ("item table: item is the item, title is the title",), "each has its row"


def test_what_a_model_could_not_be_saved_with_is_left_out_and_noted() -> None:
    table = pl.DataFrame(
        {"item_id": [10, 20, 30], "title": ["a", "b", "c"], "more": [{}, {}, {}], "tags": [[{}], [], []]}
    )
    events = read_events(FILMS, items=table)
    assert events.item_table is not None and events.item_table.columns == ["item", "title"]
    assert events.notes[2:] == (
        "item table: more is left out, for no Parquet file can hold Struct({})",
        "item table: tags is left out, for no Parquet file can hold List(Struct({}))",
    )


def test_a_log_may_call_its_items_titles() -> None:
    log = FILMS.rename({"item": "title"})
    table = pl.DataFrame({"title": [10, 30], "name": ["Ten", "Thirty"]})
    events = read_events(log, item_col="title", items=table)
    assert [events.title(item) for item in range(3)] == ["Ten", None, "Thirty"]


def test_a_table_without_titles_is_kept_and_noted() -> None:
    events = read_events(FILMS, items=pl.DataFrame({"item_id": [10, 20, 30], "price": [1.5, 2.5, 3.5]}))
    assert events.item_table is not None and events.item_table["price"].to_list() == [1.5, 2.5, 3.5]
    assert events.title(0) is None and "no title column" in events.notes[1]


def test_an_item_table_is_read_from_a_file_like_a_log(tmp_path: Path) -> None:
    log = pl.DataFrame({"user": [1, 2], "item": ["007", "7"]})
    (tmp_path / "items.csv").write_text(
        '\ufeffitemId;title\r\n7;"Seven; or\nso"\r\n\r\n007;Bond é\r\n', encoding="utf-8"
    )
    events = read_events(log, items=tmp_path / "items.csv")
    assert [events.title(item) for item in range(2)] == ["Bond é", "Seven; or\nso"]


@pytest.mark.parametrize("in_log", ["item", "sku_code", "name"])
@pytest.mark.parametrize("in_table", ["in_log", "id", "ID", "item_id"])
def test_the_id_column_has_the_name_of_the_logs_or_a_usual_one(in_log: str, in_table: str) -> None:
    log = FILMS.rename({"item": in_log})
    name = in_log if in_table == "in_log" else in_table
    table = pl.DataFrame({"price": [1, 2, 3], name: [10, 20, 30], "title": ["Ten", "Twenty", "Thirty"]})
    events = read_events(log, item_col=in_log, items=table)
    assert [events.title(item) for item in range(3)] == ["Ten", "Twenty", "Thirty"]
    assert events.notes[1] == f"item table: {name} is the item, title is the title"


@pytest.mark.parametrize("id_column", ["movie_id", "id"])
def test_what_may_be_a_name_is_the_title_beside_an_id(id_column: str) -> None:
    table = pl.DataFrame({id_column: [10, 20, 30], "movie": ["Ten", "Twenty", "Thirty"]})
    events = read_events(FILMS, items=table)
    assert [events.title(item) for item in range(3)] == ["Ten", "Twenty", "Thirty"]


def test_an_item_table_without_an_item_column_is_refused() -> None:
    message = refusal(
        FILMS.rename({"item": "film"}), item_col="film", items=pl.DataFrame({"x": [10], "title": ["Ten"]})
    )
    assert message.endswith("no item column among x, title; name it film, as it is in the log")


def test_without_an_item_table_there_are_no_titles() -> None:
    assert read_events(FILMS).item_table is None and read_events(FILMS).title(0) is None
