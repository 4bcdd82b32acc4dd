"""Public data sets: fetched from their official address, verified, and turned into events.parquet and items.parquet.

The five logs of the paper (Ma et al., AAAI 2020) come as its authors prepared them; see `magnn.data.recipes`.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import polars as pl

from magnn.data.download import BytesProgress, download
from magnn.data.lines import read_lines
from magnn.data.readers import REVIEWS, Read, read_1m, read_100k, read_amazon, read_csvs, read_goodreads, reviewed_items
from magnn.data.recipes import Counts, Recipe, count
from magnn.errors import InputError
from magnn.storage import atomic_file, explained, file_sha256

MIRROR_VARIABLE = "MAGNN_DATA_MIRROR"
GROUPLENS = "https://files.grouplens.org/datasets/movielens"
AMAZON = "https://snap.stanford.edu/data/amazon/productGraph/categoryFiles"
GOODREADS = "https://mcauleylab.ucsd.edu/public_datasets/gdrive/goodreads/byGenre"

Tables = tuple[pl.DataFrame, pl.DataFrame]  # events and items
DatasetProgress = Callable[[str], BytesProgress]  # called with what begins: a file that is fetched, or read


@dataclass(frozen=True)
class RawFile:
    """A file as its source publishes it.

    Attributes:
        sha256: hexadecimal; None where the source publishes none.
        size: in bytes, some rounded: for the list. None where it is not known.
        records: how many the source says it holds; None where it does not say, or is not compared.
    """

    url: str
    sha256: str | None = None
    size: int | None = None
    records: int | None = None

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self.url.rsplit("/", 1)[1]


@dataclass(frozen=True)
class Dataset:
    """A public data set: where its events are, how to read them, and what the authors of the paper made of them.

    Attributes:
        read: file -> events (user_id, item_id, rating, timestamp), and items (item_id, title, genres) where it has them.
        recipe: how the authors prepared it; None for a log that is not in the paper.
        reviews: reviews as JSON lines; the recipe drops items that no review is of.
        published: size of the authors' log, from the paper's table of data sets.
        malformed: the source is known to have malformed lines: they are counted and skipped. None has been seen in the
            sets below, so there such a line means a damaged file, and is an error.
    """

    name: str
    about: str
    file: RawFile
    read: Read
    recipe: Recipe | None = None
    reviews: RawFile | None = None
    published: Counts | None = None
    malformed: bool = False

    @property
    def files(self) -> tuple[RawFile, ...]:
        """All that is fetched; of these only the first without the recipe."""
        return (self.file,) if self.reviews is None else (self.file, self.reviews)


class Comparison(NamedTuple):
    """A count beside the one that was published."""

    what: str
    found: int
    published: int


@dataclass(frozen=True)
class Fetched:
    """What `get_dataset` wrote, and how it came about.

    Attributes:
        items: None where the source has no item table.
        dropped: events that the recipe dropped, by reason, in the order it was done.
        malformed: lines that were skipped.
        comparisons: with the counts that the source and the paper give.
        hashes: SHA-256 of each file for which none is published.
    """

    events: Path
    items: Path | None
    dropped: dict[str, int]
    malformed: int
    comparisons: tuple[Comparison, ...]
    hashes: dict[str, str]


def get_dataset(name: str, directory: Path, progress: DatasetProgress | None = None, *, raw: bool = False) -> Fetched:
    """Fetch a data set into `directory` and write events.parquet there, and items.parquet where it has items.

    A set of the paper goes through the authors' recipe. Its events are in the order of the source and keep their rating;
    a user's repeated events with an item, if any, are all there and in the counts.

    The files stay beside them, so that getting the set again fetches nothing. The environment variable MAGNN_DATA_MIRROR
    replaces the folder part of the official address (http, https or file URL); hashes stay the same.

    Args:
        raw: all events as the source has them, without the recipe.

    Raises:
        InputError: no such data set, `directory` has tables of something else, a file is damaged or has a malformed line,
            or the recipe leaves nothing.
        DownloadError, StorageError: see `magnn.data.download.download`.
    """
    if name not in DATASETS:
        raise InputError(f"there is no data set {name!r}; magnn data list shows {', '.join(DATASETS)}")
    dataset = DATASETS[name]
    recipe = None if raw else dataset.recipe
    files = dataset.files if recipe else (dataset.file,)
    _check_place(dataset, directory)
    paths = [_fetch(file, directory, progress) for file in files]
    read = partial(read_lines, skip_malformed=dataset.malformed)

    liked = recipe.liked if recipe else None
    records, items = dataset.read(paths[0], partial(read, keep=liked, progress=_reading(paths[0], progress)))
    events, malformed, dropped = records.frame, records.malformed, {}
    comparisons = [("events in the source", records.read, dataset.file.records)]
    if recipe:
        dropped[f"rating below {recipe.min_rating:g}"] = records.read - events.height
        reviewed = None
        if dataset.reviews:
            reviews = read(paths[1], REVIEWS, keep=reviewed_items, progress=_reading(paths[1], progress))
            reviewed, malformed = reviews.frame["item_id"].unique(), malformed + reviews.malformed
            comparisons.append(("reviews in the source", reviews.read, dataset.reviews.records))
        events, more = recipe.apply(events, reviewed)
        dropped |= more
        if not events.height:
            raise InputError(
                f"{paths[0]}: the recipe leaves none of its {records.read:,} events; --raw (raw=True) keeps them all"
            )
        if dataset.published:
            comparisons += list(zip(Counts._fields, count(events), dataset.published, strict=True))
    return Fetched(
        events=write_table(events, directory / "events.parquet"),
        items=None if items is None else write_table(items, directory / "items.parquet"),
        dropped={reason: number for reason, number in dropped.items() if number},
        malformed=malformed,
        comparisons=tuple(Comparison(what, found, told) for what, found, told in comparisons if told is not None),
        hashes={path.name: file_sha256(path) for path, file in zip(paths, files, strict=True) if file.sha256 is None},
    )


def _check_place(dataset: Dataset, directory: Path) -> None:
    """Raises InputError if the tables there may be of something else: what a set left has its source beside it, alone."""
    source = dataset.file.name
    others = {other.file.name for other in DATASETS.values()} - {source}
    with explained(directory):
        for table in (directory / "events.parquet", directory / "items.parquet"):
            if not table.exists():
                continue
            beside = sorted(name for name in others if (directory / name).exists())
            if beside or not (directory / source).exists():
                how = f"beside {beside[0]}" if beside else f"without {source}"
                raise InputError(
                    f"{table} is there {how}, so it may be of something else; choose another folder with -o, or move it "
                    "away"
                )


def write_tables(tables: Tables, directory: Path) -> tuple[Path, Path]:
    """Write events.parquet and items.parquet."""
    events, items = tables
    return write_table(events, directory / "events.parquet"), write_table(items, directory / "items.parquet")


def write_table(table: pl.DataFrame, path: Path) -> Path:
    """Write a Parquet file."""
    with atomic_file(path) as temporary:
        table.write_parquet(temporary)
    return path


def _fetch(file: RawFile, directory: Path, progress: DatasetProgress | None) -> Path:
    url, mirror = file.url, os.environ.get(MIRROR_VARIABLE)
    if mirror:
        url = f"{mirror.rstrip('/')}/{file.name}"
    return download(url, directory / file.name, file.sha256, progress(file.name) if progress else None)


def _reading(path: Path, progress: DatasetProgress | None) -> BytesProgress | None:
    return progress(f"reading {path.name}") if progress else None


# Recipes ---------------------------------------------------------------------------------------------------------------

# Documented, each step and threshold: the authors' notebooks Amazon_CDs.ipynb and Amazon_Books.ipynb.
CDS = Recipe(min_rating=4, user_events=5, item_events=8, user_items=10)
BOOKS = Recipe(min_rating=4, user_events=20, item_events=20, user_items=10)
# The paper has the thresholds; that users come first and are looked at again at the end, as in the notebooks, and that the
# time of a Goodreads event is its date_added, is our reading: no code for these logs is public.
TENS = Recipe(min_rating=4, user_events=10, item_events=10, user_items=10)

DATASETS = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            "ml-100k",
            "MovieLens-100K: 943 users, 1,682 films, 100,000 ratings",
            RawFile(
                f"{GROUPLENS}/ml-100k.zip",
                "50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
                4_924_029,
            ),
            read_100k,
        ),
        Dataset(
            "ml-latest-small",
            "MovieLens latest-small: 610 users, 9,724 films, 100,836 ratings",
            RawFile(
                f"{GROUPLENS}/ml-latest-small.zip",
                "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
                978_202,
            ),
            read_csvs("ml-latest-small"),
        ),
        Dataset(
            "ml-1m",
            "MovieLens-1M: 6,040 users, 3,706 films, 1,000,209 ratings",
            RawFile(
                f"{GROUPLENS}/ml-1m.zip",
                "a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
                5_917_549,
            ),
            read_1m,
        ),
        Dataset(
            "ml-20m",
            "MovieLens-20M, as in the paper: 129,797 users, 13,649 films",
            RawFile(
                f"{GROUPLENS}/ml-20m.zip",
                "96f243c338a8665f6bcc89c53edf6ee39162a846940de6b7c8c48aeada765ff3",
                198_702_078,
                20_000_263,
            ),
            read_csvs("ml-20m"),
            TENS,
            published=Counts(129_797, 13_649, 9_921_393),
        ),
        Dataset(
            "amazon-cds",
            "Amazon CDs 2014, as in the paper: 17,052 users, 35,118 items",
            RawFile(f"{AMAZON}/ratings_CDs_and_Vinyl.csv", size=152_336_022, records=3_749_004),
            read_amazon,
            CDS,
            RawFile(f"{AMAZON}/reviews_CDs_and_Vinyl_5.json.gz", records=1_097_592),
            Counts(17_052, 35_118, 472_265),
        ),
        Dataset(
            "amazon-books",
            "Amazon Books 2014, as in the paper: 52,406 users, 41,264 items",
            RawFile(f"{AMAZON}/ratings_Books.csv", size=916_259_348, records=22_507_155),
            read_amazon,
            BOOKS,
            RawFile(f"{AMAZON}/reviews_Books_5.json.gz", size=3_300_000_000, records=8_898_041),
            Counts(52_406, 41_264, 1_856_747),
        ),
        Dataset(
            "goodreads-children",
            "Goodreads Children 2017, as in the paper: 48,296 users, 32,871 books",
            RawFile(f"{GOODREADS}/goodreads_interactions_children.json.gz", records=10_059_349),
            read_goodreads,
            TENS,
            published=Counts(48_296, 32_871, 2_784_423),
        ),
        Dataset(
            "goodreads-comics",
            "Goodreads Comics 2017, as in the paper: 34,445 users, 33,121 books",
            RawFile(f"{GOODREADS}/goodreads_interactions_comics_graphic.json.gz", records=7_347_630),
            read_goodreads,
            TENS,
            published=Counts(34_445, 33_121, 2_411_314),
        ),
    )
}
