"""The five logs of the paper in miniature, from their sources' files through the recipe.

A core of users and items passes every recipe, and around it is one thing for each filter to drop.
"""

import gzip
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import polars as pl
import pytest

from magnn.data.datasets import DATASETS, MIRROR_VARIABLE, get_dataset
from magnn.data.events import read_events
from magnn.errors import InputError
from tests.data.archives import CSV_FILMS, with_hash, zipped
from tests.data.conftest import Server

Event = tuple[int, int, float, int]  # user, item, stars, seconds
CORE = 25  # users 1 to 25 like items 1 to 25, which passes all recipes
NICHE, MUTE, SHORT, DULL = 101, 102, 103, 104
RARE, THIN = 201, 202
DAY = 1_404_172_800  # 2014-07-01
PAPER = [name for name, dataset in DATASETS.items() if dataset.recipe]


def world(name: str) -> tuple[list[Event], list[Event], dict[str, int]]:
    """A log, what the recipe leaves of it, and what each filter drops."""
    recipe = DATASETS[name].recipe
    assert recipe is not None
    core = [(user, item, 4.0 + item % 2, DAY + 86_400 * (item % 3)) for user in range(1, 26) for item in range(1, 26)]
    # No review is of MUTE, one of 10 characters of SHORT; only with reviews does this matter.
    unsaid = [(user, item, 5.0, DAY) for user in range(1, 26) for item in (MUTE, SHORT)]
    dull = [(user, DULL, 3.0, DAY) for user in range(1, 26)]
    niche = [(user, NICHE, 5.0, DAY) for user in range(1, recipe.item_events)]
    rare = [(RARE, item, 5.0, DAY) for item in range(1, recipe.user_events)]
    # Enough events, too few items of those that stay.
    thin = [(THIN, item, 5.0, DAY) for item in range(1, 10)]
    lone = [(THIN, 300 + n, 5.0, DAY) for n in range(recipe.user_events - 8)]
    with_reviews = DATASETS[name].reviews is not None
    dropped = {
        "rating below 4": len(dull),
        f"user with fewer than {recipe.user_events} events": len(rare),
        f"item with fewer than {recipe.item_events} events": len(niche) + len(lone),
        "item without a review": len(unsaid) if with_reviews else 0,
        "user with fewer than 10 items": len(thin),
    }
    left = core if with_reviews else core + unsaid
    return core + unsaid + dull + niche + rare + thin + lone, left, {why: n for why, n in dropped.items() if n}


def user_id(name: str, user: int) -> int | str:
    return user if name == "ml-20m" else f"A{user:013d}" if name.startswith("amazon") else f"{user:032x}"


def item_id(name: str, item: int) -> int | str:
    return item if name == "ml-20m" else f"{item:010d}" if name.startswith("amazon") else str(item)


def outside(name: str, events: list[Event]) -> list[tuple[int | str, int | str, float, int]]:
    return [(user_id(name, user), item_id(name, item), stars, time) for user, item, stars, time in events]


def raw_lines(name: str, events: list[Event]) -> list[str]:
    """As the source writes them."""
    if not name.startswith("goodreads"):
        return [f"{user},{item},{stars},{time}" for user, item, stars, time in outside(name, events)]
    return [
        json.dumps(
            {
                "user_id": user,
                "book_id": item,
                "review_id": "0" * 32,
                "is_read": True,
                "rating": int(stars),
                "review_text_incomplete": "",
                # UTC less eight hours
                "date_added": datetime.fromtimestamp(time - 8 * 3600, UTC).strftime("%a %b %d %H:%M:%S -0800 %Y"),
                "date_updated": "",
                "read_at": "",
                "started_at": "",
            }
        )
        for user, item, stars, time in outside(name, events)
    ]


def raw_files(name: str, lines: list[str]) -> dict[str, bytes]:
    """The files of a data set with these lines."""
    text = "".join(line + "\n" for line in lines)
    dataset = DATASETS[name]
    if name == "ml-20m":
        header = "userId,movieId,rating,timestamp\n"
        return {"ml-20m.zip": zipped({"ml-20m/ratings.csv": header + text, "ml-20m/movies.csv": CSV_FILMS}, "utf-8")}
    if dataset.reviews is None:
        return {dataset.file.name: gzip.compress(text.encode())}
    of = dict.fromkeys(range(1, CORE + 1), "a good record") | {SHORT: "x" * 10, NICHE: "x" * 11}
    reviews = [{"reviewerID": "A1", "asin": f"{item:010d}", "helpful": [0, 1], "overall": 5.0} for item in of]
    whole = [review | {"reviewText": said} for review, said in zip(reviews, of.values(), strict=True)]
    # Of an item, one review may be long enough and another not; of one that is not in the log there may be no text.
    whole += [reviews[0] | {"reviewText": ""}, reviews[0] | {"asin": "B000000000"}]
    packed = gzip.compress("".join(json.dumps(review) + "\n" for review in whole).encode())
    return {dataset.file.name: text.encode(), dataset.reviews.name: packed}


def serve(server: Server, monkeypatch: pytest.MonkeyPatch, name: str, files: dict[str, bytes]) -> None:
    """At MAGNN_DATA_MIRROR, with the hash where there is one."""
    server.files.update(files)
    monkeypatch.setenv(MIRROR_VARIABLE, server.url)
    if name == "ml-20m":
        monkeypatch.setitem(DATASETS, name, with_hash(DATASETS[name], files["ml-20m.zip"]))


@pytest.mark.parametrize("name", PAPER)
def test_a_log_of_the_paper_goes_through_the_recipe(
    name: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, left, dropped = world(name)
    Random(0).shuffle(log)
    files = raw_files(name, raw_lines(name, log))
    serve(server, monkeypatch, name, files)
    seen: list[str] = []

    def progress(what: str) -> Callable[[int, int | None], None]:
        seen.append(what)
        return lambda done, total: None

    fetched = get_dataset(name, tmp_path, progress)
    events = pl.read_parquet(fetched.events)
    assert events.columns == ["user_id", "item_id", "rating", "timestamp"]
    assert events.rows() == outside(name, [event for event in log if event in left]), "in the order of the source"
    assert list(fetched.dropped.items()) == list(dropped.items()) and fetched.malformed == 0
    assert seen == [*files, *(f"reading {file}" for file in files)]

    items = CORE if DATASETS[name].reviews else CORE + 2
    found = {what: found for what, found, _ in fetched.comparisons}
    assert found["users"] == CORE and found["items"] == items and found["interactions"] == len(left)
    assert found["events in the source"] == len(log)
    assert [published for what, _, published in fetched.comparisons[-3:]] == list(DATASETS[name].published or ())

    if name == "ml-20m":
        assert fetched.items and fetched.hashes == {}
        assert sorted(path.name for path in tmp_path.iterdir()) == ["events.parquet", "items.parquet", *files]
    else:
        assert fetched.items is None
        assert fetched.hashes == {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
        beside = sorted([*files, *(f"{file}.sha256" for file in files)])
        assert sorted(path.name for path in tmp_path.iterdir()) == ["events.parquet", *beside]
    read = read_events(fetched.events)
    assert (read.n_users, read.n_items, read.n_events) == (CORE, items, len(left))


@pytest.mark.parametrize("name", PAPER)
def test_raw_is_all_there_is_and_fetches_no_reviews(
    name: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = world(name)[0]
    serve(server, monkeypatch, name, raw_files(name, raw_lines(name, log)))
    fetched = get_dataset(name, tmp_path, raw=True)
    assert pl.read_parquet(fetched.events).rows() == outside(name, log)
    assert fetched.dropped == {} and [what for what, _, _ in fetched.comparisons] == ["events in the source"]
    assert server.requests == [(f"/{DATASETS[name].file.name}", None)]


def test_repeated_events_are_kept_but_count_as_one_item(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "goodreads-comics"
    log, left, _ = world(name)
    again = [event for event in left if event[0] == 1]
    thin = [(THIN, 1, 5.0, DAY)] * 5  # with its nine others, 14 events with 9 items
    serve(server, monkeypatch, name, raw_files(name, raw_lines(name, log + again + thin)))
    assert pl.read_parquet(get_dataset(name, tmp_path).events).rows() == outside(name, left + again)


BAD_LINES = {
    "amazon-cds": [
        ("A1,0000000001,5.0", "'A1,0000000001,5.0' has 3 fields, not the 4 of user_id,item_id,rating,timestamp"),
        ("A1,0000000001,five,1404172800", "column 'rating': 'five' is not a number from 0 to 5"),
        ("A1,0000000001,50.0,1404172800", "column 'rating': '50.0' is not a number from 0 to 5"),
        ("A1,0000000001,5.0,1404172800.5", "column 'timestamp': '1404172800.5' is not a whole number of seconds"),
        (",0000000001,5.0,1404172800", "column 'user_id': '' is not an id"),
    ],
    "ml-20m": [
        ("1,tt01,5.0,1404172800", "column 'movieId': 'tt01' is not a number"),
    ],
    "goodreads-children": [
        ('{"user_id": "a", "book', """'{"user_id": "a", "book' is not a JSON object"""),
        ('{"user_id": "a", "book_id": "1", "rating": 5}', "column 'date_added' is missing; it holds a date such as"),
        (
            '{"user_id": "a", "book_id": "1", "rating": 5, "date_added": "yesterday"}',
            "column 'date_added': 'yesterday' is not a date such as 'Mon Mar 07 12:55:50 -0800 2016'",
        ),
        ('{"user_id": "", "book_id": "1", "rating": 5, "date_added": ""}', "column 'user_id': '' is not an id"),
    ],
}


@pytest.mark.parametrize(("name", "line", "said"), [(name, *bad) for name, some in BAD_LINES.items() for bad in some])
def test_a_malformed_line_is_an_error_unless_the_source_is_known_to_have_some(
    name: str, line: str, said: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, left, dropped = world(name)
    lines = raw_lines(name, log)
    lines.insert(40, line)
    serve(server, monkeypatch, name, raw_files(name, lines))
    number = 41 + (name == "ml-20m")  # after the header
    with pytest.raises(InputError, match=rf"{DATASETS[name].file.name}.*, line {number}[:,] ?{re.escape(said)}"):
        get_dataset(name, tmp_path)
    assert not (tmp_path / "events.parquet").exists()

    monkeypatch.setitem(DATASETS, name, replace(DATASETS[name], malformed=True))
    fetched = get_dataset(name, tmp_path)
    assert fetched.malformed == 1 and fetched.dropped == dropped
    assert pl.read_parquet(fetched.events).height == len(left)
    assert fetched.comparisons[0].found == len(log), "a malformed line is no event"


def test_a_malformed_review_is_an_error_too(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = raw_files("amazon-cds", raw_lines("amazon-cds", world("amazon-cds")[0]))
    reviews = "reviews_CDs_and_Vinyl_5.json.gz"
    files[reviews] = gzip.compress(gzip.decompress(files[reviews]) + b'{"reviewText": "good"}\n')
    serve(server, monkeypatch, "amazon-cds", files)
    with pytest.raises(InputError, match=rf"{reviews}, line 30, column 'asin' is missing; it holds an id"):
        get_dataset("amazon-cds", tmp_path)
    assert not (tmp_path / "events.parquet").exists()
    assert get_dataset("amazon-cds", tmp_path, raw=True).events.exists(), "which needs no reviews"


def test_a_truncated_gzip_is_no_shorter_log(tmp_path: Path) -> None:
    files = raw_files("goodreads-comics", raw_lines("goodreads-comics", world("goodreads-comics")[0]))
    for name, content in files.items():
        (tmp_path / name).write_bytes(content[:-200])
    (tmp_path / "events.parquet").write_bytes(b"older")
    with pytest.raises(
        InputError, match=r"comics_graphic\.json\.gz: cannot be read to its end .* delete it and fetch it"
    ):
        get_dataset("goodreads-comics", tmp_path)
    assert (tmp_path / "events.parquet").read_bytes() == b"older"


def test_a_log_of_which_nothing_is_left_is_refused(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = [event for event in world("amazon-books")[0] if event[0] == RARE]
    serve(server, monkeypatch, "amazon-books", raw_files("amazon-books", raw_lines("amazon-books", log)))
    with pytest.raises(InputError, match=r"ratings_Books\.csv: the recipe leaves none of its 19 events; --raw"):
        get_dataset("amazon-books", tmp_path)
    assert not (tmp_path / "events.parquet").exists()
