"""Records created since a time, for the creates whose answer was lost."""

from __future__ import annotations

import json

import pytest
from airtable_calls import NOON, Account, collection

from providers.airtable.created import MARGIN, list_created
from providers.airtable.sandbox.seed import BASE, PROJECTS, READER_TOKEN
from providers.http import Response
from providers.record import ImageKind
from providers.spec import Refused


@pytest.fixture
def account():
    return Account()


def created(account, since, table="Projects"):
    found = collection(account.discover(), table)
    return account.converse(list_created(found, since))


def made(account, name, at):
    account.now = at - account.step
    return account.post("/Projects", {"fields": {"Name": name}}).json["id"]


def test_what_was_created_since_is_told_whole_and_the_rest_is_not(account):
    made(account, "long ago", NOON + 60)
    new = made(account, "new", NOON + 600)
    since = NOON + 600
    (image,) = created(account, since)
    assert (image.kind, image.key) == (ImageKind.REPLACE, (new,))
    assert image.values["fldProjectName000"] == "new"
    assert image.values["fldBudget00000000"] is None
    assert not image.extra


def test_a_clock_of_airtables_that_is_two_minutes_behind_hides_nothing(account):
    inside = made(account, "behind", NOON + 600 - MARGIN + 1)
    made(account, "before the margin", NOON + 600 - MARGIN)
    assert [image.key for image in created(account, NOON + 600)] == [(inside,)]


def test_a_record_that_was_only_changed_since_is_none(account):
    old = made(account, "old", NOON + 60)
    account.now = NOON + 900
    account.patch(f"/Projects/{old}", {"fields": {"Budget": 1}})
    assert created(account, NOON + 600) == ()


def test_a_record_deleted_since_is_none(account):
    new = made(account, "new", NOON + 600)
    account.delete(f"/Projects/{new}")
    assert created(account, NOON + 600) == ()


def test_all_pages_are_asked_for(account):
    for number in range(230):
        account.post("/Projects", {"fields": {"Name": f"p{number}"}})
    images = created(account, NOON)
    assert len({image.key for image in images}) == len(images) == 230


def test_the_formula_asks_for_a_parsed_time(account):
    table = collection(account.discover(), "Projects")
    request = next(list_created(table, NOON))
    assert request.target == f"/v0/{BASE}/{PROJECTS}/listRecords"
    assert json.loads(request.body)["filterByFormula"] == (
        "IS_AFTER(CREATED_TIME(),DATETIME_PARSE('2026-11-21 11:58:00','YYYY-MM-DD HH:mm:ss'))"
    )


def forgetful(account, times):
    """How a listing ends of which Airtable forgets the second page so many times."""
    table = collection(account.discover(), "Projects")
    conversation = list_created(table, NOON)
    request = next(conversation)
    page = {"records": [{"id": "recA", "fields": {}}], "offset": "itrA/recB"}
    last = {"records": [{"id": "recB", "fields": {}}]}
    gone = {"error": {"type": "LIST_RECORDS_ITERATOR_NOT_AVAILABLE"}}
    try:
        while True:
            if "offset" not in json.loads(request.body):
                answer = Response(200, body=json.dumps(page).encode())
            elif times:
                times -= 1
                answer = Response(422, body=json.dumps(gone).encode())
            else:
                answer = Response(200, body=json.dumps(last).encode())
            request = conversation.send(answer)
    except StopIteration as done:
        return done.value


def test_a_listing_that_airtable_forgets_begins_again_and_no_record_is_told_twice(account):
    assert [i.key for i in forgetful(account, 2)] == [("recA",), ("recB",)]


def test_a_listing_that_airtable_always_forgets_is_given_up(account):
    with pytest.raises(Refused):
        forgetful(account, 3)


def test_a_refusal_is_told(account):
    reader = Account(READER_TOKEN, missing_status=404)
    table = collection(account.discover(), "Projects")
    reader.sandbox.world.tokens[READER_TOKEN].bases.clear()
    with pytest.raises(Refused, match=r"data\.records:read"):
        reader.converse(list_created(table, NOON))
