"""Which log, and how it is split: options that every command which reads a log takes, and the reading."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from magnn.data.split import Split


@dataclass(frozen=True)
class LogOptions:
    """A log as the command line names it; the fields are options, see `takes_log`."""

    events: Annotated[
        str,
        typer.Argument(
            metavar="EVENTS",
            help="Event log: .csv[.gz], .tsv, .parquet, .jsonl, a quoted pattern of several files, "
            "or a database URL with --query.",
        ),
    ]
    items: Annotated[
        str | None, typer.Option(metavar="FILE", help="Item table: an id column, a title, anything else.")
    ] = None
    query: Annotated[str | None, typer.Option(metavar="SQL", help="What to select from a database.")] = None
    user_col: Annotated[str | None, typer.Option(metavar="C", help="User column, if not recognised.")] = None
    item_col: Annotated[str | None, typer.Option(metavar="C", help="Item column, if not recognised.")] = None
    time_col: Annotated[str | None, typer.Option(metavar="C", help="Time column, if not recognised.")] = None
    rating_col: Annotated[str | None, typer.Option(metavar="C", help="Rating column, if not recognised.")] = None
    min_rating: Annotated[float | None, typer.Option(metavar="R", help="Drop events rated lower.")] = None
    repeats: Annotated[
        Literal["first", "all"],
        typer.Option(
            help="Of a user's several events with one item, keep the first, or all. What a user has had is not "
            "recommended again either way."
        ),
    ] = "first"
    min_user_events: Annotated[int, typer.Option(metavar="N", help="Drop users with fewer events.")] = 1
    min_item_events: Annotated[int, typer.Option(metavar="N", help="Drop items with fewer events.")] = 1
    k_core: Annotated[bool, typer.Option("--k-core", help="Repeat the two minimums until nothing more is dropped.")] = (
        False
    )
    split: Annotated[
        Literal["paper", "leave-one-out", "time", "none"],
        typer.Option(
            help="What is held out: each user's last 20% for the test and 10% of the rest for validation (paper), the last "
            "event and the one before (leave-one-out), all after two moments (time), or nothing (none)."
        ),
    ] = "paper"

    @property
    def name(self) -> str:
        """The log as it may be shown and written: of a database URL, which may hold a password, only the kind."""
        kind, is_url, _ = self.events.partition("://")
        return f"{kind}://..." if is_url else self.events

    @property
    def arguments(self) -> list[str]:
        """To be typed in a command: its name, and the options that are not as they are by default."""
        shown = [self.name]
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "events" or value == field.default:
                continue
            option = f"--{field.name.replace('_', '-')}"
            shown += [option] if value is True else [option, str(value)]
        return shown

    def read(self) -> "Split":
        """Read, filter and split it, and say what came of it."""
        from magnn.cli import bars, console
        from magnn.data.events import read_events
        from magnn.data.split import split

        with bars.spinner("reading events"):
            log = read_events(
                self.events,
                query=self.query,
                user_col=self.user_col,
                item_col=self.item_col,
                time_col=self.time_col,
                rating_col=self.rating_col,
                min_rating=self.min_rating,
                repeats=self.repeats,
                min_user_events=self.min_user_events,
                min_item_events=self.min_item_events,
                k_core=self.k_core,
                items=self.items,
            )
        console.describe_log(log)
        parts = split(log, self.split)
        console.describe_split(parts)
        return parts


def takes_log(command: Callable[..., None]) -> Callable[..., None]:
    """Gives typer the fields of LogOptions as options of their own, in the place of the argument `log` of a command."""
    shown = []
    for parameter in inspect.signature(command).parameters.values():
        if parameter.name == "log":
            shown += [p.replace(kind=p.KEYWORD_ONLY) for p in inspect.signature(LogOptions).parameters.values()]
        else:
            shown.append(parameter.replace(kind=parameter.KEYWORD_ONLY))
    names = [field.name for field in fields(LogOptions)]

    @wraps(command)
    def with_log(**given: Any) -> None:
        log = LogOptions(**{name: given.pop(name) for name in names})
        command(log=log, **given)

    with_log.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    with_log.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return with_log
