"""Property types and values, both ways."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.hubspot.fields import column_type, moment, to_field, to_property
from providers.hubspot.images import record_image
from providers.hubspot.objects import STANDARD, object_collection
from providers.record import JSON, Field
from providers.record import ColumnType as C
from providers.values import Misfit, fit


def to_column(column: C, value: Any) -> JSON:
    """What a record's image holds for a property of this column. Raises Misfit."""
    contacts = object_collection(STANDARD[0], [Field("p", "p", "any", column)])
    image = record_image(contacts, {"id": "1", "properties": {"p": value}})
    assert image is not None
    if "p" in image.extra:
        assert (image.values["p"], image.extra["p"]) == (None, value)
        raise Misfit
    return image.values["p"]


@pytest.mark.parametrize(
    ("type_", "field_type", "expected"),
    [
        ("string", "text", C.TEXT),
        ("string", "textarea", C.TEXT),
        ("string", "html", C.TEXT),
        ("number", "number", C.NUMERIC),
        ("number", "calculation_equation", C.NUMERIC),
        ("bool", "booleancheckbox", C.BOOLEAN),
        ("date", "date", C.DATE),
        ("datetime", "date", C.TIMESTAMPTZ),
        ("enumeration", "select", C.TEXT),
        ("enumeration", "radio", C.TEXT),
        ("enumeration", "checkbox", C.TEXT_ARRAY),
        ("enumeration", "booleancheckbox", C.BOOLEAN),
        ("phone_number", "phonenumber", C.TEXT),
        ("object_coordinates", "text", C.TEXT),
        ("json", "text", C.JSONB),
        ("invented_next_year", "whatever", C.TEXT),
    ],
)
def test_a_propertys_type_and_field_type_give_its_column(type_, field_type, expected):
    assert column_type(type_, field_type) is expected


@pytest.mark.parametrize(
    ("column", "sent", "held"),
    [
        (C.NUMERIC, "17", "17"),
        (C.NUMERIC, "9007199254740993", "9007199254740993"),
        (C.NUMERIC, "-1.50e3", "-1.50e3"),
        (C.NUMERIC, 17, 17),
        (C.BOOLEAN, "true", True),
        (C.BOOLEAN, "FALSE", False),
        (C.BOOLEAN, True, True),
        (C.DATE, "2026-01-31", "2026-01-31"),
        (C.DATE, "1769817600000", "2026-01-31"),
        (C.DATE, "2026-01-31T00:00:00Z", "2026-01-31"),
        (C.DATE, "-86400000", "1969-12-31"),
        (C.TIMESTAMPTZ, "2026-01-31T09:30:00.123Z", "2026-01-31T09:30:00.123000+00:00"),
        (C.TIMESTAMPTZ, "1769851800123", "2026-01-31T09:30:00.123000+00:00"),
        (C.TIMESTAMPTZ, "2026-01-31T09:30:00+02:00", "2026-01-31T09:30:00+02:00"),
        (C.TEXT_ARRAY, "a;b", ["a", "b"]),
        (C.TEXT_ARRAY, ";a", ["a"]),
        (C.TEXT_ARRAY, "just one", ["just one"]),
        (C.JSONB, '{"a":[1,2]}', {"a": [1, 2]}),
        (C.TEXT, "a;b", "a;b"),
        (C.TEXT, " ", " "),
    ],
)
def test_values_take_the_form_of_their_column(column, sent, held):
    assert to_column(column, sent) == held
    assert fit(column, held) == held


@pytest.mark.parametrize("column", list(C))
def test_empty_is_cleared_in_every_column(column):
    assert to_column(column, "") is None
    assert to_column(column, None) is None


@pytest.mark.parametrize(
    ("column", "sent"),
    [
        (C.NUMERIC, "a lot"),
        (C.NUMERIC, "Infinity"),
        (C.NUMERIC, "NaN"),
        (C.BOOLEAN, "yes"),
        (C.DATE, "2026-02-30"),
        (C.DATE, "2026-01-31T09:30:00Z"),
        (C.DATE, "soon"),
        (C.TIMESTAMPTZ, "soon"),
        (C.TIMESTAMPTZ, "99999999999999999999"),
        (C.JSONB, "{"),
        (C.TEXT, {"a": 1}),
        (C.TEXT_ARRAY, 17),
        (C.TIMESTAMPTZ, 1769817600000),
    ],
)
def test_what_a_type_does_not_explain_is_a_misfit(column, sent):
    with pytest.raises(Misfit):
        to_column(column, sent)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
TRICKY = st.sampled_from(
    [
        "9" * 5000,
        "-" * 3,
        "-",
        "²",
        "٣",
        "2026-W01-1",
        "20260131",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "1e999999",
        "\ud800",
        "\0",
        "[" * 100_000,
        ";;;",
        "-0",
    ]
)


@given(st.sampled_from(list(C)), ANYTHING | TRICKY)
def test_no_value_raises_anything_but_misfit_and_what_passes_fits(column: C, value: Any):
    try:
        held = to_column(column, value)
    except Misfit:
        return
    assert held is None or fit(column, held) == held


@pytest.mark.parametrize(
    ("column", "held", "sent"),
    [
        (C.TEXT, None, ""),
        (C.TEXT, "x", "x"),
        (C.NUMERIC, "9007199254740993", "9007199254740993"),
        (C.NUMERIC, 1.5, "1.5"),
        (C.BOOLEAN, True, "true"),
        (C.BOOLEAN, False, "false"),
        (C.TEXT_ARRAY, ["a", "b"], "a;b"),
        (C.TEXT_ARRAY, [], ""),
        (C.JSONB, {"a": [1]}, '{"a":[1]}'),
        (C.JSONB, True, "true"),
        (C.DATE, "2026-01-31", "2026-01-31"),
    ],
)
def test_a_columns_value_goes_back_as_hubspot_takes_it(column, held, sent):
    assert to_property(column, held) == sent
    again = to_column(column, sent)
    assert again == held or not held or str(again) == str(held)


def test_a_definition_becomes_a_field():
    field = to_field(
        {
            "name": "hs_buying_role",
            "type": "enumeration",
            "fieldType": "checkbox",
            "modificationMetadata": {"readOnlyValue": False},
        }
    )
    assert field is not None
    assert (field.id, field.name, field.type) == (
        *("hs_buying_role", "hs_buying_role"),
        "enumeration/checkbox",
    )
    assert (field.column_type, field.writable) == (C.TEXT_ARRAY, True)
    computed = to_field({"name": "n", "type": "number", "calculated": True})
    assert computed is not None
    assert not computed.writable
    read_only = to_field({"name": "n", "modificationMetadata": {"readOnlyValue": True}})
    assert read_only is not None
    assert not read_only.writable


@pytest.mark.parametrize("definition", [{}, {"name": 7}, {"name": ""}, {"name": "$id"}])
def test_a_definition_without_a_usable_name_is_none(definition):
    assert to_field(definition) is None


def test_a_stamp_is_a_moment_or_nothing():
    assert moment("2026-11-21T12:00:00.5Z") == "2026-11-21T12:00:00.500000+00:00"
    assert [moment(v) for v in (None, 7, "", "soon", [])] == [None] * 5
