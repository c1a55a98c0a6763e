"""Records created since a time, for the creates whose answer was lost."""

from __future__ import annotations

import dataclasses

import orjson
import pytest
from hubspot_portal import CHARLES, NOON, Portal, collection

from providers.hubspot.created import MARGIN, list_created
from providers.record import ColumnType, Field, ImageKind
from providers.spec import Refused

V3 = "/crm/v3/objects"


@pytest.fixture
def portal():
    found = Portal()
    found.step = 0.25
    return found


def created(portal, since, spelling="contacts"):
    found = collection(portal.schema(), spelling)
    return portal.converse(list_created(found, since))


def make(portal, at, **properties):
    portal.now = at - portal.step
    return portal.call("POST", f"{V3}/contacts", {"properties": properties})["id"]


def test_what_was_created_since_is_told_whole_and_the_rest_is_not(portal):
    make(portal, NOON + 60, firstname="Old")
    new = make(portal, NOON + 600, firstname="New", score="7")
    (image,) = created(portal, NOON + 600)
    assert (image.kind, image.key) == (ImageKind.REPLACE, (new,))
    assert (image.values["firstname"], image.values["score"]) == ("New", "7")
    assert image.values["lastname"] is None


def test_a_clock_of_hubspots_that_is_two_minutes_behind_hides_nothing(portal):
    inside = make(portal, NOON + 600 - MARGIN, firstname="Behind")
    make(portal, NOON + 600 - MARGIN - 1, firstname="Before the margin")
    assert [image.key for image in created(portal, NOON + 600)] == [(inside,)]


def test_what_was_only_changed_since_is_none(portal):
    portal.now = NOON + 900
    portal.call("PATCH", f"{V3}/contacts/{CHARLES}", {"properties": {"firstname": "C."}})
    assert created(portal, NOON + 600) == ()


def test_search_lags_behind_and_finds_it_when_it_is_asked_again():
    portal = Portal(search_lag=60.0)
    new = make(portal, NOON + 600, firstname="New")
    assert created(portal, NOON + 600) == ()
    portal.now += 60
    assert [image.key for image in created(portal, NOON + 600)] == [(new,)]


def test_values_are_those_of_the_record_and_not_of_the_index():
    portal = Portal(search_lag=60.0)
    new = make(portal, NOON + 600, firstname="New")
    portal.now += 70
    portal.call("PATCH", f"{V3}/contacts/{new}", {"properties": {"firstname": "Newer"}})
    (image,) = created(portal, NOON + 600)
    assert image.values["firstname"] == "Newer"


def test_more_than_a_page_of_them_are_walked_by_id(portal):
    inputs = [{"properties": {"firstname": f"n{turn}"}} for turn in range(100)]
    portal.now = NOON + 600
    for _ in range(5):
        portal.call("POST", f"{V3}/contacts/batch/create", {"inputs": inputs})
    images = created(portal, NOON + 600)
    assert len({image.key for image in images}) == len(images) == 500


def test_what_was_archived_or_deleted_meanwhile_is_no_obstacle():
    portal = Portal(search_lag=60.0)
    gone = make(portal, NOON + 600, firstname="Gone")
    stays = make(portal, NOON + 601, firstname="Stays")
    portal.now += 61
    portal.call("POST", f"{V3}/contacts/gdpr-delete", {"objectId": gone})
    assert [image.key for image in created(portal, NOON + 600)] == [(stays,)]


def test_of_a_pair_nothing_is_asked(portal):
    pair = collection(portal.schema(), "associations_company_contact")
    with pytest.raises(StopIteration) as done:
        next(list_created(pair, NOON))
    assert done.value.value == ()


def test_a_type_with_both_dates_is_asked_for_either(portal):
    deals = collection(portal.schema(), "deals")
    both = dataclasses.replace(
        deals,
        fields=(*deals.fields, Field("hs_createdate", "hs_createdate", "", ColumnType.TEXT)),
    )
    asked = orjson.loads(next(list_created(both, NOON)).body)
    named = [group["filters"][0]["propertyName"] for group in asked["filterGroups"]]
    assert named == ["createdate", "hs_createdate"]
    moments = {group["filters"][0]["value"] for group in asked["filterGroups"]}
    assert moments == {str(int((NOON - MARGIN) * 1000))}


def test_a_type_without_a_date_of_creation_is_not_asked(portal):
    deals = collection(portal.schema(), "deals")
    bare = dataclasses.replace(deals, fields=deals.fields[:4])
    with pytest.raises(StopIteration) as done:
        next(list_created(bare, NOON))
    assert done.value.value == ()


def test_a_refusal_is_told(portal):
    contacts = collection(portal.schema(), "contacts")
    stranger = Portal("pat-na1-unknown")
    with pytest.raises(Refused):
        stranger.converse(list_created(contacts, NOON))
