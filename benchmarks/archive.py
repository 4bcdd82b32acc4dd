"""From a raw archive of MovieLens-20M's size to a split, by the authors' recipe, each time in a new process."""

import json
import sys
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import magnn
from benchmarks.logs import ML_20M, blocks
from benchmarks.measure import GENERATED, Row, in_new_process, main, row
from magnn.data import datasets
from magnn.storage import file_sha256

NAME = "ml-20m"


def write_archive(path: Path) -> None:
    """A generated log as GroupLens would pack it."""
    n_items = ML_20M[1]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("ml-20m/ratings.csv", "w", force_zip64=True) as file:
            file.write(b"userId,movieId,rating,timestamp\n")
            for piece in blocks(*ML_20M):
                file.write(piece.write_csv(include_header=False).encode())
        films = "".join(f"{number},Film {number} (2000),Drama\n" for number in range(1, n_items + 1))
        archive.writestr("ml-20m/movies.csv", "movieId,title,genres\n" + films)


def prepare(archive: str, raw: int) -> dict[str, float]:
    """Seconds from the archive to the split; the generated file is taken for the published one."""
    entry = datasets.DATASETS[NAME]
    path = Path(archive)
    datasets.DATASETS[NAME] = replace(entry, file=replace(entry.file, sha256=file_sha256(path)))
    started = time.perf_counter()
    with TemporaryDirectory(dir=GENERATED) as folder:
        (Path(folder) / path.name).symlink_to(path)
        fetched = datasets.get_dataset(NAME, Path(folder), raw=bool(raw))
        split = magnn.split(magnn.read_events(fetched.events), "paper")
    return {"seconds": time.perf_counter() - started, "events": float(split.events.n_events)}


def run() -> list[Row]:
    """With the recipe, and without it."""
    path = GENERATED / f"{NAME}.zip"
    GENERATED.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        write_archive(path)
    rows = []
    for what, raw in (("raw archive to split, the authors' recipe", 0), ("raw archive to split, all events", 1)):
        results = [in_new_process("archive.prepare", str(path), raw) for _ in range(2)]
        print(json.dumps(results[-1]), file=sys.stderr, flush=True)
        size = f"{ML_20M[2] / 1e6:.1f} million ratings, generated; {results[-1]['events'] / 1e6:.1f} million left"
        peak = max(result["peak_gib"] for result in results)
        rows.append(row(what, size, [result["seconds"] for result in results], reach=60.0, peak_gib=peak))
    return rows


if __name__ == "__main__":
    main("archive", run)
