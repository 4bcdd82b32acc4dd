"""How training, ranking and memory grow with the log and with the catalogue, each size in a process of its own."""

import json
import sys

from benchmarks.measure import Row, in_new_process, main

EVENTS = {
    500_000: (3_500, 7_000),
    2_000_000: (14_000, 12_000),
    8_000_000: (55_000, 20_000),
    20_000_000: (138_493, 26_744),
}
CATALOGUES = (30_000, 300_000, 1_000_000)
CATALOGUE_LOG = (20_000, 2_000_000)  # users, events

MEASURE = """
import json, sys, time
import numpy as np
from benchmarks.growth import measure
print(json.dumps(measure(*map(int, sys.argv[1:]))))
"""
STEPS, RANKED = 12, 4096


def measure(n_users: int, n_items: int, n_events: int) -> dict[str, float]:
    """Milliseconds a thousand samples in training, and a thousand users in ranking."""
    import time

    import numpy as np

    from benchmarks.logs import make_log
    from benchmarks.models import untrained
    from magnn.data.windows import training_windows
    from magnn.ranking.queries import user_scorer
    from magnn.ranking.rank import rank
    from magnn.settings import make_settings
    from magnn.training.negatives import UnseenItems
    from magnn.training.trainer import batch_loss, make_optimizer

    settings = make_settings("paper")
    train = make_log(n_users, n_items, n_events).histories
    started = time.perf_counter()
    model = untrained(train).train()
    graph = time.perf_counter() - started
    windows = training_windows(train, 5, 20, 3)
    config, unseen, rng = settings.training, UnseenItems(train), np.random.default_rng(0)
    optimizer, size = make_optimizer(model, config, len(windows)), config.batch_of(len(windows))
    steps = []
    for _ in range(STEPS):
        started = time.perf_counter()
        batch = windows.batch(rng.integers(0, len(windows), size))
        optimizer.zero_grad()
        batch_loss(model, batch, unseen.draw(batch.users_B, config.targets, rng), config).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        steps.append(time.perf_counter() - started)
    model.freeze()
    some = np.arange(min(RANKED, n_users))
    history = train.take(some)
    ranked = []
    for _ in range(3):
        started = time.perf_counter()
        rank(user_scorer(model, history), some, history, 10)
        ranked.append(time.perf_counter() - started)
    return {
        "graph": graph,
        "train": float(np.median(steps[2:])) * 1e6 / size,
        "rank": min(ranked) * 1e6 / len(some),
    }


def run() -> list[Row]:
    """Time for each thousand samples or users should not grow with the log; with the catalogue, ranking must."""
    rows = []
    curves = [("events", n_events, (*shape, n_events)) for n_events, shape in EVENTS.items()]
    n_users, n_events = CATALOGUE_LOG
    curves += [("items", n_items, (n_users, n_items, n_events)) for n_items in CATALOGUES]
    for curve, x, arguments in curves:
        result = in_new_process(MEASURE, *map(str, arguments))
        print(curve, x, json.dumps(result), file=sys.stderr, flush=True)
        users, items, events = arguments
        size = f"{events / 1e6:g} million events, {users:,} users, {items:,} items"
        for what, key, unit in (
            ("item graph and network", "graph", "s"),
            ("training, a thousand samples", "train", "ms"),
            ("ranking, a thousand users", "rank", "ms"),
        ):
            value = result[key]
            peak = result["peak_gib"]
            rows.append(Row(f"{what}, by {curve}", size, unit, value, value, value, 1, peak_gib=peak, x=x))
    return rows


if __name__ == "__main__":
    main("growth", run)
