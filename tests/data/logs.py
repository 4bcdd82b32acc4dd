"""What several tests of reading need: a log flattened again, and the message of a refusal."""

from typing import Any

import pytest

from magnn.data.events import read_events
from magnn.data.interactions import Id, Interactions
from magnn.errors import InputError


def flat(events: Interactions) -> list[tuple[Id, Id, float]]:
    """(user, item, time) of each event, in outside ids, in stored order."""
    histories = events.histories
    users = [events.user_ids[int(user)] for user in histories.users]
    items = [events.item_ids[int(item)] for item in histories.items]
    return list(zip(users, items, events.times.tolist(), strict=True))


def whole(events: Interactions) -> dict[str, Any]:
    """All of it, comparable with ==."""
    return {
        "events": flat(events),
        "users": (events.user_ids.dtype, events.user_ids.to_list()),
        "items": (events.item_ids.dtype, events.item_ids.to_list()),
        "offsets": events.histories.offsets.tolist(),
        "catalogue": events.histories.n_items,
        "table": None if events.item_table is None else events.item_table.to_dict(as_series=False),
        "dropped": list(events.dropped.items()),
        "notes": events.notes,
    }


def refusal(source: Any, **options: Any) -> str:
    """What `read_events` says about a source that it must refuse: always one line."""
    with pytest.raises(InputError) as caught:
        read_events(source, **options)
    message = str(caught.value)
    assert message and message.splitlines() == [message], "an error is one line"
    return message
