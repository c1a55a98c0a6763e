"""What a request to Airtable is meant to do, told from the request alone."""

from __future__ import annotations

import dataclasses
import gzip
import json

import pytest
from airtable_calls import API, CONTENT, ROUTER, Account
from multidict import CIMultiDict

from providers.airtable.sandbox.seed import BASE, PROJECTS, TASKS
from providers.http import Request, headers
from providers.record import Schema
from providers.spec import DraftKind, Unreadable

FORM = headers(("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"))
NAME, AMOUNT, STARTS = "fldName0000000000", "fldAmount00000000", "fldStarts00000000"


@pytest.fixture(scope="module")
def schema() -> Schema:
    return Account().discover()


def drafts(schema, line, body=None, sent=None, host=API):
    method, path = line.split(" ")
    content = (
        body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    )
    request = Request(method, host, f"/v0/{BASE}{path}", sent or headers(), content)
    match = ROUTER.match(method, host, request.path)
    return match.route.draft(request, match.variables, schema)


def only(schema, line, body=None, sent=None):
    """The draft of the one record that the request is about."""
    (draft,) = (d for d in drafts(schema, line, body, sent) if d.kind is not DraftKind.TOUCH)
    return draft


def fields(schema, **cells):
    return only(schema, "POST /Tasks", {"fields": cells})


def test_a_create_has_no_key_and_an_update_the_paths(schema):
    assert only(schema, "POST /Tasks", {"fields": {}}).key is None
    assert only(schema, "PATCH /Tasks/rec%2F1", {"fields": {}}).key == ("rec/1",)
    assert only(schema, "PATCH /Tasks/rec%00", {"fields": {}}).key == ("rec\ufffd",)


def test_a_replacement_empties_what_it_does_not_name_and_no_computed_field(schema):
    values = only(schema, "PUT /Tasks/rec1", {"fields": {"Name": "x"}}).values
    table = schema.find(TASKS)
    assert set(values) == {f.id for f in table.fields if f.writable and f.id[0] != "$"}
    assert values[NAME] == "x"
    assert values["fldDone0000000000"] is False
    assert values[AMOUNT] is None


@pytest.mark.parametrize(
    ("written", "column"),
    [
        ("2026-12-24T10:30:00+01:00", "2026-12-24T09:30:00.000Z"),
        ("2026-12-24T09:30:00.5Z", "2026-12-24T09:30:00.500Z"),
        ("2026-12-24T09:30:00", None),  # in the field's own time zone
        ("2026-12-24", None),
        ("soon", None),
        ("0001-01-01T00:00:00+02:00", None),
    ],
)
def test_a_moment_is_spelled_as_answers_do_if_it_says_which_it_is(schema, written, column):
    draft = fields(schema, Starts=written)
    assert draft.values.get(STARTS) == column
    assert draft.faults == ()


def test_a_field_that_is_given_twice_is_told_by_neither_value(schema):
    draft = fields(schema, Name="by name", **{NAME: "by id"})
    assert NAME not in draft.values
    assert draft.faults == ()


def test_what_typecast_makes_of_a_value_is_not_guessed(schema):
    cells = {
        "Amount": "5",
        "Done": "yes",
        "Status": "New one",
        "Projects": ["Apollo"],
        "Name": "x",
    }
    draft = only(schema, "POST /Tasks", {"fields": cells, "typecast": True})
    assert draft.values == {NAME: "x", "fldStatus00000000": "New one"}
    assert draft.faults == ()


def test_options_that_are_not_known_are_no_fault(schema):
    table = schema.find(TASKS)
    bare = dataclasses.replace(
        table, fields=tuple(dataclasses.replace(f, options=None) for f in table.fields)
    )
    assert fields(Schema((bare,)), Status="Anything").faults == ()


def test_an_unknown_type_takes_anything(schema):
    table = schema.find(TASKS)
    odd = dataclasses.replace(
        table,
        fields=tuple(
            dataclasses.replace(f, type="hologram") if f.id == AMOUNT else f
            for f in table.fields
        ),
    )
    draft = fields(Schema((odd,)), Amount={"x": [1]})
    assert (draft.values, draft.faults) == ({AMOUNT: {"x": [1]}}, ())


def test_the_id_of_a_record_is_no_field(schema):
    assert "no field" in fields(schema, id="rec1").faults[0]
    assert "no field" in fields(schema, **{"$id": "rec1"}).faults[0]


def test_a_form_is_read_as_the_json_that_it_stands_for(schema):
    body = b"fields%5BName%5D=Ada+L&fields[Amount]=3&fields[Tags][]=red&fields[Tags][]=blue"
    draft = only(schema, "POST /Tasks", body, FORM)
    assert draft.values == {NAME: "Ada L", "fldTags0000000000": ["red", "blue"]}
    assert draft.faults == ()
    several = b"records[0][fields][Name]=a&records[1][fields][Name]=b&records[0][id]=rec1"
    found = [d for d in drafts(schema, "PATCH /Tasks", several, FORM) if d.kind != "touch"]
    assert [(d.key, d.values) for d in found] == [(("rec1",), {NAME: "a"}), (None, {NAME: "b"})]
    assert only(schema, "POST /Tasks", b"", FORM).faults[0].startswith("The body is empty.")
    assert only(schema, "POST /Tasks", b"fields=x&fields[Name]=y", FORM).values == {}


def test_json_that_curl_calls_a_form_is_json(schema):
    assert only(schema, "POST /Tasks", {"fields": {"Name": "x"}}, FORM).values == {NAME: "x"}


def test_a_form_that_is_no_text_is_unreadable(schema):
    with pytest.raises(Unreadable):
        drafts(schema, "POST /Tasks", b"\xff=\xfe", FORM)


@pytest.mark.parametrize(
    "query",
    ["records[]=a&records[]=b", "records%5B%5D=a&records%5B%5D=b", "records=a&records=b"],
)
def test_deletes_are_named_in_every_way_that_clients_have(schema, query):
    found = [d for d in drafts(schema, f"DELETE /Tasks?{query}") if d.kind == "delete"]
    assert [d.key for d in found] == [("a",), ("b",)]


def test_deletes_may_be_named_in_a_form(schema):
    found = drafts(schema, "DELETE /Tasks", b"records[]=a&records[]=a&records[]=", FORM)
    assert [d.key for d in found if d.kind == "delete"] == [("a",)]
    (whole,) = drafts(schema, "DELETE /Tasks", b"[]")  # who knows what this names
    assert (whole.kind, whole.key, whole.faults) == (DraftKind.TOUCH, None, ())


def test_linked_tables_are_touched_by_what_may_change_them(schema):
    def touched(line, body=None):
        return [d.collection for d in drafts(schema, line, body) if d.kind is DraftKind.TOUCH]

    assert touched("POST /Tasks", {"fields": {"Name": "x"}}) == []
    assert touched("POST /Tasks", {"fields": {"Projects": []}}) == [PROJECTS]
    # Projects count their tasks, so that any change of one may matter to them.
    assert touched("PATCH /Tasks/rec1", {"fields": {"Name": "x"}}) == [PROJECTS]
    assert touched("PUT /Tasks/rec1", {"fields": {}}) == [PROJECTS]
    assert touched("DELETE /Tasks/rec1") == [PROJECTS]
    alone = Schema((schema.find(TASKS),))
    assert [d.collection for d in drafts(alone, "DELETE /Tasks/rec1")] == [TASKS]


def test_an_upsert_is_named_by_its_one_merge_field_alone(schema):
    def match(merge_on, **cells):
        body = {"performUpsert": {"fieldsToMergeOn": merge_on}, "records": [{"fields": cells}]}
        draft = only(schema, "PATCH /Tasks", body)
        assert draft.kind is DraftKind.UPSERT
        return draft.match

    assert match(["Name"], Name="x") == (NAME, "x")
    assert match([AMOUNT], Amount=2.5) == (AMOUNT, "2.5")
    assert match(["Name", "Amount"], Name="x", Amount=1) is None
    assert match(["Name"], Amount=1) is None
    assert match(["Name"], Name=None) is None


def test_an_upload_finds_its_table_by_the_field(schema):
    file = {"contentType": "text/plain", "filename": "a", "file": "YQ=="}

    def uploaded(spelling, schema=schema):
        line = f"POST /rec1/{spelling}/uploadAttachment"
        return [(d.collection, d.key) for d in drafts(schema, line, file, host=CONTENT)]

    assert uploaded("fldFiles000000000") == [(TASKS, ("rec1",))]
    assert uploaded("Files") == [(TASKS, ("rec1",))]
    assert uploaded("Nothing") == []
    # Both tables have a field of this name: whose record it is, nobody knows.
    assert uploaded("Name") == [(TASKS, None), (PROJECTS, None)]


def test_what_the_sync_does_not_cover_has_no_drafts_but_is_read(schema):
    assert drafts(schema, "POST /Elsewhere", {"fields": {}}) == ()
    with pytest.raises(Unreadable):
        drafts(schema, "POST /Elsewhere", b"{")


def test_a_compressed_body_is_read(schema):
    body = gzip.compress(json.dumps({"fields": {"Name": "x"}}).encode())
    sent = CIMultiDict({"Content-Encoding": "gzip"})
    assert only(schema, "POST /Tasks", body, sent).values == {NAME: "x"}
