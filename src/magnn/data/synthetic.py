"""A generated event log with a known cause: lasting taste, passing phases, and series that are followed in order.

For where no real data can be had, and for tests. Each user loves one genre for good and passes through phases of other
genres; within a genre, items belong to series whose parts are mostly consumed in order.
"""

import numpy as np
import polars as pl

GENRES = ("Jazz", "Folk", "Opera", "Punk", "Techno", "Blues", "Metal", "Soul", "Reggae", "Ambient", "Samba", "Choral")
PARTS_PER_SERIES = 5


def generate_log(
    n_users: int = 800, n_series: int = 10, events_per_user: int = 60, seed: int = 0
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Generate a log and its item table.

    Args:
        n_users: number of users.
        n_series: series in each of the 12 genres, 5 items a series.
        events_per_user: events drawn per user, on average, 10 or more; each has 10 and an exponential number more. What
            a user has had already is left out, so histories are shorter: of 60 drawn about 40 stay.
        seed: the same seed gives the same log.

    Returns:
        events (user_id, item_id, timestamp in seconds) and items (item_id, title, genre).

    Example:
        >>> events, items = generate_log(n_users=20)
        >>> events.columns, items.height
        (['user_id', 'item_id', 'timestamp'], 600)
    """
    rng = np.random.default_rng(seed)
    n_genres, per_genre = len(GENRES), n_series * PARTS_PER_SERIES
    popularity = 1 / np.arange(1, n_series + 1)  # of a series within its genre
    popularity /= popularity.sum()
    users, items = [], []
    for user in range(n_users):
        home = rng.integers(n_genres)
        phase, series, part = home, 0, PARTS_PER_SERIES
        seen: set[int] = set()
        for _ in range(10 + int(rng.exponential(events_per_user - 10))):
            if rng.random() < 0.08:  # a new phase begins
                phase = rng.integers(n_genres)
            if part >= PARTS_PER_SERIES or rng.random() < 0.3:  # a new series, at home or in the phase
                genre = home if rng.random() < 0.4 else phase
                series, part = int(genre * n_series + rng.choice(n_series, p=popularity)), 0
            item = series * PARTS_PER_SERIES + part
            part += 1
            if item not in seen:
                seen.add(item)
                users.append(user)
                items.append(item)
    events = pl.DataFrame({"user_id": users, "item_id": items}).with_columns(
        timestamp=1_600_000_000 + 3600 * pl.int_range(pl.len()).over("user_id")
    )
    numbers = np.arange(n_genres * per_genre)
    names = [
        f"{GENRES[i // per_genre]} Sessions {i % per_genre // PARTS_PER_SERIES + 1}, part {i % PARTS_PER_SERIES + 1}"
        for i in numbers
    ]
    table = pl.DataFrame({"item_id": numbers, "title": names, "genre": [GENRES[i // per_genre] for i in numbers]})
    return events, table
