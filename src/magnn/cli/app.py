"""The commands. Each imports what it needs when it runs, so that --help does not wait for torch."""

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from magnn.cli import ask
from magnn.cli.log_options import LogOptions, takes_log
from magnn.cli.options import AsJson, Device, K, ModelPath, Preset, print_json
from magnn.cli.tune import tune
from magnn.errors import ArtifactError, Interrupted, StorageError

app = typer.Typer(
    help="Sequential recommendation with MA-GNN: an event log in, an evaluated recommender out.",
    epilog="Start with: magnn demo",
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: half as long, and no "[model]" is taken for markup
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
data_app = typer.Typer(help="List and get public data sets.", invoke_without_command=True, rich_markup_mode=None)
app.add_typer(data_app, name="data")


@app.command()
@takes_log
def fit(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="MODEL", help="Directory to write the model to.")],
    log: LogOptions,
    refit: Annotated[
        bool, typer.Option("--refit/--no-refit", help="Train the final model on train + valid, or on train only.")
    ] = True,
    preset: Preset = None,
    device: Device = "cpu",
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.toml",
            help="Changes to the preset, in the tables of docs/settings.md: [model], [training], [graph].",
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", help="Epochs at most; early stopping may end before.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Same seed on the same machine, same model.")] = 0,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with an interrupted fit of the same data, settings, device and magnn."),
    ] = False,
) -> None:
    """Train a model on an event log.

    What an interrupted training has so far stays beside the model, in MODEL.checkpoints, until it is resumed or begun anew;
    the best of it is saved as MODEL unless that would replace a whole one.
    """
    from magnn.artifact import check_destination, is_complete
    from magnn.cli import bars, console
    from magnn.cli.memory import keep_freed_memory
    from magnn.fitting import check_device, check_seed, discard_checkpoints
    from magnn.fitting import fit as fit_model
    from magnn.settings import make_settings
    from magnn.storage import check_place

    make_settings(preset, config, epochs)  # a typo is told before a long read
    check_device(device)
    check_seed(seed)
    check_destination(output)
    checkpoints = output.absolute().with_name(output.absolute().name + ".checkpoints")  # "." has no name of its own
    check_place(checkpoints.with_name(f".{checkpoints.name}.lock"))  # the longest name beside the model
    kept = checkpoints.exists()
    parts = log.read()
    if resume and not kept:
        console.note(f"nothing to resume at {checkpoints}: starting from the beginning")
    keep_freed_memory()
    try:
        with bars.training_bar() as progress:
            recommender = fit_model(
                parts,
                preset=preset,
                config=config,
                epochs=epochs,
                seed=seed,
                refit=refit,
                device=device,
                checkpoints=checkpoints,
                resume=resume,
                progress=progress,
            )
        leave_it = not recommender.completed and checkpoints.exists() and is_complete(output)
        try:
            if not leave_it:  # somebody may be using it, and what there is of the new one is in the checkpoints
                recommender.save(output)
        except (ArtifactError, StorageError) as error:  # checked before the training, but that was long ago
            how_to_go_on = f"; the training is kept in {checkpoints}: the same command with --resume goes on from there"
            raise type(error)(f"{error}{how_to_go_on if checkpoints.exists() else ''}") from error
    except KeyboardInterrupt:  # outside the loop that answers it, or a second time
        what = "interrupted; the same command with --resume goes on" if checkpoints.exists() else "interrupted"
        raise Interrupted(what) from None
    console.describe_fit(recommender)
    if recommender.completed:
        discard_checkpoints(checkpoints)
        then = f"; next: {shlex.join(['magnn', 'evaluate', str(output)])}" if log.split != "none" else ""
        console.note(f"saved {output}{then}")
    else:
        saved = f"left the older model {output} as it was" if leave_it else f"saved the best so far as {output}"
        raise Interrupted(f"interrupted: {saved}; the same command with --resume goes on")


app.command()(tune)


@app.command()
def evaluate(
    model: ModelPath,
    on: Annotated[
        Literal["test", "valid"], typer.Option(help="Held-out events to rank; valid needs a model of fit --no-refit.")
    ] = "test",
    k: K = 10,
    as_json: AsJson = False,
) -> None:
    """Measure a model on held-out events, beside two baselines.

    The whole catalogue is ranked, without what the user has seen, and compared with what the user did next. The baselines
    are popularity and an item-kNN with settings of its own choice.
    """
    from magnn.cli import bars, console
    from magnn.evaluation import evaluate as evaluate_model
    from magnn.recommender import load

    with bars.spinner("loading") as message:
        recommender = load(model)
        report = evaluate_model(recommender, on=on, k=k, progress=lambda name: message(f"evaluating {name}"))
    if as_json:
        print_json(report.to_dict())
        return
    console.show(console.metrics_table(report))
    if report.n_cold:
        console.note(f"{report.n_cold:,} users have held-out events but no history; they are not in the means")


for _command in (ask.recommend, ask.similar, ask.explain, ask.report):
    app.command()(_command)


@app.command()
def demo(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Where to put the data and the model.")
    ] = Path("magnn-demo"),
    offline: Annotated[bool, typer.Option("--offline", help="Fetch nothing: use the generated log.")] = False,
) -> None:
    """See it work on MovieLens-100K.

    Trains, compares with the baselines, and shows recommendations by title.
    """
    from magnn.cli.demo import run

    run(output, offline=offline)


@data_app.command("list")
def data_list() -> None:
    """List the public data sets."""
    from rich.table import Column, Table

    from magnn.cli import console
    from magnn.data.datasets import DATASETS

    table = Table("name", "what", Column("download", justify="right"))
    for dataset in DATASETS.values():
        sizes = [file.size for file in dataset.files]
        known = sum(size for size in sizes if size)
        more = "> " if None in sizes else ""
        table.add_row(dataset.name, dataset.about, f"{more}{known / 1e6:,.1f} MB" if known else "unknown")
    console.show(table)


@data_app.command("get")
def data_get(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name from magnn data list.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Directory to write to.")],
    raw: Annotated[
        bool, typer.Option("--raw", help="All events as the source has them, without the recipe of the paper.")
    ] = False,
) -> None:
    """Fetch a data set, verify it, and write events.parquet and items.parquet.

    A set of the paper (amazon-cds, amazon-books, goodreads-children, goodreads-comics, ml-20m) is prepared as its authors
    did, as far as that is documented, and its counts are shown beside the published ones. Of these, only ml-20m has items.

    MAGNN_DATA_MIRROR (http, https or file URL) names a folder to fetch from in place of the official address.
    """
    from magnn.cli import bars, console
    from magnn.data.datasets import get_dataset

    with bars.download_bar() as progress:
        fetched = get_dataset(name, output, progress, raw=raw)
    for file, sha256 in fetched.hashes.items():
        console.note(f"{file}: SHA-256 {sha256}; the source publishes none to compare it with")
    if fetched.malformed:
        console.note(f"skipped {fetched.malformed:,} malformed lines")
    for reason, count in fetched.dropped.items():
        console.note(f"dropped {count:,} events: {reason}")
    if fetched.comparisons:
        console.show(console.counts_table(fetched.comparisons))
        if different := [what for what, found, published in fetched.comparisons if found != published]:
            console.note(f"different from what was published: {', '.join(different)}")
        else:
            console.note("all counts are as published")
    written, options = f"{fetched.events}", []
    if fetched.items is not None:
        written, options = f"{fetched.events} and {fetched.items}", ["--items", str(fetched.items)]
    console.note(f"wrote {written}; next: {shlex.join(['magnn', 'fit', str(fetched.events), *options, '-o', 'model'])}")


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    if version:
        from magnn import __version__

        print(f"magnn {__version__}")
        raise typer.Exit
    _help_unless_command(context)


@data_app.callback()
def _data(context: typer.Context) -> None:
    _help_unless_command(context)


def _help_unless_command(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)
