"""What a column takes, and what it refuses."""

import pytest

from providers.record import ColumnType
from providers.values import Misfit, fit

GOOD = [
    ("text", "x"), ("text", ""), ("text", None),
    ("numeric", 1), ("numeric", -1.5), ("numeric", "17"), ("numeric", "9007199254740993"),
    ("numeric", "1E+400"), ("numeric", ".5"), ("numeric", None),
    ("boolean", True), ("boolean", False),
    ("date", "2026-11-21"), ("date", "0001-01-01"),
    ("timestamptz", "2026-11-21T06:00:00.000Z"), ("timestamptz", "2026-11-21T06:00:00+02:00"),
    ("text[]", ["a", "b"]), ("text[]", []),
    ("jsonb", {"a": [1, None]}), ("jsonb", "x"),
]  # fmt: skip
BAD = [
    ("text", ["x"]), ("text", {"a": 1}), ("text", float("inf")),
    ("numeric", True), ("numeric", "x"), ("numeric", ""), ("numeric", "NaN"),
    ("numeric", "Infinity"), ("numeric", float("nan")), ("numeric", "1e99999"),
    ("numeric", "\u0661"), ("numeric", {"specialValue": "NaN"}),
    ("boolean", "true"), ("boolean", 1),
    ("date", "2026-02-30"), ("date", "2026-1-1"), ("date", "21.11.2026"), ("date", 5),
    ("date", "\u0662\u0660\u0662\u0666-11-21"),
    ("timestamptz", "yesterday"), ("timestamptz", "2026-13-01T00:00:00Z"), ("timestamptz", 1),
    ("timestamptz", "2026-W01-1"), ("timestamptz", "2026-11-21x06:00:00Z"),
    ("timestamptz", "2026-11-21T06:00:00+23:59"),
    ("text[]", ["a", 1]), ("text[]", "a"), ("text[]", [None]),
]  # fmt: skip


@pytest.mark.parametrize(("column", "value"), GOOD)
def test_a_fitting_value_is_kept_as_it_is(column, value):
    assert fit(ColumnType(column), value) == value


@pytest.mark.parametrize(("column", "value"), BAD)
def test_a_misfit_is_refused(column, value):
    with pytest.raises(Misfit):
        fit(ColumnType(column), value)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1"), (-1.5, "-1.5"), (True, "true"), (False, "false"), (10**19, "1" + "0" * 19)],
)
def test_a_text_column_takes_numbers_and_booleans_as_their_text(value, text):
    assert fit(ColumnType.TEXT, value) == text


def test_a_number_too_long_to_be_written_is_no_text():
    with pytest.raises(Misfit):
        fit(ColumnType.TEXT, 1 << 20_000)


def test_a_moment_without_an_offset_is_utc():
    assert fit(ColumnType.TIMESTAMPTZ, "2026-11-21T06:00:00") == "2026-11-21T06:00:00+00:00"
