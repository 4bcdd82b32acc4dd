"""What this machine can do at most, what the work needs at least, and how near we are.

Operations are multiplications and additions of matrix products only; bytes are what must be read and written once.
"""

import numpy as np
import torch

import magnn
from benchmarks.measure import CDS, Row, main, row, timed
from benchmarks.models import untrained
from benchmarks.training import make_step
from magnn.data.interactions import Histories
from magnn.data.windows import training_windows
from magnn.model.config import ModelConfig
from magnn.ranking.products import DotScorer
from magnn.ranking.queries import user_scorer
from magnn.ranking.rank import rank
from magnn.settings import make_settings

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


def step_operations(shape: ModelConfig, real: float, scored: int, batch: int, n_items: int, links: int) -> float:
    """Of one training step: forward, and twice as many backward.

    Args:
        real: mean length of the long history.
        scored: targets and negatives of a sample.
    """
    d = shape.dim
    reading = real * (2 * d * d + 4 * d * shape.heads)
    other = 2 * d * d * 5 + 4 * shape.memory_units * d + 2 * scored * d  # gate, taste, co-occurrence; memory; scores
    states = n_items * 4 * d * d + 2 * links * d
    return 3 * (batch * (reading + other) + states)


def run() -> list[Row]:
    """Shares of the possible: 1 would be the limit."""
    rate, bandwidth, rows = machine()
    split = magnn.split(magnn.read_events(CDS), "paper")
    train, history = split.train, split.train_and_valid
    size = f"Amazon CDs: {split.events.n_users:,} users, {split.events.n_items:,} items"

    step = make_step(train)
    shape, config = step.model.config, make_settings("paper").training
    windows = training_windows(train, shape.short_window, shape.long_window, config.targets)
    before = windows.next_S - train.offsets[windows.user_S] - shape.short_window
    real = float(np.clip(before, 0, shape.long_window).mean())
    assert step.model.graph is not None
    links = step.model.graph.counts_NN.values().numel()
    scored = config.targets * (1 + config.negatives)
    needed = step_operations(shape, real, scored, step.batch, train.n_items, links)
    # Adam reads a weight, its gradient and two moments, and writes all but the gradient.
    moved = 7 * 4 * sum(parameter.numel() for parameter in step.model.parameters())
    label = f"training step of {step.batch:,}: {needed / 1e9:.1f} Gop, {moved / 1e9:.2f} GB of weights and moments"
    bound = needed / rate + moved / bandwidth
    rows.append(row(label, size, [bound / s for s in timed(step.run, 9)], "of the limit"))

    scorer = user_scorer(untrained(history), history)
    users = np.arange(history.n_users)
    needed = 2 * history.n_users * history.n_items * shape.dim
    label = f"ranking everybody, k = 10: {needed / 1e9:.0f} Gop"
    values = timed(lambda: rank(scorer, users, history, 10), 7)
    rows.append(row(label, size, [needed / rate / s for s in values], "of the limit"))

    table, one = torch.randn(1_000_000, 64), torch.randn(1, 64)
    nothing = Histories(np.empty(0, np.int32), np.zeros(2, np.int64), len(table))
    label = f"top 10 of one user: {table.nbytes / 1e9:.2f} GB to read"
    values = timed(lambda: rank(DotScorer(one, table), np.zeros(1, np.int64), nothing, 10), 30)
    rows.append(row(label, "1,000,000 items, d = 64", [table.nbytes / bandwidth / s for s in values], "of the limit"))
    return rows


if __name__ == "__main__":
    main("roofline", run)
