"""A database as the log: what a query brings, and every way it cannot: one line, and never a password."""

import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy

from magnn.data.events import read_events
from magnn.errors import InputError
from tests.data.logs import LOG, database, flat, refusal


def test_a_query_chooses_columns_and_rows(tmp_path: Path) -> None:
    url = database(tmp_path / "log.db")
    query = "SELECT userId AS who, movieId AS film, timestamp FROM log WHERE note LIKE '%' AND userId <> 100"
    events = read_events(url, query=query, user_col="who", item_col="film")
    assert flat(events) == [(7, "x", 1), (7, "007", 9), (7, "y, z", 9), (12, "y, z", 4), (12, "x", 5)]


def test_a_bad_value_in_a_database_is_shown_with_its_row(tmp_path: Path) -> None:
    log = pl.DataFrame({"user": [1, 2], "item": ["x", "y"], "ts": [1, None]})
    message = refusal(database(tmp_path / "a.db", log), query="SELECT * FROM log")
    assert f"{tmp_path / 'a.db'}, row 2, column 'ts': the timestamp is missing" in message
    message = refusal(database(tmp_path / "b.db", log), query="SELECT user, item, coalesce(ts, 'soon') AS ts FROM log")
    assert "row 2, column 'ts': 'soon' is not a usable timestamp" in message


@pytest.mark.parametrize("scheme", ["s3", "S3a", "https"])
def test_what_is_elsewhere_and_no_database_is_not_called_one(scheme: str) -> None:
    expected = f"{scheme.lower()}:// is no database: fetch the file first, and give its path"
    assert refusal(f"{scheme}://lake/events.parquet") == expected


def test_a_file_is_no_url() -> None:
    assert refusal("file:///events.csv") == "a file is named by its path, without file://"


def test_the_old_name_of_postgresql_is_corrected() -> None:
    assert refusal("postgres://bob:hunter2@host/shop", query="SELECT 1").endswith("; write postgresql://")


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        (None, "a database URL needs a query"),
        ("SELECT nope FROM log", "the query failed: (sqlite3.OperationalError) no such column: nope"),
        ("SELECT * FROM lag", "the query failed: (sqlite3.OperationalError) no such table: lag"),
        ("SELEKT", "the query failed: (sqlite3.OperationalError) near"),
        ("", "the query"),
        ("SELECT * FROM log WHERE userId = 0", "has no rows"),
        ("DELETE FROM log", "the query failed: DELETE"),
        ("delete from log", "the query returns no rows; give a SELECT"),
    ],
)
def test_a_query_that_cannot_be_used_is_refused(query: str | None, problem: str, tmp_path: Path) -> None:
    url = database(tmp_path / "log.db")
    assert problem in refusal(url, query=query)
    assert read_events(url, query="SELECT * FROM log").n_events == 7, "reading changes nothing"


@pytest.mark.parametrize(
    "url",
    [
        "nosuch://bob:hunter2@host/shop",
        "nosuch+driver://bob:hunter2@host/shop",
        "https://bob:hunter2@host/events.csv",
        "postgresql+nosuch://bob:hunter2@host/shop",
        "postgresql://bob:hunter2@host:port/shop",
        "postgresql://bob:hun/ter2@hunter2:x@host/shop",
        "postgresql://bob:p@hunter2:x@host/shop",
        "sqlite://bob:hunter2@host/shop.db",
        "sqlite:////nowhere/shop.db?password=hunter2",
        "sqlite:///{folder}/shop.db?odbc_connect=PWD%3Dhunter2",
        "bob:hunter2@host/shop?next=http://",
        "bob:hunter2@://host",
        "://bob:hunter2",
    ],
)
@pytest.mark.filterwarnings("ignore:Query string argument")  # SQLAlchemy does not know the arguments either
def test_a_database_that_cannot_be_used_is_refused_and_no_password_shown(url: str, tmp_path: Path) -> None:
    url = url.format(folder=tmp_path)
    for query in ("SELECT * FROM log", None):
        with pytest.raises(InputError) as caught:
            read_events(url, query=query)
        assert len(str(caught.value).splitlines()) == 1
        error: BaseException | None = caught.value
        while error is not None:  # a traceback shows the whole chain
            assert "hunter2" not in str(error)
            error = error.__cause__ or error.__context__


def test_a_database_that_answers_with_an_error_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    # A real server is not at hand: a database in memory answers in its name.
    create = sqlalchemy.create_engine

    def pretend(url: str) -> sqlalchemy.Engine:
        engine = create("sqlite://")
        engine.url = sqlalchemy.make_url(url)
        return engine

    monkeypatch.setattr(sqlalchemy, "create_engine", pretend)
    url = "mssql+pyodbc://bob:hunter2@host:1433/shop?odbc_connect=PWD%3Dhunter2"
    message = refusal(url, query="SELECT * FROM log")
    assert message == (
        "mssql+pyodbc://bob:***@host:1433/shop: the query failed: (sqlite3.OperationalError) no such table: log"
    )
    message = refusal("mssql+pyodbc://bob:p@hunter2@host/shop", query="SELECT * FROM log")
    assert "%40" in message and "hunter2" not in message, "an @ in a password makes the rest of it look like a host"


def test_without_sqlalchemy_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    assert "pip install 'magnn[database]'" in refusal("sqlite:///log.db", query="SELECT 1")


@pytest.mark.parametrize(
    "source", ["log.csv", Path("log.csv"), LOG, LOG.lazy(), LOG.to_pandas()], ids=lambda s: type(s).__name__
)
def test_a_query_with_anything_but_a_database_is_refused(source: Any) -> None:
    assert "a query needs a database URL such as sqlite:///shop.db, not" in refusal(source, query="SELECT 1")
