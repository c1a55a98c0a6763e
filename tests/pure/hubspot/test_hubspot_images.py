"""What an answer about records says of them: images, and what is left open."""

from __future__ import annotations

from typing import Any

import pytest
from hubspot_portal import (
    CHARLES,
    GRACE,
    MARY,
    ROUTER,
    Portal,
    answered,
    collection,
    only,
    request,
    route,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from providers.http import Response
from providers.hubspot.routes import ROUTES
from providers.record import Change, Dirty, ImageKind, Schema
from providers.spec import Exchange, Unreadable

V3 = "/crm/v3/objects"
SCHEMA = Portal().schema()
PAIRS = {c.id for c in SCHEMA.collections if c.id.startswith("associations_")}
SPELLINGS = ("contacts", "contact", "0-1", "CONTACT")


def reasons(change: Change) -> set[tuple[str, tuple[str, ...] | None]]:
    return {(d.collection, d.key) for d in change.dirty}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("prefix", [V3, "/crm/objects/v3", "/crm/objects/2026-03-beta"])
def test_a_create_merges_what_the_answer_says_under_every_spelling(prefix: str, spelling: str):
    change = Portal().write(
        "POST",
        f"{prefix}/{spelling}",
        {
            "properties": {
                "email": "Ada@Example.com",
                "score": "9007199254740993",
                "is_partner": "true",
                "birthday": "1815-12-10",
                "next_call": "1796115600000",
                "hs_buying_role": "CHAMPION;END_USER",
                "phone": "+44 1",
            }
        },
        SCHEMA,
    )
    image = only(change)
    assert (image.collection, image.key, image.kind) == (
        "0-1",
        ("50000000008",),
        ImageKind.MERGE,
    )
    expected = {
        "$id": "50000000008",
        "$archived": False,
        "$created_at": "2026-11-21T12:00:01+00:00",
        "$updated_at": "2026-11-21T12:00:01+00:00",
        "email": "ada@example.com",
        "score": "9007199254740993",
        "is_partner": True,
        "birthday": "1815-12-10",
        "next_call": "2026-12-01T09:00:00+00:00",
        "hs_buying_role": ["CHAMPION", "END_USER"],
        "phone": "+44 1",
    }
    assert expected.items() <= image.values.items()
    assert image.updated_at == "2026-11-21T12:00:01+00:00"
    assert not image.extra
    assert "associatedcompanyid" not in image.values, "an answer never holds everything"
    assert ("0-1", image.key) in reasons(change), "so the record is read again"
    assert not change.schema_changed


def test_an_update_merges_by_the_answers_id_whatever_the_path_says():
    path = f"{V3}/contacts/Grace%40Compilers.example?idProperty=email"
    change = Portal().write("PATCH", path, {"properties": {"score": "43"}}, SCHEMA)
    assert only(change).key == (GRACE,)
    assert only(change).values["score"] == "43"
    assert reasons(change) == {("0-1", (GRACE,))}


@pytest.mark.parametrize("cleared_as_null", [False, True])
def test_a_cleared_property_is_none_however_it_is_spelled(cleared_as_null: bool):
    portal = Portal(cleared_as_null=cleared_as_null)
    body = {"properties": {"firstname": "", "score": ""}}
    values = only(portal.write("PATCH", f"{V3}/contacts/{GRACE}", body, SCHEMA)).values
    assert (values["firstname"], values["score"]) == (None, None)
    assert portal.call("GET", f"{V3}/contacts/{GRACE}")["properties"]["firstname"] is None


def test_an_update_by_the_id_of_before_a_merge_leaves_that_id_to_be_looked_at():
    portal = Portal()
    merged = portal.call(
        "POST", f"{V3}/contacts/merge", {"primaryObjectId": CHARLES, "objectIdToMerge": MARY}
    )
    body = {"properties": {"firstname": "Both"}}
    change = portal.write("PATCH", f"{V3}/contacts/{MARY}", body, SCHEMA)
    assert only(change).key == (merged["id"],)
    assert ("0-1", (MARY,)) in reasons(change)


def test_an_unknown_property_is_kept_aside_and_asks_for_rediscovery():
    portal = Portal()
    definition = {"name": "new", "label": "N", "type": "string", "fieldType": "text"}
    portal.call("POST", "/crm/v3/properties/contacts", definition)
    change = portal.write(
        "PATCH", f"{V3}/contacts/{MARY}", {"properties": {"new": "x"}}, SCHEMA
    )
    assert only(change).extra == {"new": "x"}
    assert "new" not in only(change).values
    assert change.schema_changed


def test_a_value_that_does_not_fit_is_kept_aside_without_rediscovery():
    record = {
        "id": "7",
        "properties": {"score": "a lot", "birthday": "soon", "email": {"a": 1}},
    }
    change = answered(SCHEMA, ("POST", f"{V3}/contacts", {}), record, 201)
    image = only(change)
    assert image.extra == {"score": "a lot", "birthday": "soon", "email": {"a": 1}}
    assert (image.values["score"], image.values["birthday"]) == (None, None)
    assert not change.schema_changed


def test_an_archive_marks_the_paths_record():
    portal = Portal()
    for _ in range(2):
        change = portal.write("DELETE", f"{V3}/contacts/{MARY}", schema=SCHEMA)
        assert (only(change).kind, only(change).key) == (ImageKind.ARCHIVE, (MARY,))
        assert reasons(change) == {("0-1", (MARY,))}  # its row stays, with another version


def test_a_path_that_no_text_of_postgres_can_hold_is_made_one_that_it_can():
    change = Portal().write("DELETE", f"{V3}/contacts/a%00b", schema=SCHEMA)
    assert only(change).key == ("a\ufffdb",)
    path = "/crm/v4/objects/contacts/a%00/associations/companies/%00"
    change = answered(SCHEMA, ("DELETE", path, None), b"", 204)
    assert only(change).key == ("\ufffd", "a\ufffd")
    change = answered(SCHEMA, ("PATCH", f"{V3}/contacts/%00", {}), {"id": "7"})
    assert ("0-1", ("\ufffd",)) in reasons(change)


def test_an_archive_by_another_property_is_looked_up():
    target = f"{V3}/contacts/Mary%40Engines.example?idProperty=email"
    image = only(Portal().write("DELETE", target, schema=SCHEMA))
    assert (image.kind, image.key) == (ImageKind.ARCHIVE, ())
    assert image.match == ("email", "mary@engines.example")


def test_an_archive_by_a_property_without_a_column_leaves_the_collection_open():
    change = answered(SCHEMA, ("DELETE", f"{V3}/contacts/x?idProperty=other", None), b"", 204)
    assert (change.images, reasons(change)) == ((), {("0-1", None)})


def test_a_batch_archive_takes_its_ids_from_the_request():
    body = {"inputs": [{"id": CHARLES}, {"id": int(MARY)}, {"id": "nobody"}]}
    change = Portal().write("POST", f"{V3}/contacts/batch/archive", body, SCHEMA)
    assert [i.key for i in change.images] == [(CHARLES,), (MARY,), ("nobody",)]
    assert {i.kind for i in change.images} == {ImageKind.ARCHIVE}


def test_a_batch_archive_that_failed_in_part_is_read_again():
    call = ("POST", f"{V3}/contacts/batch/archive", {"inputs": [{"id": "1"}, {"id": "2"}]})
    change = answered(SCHEMA, call, {"errors": [{}]}, 207)
    assert (change.images, reasons(change)) == ((), {("0-1", ("1",)), ("0-1", ("2",))})


def test_of_a_partly_failed_batch_the_results_count():
    body = {
        "inputs": [
            {"objectWriteTraceId": "a", "properties": {"email": "one@example.com"}},
            {"objectWriteTraceId": "b", "properties": {"email": "not an email"}},
            {"objectWriteTraceId": "c", "properties": {"email": "two@example.com"}},
        ]
    }
    change = Portal().write("POST", f"{V3}/contacts/batch/create", body, SCHEMA)
    assert [i.values["email"] for i in change.images] == ["one@example.com", "two@example.com"]
    assert {i.kind for i in change.images} == {ImageKind.MERGE}


def test_an_upsert_takes_its_ids_from_the_results():
    body = {
        "inputs": [
            {"id": e, "idProperty": "email", "properties": {"firstname": "Up"}}
            for e in ("mary@engines.example", "new@example.com")
        ]
    }
    change = Portal().write("POST", f"{V3}/contacts/batch/upsert", body, SCHEMA)
    assert [i.key for i in change.images] == [(MARY,), ("50000000008",)]
    assert {i.values["firstname"] for i in change.images} == {"Up"}


def test_a_merge_makes_a_new_record_and_deletes_both_old_ids():
    portal = Portal()
    body = {"primaryObjectId": CHARLES, "objectIdToMerge": MARY}
    change = portal.write("POST", f"{V3}/contacts/merge", body, SCHEMA)
    kinds = {i.key: i.kind for i in change.images}
    assert kinds == {
        (CHARLES,): ImageKind.DELETE,
        (MARY,): ImageKind.DELETE,
        ("50000000008",): ImageKind.MERGE,
    }
    assert ("0-1", ("50000000008",)) in reasons(change)
    moved = {c for c, key in reasons(change) if key is None}
    assert moved == {p for p in PAIRS if "contact" in p}


def test_a_merge_that_keeps_the_primary_deletes_only_the_other():
    body = {"primaryObjectId": CHARLES, "objectIdToMerge": MARY}
    change = Portal(merge_makes_new_id=False).write(
        "POST", f"{V3}/contacts/merge", body, SCHEMA
    )
    assert [(i.key, i.kind) for i in change.images] == [
        ((MARY,), ImageKind.DELETE),
        ((CHARLES,), ImageKind.MERGE),
    ]


def test_a_gdpr_deletion_is_by_id_or_by_a_unique_property():
    by_id = Portal().write("POST", f"{V3}/contacts/gdpr-delete", {"objectId": MARY}, SCHEMA)
    assert (only(by_id).kind, only(by_id).key) == (ImageKind.DELETE, (MARY,))
    body = {"objectId": "Mary@engines.example", "idProperty": "email"}
    by_email = Portal().write("POST", f"{V3}/contacts/gdpr-delete", body, SCHEMA)
    assert (only(by_email).kind, only(by_email).key) == (ImageKind.DELETE, ())
    assert only(by_email).match == ("email", "mary@engines.example")


@pytest.mark.parametrize(
    ("method", "path", "body", "answer", "count"),
    [
        ("POST", "/tickets", {}, {"id": "1", "properties": {}}, 1),
        ("PATCH", "/tickets/1", {}, {"id": "1", "properties": {}}, 1),
        ("DELETE", "/tickets/1", None, b"", 1),
        ("POST", "/tickets/batch/create", {}, {"results": [{"id": "1"}, {"id": "2"}]}, 2),
        ("POST", "/tickets/batch/archive", {"inputs": [{"id": "1"}] * 3}, b"", 3),
        ("POST", "/tickets/merge", {}, {"id": "1"}, 1),
        ("POST", "/tickets/gdpr-delete", {}, b"", 1),
    ],
)
def test_records_of_a_type_that_the_sync_does_not_cover_are_counted(
    method: str, path: str, body: Any, answer: Any, count: int
):
    change = answered(SCHEMA, (method, V3 + path, body), answer)
    assert change == Change(unmapped=count)


def test_reads_have_no_reader():
    for method, path in (
        ("POST", "/contacts/search"),
        ("POST", "/contacts/batch/read"),
        ("GET", "/contacts"),
        ("GET", "/contacts/1"),
    ):
        assert route(method, V3 + path).route.read is None


def test_written_definitions_ask_for_rediscovery_and_another_look():
    for method, path in (
        ("POST", "/crm/v3/properties/contacts"),
        ("DELETE", "/crm/properties/2026-03/contact/score"),
        ("POST", "/crm/v3/properties/0-1/batch/archive"),
        ("POST", "/properties/v1/contacts/properties"),
    ):
        change = answered(SCHEMA, (method, path, {}), {})
        assert change.schema_changed
        assert reasons(change) == {("0-1", None)}
    schema_made = answered(SCHEMA, ("POST", "/crm-object-schemas/v3/schemas", {}), {}, 201)
    assert schema_made == Change(schema_changed=True)


def test_legacy_writes_leave_their_collections_open():
    schema = Portal().schema("contacts", "deals", "notes", "calls")
    for method, path, expected in (
        ("POST", "/contacts/v1/contact", {"0-1"}),
        ("DELETE", "/deals/v1/deal/5", {"0-3"}),
        ("POST", "/companies/v2/companies", set()),
        ("POST", "/engagements/v1/engagements", {"0-46", "0-48"}),
        ("POST", "/crm-objects/v1/objects/contacts/batch/create", {"0-1"}),
    ):
        change = answered(schema, (method, path, {}), b"not even JSON")
        assert change.images == ()
        assert {d.collection for d in change.dirty} == expected
        assert all(d.key is None for d in change.dirty)
    change = answered(schema, ("PUT", "/crm-associations/v1/associations", {}), {})
    found = {d.collection for d in change.dirty}
    assert found == {c.id for c in schema.collections if c.id.startswith("associations_")}


def test_pipelines_owners_and_lists_change_no_row():
    for method, path in (
        ("POST", "/crm/v3/pipelines/deals"),
        ("PATCH", "/crm/pipelines/2026-03/deals/1/stages/2"),
        ("PUT", "/crm/v3/lists/5/memberships/add"),
    ):
        assert answered(SCHEMA, (method, path, {}), b"anything") == Change()


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff", b'"x"'])
def test_a_write_whose_answer_cannot_be_read_says_so(body: bytes):
    for method, path in (("POST", "/contacts"), ("PATCH", "/contacts/1")):
        with pytest.raises(Unreadable):
            answered(SCHEMA, (method, V3 + path, {}), body)


def test_an_answer_that_names_no_record_leaves_the_collection_open():
    change = answered(SCHEMA, ("POST", f"{V3}/contacts", {}), {"properties": {}})
    assert change.images == ()
    assert change.dirty == (Dirty("0-1", None, "an answer named no record"),)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(0, 1) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                (
                    *("id", "properties", "results", "inputs", "from", "to", "types", "labels"),
                    *("associations", "objectId", "updatedAt", "associationTypeId", "email"),
                    *("fromObjectId", "toObjectId", "objectWriteTraceId", "idProperty"),
                    *("archived", "score"),
                )
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)
READING = [r for r in ROUTES if r.read is not None and "legacy" not in r.name]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.sampled_from(READING), JSON_VALUES, JSON_VALUES, st.sampled_from([200, 201, 204, 207])
)
def test_no_json_makes_a_reader_raise_anything_but_unreadable(
    which: Any, asked: Any, told: Any, status: int
):
    path = "/".join("contacts" if p.startswith("{") else p for p in which.path.split("/"))
    call = request(which.method, path, asked)
    match = ROUTER.match(which.method, call.host, path)
    assert match is not None
    response = Response(status, body=request("", "", told).body)
    try:
        change = which.read(Exchange(call, response, match.variables), SCHEMA)
    except Unreadable:
        return
    assert all(
        image.collection in {c.id for c in SCHEMA.collections} for image in change.images
    )
    assert all(image.key or image.match for image in change.images)


def test_the_schema_finds_no_pair_where_an_object_is_meant():
    change = answered(SCHEMA, ("POST", f"{V3}/associations_company_contact", {}), {"id": "1"})
    assert change == Change(unmapped=1)
    assert collection(SCHEMA, "contacts").id == "0-1"
    assert Schema(()).find("contacts") is None
