"""Airtable's field types and cell values, both ways."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.airtable.fields import (
    FIELD_TYPES,
    SYSTEM_FIELDS,
    ReadOnly,
    column_fitter,
    field_from_metadata,
    from_column,
    linked_table,
    settled,
)
from providers.airtable.records import listed_images, record_images
from providers.record import Collection, ColumnType
from providers.values import Misfit, fit

DOCUMENTED = {
    "singleLineText": "text", "multilineText": "text", "richText": "text", "email": "text",
    "url": "text", "phoneNumber": "text", "singleSelect": "text", "externalSyncSource": "text",
    "number": "numeric", "currency": "numeric", "percent": "numeric", "duration": "numeric",
    "rating": "numeric", "count": "numeric", "autoNumber": "numeric", "checkbox": "boolean",
    "date": "date", "dateTime": "timestamptz", "createdTime": "timestamptz",
    "lastModifiedTime": "timestamptz", "multipleSelects": "text[]",
    "multipleRecordLinks": "text[]", "multipleLookupValues": "jsonb",
    "multipleAttachments": "jsonb", "singleCollaborator": "jsonb",
    "multipleCollaborators": "jsonb", "createdBy": "jsonb", "lastModifiedBy": "jsonb",
    "barcode": "jsonb", "button": "jsonb", "aiText": "jsonb", "formula": "jsonb",
    "rollup": "jsonb",
}  # fmt: skip
COMPUTED = {
    "formula", "rollup", "multipleLookupValues", "count", "autoNumber", "createdTime",
    "lastModifiedTime", "createdBy", "lastModifiedBy", "button", "aiText", "externalSyncSource",
}  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def field(kind, **options):
    return field_from_metadata({"id": "fld1", "name": "A", "type": kind, "options": options})


def to_column(of, raw):
    """The value as the column takes it, and whether it fits."""
    try:
        return column_fitter(of)(raw), True
    except Misfit:
        return None, False


@pytest.mark.parametrize(("kind", "column"), DOCUMENTED.items())
def test_every_documented_type_has_its_column(kind, column):
    assert field(kind).column_type == column
    assert field(kind).writable == (kind not in COMPUTED)


def test_the_table_lists_the_documented_types_and_no_other():
    assert set(FIELD_TYPES) == set(DOCUMENTED)


def test_a_type_that_airtable_adds_tomorrow_is_stored_as_json():
    assert field("hologram").column_type is ColumnType.JSONB
    assert to_column(field("hologram"), {"a": [1]}) == ({"a": [1]}, True)


@pytest.mark.parametrize(
    ("result", "column"),
    [("number", "numeric"), ("singleLineText", "text"), ("dateTime", "timestamptz"),
     ("date", "date"), ("checkbox", "boolean"), ("hologram", "jsonb")],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["formula", "rollup"])
def test_a_formula_is_stored_as_what_it_results_in(kind, result, column):
    found = field(kind, result={"type": result})
    assert found.column_type == column
    assert not found.writable


def test_a_lookup_is_a_list_whatever_it_looks_up():
    assert field("multipleLookupValues", result={"type": "number"}).column_type == "jsonb"


def test_an_omitted_checkbox_is_false_and_any_other_cell_is_null():
    assert field("checkbox").empty is False
    assert all(field(kind).empty is None for kind in DOCUMENTED if kind != "checkbox")


def test_a_link_carries_the_table_that_it_leads_to():
    link = field("multipleRecordLinks", linkedTableId="tblP")
    assert linked_table(link) == "tblP"
    assert linked_table(field("multipleRecordLinks")) is None
    assert linked_table(field("singleLineText")) is None
    assert field("hologram", linkedTableId="tblP").type == "hologram"
    assert linked_table(replace(link, type="hologram:tblP")) is None


@pytest.mark.parametrize("raw", [{"specialValue": "NaN"}, {"error": "#ERROR!"}, [1, 2], "x"])
def test_an_error_in_a_number_formula_does_not_fit(raw):
    assert to_column(field("formula", result={"type": "number"}), raw) == (None, False)


def test_a_formula_spells_a_date_as_a_midnight():
    found = field("formula", result={"type": "date"})
    assert to_column(found, "2026-11-21T00:00:00.000Z") == ("2026-11-21", True)
    assert to_column(found, "2026-11-21T07:00:00.000Z") == (None, False)


@pytest.mark.parametrize(
    ("kind", "stored", "written"),
    [
        ("singleLineText", "x", "x"),
        ("number", "12.50", 12.5),
        ("number", "9007199254740993", 9007199254740993),
        ("number", 3, 3),
        ("checkbox", True, True),
        ("date", "2026-11-21", "2026-11-21"),
        ("multipleSelects", ["a"], ["a"]),
        ("multipleSelects", None, []),
        ("multipleRecordLinks", None, []),
        ("singleCollaborator", {"id": "usr1", "email": "a@b.co", "name": "A"}, {"id": "usr1"}),
        ("multipleCollaborators", [{"email": "a@b.co"}], [{"email": "a@b.co"}]),
        (
            "multipleAttachments",
            [{"id": "att1", "url": "u", "size": 1}, {"url": "v", "filename": "f", "size": 2}],
            [{"id": "att1"}, {"url": "v", "filename": "f"}],
        ),
        ("barcode", {"text": "1"}, {"text": "1"}),
        ("hologram", [1], [1]),
    ],
)
def test_a_stored_value_is_written_as_airtable_takes_it(kind, stored, written):
    assert from_column(field(kind), stored) == written


@pytest.mark.parametrize("kind", sorted(set(DOCUMENTED) - COMPUTED))
def test_an_empty_cell_is_written_as_empty(kind):
    assert from_column(field(kind), None) in (None, [])


def test_json_that_is_not_the_types_own_is_written_as_it_is():
    assert from_column(field("singleCollaborator"), "x") == "x"
    assert from_column(field("multipleAttachments"), ["x"]) == ["x"]


def test_a_null_is_an_empty_cell():
    collection = Collection("tbl1", "T", (*SYSTEM_FIELDS, field("checkbox")))
    record = {"id": "rec1", "fields": {field("checkbox").name: None}}
    (read,) = record_images(collection, [record], by_id=lambda: False)
    assert read.image.values[field("checkbox").id] is False
    assert not read.image.extra


def test_only_dates_lose_their_midnight():
    assert to_column(field("singleLineText"), "T00:00:00.000Z") == ("T00:00:00.000Z", True)
    assert to_column(field("date"), 5) == (None, False)


@pytest.mark.parametrize("kind", sorted(COMPUTED))
def test_a_computed_field_takes_no_value(kind):
    with pytest.raises(ReadOnly):
        from_column(field(kind), None)


def test_a_cell_that_is_still_being_worked_on_is_not_settled():
    assert not settled([{"id": "att1", "url": "u", "filename": "f"}])
    assert not settled({"state": "loading", "value": None})
    assert settled([{"id": "att1", "url": "u", "filename": "f", "type": "text/plain"}])
    assert settled([{"id": "usr1", "email": "a@b.co"}])
    assert settled({"state": "generated", "value": "x"})
    assert settled(["recA"])
    assert settled("text")


@pytest.mark.parametrize(
    ("raw", "taken"),
    [
        ("2026-11-21T07:00:00.000Z", "2026-11-21T07:00:00.000Z"),
        ("2026-11-21", "2026-11-21T00:00:00+00:00"),
        ("2026-11-21T07:00:00+01:00", "2026-11-21T07:00:00+01:00"),
        ("2026-02-30T07:00:00.000Z", None),
        ("2026-11-21T25:00:00.000Z", None),
        ("soon", None),
        (5, None),
    ],
)
def test_a_moment_is_one_in_every_spelling_and_only_if_there_is_such_a_day(raw, taken):
    assert to_column(field("dateTime"), raw) == (taken, taken is not None)


@given(kind=st.sampled_from([*DOCUMENTED, "hologram"]), raw=JSON | st.lists(st.text()))
def test_a_cell_that_is_taken_as_it_is_is_what_its_column_takes(kind, raw):
    found = field(kind)
    table = Collection("tbl1", "T", (*SYSTEM_FIELDS, found))
    (read,) = listed_images(table, [{"id": "rec1", "fields": {found.id: raw}}])
    value, fits = (found.empty, True) if raw is None else to_column(found, raw)
    assert repr(read.image.values[found.id]) == repr(value)
    assert repr(read.image.extra) == repr({} if fits else {found.name: raw})


@given(kind=st.sampled_from([*DOCUMENTED, "hologram"]), raw=JSON)
def test_any_value_either_fits_its_column_or_is_set_aside(kind, raw):
    found = field(kind)
    value, fits = (None, True) if raw is None else to_column(found, raw)
    if fits:
        assert repr(fit(found.column_type, value)) == repr(value)
    else:
        assert value is None
