"""Public data sets in miniature: files of each layout, fetched from a mirror, end as tables that are read."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from magnn.data import datasets
from magnn.data.datasets import DATASETS, MIRROR_VARIABLE, get_dataset
from magnn.data.events import read_events
from magnn.errors import DownloadError, InputError
from tests.data.archives import CSV_FILMS, with_hash, zipped
from tests.data.conftest import Server

GENRES = [
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
]
GENRES += ["Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"]


def film_100k(number: int, title: str, genres: list[str]) -> str:
    """A line of u.item: number, title, release, video release, IMDb address, and a flag for each of 19 genres."""
    flags = "|".join(str(int(genre in genres)) for genre in GENRES)
    return f"{number}|{title}|01-Jan-1995||http://us.imdb.com/M/title-exact?{number}|{flags}\n"


ML_100K = {
    "ml-100k/u.data": "196\t242\t3\t881250949\n22\t51\t1\t878887116\n196\t51\t5\t881250950\n",
    "ml-100k/u.item": film_100k(51, "Cité des enfants perdus, La (1995)", ["Adventure", "Sci-Fi"])
    + film_100k(242, 'The "Kolya" Film (1996)', ["Comedy"])
    + film_100k(267, "unknown", []),
    "ml-100k/u.genre": "".join(f"{genre}|{number}\n" for number, genre in enumerate(GENRES)) + "\n",
}
ML_1M = {
    "ml-1m/ratings.dat": "196::242::3::881250949\n22::51::1::878887116\n196::51::5::881250950\n",
    "ml-1m/movies.dat": "51::Cité des enfants perdus, La (1995)::Adventure|Sci-Fi\n"
    '242::The "Kolya" Film (1996)::Comedy\n267::unknown::\n',
}
CSV_EVENTS = "userId,movieId,rating,timestamp\n196,242,3.0,881250949\n22,51,1.0,878887116\n196,51,5.0,881250950\n"
ARCHIVES = {
    "ml-100k": zipped(ML_100K, "latin-1"),
    "ml-1m": zipped(ML_1M, "latin-1"),
    "ml-latest-small": zipped(
        {"ml-latest-small/ratings.csv": CSV_EVENTS, "ml-latest-small/movies.csv": CSV_FILMS}, "utf-8"
    ),
    "ml-20m": zipped({"ml-20m/ratings.csv": CSV_EVENTS, "ml-20m/movies.csv": CSV_FILMS}, "utf-8"),
}


@pytest.fixture
def small_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The public sets, with the hashes of the archives above."""
    for name, content in ARCHIVES.items():
        monkeypatch.setitem(DATASETS, name, with_hash(DATASETS[name], content))


@pytest.fixture(params=["http", "file"])
def mirror(
    request: pytest.FixtureRequest, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, bytes]:
    """Serves the archives at MAGNN_DATA_MIRROR over HTTP; as a folder they are copied when the address is set."""
    if request.param == "http":
        server.files.update({f"movielens/{name}.zip": content for name, content in ARCHIVES.items()})
        monkeypatch.setenv(MIRROR_VARIABLE, f"{server.url}/movielens/")
    else:
        folder = tmp_path / "a mirror"
        folder.mkdir()
        for name, content in ARCHIVES.items():
            (folder / f"{name}.zip").write_bytes(content)
        monkeypatch.setenv(MIRROR_VARIABLE, folder.as_uri())
    return server.files


@pytest.mark.usefixtures("small_sets", "mirror")
@pytest.mark.parametrize("name", list(ARCHIVES))
def test_a_data_set_becomes_events_and_items(name: str, tmp_path: Path) -> None:
    directory = tmp_path / "data" / name
    fetched = get_dataset(name, directory, raw=True)
    assert (fetched.events, fetched.items) == (directory / "events.parquet", directory / "items.parquet")
    assert (fetched.dropped, fetched.malformed, fetched.hashes) == ({}, 0, {})
    assert sorted(path.name for path in directory.iterdir()) == ["events.parquet", "items.parquet", f"{name}.zip"]

    log = pl.read_parquet(fetched.events)
    assert log.columns == ["user_id", "item_id", "rating", "timestamp"]
    assert log.rows() == [(196, 242, 3, 881250949), (22, 51, 1, 878887116), (196, 51, 5, 881250950)]
    assert fetched.items is not None
    items = pl.read_parquet(fetched.items)
    assert items.columns == ["item_id", "title", "genres"]
    assert items.with_columns(pl.col("genres").fill_null("")).rows() == [
        (51, "Cité des enfants perdus, La (1995)", "Adventure|Sci-Fi"),
        (242, 'The "Kolya" Film (1996)', "Comedy"),
        (267, "unknown", ""),
    ]

    events = read_events(fetched.events, items=fetched.items)
    assert events.user_ids.to_list() == [22, 196] and events.item_ids.to_list() == [51, 242]
    assert [events.histories.of(user).tolist() for user in range(2)] == [[0], [1, 0]]
    assert events.title(0) == "Cité des enfants perdus, La (1995)"


@pytest.mark.usefixtures("small_sets")
def test_getting_a_set_again_fetches_nothing(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server.files["ml-1m.zip"] = ARCHIVES["ml-1m"]
    monkeypatch.setenv(MIRROR_VARIABLE, server.url)
    seen: list[tuple[str, int, int | None]] = []
    first = get_dataset("ml-1m", tmp_path, lambda what: lambda done, total: seen.append((what, done, total)))
    size = len(ARCHIVES["ml-1m"])
    assert seen[-1] == ("ml-1m.zip", size, size)
    first.events.unlink()
    assert get_dataset("ml-1m", tmp_path) == first and first.events.exists(), "the archive is beside them"
    assert server.requests == [("/ml-1m.zip", None)]


@pytest.mark.usefixtures("small_sets")
def test_without_a_mirror_the_official_address_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MIRROR_VARIABLE, raising=False)
    asked: list[tuple[Any, ...]] = []

    def fetch(url: str, path: Path, sha256: str, progress: object) -> Path:
        asked.append((url, path, sha256))
        path.write_bytes(ARCHIVES["ml-1m"])
        return path

    monkeypatch.setattr(datasets, "download", fetch)
    get_dataset("ml-1m", tmp_path)
    official = "https://files.grouplens.org/datasets/movielens/ml-1m.zip"
    assert asked == [(official, tmp_path / "ml-1m.zip", hashlib.sha256(ARCHIVES["ml-1m"]).hexdigest())]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda content: content[:-100],
    "one bit": lambda content: content[:50] + bytes([content[50] ^ 1]) + content[51:],
    "another set": lambda _: ARCHIVES["ml-100k"],
    "a page that asks to log in": lambda _: b"<html>please log in</html>",
}


@pytest.mark.usefixtures("small_sets")
@pytest.mark.parametrize("damage", list(DAMAGES))
def test_a_damaged_archive_is_refused_and_tables_stand(
    damage: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MIRROR_VARIABLE, server.url)
    server.files["ml-1m.zip"] = DAMAGES[damage](ARCHIVES["ml-1m"])
    (tmp_path / "events.parquet").write_bytes(b"older")
    (tmp_path / "ml-1m.zip").write_bytes(b"older")  # what the events came from
    with pytest.raises(DownloadError, match=r"ml-1m\.zip: SHA-256 is .* the file was not kept"):
        get_dataset("ml-1m", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events.parquet", "ml-1m.zip"]
    assert all(path.read_bytes() == b"older" for path in tmp_path.iterdir())


@pytest.mark.usefixtures("small_sets")
def test_events_of_something_else_are_not_replaced(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MIRROR_VARIABLE, server.url)
    server.files["ml-1m.zip"] = ARCHIVES["ml-1m"]
    (tmp_path / "events.parquet").write_bytes(b"my own")
    with pytest.raises(InputError, match=r"events\.parquet is there without ml-1m\.zip, .* choose another"):
        get_dataset("ml-1m", tmp_path)
    assert not server.requests and (tmp_path / "events.parquet").read_bytes() == b"my own"
    (tmp_path / "events.parquet").rename(tmp_path / "items.parquet")
    with pytest.raises(InputError, match=r"items\.parquet is there without ml-1m\.zip"):
        get_dataset("ml-1m", tmp_path)
    (tmp_path / "ml-1m.zip").write_bytes(ARCHIVES["ml-1m"])  # two sets fetched by hand, and one of them written
    (tmp_path / "ml-100k.zip").write_bytes(b"")
    with pytest.raises(InputError, match=r"items\.parquet is there beside ml-100k\.zip"):
        get_dataset("ml-1m", tmp_path)
    get_dataset("ml-1m", tmp_path / "new")
    get_dataset("ml-1m", tmp_path / "new")  # its own are


def test_an_unknown_set_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        get_dataset("ml-1b", tmp_path / "new")
    assert str(caught.value).startswith("there is no data set 'ml-1b'; magnn data list shows ml-100k, ")
    assert all(name in str(caught.value) for name in DATASETS) and not (tmp_path / "new").exists()


def test_every_set_has_official_addresses_and_what_their_sources_publish() -> None:
    folders = {"ml": datasets.GROUPLENS, "amazon": datasets.AMAZON, "goodreads": datasets.GOODREADS}
    for name, dataset in DATASETS.items():
        assert dataset.name == name
        for file in dataset.files:
            assert file.url == f"{folders[name.split('-')[0]]}/{file.name}" and file.url.startswith("https://")
            if name.startswith("ml-"):
                assert file.name == f"{name}.zip" and file.sha256 and len(bytes.fromhex(file.sha256)) == 32
                assert file.size and file.size > 900_000
            else:
                assert file.sha256 is None and file.records and file.records > 1_000_000
        assert (dataset.recipe is None) == (dataset.published is None)
        assert (dataset.reviews is not None) == name.startswith("amazon-")
        assert not dataset.malformed
