"""From the files that GroupLens, Amazon's reviewers and Goodreads' readers are published in to events and items."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl

from magnn.data.lines import Column, Layout, Records

ReadLines = Callable[..., Records]  # magnn.data.lines.read_lines with its options: what to keep, whom to tell
Read = Callable[[Path, ReadLines], tuple[Records, pl.DataFrame | None]]  # file -> events, items


def _id(name: str, alias: str) -> Column:
    return Column(name, pl.String, pl.when(pl.col(name) != "").then(pl.col(name)).alias(alias), "an id")


def _number(name: str, alias: str) -> Column:
    return Column(name, pl.Int64, pl.col(name).alias(alias), "a number")


STARS = Column("rating", pl.Float64, pl.when(pl.col("rating").is_between(0, 5)).then("rating"), "a number from 0 to 5")
SECONDS = Column("timestamp", pl.Int64, pl.col("timestamp"), "a whole number of seconds")
MOVIELENS = Layout((_number("userId", "user_id"), _number("movieId", "item_id"), STARS, SECONDS), header=True)
RATINGS = Layout((_id("user_id", "user_id"), _id("item_id", "item_id"), STARS, SECONDS))
# Reviews of other items than those of the log may lack a text.
REVIEWS = Layout(
    (
        _id("asin", "item_id"),
        Column("reviewText", pl.String, pl.col("reviewText").fill_null("").alias("text"), "a text"),
    ),
    json=True,
)
# "Mon Mar 07 12:55:50 -0800 2016", less the day of the week, which says nothing more.
ADDED = pl.col("date_added").str.slice(4).str.to_datetime("%b %d %H:%M:%S %z %Y", strict=False).dt.epoch("s")
SHELVES = Layout(
    (
        _id("user_id", "user_id"),
        _id("book_id", "item_id"),
        STARS,
        Column("date_added", pl.String, ADDED.alias("timestamp"), "a date such as 'Mon Mar 07 12:55:50 -0800 2016'"),
    ),
    json=True,
)


def read_100k(path: Path, _: ReadLines) -> tuple[Records, pl.DataFrame]:
    """MovieLens-100K: u.data, u.item and u.genre in a zip archive."""
    with zipfile.ZipFile(path) as archive:
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
    return Records(events, events.height, 0), items


def read_1m(path: Path, _: ReadLines) -> tuple[Records, pl.DataFrame]:
    """MovieLens-1M: ratings.dat and movies.dat in a zip archive."""
    columns = ["user_id", "item_id", "rating", "timestamp"]
    with zipfile.ZipFile(path) as archive:
        events = _table(archive.read("ml-1m/ratings.dat").replace(b"::", b"\t"), "\t", columns)
        items = _table(archive.read("ml-1m/movies.dat").replace(b"::", b"\t"), "\t", ["item_id", "title", "genres"])
    return Records(events, events.height, 0), items


def read_csvs(folder: str) -> Read:
    """A reader of ratings.csv and movies.csv in a zip archive; ids are integers."""

    def read(path: Path, lines: ReadLines) -> tuple[Records, pl.DataFrame]:
        records = lines(path, MOVIELENS, member=f"{folder}/ratings.csv")
        with zipfile.ZipFile(path) as archive:
            return records, pl.read_csv(archive.read(f"{folder}/movies.csv")).rename({"movieId": "item_id"})

    return read


def read_amazon(path: Path, lines: ReadLines) -> tuple[Records, None]:
    """Amazon 2014, ratings only: user, item, stars, seconds (whole days). No items."""
    return lines(path, RATINGS), None


def read_goodreads(path: Path, lines: ReadLines) -> tuple[Records, None]:
    """Goodreads 2017, interactions of a genre: what stands on a shelf, with 0 stars where it is not rated. No items."""
    return lines(path, SHELVES), None


def reviewed_items(reviews: pl.DataFrame) -> pl.DataFrame:
    """The items that a review of more than 10 characters is of: in the authors' notebooks, no other text is a review."""
    return reviews.filter(pl.col("text").str.len_chars() > 10).select("item_id").unique()


def _table(content: bytes, separator: str, columns: list[str]) -> pl.DataFrame:
    return pl.read_csv(
        io.BytesIO(_utf8(content)), separator=separator, has_header=False, new_columns=columns, quote_char=None
    )


def _utf8(content: bytes) -> bytes:
    return content.decode("latin-1").encode()  # what GroupLens used before UTF-8
