"""The simulator's index: quick answers are the same as slow ones, at any size."""

from __future__ import annotations

from typing import Any

import pytest
from hubspot_portal import CHARLES, GRACE, MARY, Portal

V3 = "/crm/v3/objects"
SEARCH = f"{V3}/contacts/search"
TRUE = {"propertyName": "hs_object_id", "operator": "HAS_PROPERTY"}
BY_ID = [{"propertyName": "hs_object_id", "direction": "ASCENDING"}]


def crowded(**switches: Any) -> Portal:
    """A portal in which much has happened to some dozens of contacts."""
    portal = Portal(**switches)
    inputs = [{"properties": {"email": f"p{n}@example.com"}} for n in range(40)]
    made = portal.call("POST", f"{V3}/contacts/batch/create", {"inputs": inputs})
    ids = [each["id"] for each in made["results"]]
    for number, record in enumerate(ids):
        path = f"{V3}/contacts/{record}"
        if number % 3 == 0:
            portal.call("PATCH", path, {"properties": {"lastname": f"L{number}"}})
        if number % 5 == 0:
            portal.call("DELETE", path)
        if number % 11 == 0:
            portal.call("POST", f"{V3}/contacts/gdpr-delete", {"objectId": record})
    body = {"primaryObjectId": ids[1], "objectIdToMerge": ids[2]}
    portal.call("POST", f"{V3}/contacts/merge", body)
    return portal


def found(portal: Portal, *filters: dict[str, Any], **more: Any) -> tuple[int, list[str]]:
    body = {"filterGroups": [{"filters": [*filters]}], "limit": 200, **more}
    portal.step = 0.0
    portal.now += 1.0
    answer = portal.call("POST", SEARCH, body)
    return answer["total"], [each["id"] for each in answer["results"]]


def modified(operator: str, value: float, high: float = 0.0) -> dict[str, Any]:
    return {
        "propertyName": "lastmodifieddate",
        "operator": operator,
        "value": str(round(value * 1000)),
        "highValue": str(round(high * 1000)),
    }


@pytest.mark.parametrize("operator", ["EQ", "LT", "LTE", "GT", "GTE", "BETWEEN"])
@pytest.mark.parametrize("lag", [0.0, 7.0])
def test_a_search_by_date_and_id_finds_what_any_search_finds(operator: str, lag: float):
    portal = crowded(search_lag=lag)
    middle = portal.now - 15.0
    date = modified(operator, middle, middle + 6.0)
    for beyond in ("0", MARY, "50000000030"):
        after = {"propertyName": "hs_object_id", "operator": "GT", "value": beyond}
        quick = found(portal, date, after, sorts=BY_ID)
        portal.now -= 1.0
        assert quick == found(portal, date, after, TRUE)
    anything = {"LT", "LTE", "GT", "GTE", "BETWEEN"}
    assert (found(portal, date)[0] > 0) == (operator in anything)


def test_a_search_for_everything_is_the_listing():
    portal = crowded()
    listed = portal.call("GET", f"{V3}/contacts?limit=100")["results"]
    total, ids = found(portal)
    assert (total, ids) == (len(listed), [each["id"] for each in listed])
    assert found(portal, TRUE) == (total, ids)


def test_what_came_and_went_is_listed_in_order_and_page_by_page():
    portal = crowded()
    everything = [
        each["id"] for each in portal.call("GET", f"{V3}/contacts?limit=100")["results"]
    ]
    assert everything == sorted(everything, key=int)
    pages, after = list[str](), ""
    while True:
        page = portal.call("GET", f"{V3}/contacts?limit=7{after}")
        pages += [each["id"] for each in page["results"]]
        if "paging" not in page:
            break
        after = f"&after={page['paging']['next']['after']}"
    assert pages == everything
    archived = portal.call("GET", f"{V3}/contacts?limit=100&archived=true")["results"]
    assert {each["id"] for each in archived}.isdisjoint(everything)
    assert all(each["archived"] for each in archived)


def test_a_state_that_was_loaded_has_an_index_of_its_own():
    portal, other = crowded(), Portal()
    before = found(other)
    other.sandbox.load(portal.sandbox.dump())
    other.now = portal.now
    assert found(other) != before
    assert found(other) == found(portal)


def test_a_type_that_is_made_anew_has_no_records_of_the_old_one():
    portal = Portal()
    car = {
        "name": "car",
        "labels": {"singular": "Car", "plural": "Cars"},
        "properties": [{"name": "plate", "label": "P", "type": "string", "fieldType": "text"}],
    }
    portal.call("POST", "/crm-object-schemas/v3/schemas", car)
    record = portal.call("POST", f"{V3}/car", {"properties": {"plate": "A 1"}})
    portal.call("DELETE", f"{V3}/car/{record['id']}")
    portal.call("DELETE", "/crm-object-schemas/v3/schemas/car")
    portal.call("POST", "/crm-object-schemas/v3/schemas", car)
    assert portal.call("GET", f"{V3}/car")["results"] == []


def test_an_index_that_lags_knows_a_record_as_it_was():
    portal = Portal(search_lag=60.0)
    began = portal.now
    portal.call("PATCH", f"{V3}/contacts/{GRACE}", {"properties": {"lastname": "Hopper"}})
    portal.now += 50.0
    portal.call("PATCH", f"{V3}/contacts/{GRACE}", {"properties": {"lastname": "Murray"}})
    portal.now += 20.0
    assert found(portal, modified("BETWEEN", began, began + 30.0)) == (1, [GRACE])
    assert found(portal, modified("GTE", began + 30.0)) == (0, [])


@pytest.mark.parametrize("lag", [0.0, 5.0])
def test_versions_do_not_pile_up(lag: float):
    portal = Portal(search_lag=lag)
    for turn in range(50):
        body = {"properties": {"lastname": f"L{turn}"}}
        portal.call("PATCH", f"{V3}/contacts/{GRACE}", body)
    versions = portal.sandbox.world.portals["48000001"].kinds["0-1"].records[GRACE].versions
    assert len(versions) <= lag + 2


def test_an_association_that_touches_its_records_is_found_by_search():
    portal = Portal(associations_touch_records=True)
    began = portal.now + 0.5
    path = f"/crm/v4/objects/0-1/{MARY}/associations/default/0-1/{CHARLES}"
    portal.call("PUT", path)
    assert found(portal, modified("GTE", began)) == (2, [CHARLES, MARY])


def test_archived_records_do_not_count_as_associated():
    portal = Portal()
    portal.call("DELETE", f"{V3}/contacts/{GRACE}")
    portal.call("PUT", f"/crm/v4/objects/0-1/{MARY}/associations/default/0-2/50000000002")
    shown = portal.call("GET", f"{V3}/companies/50000000002?properties=num_associated_contacts")
    assert shown["properties"]["num_associated_contacts"] == "1"
