"""The simulator's batches, search, limits and definitions."""

from __future__ import annotations

from typing import Any

import pytest
from hubspot_portal import (
    CHARLES,
    COMPILERS,
    ENGINE,
    GRACE,
    MARY,
    NOON,
    Portal,
)

from providers.http import Request
from providers.hubspot.sandbox.kit import OAUTH_TOKEN, OTHER_TOKEN

V3 = "/crm/v3/objects"
BATCH = f"{V3}/contacts/batch"


def person(email: str, **more: Any) -> dict[str, Any]:
    return {"properties": {"email": email}, **more}


def test_without_traces_one_bad_input_fails_them_all():
    portal = Portal()
    for bad, status in ((person("no email"), 400), (person("grace@compilers.example"), 409)):
        answer = portal.ask("POST", f"{BATCH}/create", {"inputs": [person("a@b.co"), bad]})
        assert answer[0] == status
    assert len(portal.call("GET", f"{V3}/contacts")["results"]) == 3


def test_with_traces_the_answer_is_207_and_lists_both():
    inputs = [
        person("a@b.co", objectWriteTraceId="1"),
        person("no email", objectWriteTraceId="2"),
    ]
    status, body = Portal().ask("POST", f"{BATCH}/create", {"inputs": inputs})
    assert (status, body["status"], body["numErrors"]) == (207, "COMPLETE", 1)
    (result,), (error,) = body["results"], body["errors"]
    assert result["objectWriteTraceId"] == "1"
    assert error["context"]["objectWriteTraceId"] == ["2"]
    assert (error["status"], error["category"]) == ("error", "VALIDATION_ERROR")


@pytest.mark.parametrize(("dated", "expected"), [(201, 201), (200, 200)])
def test_a_batch_create_of_a_dated_version_answers_either_way(dated: int, expected: int):
    portal = Portal(dated_batch_create_status=dated)
    path = "/crm/objects/2026-03/contacts/batch/create"
    assert portal.ask("POST", path, {"inputs": [person("a@b.co")]})[0] == expected
    assert portal.ask("POST", f"{BATCH}/create", {"inputs": [person("b@b.co")]})[0] == 201


@pytest.mark.parametrize("inputs", [[], [person("a@b.co")] * 101, "x", [1], None])
def test_a_batch_holds_one_to_a_hundred_objects(inputs: Any):
    for action in ("create", "update", "upsert", "archive", "read"):
        assert Portal().ask("POST", f"{BATCH}/{action}", {"inputs": inputs})[0] == 400


def test_two_inputs_may_not_claim_one_unique_value():
    portal = Portal()
    inputs = [person("a@b.co"), person("A@b.co")]
    assert portal.ask("POST", f"{BATCH}/create", {"inputs": inputs})[0] == 400


def test_updates_upserts_and_archives():
    portal = Portal()
    inputs: list[Any] = [
        {"id": GRACE, "properties": {"score": "1"}},
        {"id": "mary@engines.example", "idProperty": "email", "properties": {"score": "2"}},
    ]
    done = portal.call("POST", f"{BATCH}/update", {"inputs": inputs})
    assert [(r["id"], r["properties"]["score"]) for r in done["results"]] == [
        (GRACE, "1"),
        (MARY, "2"),
    ]
    inputs = [
        {"id": "C-1", "idProperty": "customer_number", "properties": {"score": "3"}},
        {"id": "mary@engines.example", "idProperty": "email", "properties": {"score": "4"}},
    ]
    done = portal.call("POST", f"{BATCH}/upsert", {"inputs": inputs})
    assert [r["new"] for r in done["results"]] == [True, False]
    made = done["results"][0]["id"]
    found = portal.call("GET", f"{V3}/contacts/C-1?idProperty=customer_number")
    assert found["id"] == made
    missing = {"inputs": [{"id": "404", "properties": {}}]}
    assert portal.ask("POST", f"{BATCH}/update", missing)[0] == 404
    unnamed = {"inputs": [{"id": "x", "properties": {}}]}
    assert portal.ask("POST", f"{BATCH}/upsert", unnamed)[0] == 400
    not_unique = {"inputs": [{"id": "x", "idProperty": "firstname", "properties": {}}]}
    assert portal.ask("POST", f"{BATCH}/upsert", not_unique)[0] == 400
    gone = {"inputs": [{"id": GRACE}, {"id": "404"}]}
    assert portal.ask("POST", f"{BATCH}/archive", gone) == (204, None)
    assert portal.ask("GET", f"{V3}/contacts/{GRACE}")[0] == 404


def test_a_batch_read_lists_whom_it_did_not_find():
    portal = Portal()
    body = {"properties": ["score"], "inputs": [{"id": GRACE}, {"id": "404"}]}
    status, found = portal.ask("POST", f"{BATCH}/read", body)
    assert status == 207
    assert [r["id"] for r in found["results"]] == [GRACE]
    assert found["errors"][0]["context"] == {"ids": ["404"]}
    by_email = {"idProperty": "email", "inputs": [{"id": "grace@compilers.example"}]}
    assert portal.ask("POST", f"{BATCH}/read", by_email)[0] == 200


# --- search -----------------------------------------------------------------------------


def found(portal: Portal, **body: Any) -> list[str]:
    results = portal.call("POST", f"{V3}/contacts/search", body)["results"]
    return [each["id"] for each in results]


def where(name: str, operator: str, **more: Any) -> dict[str, Any]:
    filters = [{"propertyName": name, "operator": operator, **more}]
    return {"filterGroups": [{"filters": filters}]}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (where("firstname", "EQ", value="GRACE"), [GRACE]),
        (where("firstname", "NEQ", value="Grace"), [CHARLES, MARY]),
        (where("score", "GT", value="5"), [GRACE]),
        (where("score", "GTE", value="42.0"), [GRACE]),
        (where("score", "LT", value="42"), []),
        (where("score", "LTE", value="100"), [GRACE]),
        (where("score", "BETWEEN", value="9", highValue="100"), [GRACE]),
        (where("firstname", "IN", values=["mary", "grace"]), [GRACE, MARY]),
        (where("firstname", "NOT_IN", values=["mary"]), [CHARLES, GRACE]),
        (where("lastname", "HAS_PROPERTY"), [CHARLES]),
        (where("lastname", "NOT_HAS_PROPERTY"), [GRACE, MARY]),
        (where("email", "CONTAINS_TOKEN", value="*engines.example"), [CHARLES, MARY]),
        (where("email", "CONTAINS_TOKEN", value="grace"), [GRACE]),
        (where("email", "NOT_CONTAINS_TOKEN", value="engines"), [GRACE]),
        (where("createdate", "GTE", value="1767225600000"), [CHARLES, GRACE, MARY]),
        (where("createdate", "GT", value="1767225600000"), []),
        (where("associations.company", "EQ", value=COMPILERS), [GRACE]),
        ({"query": "engines"}, [CHARLES, MARY]),
        ({}, [CHARLES, GRACE, MARY]),
        (
            {
                "filterGroups": [
                    *where("firstname", "EQ", value="Mary")["filterGroups"],
                    *where("score", "HAS_PROPERTY")["filterGroups"],
                ]
            },
            [GRACE, MARY],
        ),
    ],
)
def test_search_filters(filters: dict[str, Any], expected: list[str]):
    assert found(Portal(), **filters) == expected


def test_search_sorts_pages_and_counts():
    portal = Portal()
    down = [{"propertyName": "email", "direction": "DESCENDING"}]
    assert found(portal, sorts=down) == [MARY, GRACE, CHARLES]
    assert found(portal, sorts=["-hs_object_id"]) == [MARY, GRACE, CHARLES]
    assert found(portal, sorts=["score"])[0] == GRACE, "who lacks the value comes last"
    page = portal.call("POST", f"{V3}/contacts/search", {"limit": 2})
    assert (page["total"], page["paging"]["next"]["after"]) == (3, "2")
    assert found(portal, limit=2, after="2") == [MARY]


@pytest.mark.parametrize(
    "body",
    [
        {"limit": 201},
        {"limit": 0},
        {"after": "x"},
        {"after": "9990", "limit": 100},
        {"sorts": ["email", "score"]},
        {"sorts": ["nope"]},
        {"query": "x" * 3000},
        where("nope", "EQ", value="1"),
        where("score", "LIKE", value="1"),
        where("score", ["EQ"], value="1"),  # type: ignore[arg-type]  # a hostile body
        {"filterGroups": [{}]},
        {"filterGroups": [{"filters": []}] * 6},
        {
            "filterGroups": [
                {"filters": [*where("score", "HAS_PROPERTY")["filterGroups"][0]["filters"] * 7]}
            ]
        },
    ],
)
def test_search_refuses_what_is_over_its_limits(body: dict[str, Any]):
    assert Portal().ask("POST", f"{V3}/contacts/search", body)[0] == 400


def test_the_index_lags_behind_and_forgets_the_archived():
    portal = Portal(search_lag=30.0)
    mary = where("firstname", "EQ", value="Mary")
    portal.call("PATCH", f"{V3}/contacts/{MARY}", {"properties": {"firstname": "Ann"}})
    before = portal.call("POST", f"{V3}/contacts/search", mary)["results"][0]
    assert before["properties"]["firstname"] == "Mary"
    assert before["updatedAt"] == "2026-01-01T00:00:00.000Z"
    portal.now += 30.0
    assert found(portal, **mary) == []
    portal.call("DELETE", f"{V3}/contacts/{MARY}")
    assert MARY in found(portal)
    portal.now += 30.0
    assert MARY not in found(portal)


# --- limits -----------------------------------------------------------------------------


def test_the_rolling_limit_is_told_in_headers_and_refused_with_its_policy():
    portal = Portal(requests_per_ten_seconds=3)
    portal.step = 1.0
    left = []
    for _ in range(3):
        answer = portal.send(Request("GET", "api.hubapi.com", f"{V3}/contacts"))
        left.append(answer.headers["X-HubSpot-RateLimit-Remaining"])
    assert left == ["2", "1", "0"]
    status, said = portal.ask("GET", f"{V3}/contacts")
    assert (status, said["policyName"]) == (429, "TEN_SECONDLY_ROLLING")
    assert said["message"] == "You have reached your ten_secondly_rolling limit."
    assert said["errorType"] == "RATE_LIMIT"
    portal.now += 7.0
    assert portal.ask("GET", f"{V3}/contacts")[0] == 200, "the first has left the window"
    portal.token = OAUTH_TOKEN
    answer = portal.send(Request("GET", "api.hubapi.com", f"{V3}/contacts"))
    assert answer.status == 200, "another app has a limit of its own"
    assert "X-HubSpot-RateLimit-Daily" not in answer.headers


def test_searches_have_a_limit_of_their_own_per_portal():
    portal = Portal(requests_per_ten_seconds=1)
    portal.step = 0.0
    portal.now = NOON
    for _ in range(5):
        answer = portal.send(
            Request("POST", "api.hubapi.com", f"{V3}/contacts/search", body=b"{}")
        )
        assert answer.status == 200
        assert not [n for n in answer.headers if n.startswith("X-HubSpot-RateLimit")]
    portal.call("POST", "/crm/v3/lists/search", {})  # no search of records
    portal.token = OAUTH_TOKEN
    status, said = portal.ask("POST", f"{V3}/contacts/search", {})
    assert (status, said["policyName"]) == (429, "SECONDLY")
    portal.token = OTHER_TOKEN
    assert portal.ask("POST", f"{V3}/contacts/search", {})[0] == 200


def test_the_daily_limit_ends_with_the_day():
    portal = Portal(requests_per_day=2)
    for _ in range(2):
        portal.call("GET", f"{V3}/contacts")
    status, said = portal.ask("GET", f"{V3}/contacts")
    assert (status, said["policyName"]) == (429, "DAILY")
    portal.now += 86_400.0
    portal.call("GET", f"{V3}/contacts")


# --- definitions ------------------------------------------------------------------------


def test_properties_are_made_changed_and_archived():
    portal = Portal()
    path = "/crm/v3/properties/contacts"
    new = {"name": "size", "label": "Size", "type": "number", "fieldType": "number"}
    assert portal.ask("POST", path, new)[0] == 201
    assert portal.ask("POST", path, new)[0] == 409
    portal.call("PATCH", f"{path}/size", {"label": "Sizes"})
    assert portal.call("GET", f"{path}/size")["label"] == "Sizes"
    portal.call("PATCH", f"{V3}/contacts/{MARY}", {"properties": {"size": "5"}})
    assert portal.ask("DELETE", f"{path}/size") == (204, None)
    assert portal.ask("GET", f"{path}/size")[0] == 404
    assert "size" in [p["name"] for p in portal.call("GET", f"{path}?archived=true")["results"]]
    assert portal.ask("PATCH", f"{V3}/contacts/{MARY}", {"properties": {"size": "5"}})[0] == 400
    assert portal.ask("DELETE", f"{path}/email")[0] == 400, "HubSpot's own cannot be archived"
    both = {"inputs": [{**new, "name": n} for n in ("one", "two")]}
    assert len(portal.call("POST", f"{path}/batch/create", both)["results"]) == 2
    asked = {"archived": False, "inputs": [{"name": "one"}, {"name": "nope"}]}
    status, read = portal.ask("POST", f"{path}/batch/read", asked)
    assert (status, [p["name"] for p in read["results"]]) == (207, ["one"])
    assert portal.ask("POST", f"{path}/batch/archive", {"inputs": [{"name": "one"}]})[0] == 204


def test_pipelines_groups_lists_and_owners_are_kept():
    portal = Portal()
    deals = "/crm/v3/pipelines/deals"
    body = {"label": "New", "displayOrder": 1, "stages": [{"label": "S", "displayOrder": 0}]}
    made = portal.call("POST", deals, body)
    path = f"{deals}/{made['id']}"
    assert len(portal.call("GET", deals)["results"]) == 2
    stage = portal.call("POST", f"{path}/stages", {"label": "T", "displayOrder": 1})
    portal.call("PATCH", f"{path}/stages/{stage['id']}", {"label": "U"})
    assert [s["label"] for s in portal.call("GET", f"{path}/stages")["results"]] == ["S", "U"]
    assert portal.ask("DELETE", f"{path}/stages/{stage['id']}")[0] == 204
    assert portal.call("PUT", path, {**body, "label": "Other"})["label"] == "Other"
    assert portal.ask("DELETE", path)[0] == 204
    group = {"name": "g", "label": "G"}
    assert portal.ask("POST", "/crm/v3/properties/deals/groups", group)[0] == 201
    assert portal.ask("DELETE", "/crm/v3/properties/deals/groups/g")[0] == 204
    owners = portal.call("GET", "/crm/v3/owners")["results"]
    assert len(owners) == 2
    (archived,) = portal.call("GET", "/crm/v3/owners?archived=true")["results"]
    assert archived["archived"] is True
    new = {"name": "VIPs", "objectTypeId": "0-1", "processingType": "MANUAL"}
    made = portal.call("POST", "/crm/v3/lists", new)["list"]
    members = f"/crm/v3/lists/{made['listId']}/memberships"
    changed = portal.call("PUT", f"{members}/add", [GRACE, MARY, "404"])
    assert (changed["recordsIdsAdded"], changed["recordIdsMissing"]) == ([GRACE, MARY], ["404"])
    body = {"recordIdsToAdd": [CHARLES], "recordIdsToRemove": [GRACE]}
    portal.call("PUT", f"{members}/add-and-remove", body)
    listed = portal.call("GET", members)["results"]
    assert {each["recordId"] for each in listed} == {MARY, CHARLES}
    assert portal.call("GET", f"/crm/v3/lists/{made['listId']}")["list"]["size"] == 2


def test_legacy_calls_have_legacy_shapes():
    portal = Portal()
    new = {"properties": [{"property": "email", "value": "old@example.com"}]}
    made = portal.call("POST", "/contacts/v1/contact", new)
    assert made["properties"]["email"]["value"] == "old@example.com"
    path = f"/contacts/v1/contact/vid/{made['vid']}"
    changed = {"properties": [{"property": "firstname", "value": "Old"}]}
    assert portal.ask("POST", f"{path}/profile", changed) == (204, None)
    assert (
        portal.call("GET", f"{V3}/contacts/{made['vid']}")["properties"]["firstname"] == "Old"
    )
    assert portal.call("DELETE", path)["deleted"] is True
    deal = {"properties": [{"name": "dealname", "value": "D"}]}
    assert portal.call("PUT", f"/deals/v1/deal/{ENGINE}", deal)["dealId"] == int(ENGINE)
