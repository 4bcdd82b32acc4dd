"""`magnn tune`: the command, and what it says of its result."""

import os
import shlex
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from magnn.cli.log_options import LogOptions, takes_log
from magnn.cli.options import Device, Preset
from magnn.errors import InputError, Interrupted

if TYPE_CHECKING:
    from rich.table import Table

    from magnn.tuning.result import Tuned

SHOWN = 3  # trials beside the defaults: the table fits 80 columns


@takes_log
def tune(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE.toml", help="File to write, for magnn fit --config.")
    ],
    log: LogOptions,
    preset: Preset = None,
    device: Device = "cpu",
    config: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Changes to the preset; these settings are not searched.")
    ] = None,
    minutes: Annotated[float, typer.Option(metavar="M", help="How long to search.")] = 30,
    trials: Annotated[int | None, typer.Option(metavar="N", help="Fits at most, of this run.")] = None,
    study: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.db",
            help="Where the trials are kept; if it has some, the search goes on. [default: beside the output]",
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the search, as .png or .svg (needs magnn[plots]).")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Same seed on the same machine, same trials.")] = 0,
) -> None:
    """Search better settings, on the validation events.

    The first trial is the preset, or what --config makes of it. Given again, the same command goes on from the trials that
    it has.
    """
    from magnn.settings import make_settings

    make_settings(preset, config)  # what can be told before a long read is told
    _check_output(output)
    if study is None:
        study = output.with_suffix(".study.db")
    _check_files(output, study, plot, config)
    from magnn.cli import bars, console
    from magnn.cli.memory import keep_freed_memory
    from magnn.fitting import check_device, check_seed
    from magnn.tuning import search
    from magnn.tuning.study import check_study

    check_device(device)
    check_seed(seed)
    search.check_budget(minutes, trials)
    check_study(study)
    parts = log.read()
    keep_freed_memory()
    with bars.tuning_bar() as progress:
        tuned = search.tune(
            parts,
            preset=preset,
            config=config,
            minutes=minutes,
            trials=trials,
            seed=seed,
            device=device,
            study=study,
            progress=progress,
        )
    events = parts.events
    counts = f"{events.n_users:,} users, {events.n_items:,} items, {events.n_events:,} events, split {parts.protocol}"
    tuned.save(output, [_command_line(log), f"{log.name}: {counts}"])
    if plot is not None:
        from magnn.tuning.plot import plot_search

        plot_search(tuned, plot)
    console.show(trials_table(tuned))
    console.note(verdict(tuned))
    if not tuned.completed:
        raise Interrupted(f"interrupted: saved the best so far as {output}; the same command goes on from {study}")
    training = [*(["--device", device] if device != "cpu" else []), *(["--seed", str(seed)] if seed else [])]
    with_it = shlex.join(["magnn", "fit", *log.arguments, "--config", str(output), *training, "-o", "model"])
    console.note(f"saved {output}; next: {with_it}")


def _command_line(log: LogOptions) -> str:
    """The command as it was typed, to be typed again; without what a database URL may have of secrets."""
    return shlex.join(["magnn", *(log.name if argument == log.events else argument for argument in sys.argv[1:])])


def _check_output(output: Path) -> None:
    """Raises InputError unless settings can have this name."""
    if output.suffix != ".toml":
        raise InputError(f"{output}: settings are written as TOML; give -o a name that ends in .toml")


def _check_files(output: Path, study: Path, plot: Path | None, config: Path | None) -> None:
    """Raises InputError for what could not be written after the search, or would take the place of something else."""
    from magnn.storage import check_file

    if plot is not None:
        if plot.suffix not in (".png", ".svg"):
            raise InputError(f"{plot}: a plot is a .png or an .svg; give --plot a name that ends so")
        try:
            import matplotlib  # noqa: F401
        except ImportError as error:
            raise InputError("plotting needs Matplotlib: pip install 'magnn[plots]'") from error
    taken = {} if config is None else {os.path.realpath(config): "what the search starts from"}
    written = (
        (output, "tuned.toml", "the output"),
        (study, "tuned.study.db", "the study"),
        (plot, "tuned.png", "the plot"),
    )
    for path, example, what in written:
        if path is None:
            continue
        check_file(path, example)
        if not path.absolute().parent.is_dir():
            raise InputError(f"{path}: there is no folder {path.parent}; create it, or choose another place")
        place = os.path.realpath(path)
        if place in taken:
            raise InputError(f"{path}: this is {taken[place]} already; give each file a name of its own")
        taken[place] = what


def trials_table(tuned: "Tuned") -> "Table":
    """Settings against trials: the defaults, and the best few."""
    from rich.table import Table

    from magnn.tuning.result import METRIC

    complete = sorted((t for t in tuned.trials if t.value is not None), key=lambda t: -(t.value or 0))
    shown = [t for t in complete if t != tuned.default][:SHOWN]
    columns = ([] if tuned.default is None else [tuned.default]) + shown
    table = Table("")
    for trial in columns:
        table.add_column("defaults" if trial == tuned.default else f"trial {trial.number}", justify="right")
    table.add_row(f"validation {METRIC}", *(f"{trial.value:.4f}" for trial in columns))
    if tuned.default is not None:
        base = tuned.default.value or 0
        table.add_row("difference", *("" if t == tuned.default else f"{(t.value or 0) - base:+.4f}" for t in columns))
        table.add_row("  its standard error", *(f"{t.noise:.4f}" if t.noise else "" for t in columns))
    table.add_section()
    for name in tuned.best.params:
        table.add_row(name, *(f"{trial.params[name]:.3g}" for trial in columns))
    return table


def verdict(tuned: "Tuned") -> str:
    """How many trials there were, and whether the best of them is worth anything."""
    states = Counter(trial.state for trial in tuned.trials)
    said = f"{len(tuned.trials)} trials: " + ", ".join(f"{count} {state}" for state, count in states.items())
    errors = [trial for trial in tuned.trials if trial.error]
    if errors:
        said += f"\ntrial {errors[0].number} failed with {errors[0].error}"
    if tuned.gain is None:
        return f"{said}\nthe defaults failed, so there is nothing to compare with"
    if tuned.best == tuned.default and set(states) <= {"complete", "stopped"} and states["complete"] == 1:
        minutes = (tuned.default.ended or 0) / 60
        return (
            f"{said}\nno other trial came to its end; the defaults took {minutes:.1f} minutes: give more time or trials"
        )
    if tuned.best == tuned.default:
        return f"{said}\nnothing better than the defaults was found"
    found = f"trial {tuned.best.number} is {tuned.gain:.4f} above the defaults"
    if tuned.margin is None:
        return f"{said}\n{found}; there are too few users to tell whether that is noise"
    others = (
        f"the luckiest of {states['complete'] - 1} trials that are no better would be up to {tuned.margin:.4f} above"
    )
    if tuned.gain > tuned.margin:
        return f"{said}\n{found}, more than noise: {others}"
    return f"{said}\n{found}, within noise: {others}"
