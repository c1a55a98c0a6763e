"""What Airtable's answers mean for the database."""

from __future__ import annotations

import gzip
import json

import pytest
from airtable_calls import API, CONTENT, ROUTER, Account, by_name, collection
from hypothesis import given
from hypothesis import strategies as st

from providers.airtable.fields import SYSTEM_FIELDS, field_from_metadata
from providers.airtable.provider import AIRTABLE
from providers.http import Request, Response, headers
from providers.record import NO_CHANGE, Change, Collection, ImageKind, Schema
from providers.spec import Exchange, Unreadable

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "fields", "records", "deleted", "createdTime", "fldN"]),
            inner,
        )
    ),
    max_leaves=12,
)


def table(table_id, name, *fields):
    described = [{"id": i, "name": n, "type": t, "options": o} for i, n, t, o in fields]
    own = tuple(field_from_metadata(f) for f in described)
    return Collection(
        table_id, name, SYSTEM_FIELDS + own, aliases=frozenset({f"appX/{table_id}"})
    )


TASKS = table(
    "tblT",
    "My Tasks/ä",
    ("fldN", "Name", "singleLineText", {}),
    ("fldD", "Done", "checkbox", {}),
    ("fldF", "Files", "multipleAttachments", {}),
    ("fldC", "Cost", "formula", {"result": {"type": "number"}}),
    ("fldP", "Projects", "multipleRecordLinks", {"linkedTableId": "tblP"}),
    ("fldX", "fldN", "number", {}),  # named like another's id
)
PROJECTS = table("tblP", "Projects", ("fldT", "Title", "singleLineText", {}))
SUMS = table("tblP", "Projects", ("fldS", "Sum", "rollup", {}))
SCHEMA = Schema((TASKS, PROJECTS))
NAMED = "/v0/appX/My%20Tasks%2F%C3%A4"
CREATED = "2026-11-21T12:00:00.000Z"


def commit(method, target, answer, asked=None, *, schema=SCHEMA, host=API, coding=None):
    """The change that an exchange means; bodies are JSON unless they are bytes."""
    content = json.dumps(asked).encode() if asked is not None else b""
    request = Request(method, host, target, headers(), content)
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    coded = headers(("Content-Encoding", coding)) if coding else headers()
    match = ROUTER.match(method, host, request.path)
    assert match is not None
    assert match.route.read is not None
    return match.route.read(
        Exchange(request, Response(200, coded, body), match.variables), schema
    )


def record(record_id="recA", **fields):
    return {"id": record_id, "createdTime": CREATED, "fields": fields}


def values(change, index=0):
    return by_name(SCHEMA, change.images[index])


def marks(change):
    return [(d.collection, d.key) for d in change.dirty]


def test_a_write_replaces_the_row_and_omitted_cells_are_empty():
    asked = {"fields": {"Name": "x"}}
    change = commit("PATCH", "/v0/appX/tblT/recA", record(Name="x"), asked)
    (image,) = change.images
    assert (image.collection, image.key, image.kind) == ("tblT", ("recA",), ImageKind.REPLACE)
    assert image.values == {
        "$id": "recA", "$created_time": CREATED, "fldN": "x", "fldD": False, "fldF": None,
        "fldC": None, "fldP": None, "fldX": None,
    }  # fmt: skip
    assert (change.dirty, change.unmapped, change.schema_changed) == ((), 0, False)


def test_what_events_keep_of_a_record_goes_by_ids_however_the_answer_is_keyed():
    """A name may be another field's by the time that the event is told."""
    by_name = commit("PATCH", "/v0/appX/tblT/recA", record(Name="x", Done=1, New=[2]))
    by_id = commit("PATCH", "/v0/appX/tblT/recA", record(fldN="x", fldD=1, New=[2]))
    for change in (by_name, by_id):
        assert change.images[0].data == record(fldN="x", fldD=1, New=[2])


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
def test_a_batch_is_one_image_per_record_in_order(method):
    answer = {"records": [record("recB", Name="b"), record("recA", Name="a")]}
    change = commit(method, NAMED, answer, {"records": [{"fields": {"Name": "b"}}]})
    assert [i.record_id for i in change.images] == ["recB", "recA"]


def test_an_upsert_replaces_what_it_created_and_what_it_updated():
    answer = {
        "records": [record("recA", Name="a"), record("recB", Name="b")],
        "createdRecords": ["recB"],
        "updatedRecords": ["recA"],
    }
    asked = {"performUpsert": {"fieldsToMergeOn": ["Name"]}, "records": []}
    assert [i.kind for i in commit("PATCH", NAMED, answer, asked).images] == ["replace"] * 2


def test_a_single_record_at_the_tables_path_is_one_image():
    change = commit("PATCH", NAMED, record(Name="x"), {"id": "recA", "fields": {"Name": "x"}})
    assert [i.record_id for i in change.images] == ["recA"]


def test_a_partial_success_is_committed_as_answered():
    details = {"message": "partialSuccess", "reasons": ["attachmentsFailedUploading"]}
    change = commit("POST", NAMED, record(Name="x") | {"details": details}, {"fields": {}})
    assert values(change)["Name"] == "x"
    assert values(change)["Files"] is None


def test_a_compressed_answer_is_read_too():
    packed = gzip.compress(json.dumps(record(Name="x")).encode())
    assert values(commit("POST", NAMED, packed, {"fields": {}}, coding="gzip"))["Name"] == "x"


# Keys ------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", [True, False, None, "true", "nonsense"])
def test_fields_keyed_by_id_are_recognised_whatever_was_asked(flag):
    asked = {"fields": {}, "returnFieldsByFieldId": flag}
    change = commit("POST", NAMED, record(fldN="x", fldD=True, fldC=2), asked)
    assert (values(change)["Name"], values(change)["Done"], values(change)["Cost"]) == (
        "x",
        True,
        2,
    )


@pytest.mark.parametrize("flag", [True, False, None])
def test_fields_keyed_by_name_are_recognised_whatever_was_asked(flag):
    asked = {"fields": {}, "returnFieldsByFieldId": flag}
    change = commit("POST", NAMED, record(Name="x", Done=True), asked)
    assert (values(change)["Name"], values(change)["Done"]) == ("x", True)
    assert not change.schema_changed


def test_a_name_that_is_another_fields_id_means_what_the_answer_means():
    by_names = commit("POST", NAMED, record(Name="x", fldN=5), {"fields": {}})
    assert (values(by_names)["Name"], values(by_names)["fldN"]) == ("x", 5)
    by_ids = commit("POST", NAMED, record(fldN="x", fldX=5), {"fields": {}})
    assert (values(by_ids)["Name"], values(by_ids)["fldN"]) == ("x", 5)


@pytest.mark.parametrize(("flag", "field"), [(True, "Name"), (False, "fldN")])
def test_where_the_answer_leaves_it_open_the_request_decides(flag, field):
    raw = "x" if flag else 5
    asked = {"fields": {}, "returnFieldsByFieldId": flag}
    change = commit("POST", NAMED, record(fldN=raw), asked)
    assert values(change)[field] == raw
    assert not change.images[0].extra


def test_the_flag_may_also_be_in_the_query():
    change = commit(
        "POST", f"{NAMED}?returnFieldsByFieldId=true", record(fldN="x"), {"fields": {}}
    )
    assert values(change)["Name"] == "x"


def test_one_answer_has_one_kind_of_keys():
    answer = {"records": [record("recA", Name="a", Done=True), record("recB", fldN=5)]}
    change = commit("POST", NAMED, answer, {"records": []})
    assert values(change, 1)["fldN"] == 5


# What does not fit -----------------------------------------------------------------


def test_an_unknown_field_is_kept_under_its_name_and_asks_for_discovery():
    change = commit("POST", NAMED, record(Name="x", New=[1]), {"fields": {}})
    assert change.images[0].extra == {"New": [1]}
    assert change.schema_changed


def test_a_value_that_does_not_fit_is_null_and_kept_under_the_fields_name():
    change = commit("POST", NAMED, record(fldC={"specialValue": "NaN"}, fldD=1), {"fields": {}})
    assert change.images[0].extra == {"Cost": {"specialValue": "NaN"}, "Done": 1}
    assert (values(change)["Cost"], values(change)["Done"]) == (None, None)
    assert not change.schema_changed


def test_a_time_of_creation_that_is_none_is_kept_aside():
    change = commit("POST", NAMED, record() | {"createdTime": "long ago"}, {"fields": {}})
    assert change.images[0].values["$created_time"] is None
    assert change.images[0].extra == {"createdTime": "long ago"}


def test_a_field_that_calls_itself_a_system_field_is_kept_apart():
    change = commit("POST", NAMED, record(Name="x") | {"fields": {"$id": "recEvil"}}, {})
    assert change.images[0].key == ("recA",)
    assert change.images[0].extra == {"$id": "recEvil"}


@pytest.mark.parametrize(("method", "path"), [("POST", ""), ("PATCH", "/recA"), ("PUT", "")])
def test_a_table_that_the_sync_does_not_cover_is_counted(method, path):
    answer = {"records": [record("recA"), record("recB")]}
    assert commit(method, f"/v0/appX/tblOther{path}", answer, {}) == Change(unmapped=2)


def test_a_table_named_as_none_of_ours_may_be_one_that_was_renamed():
    expected = Change(unmapped=1, schema_changed=True)
    assert commit("POST", "/v0/appX/Other", record("recA"), {}) == expected
    gone = {"id": "recA", "deleted": True}
    assert commit("DELETE", "/v0/appX/Other/recA", gone) == expected


@pytest.mark.parametrize(
    "answer",
    [b"", b"not json", b"[]", {"records": 5}, {"records": [5]}, {"id": "", "fields": {}},
     {"id": 5, "fields": {}}, {"id": "recA"}, {"id": "recA", "fields": []}],
)  # fmt: skip
def test_an_answer_of_another_shape_cannot_be_read(answer):
    with pytest.raises(Unreadable):
        commit("POST", NAMED, answer, {"fields": {}})


# Deletes ---------------------------------------------------------------------------


def test_a_delete_is_a_tombstone_for_every_id_that_the_answer_confirms():
    answer = {"records": [{"id": "recA", "deleted": True}, {"id": "recB", "deleted": False}]}
    change = commit("DELETE", "/v0/appX/tblT?records[]=recA&records=recC", answer)
    assert [(i.kind, i.record_id) for i in change.images] == [("delete", "recA")]


def test_a_delete_by_path_takes_the_id_from_the_answer():
    change = commit("DELETE", "/v0/appX/tblT/recA", {"id": "recA", "deleted": True})
    assert [(i.kind, i.key) for i in change.images] == [("delete", ("recA",))]
    assert marks(change) == [("tblP", None)]


def test_a_delete_that_deleted_nothing_changes_nothing():
    assert commit("DELETE", "/v0/appX/tblT", {"records": []}) == NO_CHANGE


def test_a_delete_elsewhere_is_counted():
    answer = {"records": [{"id": "recA", "deleted": True}]}
    assert commit("DELETE", "/v0/appX/tblO", answer) == Change(unmapped=1)


def test_a_delete_marks_no_table_that_the_sync_does_not_cover():
    answer = {"id": "recA", "deleted": True}
    change = commit("DELETE", "/v0/appX/tblT/recA", answer, schema=Schema((TASKS,)))
    assert marks(change) == []


# Linked tables ---------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["Projects", "fldP"])
def test_writing_a_link_changes_the_linked_table_too(spelling):
    asked = {"fields": {spelling: []}}
    assert marks(commit("PATCH", f"{NAMED}/recA", record(), asked)) == [("tblP", None)]


def test_writing_other_fields_leaves_a_table_without_derived_fields_alone():
    answer = record(Name="x", Projects=["recP"])
    asked = {"fields": {"Name": "x"}}
    assert marks(commit("PATCH", f"{NAMED}/recA", answer, asked)) == []


def test_writing_other_fields_changes_what_linked_rows_derive_from_them():
    schema = Schema((TASKS, SUMS))
    asked = {"fields": {"Name": "x"}}
    linked = record(Name="x", Projects=["recP"])
    change = commit("PATCH", f"{NAMED}/recA", linked, asked, schema=schema)
    assert marks(change) == [("tblP", None)]
    alone = commit("PATCH", f"{NAMED}/recA", record(Name="x"), asked, schema=schema)
    assert marks(alone) == []


def test_a_replacing_write_clears_links_that_it_does_not_name():
    asked = {"fields": {"Name": "x"}}
    assert marks(commit("PUT", f"{NAMED}/recA", record(Name="x"), asked)) == [("tblP", None)]


def test_a_request_that_cannot_be_read_may_have_touched_any_link():
    assert marks(commit("PATCH", f"{NAMED}/recA", record())) == [("tblP", None)]


def test_a_link_in_any_record_of_a_batch_counts():
    asked = {"records": [{"id": "recA", "fields": {}}, {"id": "recB", "fields": {"fldP": []}}]}
    answer = {"records": [record("recA"), record("recB")]}
    assert marks(commit("PATCH", NAMED, answer, asked)) == [("tblP", None)]
    asked["records"].pop()
    assert marks(commit("PATCH", NAMED, answer, asked)) == []


@pytest.mark.parametrize(
    "asked", [[1], "x", {"records": 5}, {"records": [5]}, {"records": [{"fields": 5}]}]
)
def test_an_odd_request_does_not_stand_in_the_way_of_its_answer(asked):
    assert values(commit("POST", NAMED, record(Name="x"), asked))["Name"] == "x"


def test_a_linked_table_that_the_sync_does_not_cover_is_no_concern():
    schema = Schema((TASKS,))
    asked = {"fields": {"Projects": ["recP"]}}
    assert marks(commit("POST", NAMED, record(Projects=["recP"]), asked, schema=schema)) == []


def test_a_cell_that_airtable_is_working_on_is_read_again():
    files = [{"id": "att1", "url": "u", "filename": "f"}]
    answer = record(Files=files, Name="x")
    change = commit("POST", NAMED, answer, {"fields": {"Files": [{"url": "u"}]}})
    assert marks(change) == [("tblT", ("recA",))]
    assert values(change)["Files"] == files


# Uploads ---------------------------------------------------------------------------


def upload(field, answer, schema=SCHEMA):
    path = f"/v0/appX/recA/{field}/uploadAttachment"
    return commit("POST", path, answer, {"file": "…"}, schema=schema, host=CONTENT)


def test_an_upload_merges_one_field_of_a_table_found_by_it():
    files = [{"id": "att1", "url": "u"}]
    change = upload("Files", record(fldF=files))
    (image,) = change.images
    assert (image.collection, image.key, image.kind) == ("tblT", ("recA",), ImageKind.MERGE)
    assert image.values == {"$id": "recA", "$created_time": CREATED, "fldF": files}
    assert marks(change) == [("tblT", ("recA",))]


def test_an_upload_that_emptied_answer_is_found_by_the_fields_id_in_the_path():
    change = upload("fldF", record())
    assert change.images[0].values == {"$id": "recA", "$created_time": CREATED}


def test_an_upload_into_an_unknown_field_is_counted_and_asks_for_discovery():
    assert upload("Files", record(fldOther=[])) == Change(unmapped=1, schema_changed=True)


# Effects ---------------------------------------------------------------------------


def test_a_csv_sync_says_nothing_of_its_rows():
    change = commit("POST", "/v0/appX/tblT/sync/synA", {"success": True})
    assert change.images == ()
    assert marks(change) == [("tblT", None)]
    assert commit("POST", "/v0/appX/tblO/sync/synA", {"success": True}) == NO_CHANGE


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/tables"), ("PATCH", "/tables/tblT"), ("POST", "/tables/tblT/fields"),
     ("PATCH", "/tables/tblT/fields/fldN"), ("DELETE", "/views/viwA")],
)  # fmt: skip
def test_a_write_of_metadata_asks_for_discovery(method, path):
    assert commit(method, f"/v0/meta/bases/appX{path}", {}).schema_changed


def test_a_new_field_has_values_to_be_read():
    assert marks(commit("POST", "/v0/meta/bases/appX/tables/tblT/fields", {})) == [
        ("tblT", None)
    ]


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v0/meta/bases"), ("POST", "/v0/bases/appX/webhooks"),
     ("DELETE", "/v0/bases/appX/webhooks/achA"), ("POST", "/v0/appX/tblT/recA/comments"),
     ("DELETE", "/v0/appX/tblT/recA/comments/comA")],
)  # fmt: skip
def test_comments_webhooks_and_other_bases_change_no_record(method, path):
    assert commit(method, path, b"") == NO_CHANGE


# Against the simulator -------------------------------------------------------------


def test_the_simulators_answers_mean_what_it_then_shows():
    account = Account()
    schema = account.discover()
    fields = {
        "Name": "x",
        "Done": True,
        "Amount": 2,
        "Price": 3.5,
        "Projects": ["recGemini00000000"],
    }
    created = account.post("/Tasks", {"fields": fields})
    image = created.change(schema).images[0]
    shown = by_name(schema, image)
    tasks = collection(schema, "Tasks")
    cells = account.cells(created.json["id"])
    expected = {f.name: cells.get(f.name, f.empty) for f in tasks.fields if f.id[0] != "$"}
    assert {n: v for n, v in shown.items() if n in expected} == expected
    assert image.extra == {}


WRITES = [r for r in AIRTABLE.routes if r.read is not None]


@given(route=st.sampled_from(WRITES), answer=JSON | st.binary(), asked=JSON | st.binary())
def test_no_answer_and_no_request_however_odd_raises_anything_but_unreadable(
    route, answer, asked
):
    def encoded(value):
        return value if isinstance(value, bytes) else json.dumps(value).encode()

    request = Request("POST", API, "/v0", headers(), encoded(asked))
    variables = {"base": "appX", "table": "tblT", "record": "recA", "field": "fldF"}
    exchange = Exchange(request, Response(200, headers(), encoded(answer)), variables)
    try:
        change = route.read(exchange, SCHEMA)
    except Unreadable:
        return
    assert all(image.record_id for image in change.images)
