"""Recommendations for every user of the log, as one Parquet file, made in parts so that an interrupted run goes on.

Shapes: U = users of a part, K = list length, N = items, D = embedding size.
"""

import hashlib
import json
import re
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.exceptions import PolarsError

from magnn.artifact import Fitted
from magnn.errors import InputError, Interrupted
from magnn.ranking.queries import user_scorer
from magnn.ranking.rank import check_k, rank
from magnn.storage import alone, atomic_file, check_file

LAYOUT = 1  # of a part, counted up when its columns change
CHUNK = 8192  # users of a part, unless a limit below makes it fewer
ROWS, SCORES = 2**20, 2**30  # of a part at most: the first bounds the memory, the second what an interruption costs


class BatchProgress(NamedTuple):
    """Told before the first part and after each one.

    Attributes:
        done: users whose lists are on disk.
        users: all users.
        note: in the first call, one line on what an earlier run left, if it left something.
    """

    done: int
    users: int
    note: str = ""


def check_output(path: Path) -> None:
    """Raises InputError unless `path` can name a Parquet file, StorageError unless one can be written there."""
    check_file(path, "recommendations.parquet")
    if path.suffix.lower() != ".parquet":
        raise InputError(f"{path}: the lists are written as Parquet; name it {path.with_suffix('.parquet')}")


def _parts_of(path: Path) -> Path:
    return path.with_name(path.name + ".parts")


def write_lists(fitted: Fitted, path: Path, k: int, progress: Callable[[BatchProgress], None] | None = None) -> int:
    """Write the K best items of every user to `path`; see `Recommender.recommend_all`."""
    events = fitted.split.events
    check_output(path)
    k = check_k(k, events.n_items)
    with alone(path, "another run is writing this file; wait for its end, or name another"):
        return _write_lists(fitted, path, k, progress or (lambda _: None))


def _write_lists(fitted: Fitted, path: Path, k: int, tell: Callable[[BatchProgress], None]) -> int:
    events = fitted.split.events
    size = max(1, min(CHUNK, ROWS // k, SCORES // events.n_items))
    directory = _parts_of(path)
    done = 0
    try:
        # In the name of each part: parts of two models are never joined.
        fingerprint = _fingerprint(fitted, k, size)
        users_of = {
            directory / f"{fingerprint}-{first:09}.parquet": np.arange(first, min(first + size, events.n_users))
            for first in range(0, events.n_users, size)
        }
        missing = {part: users_U for part, users_U in users_of.items() if _rows(part) is None}
        done = events.n_users - sum(map(len, missing.values()))
        others = [name for name in _names(directory) if not name.lstrip(".").startswith(fingerprint)]
        _discard(directory, others)
        tell(BatchProgress(done, events.n_users, _note(directory, done, events.n_users, others)))

        for part, users_U in missing.items():
            lists = _lists(fitted, users_U, k)
            with atomic_file(part) as temporary:
                lists.write_parquet(temporary, compression="zstd", compression_level=1)
            done += len(users_U)
            tell(BatchProgress(done, events.n_users))
        with atomic_file(path) as temporary:
            # As they are: no "*" in a name is a pattern, no "=" in a folder's a column.
            joined = pl.scan_parquet(list(users_of), glob=False, hive_partitioning=False)
            joined.sink_parquet(temporary, compression="zstd", compression_level=1)
            rows = _rows(temporary)
    except KeyboardInterrupt:
        what = f"interrupted: {done:,} of {events.n_users:,} users are done; the same command goes on"
        raise Interrupted(what) from None
    _discard(directory, [name for name in _names(directory) if name.lstrip(".").startswith(fingerprint)])
    assert rows is not None
    return rows


def _lists(fitted: Fitted, users_U: NDArray[np.int64], k: int) -> pl.DataFrame:
    """A row for each user and rank, without a step of Python for each."""
    events = fitted.split.events
    known = events.histories.take(users_U)
    scorer = user_scorer(fitted.model, known, fitted.graph_part, users_U)
    items_UK, scores_UK = rank(scorer, np.arange(len(users_U)), known, k)
    there_UK = items_UK >= 0
    rank_UK = np.broadcast_to(np.arange(1, k + 1, dtype=np.uint32), items_UK.shape)
    columns = {
        "user": events.user_ids.gather(np.repeat(users_U, there_UK.sum(axis=1))),
        "rank": rank_UK[there_UK],
        "item": events.item_ids.gather(items_UK[there_UK]),
        "score": scores_UK[there_UK],
    }
    return pl.DataFrame(columns)


def _fingerprint(fitted: Fitted, k: int, size: int) -> str:
    """What decides the content of a part, in 16 letters."""
    events = fitted.split.events
    about = [LAYOUT, version("magnn"), k, size, fitted.model.config.model_dump(mode="json")]
    digest = hashlib.sha256(json.dumps(about).encode())
    for ids in (events.user_ids, events.item_ids):
        for first in range(0, len(ids), CHUNK):  # not all of them a second time in memory
            digest.update(json.dumps(ids.slice(first, CHUNK).to_list()).encode())
    for name, value in fitted.model.state_dict().items():
        digest.update(name.encode())
        digest.update(value.contiguous().numpy())
    if (part := fitted.graph_part) is not None:
        decays = [part.mixture.decay_G.tolist(), part.recent]
        digest.update(json.dumps(decays).encode())
        for array in (part.weighted.data, part.weighted.indices, part.weighted.indptr, part.popularity):
            digest.update(np.ascontiguousarray(array).data)
    digest.update(np.ascontiguousarray(events.histories.items).data)
    digest.update(np.ascontiguousarray(events.histories.offsets).data)
    return digest.hexdigest()[:16]


def _note(directory: Path, done: int, users: int, others: list[str]) -> str:
    if done:
        return f"going on: {done:,} of {users:,} users were done before"
    if others:
        return f"what {directory} held is of another model, log or k: starting from the beginning"
    return ""


def _names(directory: Path) -> list[str]:
    """Names of the parts in a directory and of what a killed run left of one; nobody else's files."""
    pattern = re.compile(r"[0-9a-f]{16}-\d{9}\.parquet|\.[0-9a-f]{16}-\d{9}\.parquet\..+")
    return [path.name for path in directory.glob("*") if pattern.fullmatch(path.name)]


def _discard(directory: Path, names: list[str]) -> None:
    """Remove these files, and the directory if nothing else is in it; what cannot be removed is in nobody's way."""
    with suppress(OSError):
        for name in names:
            (directory / name).unlink(missing_ok=True)
        directory.rmdir()


def _rows(path: Path) -> int | None:
    """Rows of a Parquet file, from its last bytes; None if it is not there, or not whole after a power cut."""
    try:
        return int(pl.scan_parquet(path, glob=False, hive_partitioning=False).select(pl.len()).collect().item())
    except (OSError, PolarsError):
        return None
