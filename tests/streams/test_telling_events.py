"""Events and records become documents with the names that fields have now."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from httpproxy.store.layouts.tables import Column, SyncTables, Table
from httpproxy.store.streams.places import Event, Place, RecordPlace
from httpproxy.store.streams.shapes import Shape
from httpproxy.streams.telling import key_of, told_event, told_record
from providers.airtable.fields import SYSTEM_FIELDS
from providers.record import Collection, ColumnType, Field, Schema

AT = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
PLACE = Place(1, 740, 605)

TASKS = Collection(
    "tblTasks",
    "Tasks",
    (
        *SYSTEM_FIELDS,
        Field("fldName", "Name", "singleLineText", ColumnType.TEXT),
        Field("fldAmount", "Amount", "number", ColumnType.NUMERIC),
        Field("fldDone", "Done", "checkbox", ColumnType.BOOLEAN, empty=False),
        Field("fldAt", "At", "dateTime", ColumnType.TIMESTAMPTZ),
    ),
)
NAMES = {
    "$id": "id",
    "$created_time": "created_time",
    "fldName": "title",
    "fldAmount": "amount",
}
NAMES |= {"fldDone": "done", "fldAt": "at"}


def shape_of(provider: str, *tables: Table) -> Shape:
    by_id = {table.collection.id: table for table in tables}
    schema = Schema(tuple(table.collection for table in tables))
    return Shape(provider, SyncTables(schema, by_id), 1)


def table_of(collection: Collection, names: dict[str, str]) -> Table:
    columns = tuple(Column(field, names[field.id]) for field in collection.fields)
    return Table("sync_1", 1, 1, "schema", "table", collection, columns)


GONE = Field("fldGone", "Gone", "dateTime", ColumnType.TIMESTAMPTZ)
GONE_2 = Field("fldGone2", "Name", "number", ColumnType.NUMERIC)
AIRTABLE = replace(
    shape_of("airtable", table_of(TASKS, NAMES)),
    gone={"tblTasks": {each.id: each for each in (GONE, GONE_2)}},
)


def event_of(**members: Any) -> Event:
    made = Event(
        place=PLACE,
        event_id="8e2b5a34-0000-8000-8000-00000000025d",
        sync_id="sync_1",
        collection_id="tblTasks",
        upstream_id="rec1",
        upstream_updated_at=None,
        event="updated",
        data={
            "id": "rec1",
            "createdTime": "2026-01-31T12:00:00.000Z",
            "fields": {"fldName": "Plan", "fldAmount": 1.5, "fldGone": [1]},
        },
        changes={"fldName": "Draft", "fldAmount": None},
        origin="proxy",
        request_id="r-1",
        inserted_at=AT,
    )
    return replace(made, **members)


def test_an_event_is_told_as_the_stream_promises():
    told = json.loads(told_event(event_of(), AIRTABLE).model_dump_json())
    assert told == {
        "sync_id": "sync_1",
        "collection_id": "airtable:tblTasks",
        "upstream_id": "rec1",
        "upstream_updated_at": None,
        "data": {
            "id": "rec1",
            "createdTime": "2026-01-31T12:00:00.000000Z",
            "Name": "Plan",
            "Amount": 1.5,
            "Gone": [1],
        },
        "event": "updated",
        "event_id": "8e2b5a34-0000-8000-8000-00000000025d",
        "event_inserted_at": "2026-11-21T12:30:00.000000Z",
        "seq": PLACE.write(),
        "changes": {"Name": "Draft", "Amount": None},
        "origin": "proxy",
        "request_id": "r-1",
    }


def test_a_deletion_tells_the_id_and_what_was_there():
    gone = event_of(
        event="deleted",
        data=None,
        changes={
            "$id": "rec1",
            "fldName": "Plan",
            "fldDone": True,
            "fldAt": "2026-01-31T13:00:00+01:00",
            "fldGone": "2026-01-31T13:00:00+01:00",
            "fldGone2": 2,
            "fldForgotten": 3,
            "_extra": {"Amount": "many", "New": 1},
            "fldAmount": None,
        },
    )
    told = told_event(gone, AIRTABLE)
    assert told.data == {"id": "rec1"}
    assert told.changes == {
        "id": "rec1",
        "Name": "Plan",
        "Done": True,
        "At": "2026-01-31T12:00:00.000000Z",
        "Gone": "2026-01-31T12:00:00.000000Z",
        "fldGone2": 2,
        "fldForgotten": 3,
        "Amount": "many",
        "New": 1,
    }


def test_a_collection_that_is_gone_is_told_in_the_words_that_are_left():
    told = told_event(event_of(collection_id="tblGone"), AIRTABLE)
    assert told.collection_id == "airtable:tblGone"
    assert told.data["id"] == "rec1"
    assert told.data["fldName"] == "Plan"
    assert told.changes == {"fldName": "Draft", "fldAmount": None}


def test_hubspot_s_collections_are_told_by_name():
    shape = shape_of("hubspot")
    told = told_event(event_of(collection_id="0-1", data=None, changes=None), shape)
    assert told.collection_id == "hubspot:contact"
    assert told.changes is None


@pytest.mark.parametrize("huge", [2**64, -(2**90)])
def test_numbers_of_any_size_are_written(huge: int):
    data = {"id": "rec1", "fields": {"fldGone": {"n": huge}, "fldAmount": huge}}
    written = told_event(event_of(data=data), AIRTABLE).model_dump_json()
    told = json.loads(written)["data"]
    assert told["Gone"] == {"n": huge}
    assert told["Amount"] == str(huge)


def record_of(**members: Any) -> RecordPlace:
    made = RecordPlace(PLACE, "sync_1", "tblTasks", "rec1", "updated", None, AT, "sync", "r-2")
    return replace(made, **members)


def test_a_record_is_told_by_its_row():
    row = {
        "id": "rec1",
        "created_time": "2026-01-31T12:00:00+00:00",
        "title": "Plan",
        "amount": None,
        "done": False,
        "at": None,
        "_extra": {"Amount": "many"},
        "_sync_inserted_at": "2026-01-31T12:00:00+00:00",
        "_sync_updated_at": "2026-01-31T12:00:00+00:00",
        "mine": "a column of the user's own",
    }
    told = told_record(record_of(), AIRTABLE, row)
    assert told.data == {
        "id": "rec1",
        "createdTime": "2026-01-31T12:00:00.000000Z",
        "Name": "Plan",
        "Amount": "many",
    }
    assert told.deleted is False
    assert told.seq == PLACE.write()


def test_a_record_that_is_gone_is_told_as_deleted():
    told = told_record(record_of(event="deleted"), AIRTABLE, None)
    assert told.deleted is True
    assert told.data == {"id": "rec1"}


def test_the_key_of_an_association_has_two_parts():
    ends = (
        Field("$left", "companies", "0-2", ColumnType.TEXT, column_name="company_id"),
        Field("$right", "contacts", "0-1", ColumnType.TEXT, column_name="contact_id"),
    )
    pair = Collection("pair", "pair", ends, ("$left", "$right"))
    table = table_of(pair, {"$left": "company_id", "$right": "contact_id"})
    assert key_of(table, "17:512") == ("17", "512")
    assert key_of(AIRTABLE.tables.tables["tblTasks"], "a:b") == ("a:b",)
