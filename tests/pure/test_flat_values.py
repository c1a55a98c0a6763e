"""Values and names of the flat shape."""

from __future__ import annotations

import pytest

from providers.plain import as_json, flat, public_names
from providers.record import Collection, ColumnType, Field

NUMERIC, MOMENT, TEXT = ColumnType.NUMERIC, ColumnType.TIMESTAMPTZ, ColumnType.TEXT


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("17", 17),
        ("-17.50", -17.5),
        ("1e3", 1000),
        ("0.1", 0.1),
        (3, 3),
        (1.5, 1.5),
        ("9223372036854775807", 9223372036854775807),
        ("9223372036854775808", "9223372036854775808"),
        (2**70, str(2**70)),
        ("0.1234567890123456789", "0.1234567890123456789"),
        ("1e900", "1e900"),
        ("1e-900", "1e-900"),
        ("NaN", "NaN"),
        ("seventeen", "seventeen"),
        (None, None),
    ],
)
def test_a_number_is_a_number_where_no_digit_is_lost(said, told):
    found = as_json(NUMERIC, said)
    assert found == told
    assert type(found) is type(told)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("2026-01-31T12:00:00.5Z", "2026-01-31T12:00:00.500000Z"),
        ("2026-01-31T12:00:00+02:00", "2026-01-31T10:00:00.000000Z"),
        ("2026-01-31 12:00:00", "2026-01-31T12:00:00.000000Z"),
        ("2026-01-31", "2026-01-31T00:00:00.000000Z"),
        ("0001-01-01T00:00:00+09:00", "0001-01-01T00:00:00+09:00"),
        ("infinity", "infinity"),
    ],
)
def test_a_moment_is_told_in_utc(said, told):
    assert as_json(MOMENT, said) == told


def test_other_values_are_told_as_they_are():
    assert as_json(TEXT, "17") == "17"
    assert as_json(ColumnType.TEXT_ARRAY, ["a"]) == ["a"]
    assert as_json(ColumnType.JSONB, {"a": [2**70]}) == {"a": [2**70]}


def collection(*fields: Field, key: tuple[str, ...] = ("$id",)) -> Collection:
    return Collection("c", "c", fields, key)


ID = Field("$id", "id", "id", TEXT, column_name="id")
MADE = Field("$made", "createdAt", "datetime", MOMENT, column_name="created_at")


def test_a_field_that_is_called_like_a_system_field_is_found_under_its_id():
    named = collection(Field("fld1", "createdAt", "text", TEXT), ID, MADE)
    assert public_names(named) == {"$id": "id", "$made": "createdAt", "fld1": "fld1"}


def test_a_field_whose_id_is_its_name_gets_underscores():
    named = collection(ID, *(Field(n, n, "text", TEXT) for n in ("id", "id_", "id__")))
    told = public_names(named)
    assert told["$id"] == "id"
    assert len(set(told.values())) == 4
    assert told["id"] == "id_"


def test_the_ends_of_an_association_are_called_like_their_columns():
    ends = (
        Field("$left", "companies", "0-2", TEXT, column_name="company_id"),
        Field("$right", "companies", "0-2", TEXT, column_name="company_id_2"),
    )
    pair = collection(*ends, key=("$left", "$right"))
    told = flat(pair, "1:2", {"$left": "1", "$right": "2"}, {})
    assert told == {"id": "1:2", "company_id": "1", "company_id_2": "2"}


def test_what_no_column_holds_takes_the_place_of_an_empty_one_and_of_nothing_else():
    known = collection(ID, Field("fld1", "Amount", "number", NUMERIC))
    told = flat(known, "rec1", {"fld1": None}, {"Amount": "many", "id": "?", "New": 1})
    assert told == {"id": "rec1", "Amount": "many", "New": 1}


def test_empty_fields_are_left_out_on_demand():
    done = Field("fld1", "Done", "checkbox", ColumnType.BOOLEAN, empty=False)
    amount = Field("fld2", "Amount", "number", NUMERIC)
    values = {"fld1": False, "fld2": 0}
    assert flat(collection(ID, done, amount), "r", values, {}, omits_empty=True) == {
        "id": "r",
        "Amount": 0,
    }
    assert flat(collection(ID, done, amount), "r", values, {})["Done"] is False
