"""What an answer about associations says of pairs, in every version of the API."""

from __future__ import annotations

from typing import Any

import pytest
from hubspot_portal import (
    ANALYTICAL,
    CHARLES,
    COMPILERS,
    ENGINE,
    GRACE,
    MARY,
    Portal,
    answered,
    only,
)

from providers.record import Change, ImageKind

V4 = "/crm/v4/associations"
OBJECTS = ("/crm/v4/objects", "/crm/objects/2026-03")
COMPANY_CONTACT = "associations_company_contact"
CONTACT_DEAL = "associations_contact_deal"
SELF = "associations_company_company"
SCHEMA = Portal().schema()
DEFAULT = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}]


def pairs(change: Change) -> list[tuple[str, tuple[str, ...], ImageKind]]:
    return [
        (i.collection, i.key, i.kind)
        for i in change.images
        if i.collection.startswith("associations_")
    ]


def marks(change: Change) -> set[tuple[str, tuple[str, ...] | None]]:
    return {(d.collection, d.key) for d in change.dirty}


@pytest.mark.parametrize("prefix", OBJECTS)
def test_a_default_association_adds_the_pair_in_its_own_order(prefix: str):
    for path in (
        f"/contacts/{MARY}/associations/default/companies/{COMPILERS}",
        f"/0-2/{COMPILERS}/associations/default/0-1/{MARY}",
    ):
        change = Portal().write("PUT", prefix + path, schema=SCHEMA)
        image = only(change)
        assert pairs(change) == [(COMPANY_CONTACT, (COMPILERS, MARY), ImageKind.MERGE)]
        assert image.values == {"$left": COMPILERS, "$right": MARY}
        assert marks(change) == {
            (COMPANY_CONTACT, (COMPILERS, MARY)),
            ("0-1", (MARY,)),
            ("0-2", (COMPILERS,)),
        }


@pytest.mark.parametrize("numbers", [True, False])
@pytest.mark.parametrize("prefix", OBJECTS)
def test_labels_come_from_the_answer_if_it_looks_from_the_left(prefix: str, numbers: bool):
    portal = Portal(numeric_association_ids=numbers)
    path = f"{prefix}/companies/{COMPILERS}/associations/contacts/{MARY}"
    body = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 2}]
    change = portal.write("PUT", path, body, SCHEMA)
    assert only(change).key == (COMPILERS, MARY)
    assert only(change).values["$labels"] == ["Primary"]


def test_labels_seen_from_the_right_wait_for_reading():
    portal = Portal()
    path = f"/crm/v4/objects/contacts/{MARY}/associations/companies/{COMPILERS}"
    own = [{"associationCategory": "USER_DEFINED", "associationTypeId": 1001}]
    change = portal.write("PUT", path, own, SCHEMA)
    assert only(change).key == (COMPILERS, MARY)
    assert "$labels" not in only(change).values, "the label has another name from this end"
    assert (COMPANY_CONTACT, (COMPILERS, MARY)) in marks(change)


def test_ids_of_before_a_merge_give_way_to_the_answers():
    portal = Portal()
    body = {"primaryObjectId": GRACE, "objectIdToMerge": MARY}
    merged = portal.call("POST", "/crm/v3/objects/contacts/merge", body)
    path = f"/crm/v4/objects/contacts/{MARY}/associations/companies/{ANALYTICAL}"
    change = portal.write("PUT", path, DEFAULT, SCHEMA)
    assert only(change).key == (ANALYTICAL, merged["id"])


@pytest.mark.parametrize("prefix", OBJECTS)
def test_a_dissociation_removes_the_pair(prefix: str):
    path = f"{prefix}/contacts/{CHARLES}/associations/companies/{ANALYTICAL}"
    change = Portal().write("DELETE", path, schema=SCHEMA)
    assert pairs(change) == [(COMPANY_CONTACT, (ANALYTICAL, CHARLES), ImageKind.DELETE)]
    assert marks(change) == {("0-1", (CHARLES,)), ("0-2", (ANALYTICAL,))}


@pytest.mark.parametrize(
    "prefix", ["/crm/v3/objects", "/crm/objects/v3", "/crm/objects/2026-03"]
)
@pytest.mark.parametrize("type_", ["4", "contact_to_deal"])
def test_associations_by_type_in_the_path(prefix: str, type_: str):
    path = f"{prefix}/contacts/{MARY}/associations/deals/{ENGINE}/{type_}"
    portal = Portal()
    made = portal.write("PUT", path, schema=SCHEMA)
    assert pairs(made) == [(CONTACT_DEAL, (MARY, ENGINE), ImageKind.MERGE)]
    gone = portal.write("DELETE", path, schema=SCHEMA)
    assert pairs(gone) == [(CONTACT_DEAL, (MARY, ENGINE), ImageKind.DELETE)]
    assert (CONTACT_DEAL, (MARY, ENGINE)) in marks(gone), "another type may remain"


def test_an_empty_answer_to_an_association_takes_the_paths_word():
    path = f"/crm/v3/objects/contacts/{MARY}/associations/deals/{ENGINE}/4"
    change = answered(SCHEMA, ("PUT", path, None), b"", 204)
    assert pairs(change) == [(CONTACT_DEAL, (MARY, ENGINE), ImageKind.MERGE)]


def test_within_one_type_both_directions_are_rows():
    body = [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 13}]
    path = f"/crm/v4/objects/companies/{ANALYTICAL}/associations/companies/{COMPILERS}"
    change = Portal().write("PUT", path, body, SCHEMA)
    there, back = change.images
    assert (there.collection, there.key) == (SELF, (ANALYTICAL, COMPILERS))
    assert (back.collection, back.key) == (SELF, (COMPILERS, ANALYTICAL))
    assert there.values["$labels"] == ["Child Company"]
    assert "$labels" not in back.values, "the way back has another label"
    assert {(SELF, there.key), (SELF, back.key)} <= marks(change)


def inputs(*ids: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {"inputs": [{"from": {"id": a}, "to": {"id": b}, **more} for a, b in ids]}


@pytest.mark.parametrize(
    ("path", "more"),
    [
        (
            "/crm/v3/associations/contacts/companies/batch/create",
            {"type": "contact_to_company"},
        ),
        (f"{V4}/contacts/companies/batch/create", {"types": DEFAULT}),
        (f"{V4}/contacts/companies/batch/associate/default", {}),
        ("/crm/associations/2026-03/0-1/0-2/batch/create", {"types": DEFAULT}),
        ("/crm/associations/2026-03/contact/company/batch/associate/default", {}),
    ],
)
def test_a_batch_adds_what_did_not_fail(path: str, more: Any):
    body = inputs((MARY, ANALYTICAL), ("404", COMPILERS), (MARY, COMPILERS), **more)
    change = Portal().write("POST", path, body, SCHEMA)
    assert [i.key for i in change.images] == [(ANALYTICAL, MARY), (COMPILERS, MARY)]


@pytest.mark.parametrize(
    "path",
    [
        f"{V4}/contacts/companies/batch/archive",
        "/crm/associations/2026-03/contacts/companies/batch/archive",
    ],
)
def test_a_batch_archive_removes_the_requests_pairs(path: str):
    body = {
        "inputs": [{"from": {"id": CHARLES}, "to": [{"id": ANALYTICAL}, {"id": COMPILERS}]}]
    }
    change = Portal().write("POST", path, body, SCHEMA)
    assert pairs(change) == [
        (COMPANY_CONTACT, (ANALYTICAL, CHARLES), ImageKind.DELETE),
        (COMPANY_CONTACT, (COMPILERS, CHARLES), ImageKind.DELETE),
    ]


def test_a_batch_archive_of_v3_removes_too_and_one_that_failed_is_read_again():
    path = "/crm/v3/associations/contacts/companies/batch/archive"
    body = inputs((CHARLES, ANALYTICAL), type="contact_to_company")
    assert len(pairs(Portal().write("POST", path, body, SCHEMA))) == 1
    change = answered(SCHEMA, ("POST", path, body), {"numErrors": 1}, 207)
    assert change.images == ()
    assert (COMPANY_CONTACT, (ANALYTICAL, CHARLES)) in marks(change)


def test_removed_labels_leave_the_pair_to_be_read():
    body = inputs((CHARLES, ANALYTICAL), types=DEFAULT)
    for path in (
        f"{V4}/contacts/companies/batch/labels/archive",
        "/crm/associations/2026-03/contacts/companies/batch/labels/archive",
    ):
        change = Portal().write("POST", path, body, SCHEMA)
        assert change.images == ()
        assert (COMPANY_CONTACT, (ANALYTICAL, CHARLES)) in marks(change)


def test_a_create_brings_its_associations_by_type_alone():
    body = {
        "properties": {"email": "new@example.com"},
        "associations": [
            {"to": {"id": ANALYTICAL}, "types": DEFAULT},
            {
                "to": {"id": ENGINE},
                "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 4}],
            },
        ],
    }
    change = Portal().write("POST", "/crm/v3/objects/contacts", body, SCHEMA)
    assert pairs(change) == [
        (COMPANY_CONTACT, (ANALYTICAL, "50000000008"), ImageKind.MERGE),
        (CONTACT_DEAL, ("50000000008", ENGINE), ImageKind.MERGE),
    ]
    assert change.images[0].key == ("50000000008",)
    assert change.unmapped == 0
    narrow = Portal().schema("contacts", "companies")
    change = Portal().write("POST", "/crm/v3/objects/contacts", body, narrow)
    assert len(pairs(change)) == 1
    assert change.unmapped == 1, "deals are not in this sync"


def created(*emails: str, traced: bool) -> dict[str, Any]:
    return {
        "inputs": [
            {
                "properties": {"email": email},
                "associations": [{"to": {"id": ANALYTICAL}, "types": DEFAULT}],
                **({"objectWriteTraceId": email} if traced else {}),
            }
            for email in emails
        ]
    }


def test_a_batch_create_brings_associations_where_the_trace_tells_whose():
    path = "/crm/v3/objects/contacts/batch/create"
    traced = created("a@example.com", "no email", "b@example.com", traced=True)
    change = Portal().write("POST", path, traced, SCHEMA)
    assert [key for _, key, _ in pairs(change)] == [
        (ANALYTICAL, "50000000008"),
        (ANALYTICAL, "50000000009"),
    ]
    alone = Portal().write("POST", path, created("a@example.com", traced=False), SCHEMA)
    assert len(pairs(alone)) == 1
    untold = created("a@example.com", "b@example.com", traced=False)
    change = Portal().write("POST", path, untold, SCHEMA)
    assert pairs(change) == []
    assert (COMPANY_CONTACT, None) in marks(change)


def test_pairs_that_the_sync_does_not_cover_are_counted():
    contacts = Portal().schema("contacts")
    calls = (
        ("PUT", f"/crm/v4/objects/contacts/{MARY}/associations/default/companies/1", None, 1),
        ("DELETE", f"/crm/v4/objects/contacts/{MARY}/associations/companies/1", None, 1),
        ("DELETE", f"/crm/v3/objects/contacts/{MARY}/associations/companies/1/279", None, 1),
        ("POST", f"{V4}/contacts/companies/batch/create", inputs(("1", "2"), ("1", "3")), 2),
        ("POST", f"{V4}/contacts/companies/batch/archive", inputs(("1", "2")), 1),
        ("POST", f"{V4}/contacts/companies/batch/labels/archive", inputs(("1", "2")), 1),
    )
    for method, path, body, count in calls:
        change = answered(contacts, (method, path, body), {})
        assert change == Change(unmapped=count)


def test_a_relabelled_pair_is_read_again():
    body = {"name": "boss", "label": "Boss"}
    change = Portal().write("POST", f"{V4}/contacts/companies/labels", body, SCHEMA)
    assert change.schema_changed
    assert marks(change) == {(COMPANY_CONTACT, None)}
