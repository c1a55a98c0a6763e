"""HubSpot's route table: every family, every spelling, nothing by accident."""

from __future__ import annotations

import pytest
from hubspot_portal import HOST, ROUTER, route
from hypothesis import given
from hypothesis import strategies as st

from providers.hubspot.routes import ROUTES
from providers.spec import Action

OBJECTS = (
    "/crm/v3/objects",
    "/crm/objects/v3",
    "/crm/objects/2025-09",
    "/crm/objects/2026-03",
    "/crm/objects/2026-09-beta",
)
LABELLED = ("/crm/v4/associations", "/crm/associations/2026-03")

# Section 2 of the reference, below any of the families: what each call does.
OBJECT_CALLS = (
    ("GET", "/contacts", Action.READ, "list records"),
    ("GET", "/contacts/512", Action.READ, "read record"),
    ("GET", "/contacts/a%40b.co", Action.READ, "read record"),
    ("POST", "/0-1", Action.WRITE, "create record"),
    ("PATCH", "/contact/512", Action.WRITE, "update record"),
    ("DELETE", "/2-123456/512", Action.WRITE, "archive record"),
    ("POST", "/p48000001_car/batch/create", Action.WRITE, "batch create records"),
    ("POST", "/deals/batch/update", Action.WRITE, "batch update records"),
    ("POST", "/contacts/batch/upsert", Action.WRITE, "batch upsert records"),
    ("POST", "/contacts/batch/archive", Action.WRITE, "batch archive records"),
    ("POST", "/contacts/batch/read", Action.READ, "batch read records"),
    ("POST", "/contacts/search", Action.READ, "search records"),
    ("POST", "/contacts/merge", Action.WRITE, "merge records"),
    ("POST", "/contacts/gdpr-delete", Action.WRITE, "delete record for GDPR"),
    ("PUT", "/contacts/1/associations/deals/2/4", Action.WRITE, "associate by type"),
    ("DELETE", "/contacts/1/associations/deals/2/4", Action.WRITE, "dissociate by type"),
    ("GET", "/contacts/1/associations/deals", Action.READ, "list associated"),
)
PAIR_CALLS = (
    ("POST", "/contacts/deals/batch/create", Action.WRITE, "batch associate"),
    ("POST", "/contacts/deals/batch/archive", Action.WRITE, "batch dissociate"),
    ("POST", "/contacts/deals/batch/read", Action.READ, "batch read associations"),
)
LABELLED_CALLS = (
    *PAIR_CALLS,
    ("POST", "/a/b/batch/associate/default", Action.WRITE, "batch associate by default"),
    ("POST", "/a/b/batch/labels/archive", Action.WRITE, "batch remove labels"),
    ("GET", "/a/b/labels", Action.READ, "list labels"),
    ("POST", "/a/b/labels", Action.EFFECT, "create label"),
    ("PUT", "/a/b/labels", Action.EFFECT, "update label"),
    ("DELETE", "/a/b/labels/7", Action.EFFECT, "delete label"),
    ("GET", "/definitions/configurations/all", Action.READ, "list all association limits"),
    ("GET", "/definitions/configurations/a/b", Action.READ, "list association limits"),
)
OTHER_CALLS = (
    ("GET", "/crm/v3/properties/contacts", Action.READ),
    ("POST", "/crm/v3/properties/contacts", Action.EFFECT),
    ("PATCH", "/crm/properties/2026-03/contacts/email", Action.EFFECT),
    ("DELETE", "/crm/v3/properties/contacts/score", Action.EFFECT),
    ("POST", "/crm/v3/properties/contacts/batch/create", Action.EFFECT),
    ("POST", "/crm/v3/properties/contacts/batch/read", Action.READ),
    ("POST", "/crm/v3/properties/contacts/batch/archive", Action.EFFECT),
    ("POST", "/crm/v3/properties/contacts/groups", Action.EFFECT),
    ("GET", "/crm/v3/pipelines/deals", Action.READ),
    ("PUT", "/crm/v3/pipelines/deals/1/stages/2", Action.EFFECT),
    ("GET", "/crm/v3/owners/", Action.READ),
    ("GET", "/crm/owners/2026-03/17", Action.READ),
    ("GET", "/crm-object-schemas/v3/schemas", Action.READ),
    ("POST", "/crm-object-schemas/2026-03/schemas", Action.EFFECT),
    ("PATCH", "/crm-object-schemas/v3/schemas/car", Action.EFFECT),
    ("DELETE", "/crm-object-schemas/v3/schemas/car", Action.EFFECT),
    ("POST", "/crm-object-schemas/v3/schemas/car/associations", Action.EFFECT),
    ("POST", "/crm/v3/lists/", Action.EFFECT),
    ("POST", "/crm/v3/lists/search", Action.READ),
    ("GET", "/crm/v3/lists/object-type-id/0-1/name/VIPs", Action.READ),
    ("PUT", "/crm/v3/lists/5/memberships/add-and-remove", Action.EFFECT),
    ("DELETE", "/crm/v3/lists/5/memberships", Action.EFFECT),
    ("GET", "/oauth/v1/access-tokens/CKzy", Action.READ),
    ("POST", "/oauth/v2/private-apps/get/access-token-info", Action.READ),
    ("GET", "/account-info/v3/details", Action.READ),
    ("POST", "/contacts/v1/contact", Action.EFFECT),
    ("GET", "/contacts/v1/contact/vid/1/profile", Action.READ),
    ("PUT", "/companies/v2/companies/3", Action.EFFECT),
    ("POST", "/deals/v1/deal", Action.EFFECT),
    ("PATCH", "/engagements/v1/engagements/9", Action.EFFECT),
    ("PUT", "/crm-associations/v1/associations", Action.EFFECT),
)


@pytest.mark.parametrize("prefix", OBJECTS)
def test_records_are_written_alike_under_every_prefix(prefix: str):
    for method, path, action, name in OBJECT_CALLS:
        found = route(method, prefix + path).route
        assert (found.action, found.name.partition(" (")[0]) == (action, name)


@pytest.mark.parametrize(
    "prefix", ["/crm/v4/objects", "/crm/objects/2026-03", "/crm/objects/v3"]
)
def test_labelled_associations_hang_below_a_record(prefix: str):
    for method, path, name in (
        ("PUT", "/contacts/1/associations/default/companies/2", "associate by default"),
        ("PUT", "/contacts/1/associations/companies/2", "associate with labels"),
        ("DELETE", "/contacts/1/associations/companies/2", "dissociate"),
    ):
        match = route(method, prefix + path)
        assert match.route.name.partition(" (")[0] == name
        assert {k: match.variables[k] for k in ("from", "from_id", "to", "to_id")} == {
            "from": "contacts",
            "from_id": "1",
            "to": "companies",
            "to_id": "2",
        }


def test_associations_in_batches_are_there_in_every_version():
    families = {"/crm/v3/associations": PAIR_CALLS, **dict.fromkeys(LABELLED, LABELLED_CALLS)}
    for prefix, calls in families.items():
        for method, path, action, name in calls:
            found = route(method, prefix + path).route
            assert (found.action, found.name.partition(" (")[0]) == (action, name)


@pytest.mark.parametrize(("method", "path", "action"), OTHER_CALLS)
def test_the_other_families_read_or_have_effects(method: str, path: str, action: Action):
    assert route(method, path).route.action is action


def test_a_search_spends_the_searches_budget_and_nothing_else_does():
    spenders = {r.path.rpartition("/")[2] for r in ROUTES if r.budget == "search"}
    assert spenders == {"search"}
    assert all(route("POST", f"{p}/contacts/search").route.budget == "search" for p in OBJECTS)
    assert route("GET", "/crm/v3/objects/contacts").route.budget == "standard"


def test_a_literal_segment_is_no_record_id_and_a_record_may_be_named_like_one():
    assert route("POST", "/crm/v3/objects/deals/splits/batch/read").route.action is Action.READ
    match = route("PATCH", "/crm/v3/objects/deals/search")
    assert match.variables == {"type": "deals", "id": "search"}


def test_an_encoded_slash_stays_in_its_segment():
    match = route("GET", "/crm/v3/objects/contacts/a%2Fb")
    assert match.variables["id"] == "a/b"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/crm/v3/objects/contacts/1"),
        ("POST", "/crm/v3/objects/contacts/1"),
        ("GET", "/crm/v3"),
        ("POST", "/crm/v5/objects/contacts"),
        ("POST", "/crm/v3/imports"),
        ("GET", "/"),
        ("POST", "/crm/v4/objects/contacts"),
    ],
)
def test_what_is_not_in_the_table_has_no_route(method: str, path: str):
    assert ROUTER.match(method, HOST, path) is None


@given(
    st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "", "get", "\0"]),
    st.one_of(
        st.text(),
        st.lists(
            st.sampled_from(
                (
                    *("crm", "v3", "v4", "objects", "associations", "{type}", "..", "%2F", "%"),
                    *("batch", "search", "contacts", "", "é", "2026-03", "\n", "*"),
                    *("%ff", "{rest...}"),
                )
            )
        ).map(lambda parts: "/" + "/".join(parts)),
    ),
)
def test_no_path_raises(method: str, path: str):
    found = ROUTER.match(method, HOST, path)
    assert found is None or found.route.method == method
