"""Recommendation: lists for everybody, to Parquet; and for one user, in process."""

from functools import partial

import numpy as np
import torch

from benchmarks.logs import ML_20M, make_log
from benchmarks.measure import GENERATED, Row, main, row, seconds, timed
from benchmarks.models import recommender_of
from benchmarks.peak import peak_gib
from magnn.data.interactions import Interactions
from magnn.settings import Settings, make_settings

CALLS = 1000


def run() -> list[Row]:
    """Everybody first: the memory of the process is then that of its largest work."""
    log = make_log(*ML_20M)
    rows = [everybody(log, preset) for preset in ("paper", "best")]
    del log
    rows += one_user(35_118, make_settings("paper"), reach=1.5)
    rows += one_user(35_118, make_settings("best"))
    return rows + one_user(1_000_000, make_settings("paper", {"model": {"dim": 64}}), reach=25.0)


def everybody(log: Interactions, preset: str) -> Row:
    """Lists of 100 for each user of a log of the size of MovieLens-20M, to a file."""
    recommender = recommender_of(log, make_settings(preset))
    GENERATED.mkdir(parents=True, exist_ok=True)
    path = GENERATED / "lists.parquet"
    size = f"{log.n_users:,} users, {log.n_items:,} items, {log.n_events / 1e6:.0f} million events"
    values = timed(lambda: recommender.recommend_all(path, k=100), 3 if preset == "paper" else 1, warm_up=0)
    what = f"lists of 100 for every user, to Parquet, preset `{preset}`"
    return row(what, size, values, reach=25.0, peak_gib=peak_gib())


def one_user(n_items: int, settings: Settings, reach: float | None = None) -> list[Row]:
    """The latency of one list, and of what it cannot do without: reading Q."""
    log = make_log(20_000, n_items, 1_000_000)
    recommender = recommender_of(log, settings)
    users = np.random.default_rng(0).integers(1, log.n_users + 1, CALLS + 20).tolist()
    calls = [seconds(partial(recommender.recommend, user, k=10)) for user in users][20:]
    items = np.random.default_rng(1).integers(1, log.n_items + 1, 120).tolist()
    pairs = list(zip(users, items, strict=False))
    why = [seconds(partial(recommender.explain, *pair)) for pair in pairs][20:]
    dim = settings.model.dim
    size = f"{n_items:,} items, d = {dim}, preset `{settings.preset}`"
    low, middle, high = (np.quantile(calls, [0.01, 0.5, 0.99]) * 1e3).tolist()
    what = "top 10 of one user, in process (median; 1st and 99th percentile)"
    table, vector = recommender.model.items.detach(), torch.randn(dim)
    return [
        Row(what, size, "ms", middle, low, high, CALLS, reach=reach, peak_gib=peak_gib()),
        row("one explanation, in process", size, why, "ms", scale=1e3, reach=20.0),
        row("reading Q once (its sum)", size, timed(table.sum, 50), "ms", scale=1e3),
        row("the matrix-vector product alone", size, timed(lambda: table @ vector, 50), "ms", scale=1e3),
    ]


if __name__ == "__main__":
    main("recommendation", run)
