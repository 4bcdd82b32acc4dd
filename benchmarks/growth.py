"""How training, ranking and memory grow with the log and with the catalogue, each size in a process of its own."""

import json
import statistics
import sys

import numpy as np

from benchmarks.logs import make_log
from benchmarks.measure import Row, in_new_process, main, seconds, timed
from benchmarks.preparation import SIZES
from benchmarks.training import make_step
from magnn.ranking.queries import user_scorer
from magnn.ranking.rank import rank

CATALOGUES = (30_000, 300_000, 1_000_000)
CATALOGUE_LOG = (20_000, 2_000_000)  # users, events
RANKED = 4096
WORK = (
    ("item graph, network and samples", "preparation", "s"),
    ("training, a thousand samples", "training", "ms"),
    ("ranking, a thousand users", "ranking", "ms"),
    ("links of the item graph, millions", "links", ""),
)


def measure(n_users: int, n_items: int, n_events: int) -> dict[str, float]:
    """The figures of `WORK`."""
    train = make_log(n_users, n_items, n_events).histories
    steps = []
    preparation = seconds(lambda: steps.append(make_step(train)))
    step = steps[0]
    training = timed(step.run, runs=10, warm_up=2)
    model = step.model.freeze()
    some = np.arange(min(RANKED, n_users))
    history = train.take(some)
    ranking = timed(lambda: rank(user_scorer(model, history), some, history, 10), runs=3)
    assert model.graph is not None
    return {
        "preparation": preparation,
        "training": statistics.median(training) * 1e6 / step.batch,
        "ranking": statistics.median(ranking) * 1e6 / len(some),
        "links": model.graph.counts_NN.values().numel() / 1e6,
    }


def run() -> list[Row]:
    """Time for each thousand samples or users should not grow with the log; with the catalogue, ranking must."""
    rows = []
    curves = [("events", shape[2], shape) for shape in SIZES.values()]
    n_users, n_events = CATALOGUE_LOG
    curves += [("items", n_items, (n_users, n_items, n_events)) for n_items in CATALOGUES]
    for curve, x, shape in curves:
        result = in_new_process("growth.measure", *shape)
        print(curve, x, json.dumps(result), file=sys.stderr, flush=True)
        users, items, events = shape
        size = f"{events / 1e6:.1f} million events, {users:,} users, {items:,} items"
        for what, key, unit in WORK:
            value = result[key]
            peak = result["peak_gib"]
            rows.append(Row(f"{what}, by {curve}", size, unit, value, value, value, 1, peak_gib=peak, x=x))
    return rows


if __name__ == "__main__":
    main("growth", run)
