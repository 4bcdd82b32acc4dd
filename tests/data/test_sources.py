"""One log in every form it can come in; and tables in memory that cannot be used: one line, with the place."""

import csv
import gzip
import io
import json
import sqlite3
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magnn.data.events import read_events
from tests.data.logs import LOG, database, flat, refusal, saved, whole

OPTIONS: dict[str, Any] = {"min_rating": 2, "min_user_events": 2, "min_item_events": 1}


def in_form(form: str, folder: Path) -> tuple[Any, dict[str, Any]]:
    """`LOG` in some form, and what else `read_events` needs to read it."""
    text = LOG.write_csv().encode()
    path = folder / form
    match form:
        case "a.csv" | "a.item.csv" | "a.CSV" | "a.txt" | "many.dots.csv" | "a[1]*.csv":
            path.write_bytes(text)
        case "bom-crlf.csv":  # as a spreadsheet saves it
            spreadsheet = io.StringIO(newline="")
            csv.writer(spreadsheet).writerows([LOG.columns, *LOG.rows()])
            path.write_bytes(b"\xef\xbb\xbf" + spreadsheet.getvalue().encode())
        case "blank-lines.csv":
            header, rest = text.split(b"\n", 1)
            path.write_bytes(b"\n" + header + b"\n\n\n" + rest + b"\n\n")
        case "blank-lines.tsv":
            path.write_bytes(b"\n\n" + LOG.write_csv(separator="\t").encode())
        case "all-quoted.csv":
            LOG.write_csv(path, quote_style="non_numeric")
        case "a.csv.gz" | "a.CSV.GZ":
            path.write_bytes(gzip.compress(text))
        case "two-members.csv.gz":  # as cat of two files, or bgzip, writes it
            path.write_bytes(gzip.compress(text[:40]) + gzip.compress(text[40:]))
        case "a.tsv" | "tabs.csv" | "a.tsv.gz":
            tabs = LOG.write_csv(separator="\t").encode()
            path.write_bytes(gzip.compress(tabs) if form.endswith(".gz") else tabs)
        case "semicolons.csv":
            LOG.write_csv(path, separator=";")
        case "a.parquet" | "a.pq" | "a[1].parquet":
            LOG.write_parquet(path)
        case "a.jsonl" | "a.ndjson" | "a[1].jsonl" | "bom.jsonl":
            LOG.write_ndjson(path)
            if form == "bom.jsonl":  # as PowerShell saves it
                path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        case "lazy":
            return LOG.lazy(), {}
        case "polars":
            return LOG, {}
        case "pandas":
            return LOG.to_pandas(), {}
        case "pandas-index":  # what a filter leaves behind
            return LOG.to_pandas().set_index(pd.Index(range(50, 50 + LOG.height))), {}
        case "arrow":
            return LOG.to_arrow(), {}
        case "arrow-chunks":
            return pa.concat_tables([LOG[:3].to_arrow(), LOG[3:].to_arrow()]), {}
        case "database":
            return database(path), {"query": "SELECT * FROM log"}
        case "path-as-text":
            LOG.write_parquet(folder / "a.parquet")
            return str(folder / "a.parquet"), {}
    return path, {}


FORMS = [
    *("a.csv", "a.CSV", "a.txt", "many.dots.csv", "a[1]*.csv", "bom-crlf.csv", "blank-lines.csv", "all-quoted.csv"),
    *("semicolons.csv", "tabs.csv", "a.csv.gz", "a.CSV.GZ", "two-members.csv.gz", "a.tsv", "a.tsv.gz"),
    *(
        "blank-lines.tsv",
        "a.parquet",
        "a.pq",
        "a[1].parquet",
        "a.jsonl",
        "a.ndjson",
        "a[1].jsonl",
        "bom.jsonl",
        "path-as-text",
    ),
    *("polars", "lazy", "pandas", "pandas-index", "arrow", "arrow-chunks", "database"),
]


@pytest.mark.parametrize("form", FORMS)
def test_a_log_is_the_same_in_every_form(form: str, tmp_path: Path) -> None:
    source, needed = in_form(form, tmp_path)
    events = read_events(source, **needed)
    assert flat(events) == [
        (7, "x", 1),
        (7, "007", 9),
        (7, "y, z", 9),
        (12, "y, z", 4),
        (12, 'a "b"', 4),
        (12, "x", 5),
        (100, "line\nbreak", 1_400_000_000),
    ]
    assert whole(events) == whole(read_events(LOG))
    assert whole(read_events(source, **needed, **OPTIONS)) == whole(read_events(LOG, **OPTIONS))


@settings(deadline=None, max_examples=60)
@given(
    ids=st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=6), min_size=2, max_size=6, unique=True),
    separator=st.sampled_from(",\t;|"),
)
def test_any_text_survives_a_csv(ids: list[str], separator: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    log = pl.DataFrame({"user": ids, "item": ids[::-1], "timestamp": range(len(ids))})
    path = tmp_path_factory.mktemp("text") / "a.csv"
    log.write_csv(path, separator=separator)
    assert flat(read_events(path)) == flat(read_events(log))


@pytest.mark.parametrize("form", ["csv", "jsonl", "sqlite"])
def test_what_a_column_holds_is_not_guessed_from_its_first_rows(form: str, tmp_path: Path) -> None:
    ids: list[Any] = [*range(2000), "007"]
    match form:
        case "csv":
            source: Any = saved(tmp_path, "a.csv", "user,item\n" + "".join(f"{i},{i}\n" for i in ids))
        case "jsonl":
            lines = "".join(json.dumps({"user": i, "item": i}) + "\n" for i in ids)
            source = saved(tmp_path, "a.jsonl", lines)
        case _:
            source = database(tmp_path / "a.db", pl.DataFrame({"user": ids, "item": ids}, strict=False))
            with sqlite3.connect(tmp_path / "a.db") as connection:  # integers and text in one column
                connection.execute("UPDATE log SET user = user + 0, item = item + 0 WHERE user <> '007'")
    events = read_events(source, query="SELECT * FROM log" if form == "sqlite" else None)
    assert events.user_ids.to_list() == events.item_ids.to_list() == sorted(map(str, ids))


# Frames and tables ----------------------------------------------------------------------------------------------------

NAN = float("nan")
IDS: dict[str, Any] = {"user": ["a", "b"], "item": ["x", "y"]}


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"user": ["a", None]}, "row 2, column 'user': the user id is missing"),
        ({"user": ["a", ""]}, "row 2, column 'user': the user id is missing"),
        ({"user": [None, None]}, "row 1, column 'user': the user id is missing"),
        ({"item": [1.0, NAN]}, "row 2, column 'item': the item id is missing"),
        ({"item": [1.0, 2.5]}, "row 2, column 'item': 2.5 is no item id; ids are integers or text"),
        ({"item": [1.0, float("inf")]}, "row 2, column 'item': inf is no item id; ids are integers or text"),
        ({"item": [1.0, 1e300]}, "row 2, column 'item': 1e+300 is no item id"),
        ({"item": [[1], [2]]}, "column 'item' holds List(Int64); ids are integers or text"),
        ({"item": [{"k": 1}, {"k": 2}]}, "column 'item' holds Struct"),
        ({"item": [b"\xff", b"y"]}, "column 'item' holds Binary; ids are integers or text"),
        ({"item": pl.Series([object(), object()], dtype=pl.Object)}, "column 'item' holds Object; ids are"),
        ({"time": [1, None]}, "row 2, column 'time': the timestamp is missing"),
        ({"time": [None, None]}, "row 1, column 'time': the timestamp is missing"),
        ({"time": [1.0, NAN]}, "row 2, column 'time': nan is not a usable timestamp"),
        ({"time": [1.0, -0.5]}, "row 2, column 'time': -0.5 is a negative timestamp"),
        ({"time": [datetime(2014, 5, 13), None]}, "row 2, column 'time': the timestamp is missing"),
        ({"time": ["2014-05-13", None]}, "row 2, column 'time': the timestamp is missing"),
        ({"time": [time(1), time(2)]}, "column 'time' holds Time, which is no timestamp"),
        ({"time": [timedelta(1), timedelta(2)]}, "column 'time' holds Duration"),
        ({"time": [[1], [2]]}, "column 'time' holds List(Int64), which is no timestamp; give numbers"),
        ({"rating": [1.0, None]}, "row 2, column 'rating': the rating is missing"),
        ({"rating": [1.0, float("-inf")]}, "row 2, column 'rating': -inf is not a usable rating"),
        ({"rating": [datetime(2014, 5, 13)] * 2}, "column 'rating' holds Datetime"),
    ],
)  # fmt: skip
def test_a_bad_value_in_a_frame_is_shown_with_its_row(columns: dict[str, Any], problem: str) -> None:
    threshold = {"min_rating": 0} if "rating" in columns else {}
    assert f"the data frame, {problem}" in refusal(pl.DataFrame(IDS | columns), **threshold)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (pd.DataFrame({"user": ["a", np.nan], "item": ["x", "y"]}), "the table, row 2, column 'user': the user id"),
        (pd.DataFrame({"user": [1, None], "item": ["x", "y"]}), "the table, row 2, column 'user': the user id"),
        (pd.DataFrame(IDS | {"ts": pd.to_datetime(["2014-05-13", None])}), "the table, row 2, column 'ts': the timestamp"),
        (pd.DataFrame({"user": pd.Series([1, "a"], dtype=object), "item": [1, 2]}), "give each column one type"),
        (pd.DataFrame([["a", "x", "y"]], columns=["user", "item", "item"]), "give each column one type and its own name"),
        (pd.DataFrame([["a", "x"], ["b", "y"]]), "no user column among 0, 1"),
        (pl.DataFrame(), "the data frame has no rows"),
        (pl.DataFrame({"user": [], "item": []}), "the data frame has no rows"),
        (pa.table({"user": [], "item": []}), "the table has no rows"),
        (pl.LazyFrame(IDS).select("film"), "the lazy frame cannot be collected"),
        (pl.scan_csv("not-there.csv"), "the lazy frame cannot be collected"),
        (None, "cannot read events from NoneType; give a path, a database URL and query"),
        ([("a", "x")], "cannot read events from list"),
        (b"log.csv", "cannot read events from bytes"),
        (pa.array([1, 2]), "cannot read events from Int64Array"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)  # fmt: skip
def test_a_table_that_cannot_be_used_is_refused(source: Any, problem: str) -> None:
    assert problem in refusal(source)
