"""What a program does with a trained model: recommend, explain, find similar items, save and load."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from magnn.artifact import Fitted, read_artifact, write_artifact
from magnn.batch import BatchProgress, write_lists
from magnn.data.interactions import Histories, Id
from magnn.errors import InputError
from magnn.explain import Explanation, explain, html_table, short_name
from magnn.ranking.products import DotScorer
from magnn.ranking.queries import user_scorer
from magnn.ranking.rank import Scorer, rank


@dataclass(frozen=True)
class Recommended:
    """One recommended (or similar) item: outside id, score, and title where one is known."""

    item: Id
    score: float
    title: str | None = None


class Recommendations(list[Recommended]):
    """Ranked items, best first: a list that shows itself as a table in a notebook.

    Example:
        >>> Recommendations([Recommended("alien", 2.5, "Alien")]).to_frame().rows()
        [(1, 'alien', 'Alien', 2.5)]
    """

    def to_frame(self) -> pl.DataFrame:
        """A row for each item: rank (from 1), item, title (null where there is none), score."""
        rows = {
            "rank": pl.Series(range(1, len(self) + 1), dtype=pl.UInt32),
            "item": [found.item for found in self],
            "title": pl.Series([found.title for found in self], dtype=pl.String),
            "score": pl.Series([found.score for found in self], dtype=pl.Float64),
        }
        return pl.DataFrame(rows)

    def _repr_html_(self) -> str:
        rows = [
            (str(rank), str(found.item), short_name(found.title or ""), f"{found.score:.3f}")
            for rank, found in enumerate(self, start=1)
        ]
        return html_table(("rank", "item", "title", "score"), rows)


@dataclass(frozen=True, eq=False)
class Recommender(Fitted):
    """A fitted model, ready for use. `magnn.fit` makes one, `magnn.load` reads one back."""

    def recommend(
        self,
        user: Id | None = None,
        k: int = 10,
        *,
        history: Iterable[Id] | None = None,
        focus: float = 0.0,
        without: Iterable[Id] = (),
    ) -> Recommendations:
        """The k best items that are not in the history, best first; fewer if fewer are left.

        Args:
            user: a user of the log; everything the log knows of the user counts, held-out events too.
            history: for someone unknown, or in place of what the log knows: item ids, oldest first. Without a `user`
                the taste part of the score is zero.
            focus: from -1, the long term, to 1, the short term: added to the gate between them. Popularity, the item graph
                and co-occurrence with the last items stay as they are. Needs a model with a gate.
            without: items of the history to be taken out of it, as if they had not been; they can then be recommended.

        Raises:
            UnknownIdError: the user or an item is not in the log.
            InputError: neither user nor history, one text in place of several ids, no `user` and nothing in the history, k
                outside [1, n_items], focus outside [-1, 1] or without a gate, or `without` an item that is not in the
                history.

        Example (after `rec = magnn.fit(split)`):
            rec.recommend("alice", k=3); rec.recommend(history=["alien", "heat"]); rec.recommend("alice", focus=1)
        """
        number, known = self._known(user, history, without)
        return self._top(np.array([number]), known, k, self._checked(focus))[0]

    def explain(
        self,
        user: Id | None,
        item: Id,
        *,
        history: Iterable[Id] | None = None,
        focus: float = 0.0,
        without: Iterable[Id] = (),
    ) -> Explanation:
        """Why the item has its score: parts that add up to it, and what they come from. Any item may be asked about.

        Args:
            item: recommended or not, of the history or not.
            user, history, focus, without: as of `recommend`.

        Raises:
            UnknownIdError, InputError: as `recommend`.

        Example (after `rec = magnn.fit(split)`):
            print(rec.explain("alice", "alien").in_words())
        """
        number, known = self._known(user, history, without)
        return explain(self, number, known, self.split.events.item_number(item), self._checked(focus))

    def _known(self, user: Id | None, history: Iterable[Id] | None, without: Iterable[Id]) -> tuple[int, Histories]:
        """User number and the history to go by."""
        events = self.split.events
        number = self.model.n_users if user is None else events.user_number(user)
        if history is not None:
            items = np.array([events.item_number(item) for item in _several(history, "history")], np.int32)
        elif user is not None:
            items = events.histories.of(number)
        else:
            raise InputError("give a user, or a history of items")
        left_out = {events.item_number(item): item for item in _several(without, "without")}
        for gone, item in left_out.items():
            if gone not in items:
                raise InputError(f"item {item!r} is not in the history, so it cannot be left out of it")
        items = items[~np.isin(items, list(left_out))]
        if user is None and len(items) == 0:
            raise InputError("an unknown user needs at least one item of history")
        return number, Histories(items, np.array([0, len(items)]), events.n_items)

    def _checked(self, focus: float) -> float:
        config = self.model.config
        if not -1 <= focus <= 1:
            raise InputError(f"focus {focus:g} is outside [-1, 1]: -1 leaves the gate to the long term, 1 to the short")
        if focus and not (config.short_term and config.long_term and config.fusion == "gate"):
            raise InputError("focus moves the gate between short and long term, and this model has none; leave it out")
        return focus

    def recommend_many(self, users: Iterable[Id], k: int = 10) -> list[Recommendations]:
        """`recommend` for many users of the log, in the order given.

        Raises:
            UnknownIdError, InputError: as `recommend`.
        """
        events = self.split.events
        numbers = np.array([events.user_number(user) for user in _several(users, "users")], np.int64)
        return self._top(numbers, events.histories.take(numbers), k)

    def recommend_all(
        self, path: Path | str, k: int = 10, *, progress: Callable[[BatchProgress], None] | None = None
    ) -> int:
        """`recommend` for every user of the log, written to a Parquet file; the memory does not grow with the users.

        A row is user, rank (from 1, UInt32), item and score (Float32), in the order of `events.user_ids` and then of rank.
        A user with fewer than k items left has fewer rows. Finished parts stay in `path`.parts until all can be joined:
        after an interruption the same call goes on from them; parts of another model, log or k are discarded.

        Args:
            path: a name that ends in .parquet. It appears when all is done; until then an older file there is as it was.
            progress: called before the first part and after each one.

        Returns:
            The number of rows.

        Raises:
            InputError: k outside [1, n_items], or a path that is a directory or not a .parquet.
            StorageError: the disk is full or the place cannot be written.
            Interrupted: Ctrl-C.

        Example:
            rec.recommend_all("lists.parquet", k=100)
        """
        return write_lists(self, Path(path), k, progress)

    def _top(
        self, numbers: np.ndarray[Any, np.dtype[np.int64]], known: Histories, k: int, focus: float = 0.0
    ) -> list[Recommendations]:
        scorer = user_scorer(self.model, known, self.graph_part, numbers, focus)
        items_UK, scores_UK = rank(scorer, np.arange(len(numbers)), known, k)
        return [
            Recommendations(self._recommended(i, score) for i, score in zip(items, scores, strict=True) if i >= 0)
            for items, scores in zip(items_UK.tolist(), scores_UK.tolist(), strict=True)
        ]

    def similar(self, item: Id, k: int = 10) -> Recommendations:
        """The k items whose output embeddings point most nearly the same way (cosine), the item itself left out.

        Raises:
            UnknownIdError: the item is not in the log.
            InputError: k outside [1, n_items - 1].
        """
        events = self.split.events
        number = events.item_number(item)
        if not 1 <= k < events.n_items:
            raise InputError(f"k must be between 1 and the {events.n_items - 1:,} other items, not {k}")
        directions_ND = torch.nn.functional.normalize(self.model.items.detach(), dim=1)
        itself = Histories(np.array([number], np.int32), np.array([0, 1]), events.n_items)
        items_UK, scores_UK = rank(DotScorer(directions_ND[[number]], directions_ND), np.array([0]), itself, k)
        found = zip(items_UK[0].tolist(), scores_UK[0].tolist(), strict=True)
        return Recommendations(self._recommended(i, score) for i, score in found)

    def scorer(self, history: Histories) -> Scorer:
        """Scores of all users of the log, given what each has done so far."""
        return user_scorer(self.model, history, self.graph_part)

    def save(self, path: Path | str) -> None:
        """Write to the directory `path`, replacing a model that stands there.

        Raises:
            ArtifactError: something else stands there, or lies beside the files of a model there.
            StorageError: the disk is full or the place cannot be written; an older model there is left as it was.
        """
        write_artifact(self, Path(path))

    def _recommended(self, item: int, score: float) -> Recommended:
        events = self.split.events
        return Recommended(events.item_ids[item], score, events.title(item))


def _several(ids: Iterable[Id], what: str) -> Iterable[Id]:
    """Not one id, whose letters would be taken for ids."""
    if isinstance(ids, str):
        raise InputError(f"{what} is one text, {ids!r}; give a list of ids: [{ids!r}]")
    return ids


def load(path: Path | str) -> Recommender:
    """Read a saved recommender; it recommends exactly what it did before.

    Raises:
        ArtifactError: no such directory, not a model, of another format version, or damaged: every file's hash is checked.
        InputError: PyTorch's defaults for tensors are others than float32 on the CPU.
    """
    return Recommender(**vars(read_artifact(Path(path))))
