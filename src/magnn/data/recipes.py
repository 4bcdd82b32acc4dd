"""What the authors of the paper did to a public log before they trained on it, and the counts that came out.

The paper (Ma et al., AAAI 2020) says: ratings of 4 and more are kept, then users with 10 ratings and more and items with
10 ratings and more. The authors' notebooks for the two Amazon logs (github.com/allenjack/HGN, preprocess/) are more exact,
and differ from that sentence. Which recipe stands on what is said where the recipes are, in `datasets`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import polars as pl


class Counts(NamedTuple):
    """Size of a log."""

    users: int
    items: int
    interactions: int


@dataclass(frozen=True)
class Recipe:
    """Filters, each done once, in this order.

    Attributes:
        min_rating: events rated lower go.
        user_events: then users with fewer events.
        item_events: then items with fewer events.
        user_items: at last, after items without a review have gone where reviews are known, users with fewer different
            items. Items are not looked at again, so that one may be left with fewer events than `item_events`.
    """

    min_rating: float
    user_events: int
    item_events: int
    user_items: int

    def liked(self, events: pl.DataFrame) -> pl.DataFrame:
        """The events rated high enough: the first filter, which is done while the file is read."""
        return events.filter(pl.col("rating") >= self.min_rating)

    def apply(self, events: pl.DataFrame, reviewed: pl.Series | None = None) -> tuple[pl.DataFrame, dict[str, int]]:
        """All other filters.

        Args:
            events: user_id, item_id and any other columns, rated high enough.
            reviewed: ids of the items that a review is of; None where reviews are not looked at.

        Returns:
            What is left, in the order it came, and the number of events that each filter dropped.

        Example:
            >>> events = pl.DataFrame({"user_id": ["a", "a", "b"], "item_id": [1, 2, 2], "rating": [5, 4, 4]})
            >>> left, dropped = Recipe(4, user_events=1, item_events=2, user_items=1).apply(events)
            >>> left["user_id"].to_list(), dropped
            (['a', 'b'], {'item with fewer than 2 events': 1})
        """
        dropped: dict[str, int] = {}
        events_of, items_of = pl.len().over, pl.col("item_id").n_unique().over
        filters = {
            f"user with fewer than {self.user_events} events": events_of("user_id") >= self.user_events,
            f"item with fewer than {self.item_events} events": events_of("item_id") >= self.item_events,
            "item without a review": None if reviewed is None else pl.col("item_id").is_in(reviewed.implode()),
            f"user with fewer than {self.user_items} items": items_of("user_id") >= self.user_items,
        }
        for reason, condition in filters.items():
            if condition is None:
                continue
            left = events.filter(condition)
            if left.height < events.height:
                dropped[reason] = events.height - left.height
            events = left
        return events, dropped


def count(events: pl.DataFrame) -> Counts:
    """Users, items and interactions of a log with user_id and item_id."""
    return Counts(events["user_id"].n_unique(), events["item_id"].n_unique(), events.height)
