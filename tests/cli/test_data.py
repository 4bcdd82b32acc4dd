"""`magnn data`: what a person is told of a data set that is fetched, prepared and compared with what was published."""

import gzip
import json
from dataclasses import replace
from io import StringIO
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

from magnn.cli import bars
from magnn.data.datasets import DATASETS
from magnn.data.recipes import Counts, Recipe
from magnn.storage import file_sha256
from tests.cli.driver import Shell

COMICS = "goodreads_interactions_comics_graphic.json.gz"
STARS = {"ann": [5, 4, 0, 5], "bob": [4, 5, 3, 0], "eve": [5, 0, 0, 0]}  # of books 0 to 3
LINES = [
    json.dumps({"user_id": user, "book_id": str(book), "rating": stars, "date_added": "Mon Mar 07 12:55:50 -0800 2016"})
    for user, of_books in STARS.items()
    for book, stars in enumerate(of_books)
]


@pytest.fixture
def mirror(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a log of 12 lines, of which a recipe leaves two users, two books and four events."""
    folder = shell.folder / "mirror"
    folder.mkdir()
    (folder / COMICS).write_bytes(gzip.compress("\n".join(LINES).encode()))
    monkeypatch.setenv("MAGNN_DATA_MIRROR", folder.as_uri())
    small = DATASETS["goodreads-comics"]
    small = replace(small, file=replace(small.file, records=12), recipe=Recipe(4, 2, 2, 2), published=Counts(2, 2, 5))
    monkeypatch.setitem(DATASETS, "goodreads-comics", small)
    return folder


@pytest.mark.usefixtures("mirror")
def test_a_set_of_the_paper_is_shown_beside_the_published_counts(shell: Shell) -> None:
    result = shell("data", "get", "goodreads-comics", "-o", "data")
    assert result.code == 0
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.out.splitlines() if "│" in line]
    assert cells == [
        ["events in the source", "12", "12", "0"],
        ["users", "2", "2", "0"],
        ["items", "2", "2", "0"],
        ["interactions", "4", "5", "-1"],
    ]
    assert len({len(line) for line in result.out.splitlines()}) == 1, "aligned"
    path = shell.folder / "data" / COMICS
    assert result.err.splitlines() == [
        f"{COMICS}: SHA-256 {file_sha256(path)}; the source publishes none to compare it with",
        "dropped 6 events: rating below 4",
        "dropped 1 events: user with fewer than 2 events",
        "dropped 1 events: item with fewer than 2 events",
        "different from what was published: interactions",
        "wrote data/events.parquet; next: magnn fit data/events.parquet -o model",
    ]


@pytest.mark.usefixtures("mirror")
def test_counts_as_published_are_said_to_be(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    right = replace(DATASETS["goodreads-comics"], published=Counts(2, 2, 4), malformed=True)
    monkeypatch.setitem(DATASETS, "goodreads-comics", right)
    result = shell("data", "get", "goodreads-comics", "-o", "data")
    assert "all counts are as published" in result.err and "different" not in result.err
    assert "malformed" not in result.err


def test_skipped_lines_are_told(shell: Shell, mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (mirror / COMICS).write_bytes(gzip.compress("\n".join([*LINES, "{}", "?"]).encode()))
    monkeypatch.setitem(DATASETS, "goodreads-comics", replace(DATASETS["goodreads-comics"], malformed=True))
    assert "skipped 2 malformed lines" in shell("data", "get", "goodreads-comics", "-o", "data").err


@pytest.mark.usefixtures("mirror")
def test_raw_keeps_all_and_compares_the_source_alone(shell: Shell) -> None:
    result = shell("data", "get", "goodreads-comics", "-o", "data", "--raw")
    assert result.code == 0 and "dropped" not in result.err
    assert pl.read_parquet("data/events.parquet").height == 12
    assert result.out.count("12") == 2 and "users" not in result.out


def test_a_malformed_line_is_one_line_and_nothing_is_written(shell: Shell, mirror: Path) -> None:
    (mirror / COMICS).write_bytes(gzip.compress("\n".join([*LINES, LINES[0].replace("Mar", "Mrz")]).encode()))
    result = shell("data", "get", "goodreads-comics", "-o", "data")
    assert (result.code, result.out) == (2, "")
    assert result.error == (
        f"error: data/{COMICS}, line 13, column 'date_added': 'Mon Mrz 07 12:55:50 -0800 2016' is not a date such as "
        "'Mon Mar 07 12:55:50 -0800 2016'; the file is damaged or another one: delete it and fetch it again"
    )
    assert sorted(path.name for path in (shell.folder / "data").iterdir()) == [COMICS, f"{COMICS}.sha256"]


def test_every_set_is_listed_with_what_is_fetched(shell: Shell) -> None:
    rows = {line.split("│")[1].strip(): line for line in shell("data", "list").out.splitlines() if "│" in line}
    assert list(rows) == list(DATASETS)
    assert "198.7 MB" in rows["ml-20m"] and "> 152.3 MB" in rows["amazon-cds"]
    assert "4,216.3 MB" in rows["amazon-books"] and "unknown" in rows["goodreads-children"]


def test_a_bar_for_each_file_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    out = StringIO()
    monkeypatch.setattr(
        bars, "console_of", lambda stderr: Console(file=out, force_terminal=True, force_interactive=True, width=100)
    )
    with bars.download_bar() as begin:
        begin("a.csv")(512, 1024)
        begin("reading a.csv")(1024, 1024)
    assert "a.csv" in out.getvalue() and "reading a.csv" in out.getvalue() and "1.0/1.0 kB" in out.getvalue()
