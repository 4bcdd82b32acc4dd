"""From a database URL and a query to a frame; a password is never shown."""

from typing import TYPE_CHECKING

import polars as pl
from polars.exceptions import PolarsError

from magnn.data.files import first_line, is_there
from magnn.errors import InputError

if TYPE_CHECKING:
    from sqlalchemy import Engine


def read_database(url: str, query: str | None) -> tuple[str, pl.DataFrame]:
    """Run `query`; returns the database as a message may name it, and what came.

    Raises:
        InputError: SQLAlchemy or a driver is missing, the URL cannot be read, or the query fails or selects nothing.
    """
    try:
        import sqlalchemy
    except ImportError as error:
        raise InputError("reading from a database needs SQLAlchemy: pip install 'magnn[database]'") from error
    if query is None:
        raise InputError(
            "a database URL needs a query that selects user, item and time columns (--query); an item table is a file"
        )
    engine = _engine(url)
    # Passwords also come in the part behind the "?" (odbc_connect), so that is not shown at all.
    name = engine.url.set(query={}).render_as_string(hide_password=True)
    database = engine.url.database or ""
    in_a_file = (
        engine.url.get_backend_name() == "sqlite" and not database.startswith((":memory:", "file:")) and database
    )
    if in_a_file and not is_there(database):  # to connect would make it
        raise InputError(f"{name}: no such file")
    try:
        with engine.connect() as connection:
            return name, pl.read_database(query, connection, infer_schema_length=None)
    except (sqlalchemy.exc.SQLAlchemyError, PolarsError) as error:
        raise InputError(f"{name}: the query failed: {first_line(error)}") from error
    except AttributeError as error:  # how polars meets a statement that returns nothing
        raise InputError(f"{name}: the query returns no rows; give a SELECT") from error
    finally:
        engine.dispose()


def _engine(url: str) -> "Engine":
    import sqlalchemy

    try:
        engine = sqlalchemy.create_engine(url)
    except (sqlalchemy.exc.NoSuchModuleError, ImportError) as error:
        remedy = "write postgresql://" if url.startswith("postgres://") else "install it"
        raise InputError(f"the database URL needs a driver that is not here: {first_line(error)}; {remedy}") from error
    except (sqlalchemy.exc.ArgumentError, ValueError):
        engine = None  # the message may quote a piece of the password, so it is dropped, chain and all
    if engine is None or "@" in (engine.url.host or ""):
        raise InputError(
            "the database URL cannot be read; write dialect://user:password@host:port/database, "
            "with @, : and / in the password as %40, %3A and %2F"
        )
    return engine
