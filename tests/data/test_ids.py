"""What `read_events` makes of the ids of users and items, and how they are asked for."""

from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magnn.data.events import read_events
from magnn.errors import UnknownIdError
from tests.data.logs import PAIRS, refusal


@pytest.mark.parametrize(
    ("written", "ids"),
    [
        (["10", "9"], [9, 10]),  # integers, and sorted as such
        (["-2", "1"], [-2, 1]),
        ([10, 9], [9, 10]),
        ([10.0, 9.0], [9, 10]),  # what pandas makes of integers with gaps
        (["007", "7"], ["007", "7"]),  # two ids, not one
        (["007", "8"], ["007", "8"]),
        (["+1", "2"], ["+1", "2"]),
        (["-0", "0"], ["-0", "0"]),
        (["1.0", "2"], ["1.0", "2"]),
        (["10", "9", "x"], ["10", "9", "x"]),  # one that is no integer makes all of them text
        ([" a", "a"], [" a", "a"]),
        (["é", "日本"], ["é", "日本"]),
        ([str(2**63), "1"], ["1", str(2**63)]),  # beyond 64 bits
        (pl.Series([2**63, 1], dtype=pl.UInt64), ["1", str(2**63)]),  # the same ids, the same log
        (pl.Series([3, 1], dtype=pl.UInt8), [1, 3]),
        (pl.Series([Decimal(2**64), Decimal(1)], dtype=pl.Decimal(20, 0)), ["1", str(2**64)]),
        (pl.Series([10, 9], dtype=pl.Decimal(38, 10)), [9, 10]),  # what Oracle and Snowflake have for integers
        (pl.Series([2**24 - 1, 1], dtype=pl.Float32), [1, 2**24 - 1]),
        (pl.Series(["b", "a"], dtype=pl.Categorical), ["a", "b"]),
        (pl.Series(["b", "a"], dtype=pl.Enum(["b", "a"])), ["a", "b"]),
    ],
    ids=str,
)
def test_ids_are_integers_only_where_nothing_is_lost(written: Any, ids: list[Any]) -> None:
    log = pl.DataFrame({"user": [0, *range(len(written))], "item": [written[0], *written]})
    if isinstance(written, pl.Series):
        log = log.with_columns(item=pl.concat([written.head(1), written]))
    events = read_events(log)
    assert events.item_ids.to_list() == ids
    assert events.item_ids.dtype == (pl.Int64 if isinstance(ids[0], int) else pl.String)


@pytest.mark.parametrize(
    ("number", "dtype"),
    [(2**53, pl.Float64), (-1_234_567_890_123_456_789, pl.Float64), (2**24, pl.Float32)],
    ids=["a double", "negative", "a single"],
)
def test_an_integer_that_may_have_been_rounded_is_no_id(number: int, dtype: type[pl.DataType]) -> None:
    """pandas makes doubles of integers where one was missing, and of several large ones the same."""
    log = pl.DataFrame({"user": pl.Series([1, 2, number], dtype=dtype), "item": ["x", "y", "z"]})
    message = refusal(log)
    assert "the data frame, row 3, column 'user'" in message and "keep ids of so many digits as integers" in message


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical, pl.Enum(["a", "", r"\N"])], ids=str)
@pytest.mark.parametrize("gap", ["", r"\N"])
def test_a_missing_id_is_one_in_text_of_any_type(gap: str, dtype: type[pl.DataType]) -> None:
    log = pl.DataFrame({"user": pl.Series(["a", gap, "a"], dtype=dtype), "item": ["x", "y", "z"]})
    assert "row 2, column 'user': the user id is missing" in refusal(log)


@settings(deadline=None)
@given(st.lists(st.one_of(st.text(min_size=1), st.integers().map(str)), min_size=2, unique=True))
def test_every_id_finds_its_number_and_every_number_its_id(ids: list[str]) -> None:
    events = read_events(pl.DataFrame({"user": ids, "item": ids}))
    for number, outside in enumerate(events.user_ids.to_list()):
        assert events.user_number(outside) == number
        assert events.user_number(str(outside)) == number, "a command line has only text"
        assert events.item_number(outside) == number
    assert [str(outside) for outside in events.user_ids] == sorted(ids, key=events.user_number)


@pytest.mark.parametrize("unknown", ["c", "", 7, -1, 2**70, "10", "x y"])
def test_an_unknown_id_is_an_error_that_shows_known_ones(unknown: Any) -> None:
    text = read_events(pl.DataFrame(PAIRS))
    whole_numbers = read_events(pl.DataFrame({"user": [1, 2], "item": [3, 4]}))
    for events, known in ((text, "a, b"), (whole_numbers, "1, 2")):
        with pytest.raises(UnknownIdError) as caught:
            events.user_number(unknown)
        assert repr(unknown) in str(caught.value) and known in str(caught.value)


def test_a_program_may_ask_with_a_number_for_an_id_that_is_text() -> None:
    events = read_events(pl.DataFrame({"user": ["1", "b"], "item": ["x", "y"]}))
    assert events.user_number(1) == 0
