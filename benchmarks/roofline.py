"""What this machine can do at most, what the work needs at least, and how near we are.

Operations are multiplications and additions of matrix products only; bytes are those that cannot come from a cache.
"""

import numpy as np
import torch

import magnn
from benchmarks.measure import CDS, Row, main, row, timed
from benchmarks.models import untrained
from benchmarks.training import step_maker
from magnn.data.interactions import Histories
from magnn.data.windows import training_windows
from magnn.ranking.products import DotScorer
from magnn.ranking.queries import user_scorer
from magnn.ranking.rank import rank

SIZE = 2048


def machine() -> tuple[float, float, list[Row]]:
    """Matrix product rate in operations a second, memory bandwidth in bytes a second, and their rows."""
    left, right, out = torch.randn(SIZE, SIZE), torch.randn(SIZE, SIZE), torch.empty(SIZE, SIZE)
    product = timed(lambda: torch.mm(left, right, out=out), 15)
    flops = 2 * SIZE**3
    large = torch.ones(2**27)  # 512 MiB
    read = timed(large.sum, 9)
    rates = [
        row("matrix product rate", f"{SIZE} x {SIZE}, float32", [flops / s / 1e9 for s in product], "Gop/s"),
        row("reading memory", "512 MiB", [large.nbytes / s / 1e9 for s in read], "GB/s"),
    ]
    return flops / float(np.median(product)), large.nbytes / float(np.median(read)), rates


def step_operations(real: float, batch: int, n_items: int, nnz: int) -> float:
    """Of one training step: forward, and twice as many backward; `real` is the mean length of the long history."""
    d, heads, units, scored = 50, 20, 20, 6
    reading = real * (2 * d * d + 2 * d * heads + 2 * heads * d)
    other = 2 * d * d * 5 + 4 * units * d + 2 * scored * d  # gate, taste, co-occurrence; memory; scores
    states = n_items * 4 * d * d + 2 * nnz * d
    return 3 * (batch * (reading + other) + states)


def run() -> list[Row]:
    """Shares of the possible: 1 would be the limit."""
    rate, bandwidth, rows = machine()
    split = magnn.split(magnn.read_events(CDS), "paper")
    train, history = split.train, split.train_and_valid
    size = f"Amazon CDs: {split.events.n_users:,} users, {split.events.n_items:,} items"

    step, _, batch = step_maker(train)
    windows = training_windows(train, 5, 20, 3)
    starts = train.offsets[windows.user_S]
    real = float(np.clip(windows.next_S - starts - 5, 0, 20).mean())
    model = untrained(train)
    assert model.graph is not None
    nnz = model.graph.counts_NN.values().numel()
    needed = step_operations(real, batch, train.n_items, nnz)
    gather = nnz * 50 * 4 * 2  # rows of E that the graph reads, forward and backward
    seconds = timed(step, 9)
    label = f"training step of {batch:,}: {needed / 1e9:.1f} Gop, and {gather / 1e9:.2f} GB of scattered rows"
    bound = needed / rate + gather / bandwidth
    rows.append(row(label, size, [bound / s for s in seconds], "of the limit"))

    model = untrained(history)
    scorer = user_scorer(model, history)
    users = np.arange(history.n_users)
    seconds = timed(lambda: rank(scorer, users, history, 10), 7)
    needed = 2 * history.n_users * history.n_items * 50
    label = f"ranking everybody, k = 10: {needed / 1e9:.0f} Gop"
    rows.append(row(label, size, [needed / rate / s for s in seconds], "of the limit"))

    table, one = torch.randn(1_000_000, 64), torch.randn(1, 64)

    nothing = Histories(np.empty(0, np.int32), np.zeros(2, np.int64), len(table))
    seconds = timed(lambda: rank(DotScorer(one, table), np.zeros(1, np.int64), nothing, 10), 30)
    label = f"top 10 of one user: {table.nbytes / 1e9:.2f} GB to read"
    rows.append(row(label, "1,000,000 items, d = 64", [table.nbytes / bandwidth / s for s in seconds], "of the limit"))
    return rows


if __name__ == "__main__":
    main("roofline", run)
