"""Which column is which: the names that event logs commonly use, and the choice among them."""

import re

# First match wins: an id before what may be a name. Compared without case, separators, and RecBole's type suffix
# ("user_id:token"). "id" and "title" are of an item table, which may call its titles what a log calls its items.
USUAL = {
    "user": "userid user uid reviewerid customerid customer clientid client visitorid memberid member accountid account "
    "sessionid session",
    "item": "itemid item iid movieid movie asin parentasin productid product articleid article bookid book trackid track "
    "songid song businessid business sku",
    "time": "timestamp eventtimestamp time eventtime ts unixreviewtime unixtime datetime createdat date t",
    "rating": "rating overall stars score",
    "id": "itemid iid movieid asin parentasin productid articleid bookid trackid songid businessid sku id item movie "
    "product article book track song business",
    "title": "title movietitle name productname itemname movie product article book track song business item",
}


def canonical(name: str) -> str:
    """A column name as it is compared: `"userId"`, `"User_ID"` and `"user_id:token"` are all `"userid"`."""
    return re.sub(r"[^a-z0-9]", "", name.split(":")[0].lower())


def listed(columns: list[str]) -> str:
    """Column names for a message, on one line whatever they hold."""
    return " ".join(", ".join(columns).split()) or "(none)"


def find(columns: list[str], role: str) -> str | None:
    """The column that plays `role`, a key of `USUAL`, by its name; or None.

    Example:
        >>> find(["userId", "movieId", "rating"], "item")
        'movieId'
    """
    by_canonical = {canonical(c): c for c in reversed(columns)}
    return next((by_canonical[usual] for usual in USUAL[role].split() if usual in by_canonical), None)
