"""From raw cells to ids, numbers and seconds: what each may look like, and what cannot be one is refused with its place."""

import polars as pl

from magnn.data.sources import Form, Source
from magnn.errors import InputError

DATE_FORMATS = (
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f%:z",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%dT%H:%M%:z",
    "%Y-%m-%d",
)


# Forms: text -> values, null where the text is none (see `Source.read`) ------------------------------------------------


def integers(text: pl.Expr) -> pl.Expr:
    """Integers as they stand: "007" is none, since it would come back as another text."""
    number = text.cast(pl.Int64, strict=False)
    return pl.when(number.cast(pl.String) == text).then(number)


def numbers(text: pl.Expr) -> pl.Expr:
    """Finite numbers from 0 up."""
    number = text.cast(pl.Float64, strict=False)
    return pl.when(number.is_finite() & (number >= 0)).then(number)


def dates(*formats: str) -> Form:
    """ISO 8601 dates and moments in any of `formats`, as Datetime in UTC.

    As ISO allows and logs have it, also with a space or t for the T, UTC or z for the Z, and a decimal comma.
    """

    def read(text: pl.Expr) -> pl.Expr:
        text = text.str.replace("^(.{10})[ t]", "${1}T").str.replace(",", ".", literal=True)
        text = text.str.replace(" ?([Zz]|UTC)$", "+00:00").str.replace(r"(T.*[+-]\d{2})$", "${1}:00")
        parsed = [text.str.to_datetime(form, strict=False, time_unit="us").dt.epoch("us") for form in formats]
        return pl.coalesce(parsed).cast(pl.Datetime("us"))

    return read


FORMS = {
    "user": (integers,),
    "item": (integers,),
    # A log that mixes formats is rare, and costs a try at each of them for each event.
    "time": (numbers, *map(dates, DATE_FORMATS), dates(*DATE_FORMATS)),
    "rating": (numbers,),
}

# Columns, once read -----------------------------------------------------------------------------------------------------


def ids_of(raw: Source, column: pl.Series, role: str) -> pl.Series:
    """Ids as Int64 where all are integers, as String otherwise; where one is missing, as before.

    Raises:
        InputError: one is no id.
    """
    if column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object):
        raise InputError(f"{raw.name}, column {column.name!r} holds {column.dtype}; ids are integers or text")
    digits = column.dtype.scale if isinstance(column.dtype, pl.Decimal) else 0
    if column.dtype.is_integer() or (column.dtype == pl.Decimal and digits == 0):
        whole = column.cast(pl.Int64, strict=False)
        if whole.null_count() == column.null_count():  # larger ones stay text, as they do in a text file
            return whole
    if column.dtype.is_float() or digits > 0:
        whole = column.cast(pl.Int64, strict=False)
        wrong = (whole != column).fill_null(True) & ~missing(column)
        refuse(raw, wrong, column, f"is no {role} id; ids are integers or text")
        if column.dtype.is_float():
            exact = 2**24 if column.dtype == pl.Float32 else 2**53  # from here on several integers are one such number
            rounded = ((whole >= exact) | (whole <= -exact)).fill_null(False)
            refuse(raw, rounded, column, f"may be a rounded {role} id; keep ids of so many digits as integers or text")
        return whole
    return column.cast(pl.String)


def missing(ids: pl.Series) -> pl.Series:
    """Null, NaN (how pandas says null), empty text (how a quoted CSV does) or \\N (how a dump of a database does)."""
    if ids.dtype.is_float():
        return ids.is_null() | ids.is_nan()
    return ids.is_in(["", r"\N"]).fill_null(True) if ids.dtype == pl.String else ids.is_null()


def numbers_of(raw: Source, column: pl.Series, role: str) -> pl.Series:
    """Float64, finite and not negative.

    Raises:
        InputError: one is missing, or another.
    """
    refuse(raw, column.is_null(), column, f"the {role} is missing; drop the row or give it a {role}")
    if not (column.dtype.is_numeric() or column.dtype in (pl.String, pl.Boolean)):
        raise InputError(f"{raw.name}, column {column.name!r} holds {column.dtype}, which is no {role}; give numbers")
    values = column.cast(pl.Float64, strict=False)
    wrong = values.is_null() | values.is_nan() | values.is_infinite()
    needed = "write seconds since 1970, or a date such as 2014-07-21" if role == "timestamp" else "a number is needed"
    refuse(raw, wrong, column, f"is not a usable {role}; {needed}")
    refuse(raw, values < 0, column, f"is a negative {role}; correct or drop the row")
    # 4.2 in half the digits is a little less than 4.2.
    return values.round_sig_figs(7) if column.dtype == pl.Float32 and role == "rating" else values


def seconds_of(raw: Source, column: pl.Series) -> pl.Series:
    """Seconds since the epoch, Float64. A column with a number too large for seconds is milli-, micro- or nanoseconds.

    Raises:
        InputError: one is missing, or no moment, or seems to be in another unit than the others.
    """
    refuse(raw, column.is_null(), column, "the timestamp is missing; drop the row or give it a timestamp")
    if column.dtype in (pl.Date, pl.Datetime):
        return column.cast(pl.Datetime("us")).dt.epoch("us") / 1e6
    if column.dtype == pl.String and _is_date(column):
        unread = column.to_frame().select(dates(*DATE_FORMATS)(pl.col(column.name)).is_null()).to_series()
        refuse(raw, unread, column, "is not an ISO 8601 date; write it as 2014-07-21 or 2014-07-21T10:30:00")
    values = numbers_of(raw, column, "timestamp")
    largest = values.max()
    assert isinstance(largest, float)
    # 1e11 seconds is the year 5138, 1e11 milliseconds is 1973: a log of clicks lies between.
    if largest <= 1e11:
        return values
    unit = 1e9 if largest > 1e17 else 1e6 if largest > 1e14 else 1e3
    others = pl.zeros(len(values), dtype=pl.Boolean, eager=True)
    for smaller in (1.0, 1e3, 1e6):
        if smaller < unit:  # a moment from 1990 to 2100 in this unit, and next to nothing in that of the column
            others |= values.is_between(6.3e8 * smaller, 4.1e9 * smaller)
    refuse(raw, others, column, f"is in another unit of time than {largest:.0f}; write all in one, or as dates")
    return values / unit


def _is_date(column: pl.Series) -> bool:
    return bool(column.head(1).str.contains(r"^\d{4}-\d{2}-\d{2}").any())


def refuse(raw: Source, bad: pl.Series, column: pl.Series, problem: str) -> None:
    """Raise InputError with the first bad value and its place, if there is one."""
    if bad.any():
        first = bad.arg_max()
        assert first is not None
        value = "" if "missing" in problem else f"{column[first]!r} "
        raise InputError(f"{raw.place(first)}, column {column.name!r}: {value}{problem}")
