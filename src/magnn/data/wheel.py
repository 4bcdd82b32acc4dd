"""MovieLens-100K from where packages come from, for where GroupLens cannot be reached."""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import polars as pl

from magnn.data.datasets import Tables
from magnn.errors import DownloadError
from magnn.storage import file_sha256

RECBOLE = "recbole==1.2.1"
RECBOLE_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"


def movielens_100k_from_wheel() -> Tables:
    """MovieLens-100K out of the PyPI wheel of RecBole 1.2.1, which carries it: for where GroupLens cannot be reached.

    pip fetches the wheel, its hash is checked, and two data files are read from it as from any zip; no code of it runs.

    Raises:
        DownloadError: pip cannot get it, or it is not the file expected.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        command += ["--disable-pip-version-check", "--retries=1", "--timeout=15", "--dest", folder, RECBOLE]
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
