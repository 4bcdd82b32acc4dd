"""What a person reads: notes on standard error, tables on standard output."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from magnn.cli.options import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from magnn.data.datasets import Comparison
    from magnn.data.interactions import Id, Interactions
    from magnn.data.split import Split
    from magnn.evaluation import EvaluationReport
    from magnn.explain import Explanation
    from magnn.recommender import Recommended, Recommender

LEAST_SHARE = 0.02  # of the score, for an item to have a line of its own in an explanation


def console_of(stderr: bool) -> Console:
    """A console that writes to standard error, or to standard output."""
    stream = sys.stderr if stderr else sys.stdout
    watched = stream.isatty()
    return Console(
        file=stream,
        width=None if watched else 200,  # where nobody looks, it is no limit: a table in a file is not cut
        force_interactive=None if watched else False,  # nor does a bar move there, though FORCE_COLOR asks for colours
        highlight=False,
        soft_wrap=True,
    )


def note(message: str) -> None:
    """Information on standard error, a line or several. `message` is shown as it is: no markup."""
    for line in message.splitlines():
        console_of(stderr=True).print(_as_it_is(line))


def show(table: Table) -> None:
    """A table on standard output."""
    console_of(stderr=False).print(table)


def describe_log(events: "Interactions") -> None:
    """What was read, chosen and dropped."""
    for line in events.notes:
        note(line)
    for reason, count in events.dropped.items():
        note(f"dropped {count:,} events: {reason}")
    note(f"{events.n_users:,} users, {events.n_items:,} items, {events.n_events:,} events")


def describe_split(split: "Split") -> None:
    """How many events train, validate and test."""
    import numpy as np

    train, valid, test = np.bincount(split.part, minlength=3).tolist()
    note(f"split {split.protocol}: {train:,} train, {valid:,} valid, {test:,} test")


def describe_fit(recommender: "Recommender") -> None:
    """Which epoch was chosen, by what, and how long the training took."""
    chosen = recommender.settings.training.select_by
    best = recommender.best_epoch
    whole = [log for log in recommender.logs if not log.is_epoch]
    epochs = len(recommender.logs) - len(whole)
    value = f"; best epoch {best.epoch} with validation {chosen} {best.metrics[chosen]:.4f}" if best else ""
    value += f", with the graph {whole[0].metrics[chosen]:.4f}" if whole else ""
    part = recommender.graph_part
    if part is not None and not recommender.completed and not whole and part.mixture.is_silent:
        note("interrupted before the graph was weighed: its part of every score is 0")
    elif part is not None and not any(graph.nnz for graph in part.graphs):
        note("no two items share a user: the graph part of every score is 0")
    elif part is not None and part.mixture.is_silent:
        note("the graph does not help to rank the validation events: its part of every score is 0")
    note(f"trained {epochs} epochs in {recommender.fit_seconds:.0f} s{value}")


def metrics_table(report: "EvaluationReport") -> Table:
    """Metrics against systems, with the 95% interval in a dim line below each: narrow enough for 80 columns."""
    from magnn.ranking.metrics import PER_USER

    refit = "fitted on train + valid" if report.refit else "fitted on train only"
    title = (
        f"{report.on} events, protocol {report.protocol}, {refit}: {report.n_users:,} users, {report.n_items:,} items"
    )
    caption = "95% bootstrap intervals over users"
    if report.knn:
        how = "chosen on validation" if report.knn_chosen else "fixed: there is no validation event to choose by"
        caption += f"\nitem-knn: exponent {report.knn.exponent:g}, decay {report.knn.decay:g}, {how}"
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        caption=caption,
        caption_justify="left",
    )
    table.add_column("")
    for system in report.systems:
        table.add_column(system, justify="right")
    for name in [*(f"{name}@{report.k}" for name in PER_USER), f"coverage@{report.k}"]:
        cells = []
        for result in report.systems.values():
            cell = Text(f"{result.metrics[name]:.4f}")
            if name in result.ci95:
                low, high = result.ci95[name]
                cell.append(f"\n{low:.4f}-{high:.4f}", style="dim")
            cells.append(cell)
        table.add_row(name, *cells)
    return table


def counts_table(comparisons: "Sequence[Comparison]") -> Table:
    """Counts beside the published ones."""
    table = Table("")
    for name in ("here", "published", "difference"):
        table.add_column(name, justify="right")
    for what, found, published in comparisons:
        difference = f"{found - published:+,}" if found != published else "0"
        table.add_row(what, f"{found:,}", f"{published:,}", difference)
    return table


def items_table(title: str, items: "Sequence[Recommended]", before: "Mapping[Id, int] | None" = None) -> Table:
    """Ranked items with title, where there are any titles, and score; and their places in another list, `before`."""
    table = Table(title=_as_it_is(title, style="bold"), title_justify="left")
    table.add_column("#", justify="right")
    table.add_column("item", justify="right", overflow="fold")
    titled = any(item.title is not None for item in items)
    if titled:
        table.add_column("title", overflow="fold")
    table.add_column("score", justify="right")
    if before is not None:
        table.add_column("before", justify="right")
    for number, item in enumerate(items, start=1):
        shown = [_as_it_is(item.title or "")] if titled else []
        place = [] if before is None else [str(before.get(item.item, "-"))]
        table.add_row(str(number), _as_it_is(str(item.item)), *shown, f"{item.score:.3f}", *place)
    return table


def explanation(found: "Explanation") -> None:
    """In words, then the parts, then the recent items and the memory units that they come from, on standard output."""
    from magnn.explain import PARTS, name_of

    out, digits = console_of(stderr=False), found.decimals
    out.print(_as_it_is(found.in_words()))
    parts = Table("part")
    parts.add_column("score", justify="right")
    parts.add_column("share", justify="right")
    for name, value in found.parts.items():
        parts.add_row(PARTS[name], f"{value:.{digits}f}", f"{found.share(value):.0%}")
    parts.add_section()
    parts.add_row("score", f"{found.score:.{digits}f}", "")
    out.print(parts)
    if found.by_item:
        # An id that ends in dots could not be copied.
        recent = Table(Column("the last items, latest first", overflow="fold"))
        for name in (PARTS["short_term"], PARTS["co_occurrence"], "graphs", "share"):
            recent.add_column(name, justify="right")
        shown = [item for item in found.by_item if abs(found.share(item.total)) >= LEAST_SHARE]
        for item in shown:
            short = "not split" if item.short_term is None else f"{item.short_term:.{digits}f}"
            graph = f"{item.graph:.{digits}f}"
            cells = (short, f"{item.co_occurrence:.{digits}f}", graph, f"{found.share(item.total):.0%}")
            recent.add_row(_as_it_is(name_of(item)), *cells)
        if rest := [item for item in found.by_item if item not in shown]:
            total = found.share(sum(item.total for item in rest))
            recent.add_row(Text(f"{len(rest)} others", style="dim"), "", "", "", f"{total:.0%}")
        out.print(recent)
    largest = sorted(enumerate(found.by_memory_unit, start=1), key=lambda unit: -abs(unit[1]))[:5]
    if largest:
        units = ", ".join(f"unit {number} {value:+.{digits}f}" for number, value in largest)
        out.print(Text(f"memory, its largest of {len(found.by_memory_unit)}: {units}"))
    if found.gate is not None:
        out.print(Text(f"gate: {found.gate:.0%} present, {1 - found.gate:.0%} longer history"))
    if found.read:
        read = ", ".join(f"{name_of(item)} ({item.attention:.0%})" for item in found.read)
        out.print(_as_it_is(f"read most of the longer history: {read}"))


def _as_it_is(text: str, style: str = "") -> Text:
    """Titles and ids come from a log: "[bold]" in one is shown and not obeyed."""
    return Text(printable(text), style)
