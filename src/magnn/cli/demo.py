"""`magnn demo`: the whole path on real data, in front of one's eyes."""

import shlex
from pathlib import Path

import numpy as np

import magnn
from magnn.artifact import check_destination, is_complete
from magnn.cli import bars, console
from magnn.cli.memory import keep_freed_memory
from magnn.data.datasets import get_dataset, write_tables
from magnn.data.download import AGAIN
from magnn.data.synthetic import generate_log
from magnn.data.wheel import movielens_100k_from_wheel
from magnn.errors import DownloadError, Interrupted
from magnn.recommender import Recommended, Recommender

SHOWN_USERS = 3
SHOWN_ITEMS = 5


def run(directory: Path, *, offline: bool = False) -> None:
    """Get data, train, compare, show recommendations and why the last is one, say what to type next.

    Args:
        directory: gets data/ and model/.
        offline: use the generated log.
    """
    model = directory / "model"
    check_destination(model)  # said before the training, not after
    what, events_path, items_path = _data(directory / "data", offline)
    console.note(what)
    events = magnn.read_events(events_path, items=items_path)
    console.describe_log(events)
    split = magnn.split(events, "paper")
    console.describe_split(split)
    keep_freed_memory()
    with bars.training_bar() as progress:
        recommender = magnn.fit(split, progress=progress)
    console.describe_fit(recommender)
    if not recommender.completed:
        if is_complete(model):
            raise Interrupted(f"interrupted: left the older {model} as it was; the same command starts again")
        recommender.save(model)
        raise Interrupted(f"interrupted: saved the best so far as {model}; the same command starts again")
    recommender.save(model)
    with bars.spinner("evaluating") as message:
        report = magnn.evaluate(recommender, progress=lambda name: message(f"evaluating {name}"))
    console.show(console.metrics_table(report))
    # Spread over the log, not chosen by how well they came out.
    shown = np.linspace(0, events.n_users - 1, SHOWN_USERS, dtype=int).tolist()
    lists = [_show_user(recommender, user) for user in shown]
    console.explanation(recommender.explain(events.user_ids[shown[-1]], lists[-1][0].item))
    example_user, example_item, place = events.user_ids[0], events.item_ids[0], shlex.quote(str(model))
    console.note(
        "next:\n"
        f"  magnn recommend {place} {example_user}\n"
        f"  magnn explain {place} {example_user} {example_item}\n"
        f"  magnn similar {place} {example_item}\n"
        f"  magnn evaluate {place} --json\n"
        f"  magnn fit YOUR-EVENTS.csv -o my-model"
    )


def _data(directory: Path, offline: bool) -> tuple[str, Path, Path | None]:
    """What the data is, and where its events and items are: a folder for each way, and nobody else's tables in it."""
    if offline:
        return "generated log", *write_tables(generate_log(), directory / "generated")
    try:
        with bars.download_bar() as progress:
            fetched = get_dataset("ml-100k", directory / "ml-100k", progress)
        return "MovieLens-100K, from GroupLens", fetched.events, fetched.items
    except DownloadError as error:
        console.note(str(error).removesuffix(f"; {AGAIN}"))
    try:
        with bars.spinner("fetching MovieLens-100K from PyPI"):
            tables = movielens_100k_from_wheel()
        return "MovieLens-100K, as the PyPI package recbole carries it", *write_tables(tables, directory / "recbole")
    except DownloadError as error:
        console.note(str(error))
    return "no data can be fetched: this is a generated log", *write_tables(generate_log(), directory / "generated")


def _show_user(recommender: Recommender, user: int) -> list[Recommended]:
    """What they did last and what they are recommended; returns the latter."""
    events = recommender.split.events
    user_id = events.user_ids[user]
    last = [
        events.title(item) or str(events.item_ids[item]) for item in events.histories.of(user)[-SHOWN_ITEMS:].tolist()
    ]
    found: list[Recommended] = recommender.recommend(user_id, SHOWN_ITEMS)
    console.show(console.items_table(f"user {user_id}, last: " + "; ".join(last), found))
    return found
