"""Why an item has its score: the score as a sum of parts, and the parts as sums over recent items and memory units.

The score is linear in the query vector, and the query vector is a sum, to whose parts the feed-forward layer, where there
is one, is shared out without a rest. So nothing here is an estimate: the parts add up to the score. Attention and the gate
say how the parts came about and are told beside them.

Shapes: L = short window, M = memory units, H = long history.
"""

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from magnn.artifact import Fitted
from magnn.data.interactions import Histories, Id
from magnn.data.split import TEST, VALID
from magnn.data.windows import query_windows
from magnn.model.addends import Addends, addends
from magnn.ranking.topk import top_k

PARTS = {
    "taste": "taste",
    "short_term": "short-term interest",
    "long_term": "long-term interest",
    "memory": "memory (shared interests)",
    "co_occurrence": "co-occurrence",
    "graph": "neighbours in the item graphs",
    "popularity": "popularity",
}
LIST = 10  # an item behind this place is compared with the one on it
READ = 5  # items of the longer history that are shown


@dataclass(frozen=True)
class FromItem:
    """What one recent item puts into the score.

    Attributes:
        age: 1 for the latest.
        short_term: None where the model's fusion does not let the short term be split.
    """

    item: Id
    title: str | None
    age: int
    short_term: float | None
    co_occurrence: float
    graph: float

    @property
    def total(self) -> float:
        """What the item puts into the score: its parts added up."""
        return (self.short_term or 0.0) + self.co_occurrence + self.graph


@dataclass(frozen=True)
class ReadItem:
    """An item of the longer history and how much of the attention it has, mean over heads. Says nothing about the score."""

    item: Id
    title: str | None
    attention: float


@dataclass(frozen=True)
class Cause:
    """A reason in a user's words: parts of the score that are one thing to a user.

    Attributes:
        share: of all reasons' absolute values, so that those of one item come to 100%; negative for what speaks against it.
        items: of what came last, the (at most three) items that count most, each with its share.
    """

    what: str
    share: float
    items: list[tuple[FromItem, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Listed:
    """The item on the last place of the list, for one that is behind it."""

    item: Id
    title: str | None
    score: float
    parts: dict[str, float]


@dataclass(frozen=True)
class Explanation:
    """A score and what it is the sum of. In a notebook it shows itself as a table.

    Attributes:
        user: None for somebody unknown.
        rank: 1 for the item recommended first; None for an item of the user's history, which is never recommended.
        score: the sum of the parts, in double precision; lists are ranked in single precision, of which it is within 1e-5
            of the parts' absolute sum.
        parts: name -> what it puts into the score; they add up to it.
        by_item: the recent items, latest first. Their `short_term`, `co_occurrence` and `graph` add up to those of `parts`.
            Short term and co-occurrence look less far back than the graph; of the items before that, those are here that
            the graph links to this one.
        by_memory_unit: (M) what each unit puts into the score; they add up to `parts["memory"]`.
        gate: share of the short term against the longer history, mean over dimensions; None without a gate.
        read: what attention reads most of the longer history.
        listed: the item on place 10, for one that is behind it.
        notes: what to know of this one.
    """

    user: Id | None
    item: Id
    title: str | None
    score: float
    rank: int | None
    parts: dict[str, float]
    by_item: list[FromItem]
    by_memory_unit: list[float]
    gate: float | None
    read: list[ReadItem]
    listed: Listed | None = None
    notes: list[str] = field(default_factory=list)

    def share(self, value: float) -> float:
        """A value divided by the sum of the parts' absolute values: the score, where no part speaks against the item."""
        return value / (sum(map(abs, self.parts.values())) or 1.0)

    def causes(self) -> list[Cause]:
        """Why, the weightiest first; what is less than half a percent is left out."""
        parts = self.parts
        totals = {
            "what came last": parts["short_term"] + parts["co_occurrence"] + parts["graph"],
            "the longer history": parts["long_term"] + parts["memory"],
            "general taste": parts["taste"],
            "its popularity": parts["popularity"],
        }
        whole = sum(map(abs, totals.values())) or 1.0
        best = sorted((i for i in self.by_item if i.total > 0), key=lambda i: -i.total)[:3]
        items = {"what came last": [(i, i.total / whole) for i in best]}
        causes = [Cause(what, total / whole, items.get(what, [])) for what, total in totals.items()]
        return sorted((c for c in causes if abs(c.share) >= 0.005), key=lambda c: -abs(c.share))

    def in_words(self) -> str:
        """A few sentences.

        Example:
            "Aliens is number 1 for alice. 78% because of what came last: Alien (51%), Heat (27%); 22% because of its
            popularity."
        """
        whom = "" if self.user is None else f" for {self.user}"
        place = f"is number {self.rank:,}{whom}" if self.rank else "is in the history, so it is never recommended"
        causes = self.causes()
        pro = [f"{cause.share:.0%} because of {cause.what}{_named(cause)}" for cause in causes if cause.share > 0]
        contra = [f"{cause.what} ({-cause.share:.0%})" for cause in causes if cause.share < 0]
        words = [f"{name_of(self)} {place}."]
        if pro:
            words.append("; ".join(pro) + ".")
        if contra:
            words.append(f"Against it: {', '.join(contra)}.")
        if self.listed:
            lacks = {what: self.listed.parts[what] - self.parts[what] for what in PARTS}
            most = max(lacks, key=lambda what: lacks[what])
            behind = f"{self.listed.score - self.score:.3g}, most in {PARTS[most]} ({lacks[most]:.3g})"
            words.append(f"To {name_of(self.listed)}, on place {LIST}, it lacks {behind}.")
        return " ".join(words + self.notes)

    @property
    def decimals(self) -> int:
        """That show three digits of the largest part."""
        largest = max(map(abs, self.parts.values()))
        return max(2 - math.floor(math.log10(largest)), 2) if largest else 2

    def to_dict(self) -> dict[str, Any]:
        """For JSON; ids stay what they are in the log."""
        return asdict(self)

    def to_frame(self) -> pl.DataFrame:
        """A row for each addend: part, from (an item, a unit or nothing), value, share; the values add up to the score."""
        return pl.DataFrame(
            [(part, source, value, self.share(value)) for part, source, value in self._addends()],
            schema={"part": pl.String, "from": pl.String, "value": pl.Float64, "share": pl.Float64},
            orient="row",
        )

    def _addends(self) -> list[tuple[str, str | None, float]]:
        rows: list[tuple[str, str | None, float]] = []
        split = all(i.short_term is not None for i in self.by_item)
        for part, value in self.parts.items():
            if part == "memory" and self.by_memory_unit:
                rows += [(part, f"unit {m}", v) for m, v in enumerate(self.by_memory_unit, start=1)]
            elif self.by_item and (part in ("co_occurrence", "graph") or (part == "short_term" and split)):
                rows += [(part, i.title or str(i.item), float(getattr(i, part))) for i in self.by_item]
            else:
                rows.append((part, None, value))
        return rows

    def _repr_html_(self) -> str:
        rows = [
            (PARTS[part], short_name(source or ""), f"{value:.{self.decimals}f}", f"{self.share(value):.0%}")
            for part, source, value in self._addends()
        ]
        return f"<p>{html.escape(self.in_words())}</p>{html_table(('part', 'from', 'score', 'share'), rows)}"


def html_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """For a notebook. Titles and ids come from a log, so every cell is escaped.

    Example:
        >>> html_table(["item"], [["<b>"]])
        '<table><tr><th>item</th></tr><tr><td>&lt;b&gt;</td></tr></table>'
    """
    lines = ["".join(f"<th>{html.escape(cell)}</th>" for cell in head)]
    lines += ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in rows]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def name_of(what: FromItem | ReadItem | Listed | Explanation) -> str:
    """For a sentence: the title if there is one, not longer than a line."""
    return short_name(what.title or str(what.item))


def short_name(name: str, limit: int = 80) -> str:
    """At most so many characters.

    Example:
        >>> short_name("Alien", 3)
        'Al…'
    """
    return name if len(name) <= limit else f"{name[: limit - 1]}…"


def _named(cause: Cause) -> str:
    items = ", ".join(f"{name_of(item)} ({share:.0%})" for item, share in cause.items)
    return f": {items}" if items else ""


def explain(fitted: Fitted, user: int, known: Histories, item: int, focus: float = 0.0) -> Explanation:
    """Explain one score; see `Recommender.explain`.

    Args:
        user: number; `n_users` for somebody unknown.
        known: one history, the user's.
        item: number.
        focus: added to the gate.
    """
    events, model = fitted.split.events, fitted.model
    config = model.config
    windows = query_windows(known, config.short_window, config.long_window)
    history_1W = torch.from_numpy(windows.batch(np.array([0])).history_BW)
    found = addends(model, torch.tensor([user]), history_1W, focus)
    items_ND = model.items.detach()
    scores = (items_ND @ found.parts.query()[0]).numpy()
    graph_N = np.zeros_like(scores)
    if fitted.graph_part is not None:
        graph_N = fitted.graph_part.scores(known).toarray()[0]
        scores = scores + graph_N + fitted.graph_part.popularity
    seen = np.zeros(len(scores), bool)
    seen[known.items] = True
    ahead = (scores > scores[item]) | ((scores == scores[item]) & (np.arange(len(scores)) < item))
    rank = None if seen[item] else 1 + int((ahead & ~seen).sum())
    vector = items_ND[item].double()

    def parts(of: int) -> dict[str, float]:
        popularity = 0.0 if fitted.graph_part is None else float(fitted.graph_part.popularity[of])
        return _parts(found, items_ND[of].double()) | {"graph": float(graph_N[of]), "popularity": popularity}

    listed = None
    if rank is not None and rank > LIST:
        last = int(top_k(torch.from_numpy(np.where(seen, -np.inf, scores))[None], LIST)[1][0, -1])
        parts_of_last = parts(last)
        listed = Listed(events.item_ids[last], events.title(last), sum(parts_of_last.values()), parts_of_last)
    parts_of_item = parts(item)
    return Explanation(
        user=None if user == model.n_users else events.user_ids[user],
        item=events.item_ids[item],
        title=events.title(item),
        score=sum(parts_of_item.values()),
        rank=rank,
        parts=parts_of_item,
        by_item=_by_item(fitted, found, vector, known, item),
        by_memory_unit=(found.memory_BMD[0].double() @ vector).tolist(),
        gate=None if found.parts.gate is None else float(found.parts.gate.mean()),
        read=_read(fitted, found, history_1W[0, : -config.short_window].numpy()),
        listed=listed,
        notes=_notes(fitted, known, item),
    )


def _notes(fitted: Fitted, known: Histories, item: int) -> list[str]:
    """What makes a score say less than it seems to."""
    notes = []
    trained_on = fitted.split.part < (TEST if fitted.refit else VALID)
    if not trained_on[fitted.split.events.histories.items == item].any():
        notes.append("It was in no training event, so its score means next to nothing.")
    if len(known.items) == 0:
        popular = fitted.graph_part is not None and bool(fitted.graph_part.popularity.any())
        speaks = " and ".join(["general taste"] * fitted.model.config.taste + ["popularity"] * popular)
        notes.append(f"There is no history, so {'only ' + speaks if speaks else 'nothing'} can speak.")
    return notes


def _parts(found: Addends, vector_D: torch.Tensor) -> dict[str, float]:
    return {
        name: float(getattr(found.parts, name)[0].double() @ vector_D) for name in PARTS if hasattr(found.parts, name)
    }


def _by_item(fitted: Fitted, found: Addends, vector_D: torch.Tensor, known: Histories, item: int) -> list[FromItem]:
    """Latest first: the short window, and what the graph links to the item before it."""
    events = fitted.split.events
    recent_E = known.items[::-1]
    window = min(fitted.model.config.short_window, len(recent_E))
    together_E, graph_E = np.zeros(len(recent_E)), np.zeros(len(recent_E))
    short_E: NDArray[np.float64] | None = None
    together_E[:window] = (found.cooccurrence_BLD[0].double() @ vector_D).numpy()[::-1][:window]
    if found.short_BLD is not None:
        short_E = np.zeros(len(recent_E))
        short_E[:window] = (found.short_BLD[0].double() @ vector_D).numpy()[::-1][:window]
    if fitted.graph_part is not None:
        by_event = fitted.graph_part.by_event(known, item)
        graph_E[: len(by_event)] = by_event
    return [
        FromItem(
            item=events.item_ids[int(recent_E[place])],
            title=events.title(int(recent_E[place])),
            age=place + 1,
            short_term=None if short_E is None else float(short_E[place]),
            co_occurrence=float(together_E[place]),
            graph=float(graph_E[place]),
        )
        for place in range(len(recent_E))
        if place < window or graph_E[place]
    ]


def _read(fitted: Fitted, found: Addends, longer_H: NDArray[np.int64]) -> list[ReadItem]:
    """The most read, most read first; an item that is there twice counts together."""
    events = fitted.split.events
    if found.attention_BAH.shape[1] == 0:
        return []
    attention_H = found.attention_BAH[0].mean(dim=0).numpy()
    total_N = np.bincount(longer_H, weights=attention_H, minlength=events.n_items + 1)[: events.n_items]
    best = np.argsort(-total_N, kind="stable")[:READ].tolist()
    return [ReadItem(events.item_ids[i], events.title(i), float(total_N[i])) for i in best if total_N[i] > 0]
