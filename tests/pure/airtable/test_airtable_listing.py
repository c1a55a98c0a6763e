"""Tables page by page."""

from __future__ import annotations

import json

import pytest
from airtable_calls import Account, collection

from providers.airtable.provider import AIRTABLE
from providers.airtable.sandbox.seed import BASE, PROJECTS, READER_TOKEN
from providers.http import Response, headers
from providers.record import Dirty, ImageKind
from providers.spec import ListingExpired, Refused

CREATED = "2026-11-21T12:00:00.000Z"
FILES = [{"id": "att1", "url": "u", "filename": "f"}]


@pytest.fixture
def account():
    return Account()


@pytest.fixture
def projects(account):
    """A table of 253 records."""
    for number in range(251):
        account.post("/Projects", {"fields": {"Name": f"p{number}"}})
    return collection(account.discover(), "Projects")


def page(account, table, after=None, thorough=True):
    return account.converse(AIRTABLE.list_page(table, after, thorough))


def answered(table, body, after=None, status=200):
    """The page that an answer means."""
    conversation = AIRTABLE.list_page(table, after, True)
    next(conversation)
    with pytest.raises(StopIteration) as done:
        conversation.send(Response(status, headers(), json.dumps(body).encode()))
    return done.value.value


def test_a_hundred_records_at_a_time_each_with_a_whole_image(account, projects):
    pages = [page(account, projects)]
    while pages[-1].after is not None:
        pages.append(page(account, projects, pages[-1].after))
    assert [len(p.seen) for p in pages] == [100, 100, 53]
    seen = [key for p in pages for key in p.seen]
    assert len(set(seen)) == 253
    images = [image for p in pages for image in p.change.images]
    assert [image.key for image in images] == seen
    assert {image.kind for image in images} == {ImageKind.REPLACE}
    assert not any(p.change.dirty or p.change.schema_changed for p in pages)


def test_a_sweep_has_the_same_images(account, projects):
    sweep, whole = (page(account, projects, thorough=flag) for flag in (False, True))
    assert (sweep.change, sweep.seen) == (whole.change, whole.seen)


def test_a_page_is_one_request_by_field_id(projects):
    request = next(AIRTABLE.list_page(projects, "itrA/recB", True))
    assert (request.method, request.target) == ("POST", f"/v0/{BASE}/{PROJECTS}/listRecords")
    asked = {"pageSize": 100, "returnFieldsByFieldId": True, "offset": "itrA/recB"}
    assert json.loads(request.body) == asked


def test_a_listing_that_airtable_has_forgotten_begins_again(account, projects):
    after = page(account, projects).after
    account.now += 3600
    with pytest.raises(ListingExpired):
        page(account, projects, after)
    assert len(page(account, projects).seen) == 100


def test_no_other_refusal_says_that_the_listing_expired(projects):
    for status, kind in [(422, "INVALID_REQUEST_UNKNOWN"), (403, "INVALID_PERMISSIONS")]:
        conversation = AIRTABLE.list_page(projects, "itrA/recB", True)
        next(conversation)
        body = json.dumps({"error": {"type": kind}}).encode()
        with pytest.raises(Refused, match=kind):
            conversation.send(Response(status, headers(), body))


def test_a_token_without_the_scope_is_told_which_it_needs():
    account = Account(READER_TOKEN)
    table = collection(account.discover(), "Projects")
    account.sandbox.world.tokens[READER_TOKEN].scopes = ["schema.bases:read"]
    with pytest.raises(Refused) as raised:
        page(account, table)
    assert "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND" in raised.value.said
    assert "data.records:read" in raised.value.remedy


@pytest.mark.parametrize(
    ("body", "after"),
    [
        ({}, None),
        ({"records": {}}, None),
        ({"records": [5]}, None),
        ({"records": [], "offset": 5}, None),
        ({"records": [], "offset": "itrA/recB"}, "itrA/recB"),
    ],
)
def test_what_is_no_page_is_refused_and_not_taken_for_an_empty_one(projects, body, after):
    with pytest.raises(Refused, match="cannot be read"):
        answered(projects, body, after)


def test_a_page_may_be_empty_and_the_listing_still_go_on(projects):
    assert answered(projects, {"records": [], "offset": "itrA/recB"}).after == "itrA/recB"


def test_an_answer_keyed_by_name_is_read_although_ids_were_asked_for(account):
    tasks = collection(account.discover(), "Tasks")
    record = {"id": "recA", "createdTime": CREATED, "fields": {"Name": "x", "Done": True}}
    page = answered(tasks, {"records": [record]})
    assert page.change.images[0].values["fldName0000000000"] == "x"
    assert not page.change.schema_changed


def test_a_value_that_does_not_fit_may_be_one_that_airtable_is_working_on(account):
    tasks = collection(account.discover(), "Tasks")
    raw = {"state": "loading", "value": None}
    record = {"id": "recA", "createdTime": CREATED, "fields": {"fldCost0000000000": raw}}
    change = answered(tasks, {"records": [record]}).change
    assert change.images[0].extra == {"Cost": raw}
    assert [mark.key for mark in change.dirty] == [("recA",)]


@pytest.mark.parametrize(
    ("field", "raw"), [("fldAmount00000000", True), ("fldDone0000000000", 1)]
)
def test_a_value_of_a_neighbouring_type_is_not_taken_as_it_is(account, field, raw):
    tasks = collection(account.discover(), "Tasks")
    record = {"id": "recA", "createdTime": CREATED, "fields": {field: raw}}
    (image,) = answered(tasks, {"records": [record]}).change.images
    assert (image.values[field], list(image.extra.values())) == (None, [raw])


def test_a_new_field_asks_for_discovery_and_an_unfinished_cell_for_another_reading(account):
    tasks = collection(account.discover(), "Tasks")
    fields = {"fldNew": 1, "fldFiles000000000": FILES}
    record = {"id": "recA", "createdTime": CREATED, "fields": fields}
    change = answered(tasks, {"records": [record]}).change
    assert change.schema_changed
    assert change.images[0].extra == {"fldNew": 1}
    reason = "Airtable is still working on a cell"
    assert change.dirty == (Dirty(tasks.id, ("recA",), reason),)
