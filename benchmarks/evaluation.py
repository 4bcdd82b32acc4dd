"""Evaluation: rank the whole catalogue for all users of Amazon CDs; and beside the plain way, user by user, in turn."""

import numpy as np

import magnn
from benchmarks import reference
from benchmarks.measure import CDS, Row, in_turn, main, row, timed
from benchmarks.models import untrained
from benchmarks.peak import peak_gib
from magnn.ranking.evaluate import evaluate_scorer
from magnn.ranking.products import DotScorer
from magnn.ranking.queries import encode, user_scorer

PLAIN_USERS = 500


def run() -> list[Row]:
    """An untrained network ranks as slowly as a trained one."""
    split = magnn.split(magnn.read_events(CDS), "paper")
    history, test, n_users = split.train_and_valid, split.test, split.events.n_users
    model = untrained(history)
    size = f"Amazon CDs: {n_users:,} users, {split.events.n_items:,} items"
    seconds = timed(lambda: evaluate_scorer(user_scorer(model, history), history, test), 7)
    rows = [row("evaluation, all metrics and intervals", size, seconds, reach=1.0, peak_gib=peak_gib())]

    queries, items = encode(model, np.arange(n_users), history), model.items.detach()
    some = np.arange(PLAIN_USERS)
    few_history, few_test = history.take(some), test.take(some)
    fast, few = in_turn(
        lambda: evaluate_scorer(DotScorer(queries, items), history, test, intervals=False),
        lambda: reference.evaluate(queries[:PLAIN_USERS], items, few_history, few_test),
        runs=5,
    )
    slow = np.array(few) * n_users / PLAIN_USERS
    rows.append(row("ranking and metrics", size, fast, ratio=float(np.median(slow / fast))))
    what = f"the same in the plain way, user by user (timed on {PLAIN_USERS} users)"
    rows.append(row(what, size, slow.tolist()))
    return rows


if __name__ == "__main__":
    main("evaluation", run)
