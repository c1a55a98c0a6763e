"""The simulator's records, as its users meet them: shapes, omissions, refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hubspot_portal import ANALYTICAL, CHARLES, COMPILERS, ENGINE, GRACE, MARY, NOON, Portal

from providers.http import Headers, Request, headers
from providers.hubspot.sandbox.kit import OTHER_TOKEN, READ_ONLY_TOKEN, create

V3 = "/crm/v3/objects"


def names(record: dict[str, Any]) -> set[str]:
    return set(record["properties"])


def test_an_answer_to_a_write_holds_some_properties_and_all_are_strings():
    portal = Portal()
    body = {"properties": {"email": "a@b.co", "score": 17, "is_partner": True}}
    made = portal.call("POST", f"{V3}/contacts", body)
    assert made["properties"]["score"] == "17"
    assert made["properties"]["is_partner"] == "true"
    assert {"email", "createdate", "lastmodifieddate", "hs_object_id"} <= names(made)
    whole = portal.call("GET", f"{V3}/contacts/{made['id']}?properties=lifecyclestage")
    assert whole["properties"]["lifecyclestage"] == "lead"
    assert "lifecyclestage" not in names(made), "deliberately not everything"
    changed = portal.call(
        "PATCH", f"{V3}/contacts/{made['id']}", {"properties": {"phone": "1"}}
    )
    assert changed["properties"]["phone"] == "1"
    assert "score" not in names(changed)
    assert all(isinstance(v, str) for v in changed["properties"].values())
    full = Portal(full_answers=True).call("POST", f"{V3}/contacts", body)
    assert {"lifecyclestage", "score", "phone"} <= names(full)


def test_a_read_has_what_was_asked_for_and_null_for_what_is_empty():
    portal = Portal()
    found = portal.call(
        "GET", f"{V3}/contacts/{GRACE}?properties=score,phone&properties=company"
    )
    assert found["properties"]["score"] == "42"
    assert found["properties"]["phone"] is None
    assert "email" not in names(found)
    assert "email" in names(portal.call("GET", f"{V3}/contacts/{GRACE}"))
    by_email = portal.call("GET", f"{V3}/contacts/grace%40compilers.example?idProperty=email")
    assert by_email["id"] == GRACE


def test_a_read_shows_history_and_associations_if_asked():
    portal = Portal()
    portal.call("PATCH", f"{V3}/contacts/{GRACE}", {"properties": {"score": "43"}})
    found = portal.call("GET", f"{V3}/contacts/{GRACE}?propertiesWithHistory=score")
    assert [each["value"] for each in found["propertiesWithHistory"]["score"]] == ["43", "42"]
    found = portal.call("GET", f"{V3}/contacts/{CHARLES}?associations=companies,deals,tickets")
    assert found["associations"] == {
        "companies": {"results": [{"id": ANALYTICAL, "type": "contact_to_company"}]},
        "deals": {"results": [{"id": ENGINE, "type": "contact_to_deal"}]},
    }


def test_a_duplicate_email_is_a_conflict_that_names_the_other():
    portal = Portal()
    body = {"properties": {"email": "GRACE@compilers.example"}}
    status, said = portal.ask("POST", f"{V3}/contacts", body)
    assert status == 409
    assert said["message"] == f"Contact already exists. Existing ID: {GRACE}"
    assert (said["status"], said["category"]) == ("error", "CONFLICT")
    assert said["correlationId"]
    portal.call("DELETE", f"{V3}/contacts/{GRACE}")
    assert portal.ask("POST", f"{V3}/contacts", body)[0] == 201


def test_a_record_may_keep_its_own_unique_values():
    body = {"properties": {"email": "grace@compilers.example", "score": "1"}}
    assert Portal().call("PATCH", f"{V3}/contacts/{GRACE}", body)["properties"]["score"] == "1"


def test_another_unique_value_is_refused_with_its_holder():
    portal = Portal()
    for contact in (GRACE, MARY):
        body = {"properties": {"customer_number": "C-1"}}
        status, said = portal.ask("PATCH", f"{V3}/contacts/{contact}", body)
    assert status == 400
    assert f"{GRACE} already has that value" in said["message"]


@pytest.mark.parametrize(
    ("properties", "error"),
    [
        ({"nope": "x"}, "PROPERTY_DOESNT_EXIST"),
        ({"score": "much"}, "INVALID_NUMBER"),
        ({"score": "Infinity"}, "INVALID_NUMBER"),
        ({"email": "nobody"}, "INVALID_EMAIL"),
        ({"is_partner": "maybe"}, "INVALID_BOOLEAN"),
        ({"birthday": "2026-02-30"}, "INVALID_DATE"),
        ({"birthday": "1769851800123"}, "INVALID_DATE"),
        ({"next_call": "soon"}, "INVALID_LONG"),
        ({"hs_lead_status": "ODD"}, "INVALID_OPTION"),
        ({"hs_buying_role": "CHAMPION;ODD"}, "INVALID_OPTION"),
        ({"createdate": "1769851800123"}, "READ_ONLY_VALUE"),
    ],
)
def test_a_wrong_value_is_refused_in_hubspots_words(properties: Any, error: str):
    portal = Portal()
    before = portal.call("GET", f"{V3}/contacts/{MARY}")
    body = {"properties": {"firstname": "Changed", **properties}}
    status, said = portal.ask("PATCH", f"{V3}/contacts/{MARY}", body)
    assert (status, said["category"]) == (400, "VALIDATION_ERROR")
    assert said["message"].startswith("Property values were not valid: [{")
    listed = json.loads(said["message"].partition(": ")[2])
    assert [(p["isValid"], p["error"]) for p in listed] == [(False, error)]
    assert said["errors"][0]["context"]["propertyName"] == list(properties)
    assert portal.call("GET", f"{V3}/contacts/{MARY}") == before


def test_moments_and_dates_are_taken_in_both_spellings():
    portal = Portal()
    given = {"next_call": "1769851800000", "birthday": "1769817600000"}
    found = portal.call("PATCH", f"{V3}/contacts/{MARY}", {"properties": given})["properties"]
    assert (found["next_call"], found["birthday"]) == ("2026-01-31T09:30:00Z", "2026-01-31")


@pytest.mark.parametrize("forward_only", [True, False])
def test_a_lifecycle_stage_moves_forward_only(forward_only: bool):
    portal = Portal(lifecycle_stage_only_forward=forward_only)
    for stage in ("customer", "lead"):
        body = {"properties": {"lifecyclestage": stage}}
        found = portal.call("PATCH", f"{V3}/contacts/{MARY}", body)
    assert found["properties"]["lifecyclestage"] == ("customer" if forward_only else "lead")


def test_an_archive_is_empty_and_may_be_repeated():
    portal = Portal()
    for _ in range(2):
        assert portal.ask("DELETE", f"{V3}/contacts/{MARY}") == (204, None)
    assert portal.ask("GET", f"{V3}/contacts/{MARY}")[0] == 404
    assert portal.ask("PATCH", f"{V3}/contacts/{MARY}", {"properties": {}})[0] == 404
    found = portal.call("GET", f"{V3}/contacts/{MARY}?archived=True")
    assert found["archived"] is True
    assert found["archivedAt"].endswith("Z")
    (listed,) = portal.call("GET", f"{V3}/contacts?archived=true")["results"]
    assert listed["id"] == MARY
    assert MARY not in [r["id"] for r in portal.call("GET", f"{V3}/contacts")["results"]]


@pytest.mark.parametrize("missing_is_204", [True, False])
def test_archiving_what_never_was(missing_is_204: bool):
    portal = Portal(missing_archive_is_204=missing_is_204)
    expected = 204 if missing_is_204 else 404
    assert portal.ask("DELETE", f"{V3}/contacts/404")[0] == expected


def test_a_list_is_paged_by_after_with_a_link_of_the_other_host():
    portal = Portal()
    found, after = [], ""
    for turn in range(3):
        page = portal.call("GET", f"{V3}/contacts?limit=1&properties=email{after}")
        found += [r["id"] for r in page["results"]]
        if turn < 2:
            following = page["paging"]["next"]
            link = following["link"]
            assert link.startswith("https://api.hubspot.com/crm/objects/v3/contacts?limit=1")
            assert f"after={following['after']}" in link
            after = f"&after={following['after']}"
    assert "paging" not in page
    assert found == [CHARLES, GRACE, MARY]
    for query in (
        "limit=101",
        "limit=0",
        "limit=x",
        "after=x",
        "limit=51&propertiesWithHistory=a",
    ):
        assert portal.ask("GET", f"{V3}/contacts?{query}")[0] == 400, query


def test_a_merge_makes_a_new_record_and_old_ids_lead_to_it():
    portal = Portal()
    body = {"primaryObjectId": GRACE, "objectIdToMerge": CHARLES}
    merged = portal.call("POST", f"{V3}/contacts/merge", body)
    assert merged["id"] not in (GRACE, CHARLES)
    assert "hs_merged_object_ids" not in merged["properties"], "an answer is not everything"
    for old in (GRACE, CHARLES, merged["id"]):
        target = f"{V3}/contacts/{old}?properties=firstname,lastname,hs_merged_object_ids"
        found = portal.call("GET", target)
        assert found["id"] == merged["id"]
    assert found["properties"]["firstname"] == "Grace", "the primary's values win"
    assert found["properties"]["lastname"] == "Babbage", "the other's fill in"
    assert found["properties"]["hs_merged_object_ids"] == f"{GRACE};{CHARLES}"
    listed = portal.call("GET", f"{V3}/contacts")["results"]
    assert {r["id"] for r in listed} == {MARY, merged["id"]}
    linked = portal.call("GET", f"{V3}/contacts/{merged['id']}/associations/companies")
    assert {each["id"] for each in linked["results"]} == {ANALYTICAL, "50000000002"}
    assert portal.call("GET", f"{V3}/contacts?archived=true")["results"] == []
    kept = Portal(merge_makes_new_id=False)
    assert kept.call("POST", f"{V3}/contacts/merge", body)["id"] == GRACE
    same = {"primaryObjectId": MARY, "objectIdToMerge": MARY}
    assert portal.ask("POST", f"{V3}/contacts/merge", same)[0] == 400


def test_a_merge_takes_along_what_nobody_sees_and_no_link_to_itself():
    portal = Portal()
    new = {"name": "old", "label": "Old", "type": "string", "fieldType": "text"}
    portal.call("POST", "/crm/v3/properties/contacts", new)
    portal.call("PATCH", f"{V3}/contacts/{MARY}", {"properties": {"old": "x"}})
    portal.call("DELETE", "/crm/v3/properties/contacts/old")
    between = f"/crm/v4/objects/contacts/{GRACE}/associations"
    portal.call("PUT", f"{between}/default/contacts/{MARY}")
    body = {"primaryObjectId": GRACE, "objectIdToMerge": MARY}
    merged = portal.call("POST", f"{V3}/contacts/merge", body)["id"]
    path = f"/crm/v4/objects/contacts/{merged}/associations/contacts"
    assert portal.call("GET", path)["results"] == []
    company = f"/crm/v4/objects/companies/{COMPILERS}/associations/contacts"
    linked = portal.call("GET", company)["results"]
    assert [str(each["toObjectId"]) for each in linked] == [merged]


@pytest.mark.parametrize("listed", [False, True])
def test_what_is_deleted_for_good_is_gone(listed: bool):
    portal = Portal(removed_in_archived_lists=listed)
    body = {"objectId": "mary@engines.example", "idProperty": "email"}
    assert portal.ask("POST", f"{V3}/contacts/gdpr-delete", body) == (204, None)
    assert portal.ask("POST", f"{V3}/contacts/gdpr-delete", body) == (204, None)
    assert portal.ask("GET", f"{V3}/contacts/{MARY}?archived=true")[0] == 404
    found = portal.call("GET", f"{V3}/contacts?archived=true")["results"]
    assert [r["id"] for r in found] == ([MARY] if listed else [])


@pytest.mark.parametrize(
    ("token", "method", "target", "scope"),
    [
        (READ_ONLY_TOKEN, "POST", f"{V3}/contacts", "crm.objects.contacts.write"),
        (READ_ONLY_TOKEN, "GET", f"{V3}/deals", "crm.objects.deals.read"),
        (READ_ONLY_TOKEN, "POST", "/crm/v3/properties/contacts", "crm.schemas.contacts.write"),
        (READ_ONLY_TOKEN, "GET", "/crm-object-schemas/v3/schemas", "crm.schemas.custom.read"),
    ],
)
def test_a_missing_scope_is_named(token: str, method: str, target: str, scope: str):
    status, said = Portal(token=token).ask(method, target, {"properties": {}})
    assert (status, said["category"]) == (403, "MISSING_SCOPES")
    assert said["errors"][0]["context"]["requiredGranularScopes"] == [scope]


@pytest.mark.parametrize("credential", ["", "Bearer nobody", "Basic abc", "Bearer"])
def test_without_a_good_token_nothing_is_answered(credential: str):
    sandbox = create()
    before = sandbox.dump()
    bare = Request("GET", "api.hubapi.com", f"{V3}/contacts")
    request = Request(bare.method, bare.host, bare.target, _with(credential))
    answer = sandbox.handle(request, NOON)
    assert answer.status == 401
    assert json.loads(answer.body)["category"] == "INVALID_AUTHENTICATION"
    assert sandbox.dump() == before


def _with(credential: str) -> Headers:
    return headers(("Authorization", credential)) if credential else headers()


def test_another_portal_has_records_of_its_own():
    portal = Portal()
    portal.token = OTHER_TOKEN
    assert portal.call("GET", f"{V3}/contacts")["results"] == []
    made = portal.call("POST", f"{V3}/contacts", {"properties": {"email": "a@b.co"}})
    portal.token = Portal().token
    assert made["id"] not in {r["id"] for r in portal.call("GET", f"{V3}/contacts")["results"]}
    assert portal.call("GET", "/account-info/v3/details")["portalId"] == 48_000_001


def test_a_saved_portal_goes_on_where_it_was():
    portal = Portal()
    body = {"primaryObjectId": GRACE, "objectIdToMerge": MARY}
    merged = portal.call("POST", f"{V3}/contacts/merge", body)["id"]
    portal.call("DELETE", f"{V3}/deals/{ENGINE}")
    other = Portal()
    other.sandbox.load(json.loads(json.dumps(portal.sandbox.dump())))
    assert other.sandbox.dump() == portal.sandbox.dump()
    assert other.call("GET", f"{V3}/contacts/{MARY}")["id"] == merged
    made = other.call("POST", f"{V3}/contacts", {"properties": {"email": "n@e.co"}})
    assert int(made["id"]) == int(merged) + 1


def test_what_the_simulator_does_not_know_is_not_found_in_json():
    for target in ("/crm/v3/imports", "/", "/crm/v3/objects"):
        status, said = Portal().ask("GET", target)
        assert (status, said["category"]) == (404, "OBJECT_NOT_FOUND")
    status, said = Portal().ask("GET", f"{V3}/spaceships")
    assert (status, said["message"]) == (400, "Unable to infer object type from: spaceships")
    for body in (b"{", b"\xff", b"[]", b"null", b""):
        assert Portal().ask("POST", f"{V3}/contacts", body)[0] == 400
