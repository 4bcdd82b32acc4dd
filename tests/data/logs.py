"""What several tests of reading need: a log; it in a database; a file; a log flattened; the message of a refusal."""

import sqlite3
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from magnn.data.events import read_events
from magnn.data.interactions import Id, Interactions
from magnn.errors import InputError

# Ties in time, a repeat, and ids that tempt a reader: "007", separators, quotes, a line break, other alphabets.
LOG = pl.DataFrame(
    {
        "userId": [12, 7, 12, 7, 7, 12, 100, 12],
        "movieId": ["x", "007", "y, z", "x", "y, z", 'a "b"', "line\nbreak", "x"],
        "rating": [5.0, 3.5, 4.0, 1.0, 4.5, 2.0, 4.0, 5.0],
        "timestamp": [5, 9, 4, 1, 9, 4, 1_400_000_000, 9],
        "note": ["", "é|;", "\t", "日本", "'", None, "n", " "],
    }
)

PAIRS: dict[str, list[Any]] = {"user": ["a", "b"], "item": ["x", "y"]}  # the smallest log, for a column more


def database(path: Path, frame: pl.DataFrame = LOG) -> str:
    """`frame` as table `log`; returns the URL."""
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE log ({', '.join(frame.columns)})")
        connection.executemany(f"INSERT INTO log VALUES ({', '.join('?' * frame.width)})", frame.rows())
    connection.close()
    return f"sqlite:///{path}"


def saved(folder: Path, name: str, content: str | bytes) -> Path:
    """A file of this content."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def flat(events: Interactions) -> list[tuple[Id, Id, float]]:
    """(user, item, time) of each event, in outside ids, in stored order."""
    histories = events.histories
    users = [events.user_ids[int(user)] for user in histories.users]
    items = [events.item_ids[int(item)] for item in histories.items]
    return list(zip(users, items, events.times.tolist(), strict=True))


def whole(events: Interactions) -> dict[str, Any]:
    """All of it, comparable with ==."""
    return {
        "events": flat(events),
        "users": (events.user_ids.dtype, events.user_ids.to_list()),
        "items": (events.item_ids.dtype, events.item_ids.to_list()),
        "offsets": events.histories.offsets.tolist(),
        "catalogue": events.histories.n_items,
        "table": None if events.item_table is None else events.item_table.to_dict(as_series=False),
        "dropped": list(events.dropped.items()),
        "notes": events.notes,
    }


def refusal(source: Any, **options: Any) -> str:
    """What `read_events` says about a source that it must refuse: always one line."""
    with pytest.raises(InputError) as caught:
        read_events(source, **options)
    message = str(caught.value)
    assert message and message.splitlines() == [message], "an error is one line"
    return message
