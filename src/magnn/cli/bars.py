"""How far a command is: progress bars on standard error, which only a terminal shows."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from magnn.cli.console import console_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from magnn.batch import BatchProgress
    from magnn.data.datasets import DatasetProgress
    from magnn.data.download import BytesProgress
    from magnn.training.trainer import TrainingProgress
    from magnn.tuning.search import TuningProgress


def _bar(*columns: ProgressColumn, **options: Any) -> Progress:
    console = console_of(stderr=True)
    return Progress(*columns, console=console, disable=not console.is_interactive, **options)


@contextmanager
def training_bar() -> "Iterator[Callable[[TrainingProgress], None]]":
    """A bar over the epochs of each phase; without a terminal, nothing."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[latest]}"),
    )
    with _bar(*columns) as bar:
        tasks = {}

        def update(progress: "TrainingProgress") -> None:
            if progress.phase not in tasks:
                tasks[progress.phase] = bar.add_task(f"{progress.phase:<6}", epoch=0, epochs=progress.epochs, latest="")
            task = tasks[progress.phase]
            done = (progress.epoch - 1) * progress.batches + progress.batch
            bar.update(task, completed=done, total=progress.epochs * progress.batches, epoch=progress.epoch)
            if progress.log:
                shown = [f"loss {progress.log.loss:.3f}"] if progress.log.loss else []
                shown += [
                    f"{name} {progress.log.metrics[name]:.4f}"
                    for name in ("recall@10", "ndcg@10")
                    if progress.log.metrics
                ]
                bar.update(task, latest="  ".join(shown))

        yield update


@contextmanager
def tuning_bar() -> "Iterator[Callable[[TuningProgress], None]]":
    """A bar over the time of a search, and the note on what its study had before; without a terminal, only the note."""
    columns = (
        TextColumn("trial {task.fields[trial]}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[minutes]} min"),
        TextColumn("{task.fields[latest]}"),
    )
    with _bar(*columns) as bar:
        task = None

        def update(at: "TuningProgress") -> None:
            nonlocal task
            if task is None:
                if at.earlier:
                    bar.console.print(
                        Text(f"going on from {at.earlier} trials, best {_value(at.best)}")
                    )  # above the bar
                task = bar.add_task("", trial=at.trial, minutes="", latest="")
            epoch = f"epoch {at.training.epoch}/{at.training.epochs}  " if at.training else ""
            minutes = f"{at.seconds / 60:.1f}/{at.budget / 60:g}"
            latest = f"{epoch}best {_value(at.best)}  defaults {_value(at.default)}"
            bar.update(task, completed=at.seconds, total=at.budget, trial=at.trial, minutes=minutes, latest=latest)

        yield update


def _value(metric: float | None) -> str:
    return "-" if metric is None else f"{metric:.4f}"


@contextmanager
def download_bar() -> "Iterator[DatasetProgress]":
    """A bar over the bytes of each file that is fetched or read; without a terminal, nothing."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with _bar(*columns) as bar:

        def begin(what: str) -> "BytesProgress":
            task = bar.add_task(what, total=None)
            return lambda done, total: bar.update(task, completed=done, total=total)

        yield begin


@contextmanager
def steps_bar() -> "Iterator[Callable[[str, int, int], None]]":
    """A bar over the steps of some work, called with a step's name, the steps before it and all of them."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("step {task.fields[step]}/{task.total}"),
        TimeElapsedColumn(),
    )
    with _bar(*columns, transient=True) as bar:
        task = None

        def update(name: str, done: int, steps: int) -> None:
            nonlocal task
            if task is None:
                task = bar.add_task(name, total=steps, step=1)
            bar.update(task, completed=done, description=f"{name:<10}", step=done + 1)

        yield update


@contextmanager
def users_bar() -> "Iterator[Callable[[BatchProgress], None]]":
    """A bar over users, and the note on what an earlier run left; without a terminal, only the note."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.completed:,}/{task.total:,} users"),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with _bar(*columns) as bar:
        task = None

        def update(progress: "BatchProgress") -> None:
            nonlocal task
            if progress.note:
                bar.console.print(Text(progress.note))  # above the bar
            what = "joining" if progress.done == progress.users else "ranking"
            if task is None:  # starts from what was done before, which says nothing of the speed
                task = bar.add_task(what, completed=progress.done, total=progress.users)
            bar.update(task, completed=progress.done, description=what)

        yield update


@contextmanager
def spinner(message: str) -> "Iterator[Callable[[str], None]]":
    """Something moving while there is no measure of progress; yields a function that changes the message."""
    console = console_of(stderr=True)
    if not console.is_interactive:
        yield lambda _: None
        return
    with console.status(Text(message)) as status:
        yield lambda text: status.update(Text(text))
