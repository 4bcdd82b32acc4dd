"""The commands that ask a trained model: recommend, similar, explain, report."""

import csv
import io
from pathlib import Path
from typing import Annotated, Any

import typer

from magnn.cli.options import AsJson, K, ModelPath, print_json
from magnn.errors import InputError

History = Annotated[
    str | None,
    typer.Option(
        metavar="ITEM,ITEM",
        help="For someone unknown: item ids, oldest first, in place of a user; an id with a comma in double quotes.",
    ),
]
Focus = Annotated[
    float,
    typer.Option(
        metavar="F",
        help="From -1, the long term, to 1, the short term: moves the gate between them; the other parts stay.",
    ),
]
Without = Annotated[
    list[str] | None, typer.Option(metavar="ITEM", help="As if it were not in the history; may be repeated.")
]


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
    lists = recommender.recommend_many(named, k) if ids is None else [recommender.recommend(history=ids, k=k)]
    changed = bool(focus or without)
    places = [{item.item: place for place, item in enumerate(items, start=1)} for items in lists]
    if changed:
        lists = [recommender.recommend(user, k, history=ids, focus=focus, without=without or []) for user in asked]
    if as_json:
        shown = [
            [_item(item) | ({"rank_before": place.get(item.item)} if changed else {}) for item in items]
            for items, place in zip(lists, places, strict=True)
        ]
        print_json([{"user": user, "items": items} for user, items in zip(asked, shown, strict=True)])
        return
    for user, items, place in zip(asked, lists, places, strict=True):
        title = f"for user {user}" if user is not None else f"after {history}"
        console.show(console.items_table(title, items, place if changed else None))


def explain(
    model: ModelPath,
    user_or_item: Annotated[str, typer.Argument(metavar="USER", help="User of the log; with --history, the item.")],
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
        print_json(found.to_dict() | changed)
        return
    console.explanation(found)
    if before is not None:
        place = f"place {before.rank:,}" if before.rank else "in the history"
        console.note(f"as it is: {place}, score {before.score:.3g}; so changed: score {found.score:.3g}")


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
        print_json({"item": events.item_ids[number], "items": [_item(found) for found in items]})
        return
    title = events.title(number)
    console.show(console.items_table(f"similar to {item}" + (f", {title}" if title else ""), items))


def report(
    model: ModelPath,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE.html", help="The page to write.")],
    k: K = 10,
    plots: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write every picture there, as SVG and PNG.")
    ] = None,
) -> None:
    """Write a page that shows a model from all sides.

    Its data and training, how good it is and for whom, what its memory holds, and users with their lists explained. The
    page needs no network. Writing it takes about as long as magnn evaluate and a few seconds more.
    """
    from magnn.cli import bars, console
    from magnn.recommender import load
    from magnn.reporting import check_report
    from magnn.reporting import report as write_report

    check_report(output, plots)  # what is missing is told before the model is read
    with bars.spinner("loading"):
        recommender = load(model)
    with bars.steps_bar() as progress:
        write_report(recommender, output, k=k, plots=plots, progress=progress)
    console.note(f"wrote {output}" + (f" and pictures to {plots}" if plots else ""))


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
    from magnn.cli import bars, console
    from magnn.recommender import load

    check_output(output)  # a typo is told before the model is read
    with bars.spinner("loading"):
        recommender = load(model)
    with bars.users_bar() as progress:
        rows = recommender.recommend_all(output, k, progress=progress)
    console.note(f"wrote {output}: {recommender.split.events.n_users:,} users, {rows:,} rows")


def _ids(history: str) -> list[str]:
    rows = csv.reader(io.StringIO(history, newline=""), skipinitialspace=True)
    return [item.strip() for row in rows for item in row if item.strip()]


def _item(found: Any) -> dict[str, Any]:
    shown = {"item": found.item, "score": found.score}
    return shown if found.title is None else shown | {"title": found.title}
