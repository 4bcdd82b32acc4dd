"""The commands. Each imports what it needs when it runs, so that --help does not wait for torch."""

import codecs
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from magnn.errors import InputError, Interrupted

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


class SplitName(StrEnum):
    """Protocols of `magnn.split`, as the command line offers them."""

    paper = "paper"
    leave_one_out = "leave-one-out"
    time = "time"
    none = "none"


class RepeatsName(StrEnum):
    """What to do with repeated (user, item) events."""

    first = "first"
    all = "all"


class DeviceName(StrEnum):
    """Where a network can be trained."""

    cpu = "cpu"
    cuda = "cuda"


class HeldOut(StrEnum):
    """Held-out parts."""

    test = "test"
    valid = "valid"


ModelPath = Annotated[Path, typer.Argument(metavar="MODEL", help="Directory written by magnn fit.")]
K = Annotated[int, typer.Option("-k", help="Length of the list.")]
History = Annotated[
    str | None,
    typer.Option(metavar="ITEM,ITEM", help="For someone unknown: item ids, oldest first, in place of a user."),
]
Focus = Annotated[
    float, typer.Option(metavar="F", help="From -1, lasting interest only, to 1, the present only: moves the gate.")
]
Without = Annotated[
    list[str] | None, typer.Option(metavar="ITEM", help="As if it were not in the history; may be repeated.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


@app.command()
def fit(
    events: Annotated[
        str,
        typer.Argument(
            metavar="EVENTS",
            help="Event log: .csv[.gz], .tsv, .parquet, .jsonl, a quoted pattern of several files, "
            "or a database URL with --query.",
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="MODEL", help="Directory to write the model to.")],
    items: Annotated[
        str | None, typer.Option(metavar="FILE", help="Item table: an id column, a title, anything else.")
    ] = None,
    query: Annotated[str | None, typer.Option(metavar="SQL", help="What to select from a database.")] = None,
    user_col: Annotated[str | None, typer.Option(metavar="C", help="User column, if not recognised.")] = None,
    item_col: Annotated[str | None, typer.Option(metavar="C", help="Item column, if not recognised.")] = None,
    time_col: Annotated[str | None, typer.Option(metavar="C", help="Time column, if not recognised.")] = None,
    rating_col: Annotated[str | None, typer.Option(metavar="C", help="Rating column, if not recognised.")] = None,
    min_rating: Annotated[float | None, typer.Option(metavar="R", help="Drop events rated lower.")] = None,
    repeats: Annotated[
        RepeatsName, typer.Option(help="Of a user's repeated events with an item, keep which.")
    ] = RepeatsName.first,
    min_user_events: Annotated[int, typer.Option(metavar="N", help="Drop users with fewer events.")] = 1,
    min_item_events: Annotated[int, typer.Option(metavar="N", help="Drop items with fewer events.")] = 1,
    k_core: Annotated[bool, typer.Option("--k-core", help="Repeat both until nothing more is dropped.")] = False,
    split: Annotated[SplitName, typer.Option(help="How to hold out validation and test events.")] = SplitName.paper,
    refit: Annotated[
        bool, typer.Option("--refit/--no-refit", help="Train the final model on train + valid, or on train only.")
    ] = True,
    preset: Annotated[str | None, typer.Option(metavar="NAME", help="Settings to start from. [default: paper]")] = None,
    device: Annotated[
        DeviceName, typer.Option(help="Where to train; cuda needs a CUDA build of PyTorch.")
    ] = DeviceName.cpu,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Changes to the preset: tables [model], [training].")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", help="Epochs at most; early stopping may end before.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Same seed, same model.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted fit of the same data and settings.")
    ] = False,
) -> None:
    """Train a model on an event log."""
    from magnn.artifact import check_destination
    from magnn.cli import console
    from magnn.settings import make_settings

    make_settings(preset, config, epochs)  # a typo is told before a long read
    check_destination(output)
    if device != DeviceName.cpu:
        from magnn.fitting import check_device

        check_device(device.value)
    from magnn.data.events import read_events
    from magnn.data.split import split as split_events

    with console.spinner("reading events"):
        log = read_events(
            events,
            query=query,
            user_col=user_col,
            item_col=item_col,
            time_col=time_col,
            rating_col=rating_col,
            min_rating=min_rating,
            repeats=repeats.value,
            min_user_events=min_user_events,
            min_item_events=min_item_events,
            k_core=k_core,
            items=items,
        )
    console.describe_log(log)
    parts = split_events(log, split.value)
    console.describe_split(parts)

    from magnn.cli.memory import keep_freed_memory
    from magnn.fitting import discard_checkpoints
    from magnn.fitting import fit as fit_model

    checkpoints = output.absolute().with_name(output.absolute().name + ".checkpoints")  # "." has no name of its own
    if resume and not checkpoints.exists():
        console.note(f"nothing to resume at {checkpoints}: starting from the beginning")
    keep_freed_memory()
    try:
        with console.training_bar() as progress:
            recommender = fit_model(
                parts,
                preset=preset,
                config=config,
                epochs=epochs,
                seed=seed,
                refit=refit,
                device=device.value,
                checkpoints=checkpoints,
                resume=resume,
                progress=progress,
            )
        recommender.save(output)
    except KeyboardInterrupt:  # outside the loop that answers it, or a second time
        what = "interrupted; the same command with --resume goes on" if checkpoints.exists() else "interrupted"
        raise Interrupted(what) from None
    console.describe_fit(recommender)
    if recommender.completed:
        discard_checkpoints(checkpoints)
        console.note(f"saved {output}; next: magnn evaluate {output}" if split != SplitName.none else f"saved {output}")
    else:
        raise Interrupted(f"interrupted: saved the best so far as {output}; the same command with --resume goes on")


@app.command()
def evaluate(
    model: ModelPath,
    on: Annotated[HeldOut, typer.Option(help="Held-out events to rank.")] = HeldOut.test,
    k: K = 10,
    as_json: AsJson = False,
) -> None:
    """Rank for every user, beside popularity and item-kNN.

    The whole catalogue is ranked, without what the user has seen, and compared with what the user did next.
    """
    from magnn.cli import console
    from magnn.evaluation import evaluate as evaluate_model
    from magnn.recommender import load

    with console.spinner("loading") as message:
        recommender = load(model)
        report = evaluate_model(recommender, on=on.value, k=k, progress=lambda name: message(f"evaluating {name}"))
    if as_json:
        _print_json(report.to_dict())
        return
    console.show(console.metrics_table(report))
    if report.n_cold:
        console.note(f"{report.n_cold:,} users have held-out events but no history; they are not in the means")


@app.command()
def recommend(
    model: ModelPath,
    users: Annotated[list[str] | None, typer.Argument(metavar="USER", help="Users of the log.")] = None,
    history: History = None,
    focus: Focus = 0.0,
    without: Without = None,
    everyone: Annotated[bool, typer.Option("--all", help="For every user of the log, to a file; needs -o.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE.parquet", help="Where --all writes: user, rank, item, score."),
    ] = None,
    k: K = 10,
    as_json: AsJson = False,
) -> None:
    """Recommend items that a user has not touched.

    With --focus or --without, each item's place in the list as it is without them is shown beside it. With --all, an
    interrupted command that is given again goes on where it stopped.
    """
    from magnn.cli import console

    if everyone or output is not None:
        others = {"USER": bool(users), "--history": history is not None, "--json": as_json}
        others |= {"--focus": bool(focus), "--without": bool(without)}
        _recommend_all(model, everyone, output, k, [name for name, given in others.items() if given])
        return
    if bool(users) == (history is not None):
        raise InputError(
            "give one or more users, --history ITEM,ITEM,... for someone unknown, or --all -o FILE.parquet"
        )
    from magnn.recommender import load

    recommender = load(model)
    ids = None if history is None else _ids(history)
    events = recommender.split.events
    named = [events.user_ids[events.user_number(user)] for user in users or []]
    asked: list[Any] = [None] if ids is not None else named
    changed = bool(focus or without)
    before: list[list[Any]] = [[] for _ in asked]
    if ids is None:
        lists = recommender.recommend_many(named, k)
    else:
        lists = [recommender.recommend(history=ids, k=k)]
    if changed:
        before = lists
        lists = [recommender.recommend(u, k, history=ids, focus=focus, without=without or []) for u in asked]
    places = [{item.item: place for place, item in enumerate(items, start=1)} for items in before]
    if as_json:
        shown = [
            [_item(item) | ({"rank_before": place.get(item.item)} if changed else {}) for item in items]
            for items, place in zip(lists, places, strict=True)
        ]
        _print_json([{"user": user, "items": items} for user, items in zip(asked, shown, strict=True)])
        return
    for user, items, place in zip(asked, lists, places, strict=True):
        title = f"for user {user}" if user is not None else f"after {history}"
        console.show(console.items_table(title, items, place if changed else None))


@app.command()
def explain(
    model: ModelPath,
    user_or_item: Annotated[str, typer.Argument(metavar="USER", help="User of the log; left out with --history.")],
    item: Annotated[str | None, typer.Argument(metavar="ITEM", help="Item of the log, recommended or not.")] = None,
    history: History = None,
    focus: Focus = 0.0,
    without: Without = None,
    as_json: AsJson = False,
) -> None:
    """Say why an item has its score, and its place, for a user.

    The score is a sum: the parts shown add up to it. With --focus or --without, the score and the place without them are
    told too.
    """
    from magnn.cli import console
    from magnn.recommender import load

    if (item is None) == (history is None):
        raise InputError("give a user and an item, or one item and --history ITEM,ITEM,... for someone unknown")
    user, wanted = (None, user_or_item) if item is None else (user_or_item, item)
    ids = None if history is None else _ids(history)
    recommender = load(model)
    found = recommender.explain(user, wanted, history=ids, focus=focus, without=without or [])
    before = recommender.explain(user, wanted, history=ids) if focus or without else None
    if as_json:
        changed = {} if before is None else {"before": {"score": before.score, "rank": before.rank}}
        _print_json(found.to_dict() | changed)
        return
    console.explanation(found)
    if before is not None:
        place = f"place {before.rank:,}" if before.rank else "in the history"
        console.note(f"as it is: {place}, score {before.score:.3f}; so changed: score {found.score:.3f}")


@app.command()
def similar(
    model: ModelPath,
    item: Annotated[str, typer.Argument(metavar="ITEM", help="Item of the log.")],
    k: K = 10,
    as_json: AsJson = False,
) -> None:
    """Find the items most similar to one."""
    from magnn.cli import console
    from magnn.recommender import load

    recommender = load(model)
    items = recommender.similar(item, k)
    events = recommender.split.events
    number = events.item_number(item)
    if as_json:
        _print_json({"item": events.item_ids[number], "items": [_item(found) for found in items]})
        return
    title = events.title(number)
    console.show(console.items_table(f"similar to {item}" + (f", {title}" if title else ""), items))


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
    from magnn.cli import console
    from magnn.data.datasets import get_dataset

    with console.download_bar() as progress:
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
    written = f"{fetched.events}" if fetched.items is None else f"{fetched.events} and {fetched.items}"
    items = "" if fetched.items is None else f" --items {fetched.items}"
    console.note(f"wrote {written}; next: magnn fit {fetched.events}{items} -o model")


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


def _recommend_all(model: Path, everyone: bool, output: Path | None, k: int, besides: list[str]) -> None:
    if not everyone:
        raise InputError(
            f"-o {output} is for --all; what a few users are recommended is printed: --json > FILE keeps it"
        )
    if besides:
        raise InputError(f"--all is for every user of the log, into a file: leave out {' and '.join(besides)}")
    if output is None:
        raise InputError("--all needs a file to write to: -o FILE.parquet")
    from magnn.batch import check_output
    from magnn.cli import console
    from magnn.recommender import load

    check_output(output)  # a typo is told before the model is read
    with console.spinner("loading"):
        recommender = load(model)
    with console.users_bar() as progress:
        rows = recommender.recommend_all(output, k, progress=progress)
    console.note(f"wrote {output}: {recommender.split.events.n_users:,} users, {rows:,} rows")


def _ids(history: str) -> list[str]:
    return [item.strip() for item in history.split(",") if item.strip()]


def _item(found: Any) -> dict[str, Any]:
    shown = {"item": found.item, "score": found.score}
    return shown if found.title is None else shown | {"title": found.title}


def _print_json(value: Any) -> None:
    # A pipe on Windows, for one, may speak something else.
    as_utf8 = codecs.lookup(sys.stdout.encoding or "ascii").name == "utf-8"
    print(json.dumps(value, indent=2, ensure_ascii=not as_utf8))
