"""A portal's records page by page, thoroughly and by version alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import orjson
import pytest
from hubspot_portal import (
    ANALYTICAL,
    CHARLES,
    COMPILERS,
    GRACE,
    MARY,
    Portal,
    collection,
)

from providers.http import Request, Response
from providers.hubspot.listing import list_page
from providers.hubspot.objects import STANDARD as TYPES
from providers.hubspot.objects import object_collection, pair_collection
from providers.hubspot.sandbox.kit import READ_ONLY_TOKEN, TOKEN
from providers.record import Collection, ColumnType, Dirty, Field, Image, ImageKind
from providers.spec import ListingExpired, Page, Refused

V3 = "/crm/v3/objects"
SEEDED = {(CHARLES,), (GRACE,), (MARY,)}


class Watched(Portal):
    """A portal that remembers what it was asked, and can be made to answer otherwise."""

    def __init__(self, *args: Any, **switches: Any) -> None:
        super().__init__(*args, **switches)
        self.asked: list[str] = []
        self.instead: list[tuple[str, Response]] = []

    def send(self, request: Request) -> Response:
        self.asked.append(f"{request.method} {request.path}")
        for at, (start, response) in enumerate(self.instead):
            if request.target.startswith(start):
                del self.instead[at]
                return response
        return super().send(request)


def pages(portal: Portal, wanted: Collection, *, thorough: bool) -> Iterator[Page]:
    after: str | None = None
    while True:
        page = portal.converse(list_page(wanted, after, thorough))
        yield page
        if (after := page.after) is None:
            return


def people(portal: Portal, count: int, start: int = 0) -> list[str]:
    """That many more contacts; their ids."""
    ids: list[str] = []
    for first in range(start, start + count, 100):
        inputs = [
            {"properties": {"email": f"p{n}@example.com"}}
            for n in range(first, min(first + 100, start + count))
        ]
        made = portal.call("POST", f"{V3}/contacts/batch/create", {"inputs": inputs})
        ids += [each["id"] for each in made["results"]]
    return ids


def associate(portal: Portal, company: str, contacts: Sequence[str]) -> None:
    inputs = [{"from": {"id": company}, "to": {"id": each}} for each in contacts]
    path = "/crm/v4/associations/companies/contacts/batch/associate/default"
    portal.call("POST", path, {"inputs": inputs})


def wide(name: str = "contacts") -> Collection:
    """A collection with more properties than go into a URL."""
    kind = next(kind for kind in TYPES if kind.plural == name)
    names = ["email", *(f"a_property_with_a_rather_long_name_{n}" for n in range(200))]
    return object_collection(kind, (Field(n, n, "string/text", ColumnType.TEXT) for n in names))


# --- objects ------------------------------------------------------------------------------


def test_a_thorough_page_replaces_every_record_in_one_call():
    portal = Watched()
    contacts = collection(portal.schema("contacts"), "contacts")
    portal.asked.clear()
    (page,) = pages(portal, contacts, thorough=True)
    assert portal.asked == ["GET /crm/v3/objects/0-1"]
    assert set(page.seen) == {image.key for image in page.change.images} == SEEDED
    for image in page.change.images:
        assert image.kind is ImageKind.REPLACE
        assert set(image.values) == {f.id for f in contacts.fields}, "every field"
        assert image.updated_at == image.values["$updated_at"]
    grace = next(i for i in page.change.images if i.key == (GRACE,))
    assert grace.values["score"] == "42"


def test_pages_follow_one_another_until_everything_was_there_once():
    portal = Portal()
    contacts = collection(portal.schema("contacts"), "contacts")
    made = people(portal, 230)
    for wanted, thorough in ((contacts, True), (wide(), True), (wide(), False)):
        found = list(pages(portal, wanted, thorough=thorough))
        assert [len(page.seen) for page in found] == [100, 100, 33]
        seen = [key for page in found for key in page.seen]
        assert len(seen) == len(set(seen))
        assert set(seen) == {(i,) for i in made} | SEEDED


def test_where_it_saves_no_call_a_page_is_thorough_in_any_case():
    """Counts of associated records change, and the record's version does not."""
    portal = Watched()
    contacts = collection(portal.schema("contacts"), "contacts")
    portal.asked.clear()
    (page,) = pages(portal, contacts, thorough=False)
    assert portal.asked == ["GET /crm/v3/objects/0-1"]
    assert (page.change.dirty, len(page.change.images)) == ((), 3)


def test_a_page_that_need_not_be_thorough_tells_ids_and_versions():
    portal = Watched()
    (page,) = pages(portal, wide(), thorough=False)
    assert portal.asked == ["GET /crm/v3/objects/0-1"]
    assert page.change.images == ()
    assert set(page.seen) == {mark.key for mark in page.change.dirty} == SEEDED
    (whole,) = pages(portal, wide(), thorough=True)
    versions = {image.key: image.updated_at for image in whole.change.images}
    assert {mark.key: mark.updated_at for mark in page.change.dirty} == versions


def test_a_version_page_asks_for_next_to_nothing():
    conversation = list_page(wide(), None, False)
    assert next(conversation).target == "/crm/v3/objects/0-1?limit=100&properties=hs_object_id"


def test_a_record_without_a_version_is_always_read():
    conversation = list_page(wide(), None, False)
    next(conversation)
    with pytest.raises(StopIteration) as done:
        conversation.send(Response(200, body=b'{"results":[{"id":7},{"id":null},{}]}'))
    (mark,) = done.value.value.change.dirty
    assert isinstance(mark, Dirty)
    assert (mark.key, mark.updated_at) == (("7",), None)
    assert done.value.value.seen == (("7",),)


def test_more_properties_than_a_url_takes_are_read_in_a_second_call():
    portal = Watched()
    (page,) = pages(portal, wide(), thorough=True)
    assert portal.asked == ["GET /crm/v3/objects/0-1", "POST /crm/v3/objects/0-1/batch/read"]
    images = {image.key: image for image in page.change.images}
    assert set(images) == set(page.seen) == SEEDED
    assert images[GRACE,].values["email"] == "grace@compilers.example"
    assert {image.kind for image in images.values()} == {ImageKind.REPLACE}


def test_a_url_that_is_too_long_after_all_is_asked_for_in_two_calls():
    portal = Watched()
    contacts = collection(portal.schema("contacts"), "contacts")
    portal.asked.clear()
    portal.instead = [(f"{V3}/0-1?", Response(414, body=b"<html>too long</html>"))]
    (page,) = pages(portal, contacts, thorough=True)
    assert [line.split()[0] for line in portal.asked] == ["GET", "GET", "POST"]
    assert set(page.seen) == SEEDED


def test_an_empty_type_is_one_call_and_the_last_page():
    portal = Watched()
    for thorough in (True, False):
        (page,) = pages(portal, wide("tickets"), thorough=thorough)
        assert (page.seen, page.change.images, page.change.dirty) == ((), (), ())
    assert len(portal.asked) == 2


def test_who_is_archived_between_the_two_calls_is_not_accounted_for():
    portal = Portal()
    conversation = list_page(wide(), None, True)
    read = conversation.send(portal.send(next(conversation)))
    portal.call("DELETE", f"{V3}/contacts/{GRACE}")
    with pytest.raises(StopIteration) as done:
        conversation.send(portal.send(read))
    assert set(done.value.value.seen) == SEEDED - {(GRACE,)}


def test_what_a_second_call_left_out_for_another_reason_is_no_page():
    portal = Watched()
    part = {
        "results": [{"id": CHARLES, "properties": {}}],
        "errors": [{"category": "INTERNAL_ERROR", "message": "try later"}],
    }
    portal.instead = [(f"{V3}/0-1/batch/read", Response(207, body=orjson.dumps(part)))]
    with pytest.raises(Refused, match="try later") as refused:
        portal.converse(list_page(wide(), None, True))
    assert refused.value.remedy


def test_archived_and_removed_records_are_in_no_listing():
    portal = Portal()
    contacts = collection(portal.schema("contacts"), "contacts")
    portal.call("DELETE", f"{V3}/contacts/{GRACE}")
    portal.call("POST", f"{V3}/contacts/gdpr-delete", {"objectId": MARY})
    for wanted, thorough in ((contacts, True), (wide(), True), (wide(), False)):
        (page,) = pages(portal, wanted, thorough=thorough)
        assert page.seen == ((CHARLES,),)


@pytest.mark.parametrize("thorough", [True, False])
@pytest.mark.parametrize(
    ("wanted", "scope"),
    [("deals", "crm.objects.deals.read"), ("associations_contact_deal", "deals.read")],
)
def test_a_missing_scope_is_refused_in_hubspots_words_and_by_name(
    wanted: str, scope: str, thorough: bool
):
    portal = Portal()
    found = collection(portal.schema("contacts", "deals"), wanted)
    portal.token = READ_ONLY_TOKEN
    with pytest.raises(Refused) as refused:
        portal.converse(list_page(found, None, thorough))
    assert refused.value.response.status == 403
    assert "required scopes" in refused.value.said
    assert scope in refused.value.remedy


def test_a_pair_whose_left_cannot_be_listed_is_refused():
    portal = Portal()
    schema = portal.schema("companies", "deals")
    pair = collection(schema, "associations_company_deal")
    portal.sandbox.world.tokens[TOKEN].scopes = ["crm.objects.deals.read"]
    with pytest.raises(Refused) as refused:
        portal.converse(list_page(pair, None, True))
    assert "crm.objects.companies.read" in refused.value.remedy


# --- pairs --------------------------------------------------------------------------------


@pytest.mark.parametrize("numbers", [True, False])
@pytest.mark.parametrize("thorough", [True, False])
def test_pairs_come_with_the_labels_seen_from_their_left(numbers: bool, thorough: bool):
    portal = Watched(numeric_association_ids=numbers)
    pair = collection(portal.schema("contacts", "companies"), "associations_company_contact")
    adviser = [{"associationCategory": "USER_DEFINED", "associationTypeId": 1001}]
    path = f"/crm/v4/objects/contacts/{CHARLES}/associations/companies/{ANALYTICAL}"
    portal.call("PUT", path, adviser)
    portal.asked.clear()
    (page,) = pages(portal, pair, thorough=thorough)
    assert portal.asked == [
        "GET /crm/v3/objects/0-2",
        "POST /crm/v4/associations/0-2/0-1/batch/read",
    ]
    images = {image.key: image for image in page.change.images}
    assert set(page.seen) == set(images) == {(ANALYTICAL, CHARLES), (COMPILERS, GRACE)}
    assert images[ANALYTICAL, CHARLES].values["$labels"] == ["Advised by"]
    assert images[COMPILERS, GRACE].values == {
        "$left": COMPILERS,
        "$right": GRACE,
        "$labels": [],
    }
    assert {image.kind for image in images.values()} == {ImageKind.REPLACE}


def test_pairs_within_one_type_are_listed_in_both_directions():
    portal = Portal()
    pair = collection(portal.schema("companies"), "associations_company_company")
    portal.call(
        "PUT",
        f"/crm/v4/objects/0-2/{ANALYTICAL}/associations/0-2/{COMPILERS}",
        [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 13}],
    )
    (page,) = pages(portal, pair, thorough=True)
    labels = {image.key: image.values["$labels"] for image in page.change.images}
    assert labels == {
        (ANALYTICAL, COMPILERS): ["Child Company"],
        (COMPILERS, ANALYTICAL): ["Parent Company"],
    }


def test_ten_pages_of_the_left_end_share_one_read_of_associations():
    portal = Watched()
    portal.step = 5.0
    pair = collection(portal.schema("contacts", "deals"), "associations_contact_deal")
    people(portal, 1_100)
    portal.asked.clear()
    found = list(pages(portal, pair, thorough=False))
    assert len(found) == 2
    assert [line.split()[0] for line in portal.asked] == [
        *["GET"] * 10,
        "POST",
        "GET",
        "GET",
        "POST",
    ]
    assert [key[0] for page in found for key in page.seen] == [CHARLES]


def test_a_record_with_very_many_associations_is_told_over_several_pages():
    portal = Watched()
    portal.step = 5.0
    pair = collection(portal.schema("contacts", "companies"), "associations_company_contact")
    ids = people(portal, 1_200)
    associate(portal, COMPILERS, ids)
    portal.asked.clear()
    found = list(pages(portal, pair, thorough=True))
    assert [len(page.seen) for page in found] == [501, 500, 201]
    assert [line.split()[0] for line in portal.asked] == ["GET", "POST", "POST", "POST"]
    seen = {key for page in found for key in page.seen}
    assert seen == {(COMPILERS, i) for i in [*ids, GRACE]} | {(ANALYTICAL, CHARLES)}


def test_a_left_end_without_records_needs_no_read_of_associations():
    portal = Watched()
    schema = portal.schema("contacts", "calls")
    portal.asked.clear()
    (page,) = pages(portal, collection(schema, "associations_call_contact"), thorough=True)
    assert (page.seen, portal.asked) == ((), ["GET /crm/v3/objects/0-48"])


@pytest.mark.parametrize(
    "after", ["", "garbage", "[]", "{}", '{"left":"1"}', '{"left":null,"rest":[{}]}']
)
def test_a_place_that_is_not_ours_begins_the_listing_again(after: str):
    pair = collection(Portal().schema("contacts", "deals"), "associations_contact_deal")
    with pytest.raises(ListingExpired):
        next(list_page(pair, after, True))


def test_associations_left_out_for_another_reason_are_no_page():
    portal = Watched()
    pair = collection(portal.schema("contacts", "deals"), "associations_contact_deal")
    part = {"results": [], "errors": [{"category": "RATE_LIMITS", "message": "slow down"}]}
    path = "/crm/v4/associations/0-1/0-3/batch/read"
    portal.instead = [(path, Response(207, body=orjson.dumps(part)))]
    with pytest.raises(Refused, match="slow down"):
        portal.converse(list_page(pair, None, True))
    portal.instead = [(path, Response(207, body=b'{"results":[],"numErrors":2}'))]
    with pytest.raises(Refused, match="without a word"):
        portal.converse(list_page(pair, None, True))


def test_pages_of_the_left_end_without_ids_end_no_listing():
    pair = pair_collection(wide("contacts"), wide("deals"))
    empty = Response(200, body=b'{"results":[],"paging":{"next":{"after":"7"}}}')
    conversation = list_page(pair, None, True)
    next(conversation)
    for _ in range(9):
        conversation.send(empty)
    with pytest.raises(StopIteration) as done:
        conversation.send(empty)
    assert done.value.value.seen == ()
    assert next(list_page(pair, done.value.value.after, True)).target.endswith("&after=7")


def test_answers_of_odd_shapes_break_no_pair():
    left, right = wide("contacts"), wide("deals")
    conversation = list_page(pair_collection(left, right), None, True)
    next(conversation)
    conversation.send(Response(200, body=b'{"results":[{"id":"1"},null,{"id":[]}]}'))
    odd = (
        b'{"results":[{"to":[{"toObjectId":5}]},{"from":{"id":"1"},"to":"x"},'
        b'{"from":{"id":1},"to":[{"toObjectId":"5","associationTypes":[{"label":7},null]}]}]}'
    )
    with pytest.raises(StopIteration) as done:
        conversation.send(Response(200, body=odd))
    (image,) = done.value.value.change.images
    assert isinstance(image, Image)
    assert (image.key, image.values["$labels"]) == (("1", "5"), [])
