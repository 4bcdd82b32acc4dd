"""Which column is which: the names that event logs commonly use, and the choice among them."""

import re

from magnn.errors import InputError

# First match wins. Compared without case, separators, and RecBole's type suffix ("user_id:token").
USUAL = {
    "user": "user userid uid reviewerid customer customerid client clientid visitorid member memberid account accountid "
    "sessionid session",
    "item": "item itemid iid movie movieid asin parentasin product productid article articleid book bookid track trackid "
    "song songid business businessid sku",
    "time": "timestamp time ts unixreviewtime unixtime datetime date eventtime createdat t",
    "rating": "rating overall stars score",
    "title": "title movietitle name productname itemname",
}


def canonical(name: str) -> str:
    """A column name as it is compared: `"userId"`, `"User_ID"` and `"user_id:token"` are all `"userid"`."""
    return re.sub(r"[^a-z0-9]", "", name.split(":")[0].lower())


def listed(columns: list[str]) -> str:
    """Column names for a message, on one line whatever they hold."""
    return " ".join(", ".join(columns).split()) or "(none)"


def find(columns: list[str], role: str, given: str | None = None) -> str | None:
    """The column that plays `role` ("user", "item", "time", "rating" or "title"), or None.

    A `given` name is taken as it stands, and must exist.

    Raises:
        InputError: `given` is not among `columns`.

    Example:
        >>> find(["userId", "movieId", "rating"], "item")
        'movieId'
    """
    if given is not None:
        if given not in columns:
            raise InputError(f"has no column {given!r} for the {role}; its columns are {listed(columns)}")
        return given
    by_canonical = {canonical(c): c for c in reversed(columns)}
    return next((by_canonical[usual] for usual in USUAL[role].split() if usual in by_canonical), None)
