"""Public data sets: fetched from their official address, verified, and turned into events.parquet and items.parquet."""

import io
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from magnn.data.download import BytesProgress, download, file_sha256
from magnn.errors import DownloadError, InputError
from magnn.storage import atomic_file

MIRROR_VARIABLE = "MAGNN_DATA_MIRROR"
GROUPLENS = "https://files.grouplens.org/datasets/movielens"

Tables = tuple[pl.DataFrame, pl.DataFrame]  # events and items


@dataclass(frozen=True)
class Dataset:
    """A public data set: one archive, and how to read it.

    Attributes:
        sha256: of the archive, hexadecimal.
        size: of the archive, in bytes.
        read: archive -> events (user_id, item_id, rating, timestamp) and items (item_id, title, genres).
    """

    name: str
    about: str
    url: str
    sha256: str
    size: int
    read: Callable[[zipfile.ZipFile], Tables]


def get_dataset(name: str, directory: Path, progress: BytesProgress | None = None) -> tuple[Path, Path]:
    """Fetch a data set into `directory` and write events.parquet and items.parquet there.

    The archive stays beside them, so that getting the set again fetches nothing. The environment variable
    MAGNN_DATA_MIRROR replaces the folder part of the official address (http, https or file URL); hashes stay the same.

    Returns:
        Paths of events.parquet and items.parquet.

    Raises:
        InputError: no such data set.
        DownloadError, StorageError: see `magnn.data.download.download`.
    """
    if name not in DATASETS:
        raise InputError(f"there is no data set {name!r}; magnn data list shows {', '.join(DATASETS)}")
    dataset = DATASETS[name]
    url, mirror = dataset.url, os.environ.get(MIRROR_VARIABLE)
    if mirror:
        url = f"{mirror.rstrip('/')}/{dataset.url.rsplit('/', 1)[1]}"
    archive = download(url, directory / Path(dataset.url).name, dataset.sha256, progress)
    with zipfile.ZipFile(archive) as opened:
        return write_tables(dataset.read(opened), directory)


def write_tables(tables: Tables, directory: Path) -> tuple[Path, Path]:
    """Write events.parquet and items.parquet."""
    paths = directory / "events.parquet", directory / "items.parquet"
    for table, path in zip(tables, paths, strict=True):
        with atomic_file(path) as temporary:
            table.write_parquet(temporary)
    return paths


def movielens_100k_from_wheel() -> Tables:
    """MovieLens-100K out of the PyPI wheel of RecBole 1.2.1, which carries it: for where GroupLens cannot be reached.

    pip fetches the wheel, its hash is checked, and two data files are read from it as from any zip; no code of it runs.

    Raises:
        DownloadError: pip cannot get it, or it is not the file expected.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--retries=1", "--timeout=15", "--dest", folder, RECBOLE]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or len(wheels) != 1:
            last = (done.stderr.strip().splitlines() or ["no wheel came"])[-1]
            raise DownloadError(f"pip cannot download {RECBOLE}: {last}")
        if file_sha256(wheels[0]) != RECBOLE_SHA256:
            raise DownloadError(f"{RECBOLE}: the wheel is not the expected one (SHA-256 {file_sha256(wheels[0])})")
        with zipfile.ZipFile(wheels[0]) as wheel:
            base = "recbole/dataset_example/ml-100k/ml-100k"
            events = pl.read_csv(wheel.read(f"{base}.inter"), separator="\t")
            items = pl.read_csv(wheel.read(f"{base}.item"), separator="\t", quote_char=None, infer_schema=False)
    events = events.rename(lambda name: name.split(":")[0])
    year = pl.col("release_year")
    dated = pl.when(year.str.contains(r"^\d{4}$")).then(pl.format("{} ({})", "movie_title", year))
    items = items.rename(lambda name: name.split(":")[0]).select(
        pl.col("item_id").cast(pl.Int64),
        title=dated.otherwise("movie_title"),
        genres=pl.col("class").str.replace_all(" ", "|"),
    )
    return events.select("user_id", "item_id", "rating", pl.col("timestamp").cast(pl.Int64)), items


def _read_100k(archive: zipfile.ZipFile) -> Tables:
    events = _table(archive.read("ml-100k/u.data"), "\t", ["user_id", "item_id", "rating", "timestamp"])
    raw = pl.read_csv(
        _utf8(archive.read("ml-100k/u.item")), separator="|", has_header=False, quote_char=None, infer_schema=False
    )
    genres = _utf8(archive.read("ml-100k/u.genre")).decode().split("\n")
    names = [line.split("|")[0] for line in genres if "|" in line]
    number, title = raw.columns[:2]  # names of columns without a header start at 0 or 1, by the version of polars
    flags = raw.columns[5 : 5 + len(names)]
    marked = [pl.when(pl.col(flag) == "1").then(pl.lit(name)) for flag, name in zip(flags, names, strict=True)]
    items = raw.select(
        item_id=pl.col(number).cast(pl.Int64),
        title=pl.col(title),
        genres=pl.concat_list(marked).list.drop_nulls().list.join("|"),
    )
    return events, items


def _read_1m(archive: zipfile.ZipFile) -> Tables:
    columns = ["user_id", "item_id", "rating", "timestamp"]
    events = _table(archive.read("ml-1m/ratings.dat").replace(b"::", b"\t"), "\t", columns)
    items = _table(archive.read("ml-1m/movies.dat").replace(b"::", b"\t"), "\t", ["item_id", "title", "genres"])
    return events, items


def _read_csvs(folder: str) -> Callable[[zipfile.ZipFile], Tables]:
    def read(archive: zipfile.ZipFile) -> Tables:
        with archive.open(f"{folder}/ratings.csv") as ratings, archive.open(f"{folder}/movies.csv") as movies:
            events = pl.read_csv(ratings.read()).rename({"userId": "user_id", "movieId": "item_id"})
            return events, pl.read_csv(movies.read()).rename({"movieId": "item_id"})

    return read


def _table(content: bytes, separator: str, columns: list[str]) -> pl.DataFrame:
    return pl.read_csv(
        io.BytesIO(_utf8(content)), separator=separator, has_header=False, new_columns=columns, quote_char=None
    )


def _utf8(content: bytes) -> bytes:
    return content.decode("latin-1").encode()  # what GroupLens used before UTF-8


RECBOLE = "recbole==1.2.1"
RECBOLE_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
DATASETS = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            "ml-100k",
            "MovieLens-100K: 943 users, 1,682 films, 100,000 ratings",
            f"{GROUPLENS}/ml-100k.zip",
            "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
            4_924_029,
            _read_100k,
        ),
        Dataset(
            "ml-latest-small",
            "MovieLens latest-small: 610 users, 9,724 films, 100,836 ratings",
            f"{GROUPLENS}/ml-latest-small.zip",
            "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
            978_202,
            _read_csvs("ml-latest-small"),
        ),
        Dataset(
            "ml-1m",
            "MovieLens-1M: 6,040 users, 3,706 films, 1,000,209 ratings",
            f"{GROUPLENS}/ml-1m.zip",
            "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
            5_917_549,
            _read_1m,
        ),
        Dataset(
            "ml-20m",
            "MovieLens-20M: 138,493 users, 26,744 films, 20,000,263 ratings",
            f"{GROUPLENS}/ml-20m.zip",
            "96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3",
            198_702_078,
            _read_csvs("ml-20m"),
        ),
    )
}
