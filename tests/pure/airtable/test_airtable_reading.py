"""Our own conversations: discovery, and reading records again."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from airtable_calls import Account, collection

from providers.airtable.provider import AIRTABLE
from providers.airtable.sandbox.seed import BASE, READER_TOKEN
from providers.http import Response, headers
from providers.record import ImageKind
from providers.spec import Refused, UnknownCollection

EMPTY = Response(200, headers(), b'{"records":[]}')


def test_a_table_is_wanted_by_name_or_id_and_comes_in_that_order():
    found = Account().discover("Projects", "tblTasks000000000", "Projects").collections
    assert [(c.id, c.name) for c in found] == [
        ("tblProjects000000", "Projects"),
        ("tblTasks000000000", "Tasks"),
    ]


def test_without_wishes_every_table_is_discovered():
    assert {c.name for c in Account().discover().collections} == {"Tasks", "Projects"}


def test_a_table_named_like_anothers_id_is_not_taken_for_it():
    account = Account()
    account.sandbox.world.bases[BASE].tables["tblProjects000000"].name = "tblTasks000000000"
    (found,) = account.discover("tblTasks000000000").collections
    assert found.id == "tblTasks000000000"


def test_an_unknown_table_is_answered_with_those_there_are():
    with pytest.raises(UnknownCollection) as raised:
        Account().discover("Taks")
    assert raised.value.available == ("Tasks", "Projects")


def test_a_token_without_the_scope_is_told_which_it_needs():
    account = Account(READER_TOKEN)
    account.sandbox.world.tokens[READER_TOKEN].scopes = ["data.records:read"]
    with pytest.raises(Refused) as raised:
        account.discover()
    assert "schema.bases:read" in raised.value.remedy
    assert "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND: Invalid permissions" in raised.value.said


def test_a_wrong_token_is_told_to_be_replaced():
    with pytest.raises(Refused) as raised:
        Account("patWrong").discover()
    assert raised.value.response.status == 401
    assert "new one" in raised.value.remedy


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"[]", b"{}", b'{"tables":"x"}', b'{"tables":[{"id":1}]}',
     b'{"tables":[{"id":"t","name":"n","fields":"x"}]}'],
)  # fmt: skip
def test_metadata_of_another_shape_is_refused_not_guessed(body):
    conversation = AIRTABLE.discover(BASE, None)
    next(conversation)
    with pytest.raises(Refused):
        conversation.send(Response(200, headers(), body))


def test_records_are_read_again_in_the_order_of_their_keys():
    account = Account()
    tasks = collection(account.discover(), "Tasks")
    keys = [("recCall0000000000",), ("recPlan0000000000",), ("recCall0000000000",)]
    images = account.converse(AIRTABLE.read_records(tasks, keys))
    assert [i.key for i in images] == keys
    assert images[1].values["fldName0000000000"] == "Plan the launch"
    assert {i.kind for i in images} == {ImageKind.REPLACE}


def test_a_record_that_is_gone_is_a_tombstone():
    account = Account()
    tasks = collection(account.discover(), "Tasks")
    account.delete("/Tasks/recCall0000000000")
    keys = [("recCall0000000000",), ("recPlan0000000000",), ("it's \\ no id",)]
    images = account.converse(AIRTABLE.read_records(tasks, keys))
    assert [i.kind for i in images] == ["delete", "replace", "delete"]


def test_fields_are_asked_for_by_id_so_that_a_rename_in_between_does_no_harm():
    account = Account()
    tasks = collection(account.discover(), "Tasks")
    world = account.sandbox.world.bases[BASE].tables[tasks.id]
    world.fields["fldName0000000000"].name, world.fields["fldNotes000000000"].name = (
        "Notes",
        "Name",
    )
    (image,) = account.converse(AIRTABLE.read_records(tasks, [("recPlan0000000000",)]))
    assert image.values["fldName0000000000"] == "Plan the launch"


def test_many_records_are_read_a_hundred_at_a_time_and_page_by_page():
    tasks = collection(Account().discover(), "Tasks")
    conversation = AIRTABLE.read_records(tasks, [(f"rec{n}",) for n in range(150)])
    first = json.loads(next(conversation).body)
    assert first["filterByFormula"].count("RECORD_ID()") == 100
    assert "offset" not in first
    page = {"records": [{"id": "rec0", "createdTime": "", "fields": {}}], "offset": "itr/rec1"}
    more = conversation.send(Response(200, headers(), json.dumps(page).encode()))
    assert json.loads(more.body) == first | {"offset": "itr/rec1"}
    last = confirmed(conversation, conversation.send(EMPTY), 5)
    assert json.loads(last.body)["filterByFormula"].count("RECORD_ID()") == 50
    images = confirmed(conversation, conversation.send(EMPTY), 5)
    assert [i.kind for i in images] == ["replace"] + ["delete"] * 149


def confirmed(conversation, request, times):
    """Answers single calls, each for another record, with 404; what comes after them."""
    asked = set()
    for _ in range(times):
        assert (request.method, request.body) == ("GET", b"")
        asked.add(request.path)
        try:
            request = conversation.send(Response(404, headers(), b'{"error":"NOT_FOUND"}'))
        except StopIteration as done:
            request = done.value
    assert len(asked) == times
    return request


@pytest.mark.parametrize(
    ("absent", "asked"), [(1, 1), (5, 5), (6, 3), (9, 5), (11, 4), (100, 5)]
)
def test_up_to_five_records_that_a_listing_left_out_are_asked_for_one_by_one(absent, asked):
    tasks = collection(Account().discover(), "Tasks")
    conversation = AIRTABLE.read_records(tasks, [(f"rec{n}",) for n in range(absent)])
    next(conversation)
    images = confirmed(conversation, conversation.send(EMPTY), asked)
    assert [i.kind for i in images] == [ImageKind.DELETE] * absent


def test_a_listing_that_leaves_out_a_record_which_is_there_deletes_nothing():
    account = Account()
    tasks = collection(account.discover(), "Tasks")
    conversation = AIRTABLE.read_records(tasks, [("recPlan0000000000",), ("recGone",)])
    next(conversation)
    request = conversation.send(EMPTY)
    with pytest.raises(Refused, match="left out recPlan0000000000, which is there"):
        conversation.send(account.send(request).response)


@pytest.mark.parametrize(
    ("status", "body"),
    [(403, b'{"error":{"type":"INVALID_PERMISSIONS"}}'), (403, b""), (401, b""), (429, b""),
     (500, b"")],
)  # fmt: skip
def test_what_refuses_to_confirm_a_deletion_confirms_none(status, body):
    tasks = collection(Account().discover(), "Tasks")
    conversation = AIRTABLE.read_records(tasks, [("recA",)])
    next(conversation)
    conversation.send(EMPTY)
    with pytest.raises(Refused):
        conversation.send(Response(status, headers(), body))


@pytest.mark.parametrize("missing", [{"missing_status": 404}, {"missing_as_string": False}])
def test_a_record_is_missing_by_every_spelling(missing):
    account = Account(**missing)
    tasks = collection(account.discover(), "Tasks")
    (image,) = account.converse(AIRTABLE.read_records(tasks, [("recGone",)]))
    assert image.kind is ImageKind.DELETE


def test_a_listing_that_turns_in_circles_is_left():
    tasks = collection(Account().discover(), "Tasks")
    conversation = AIRTABLE.read_records(tasks, [("recA",)])
    next(conversation)
    again = Response(200, headers(), b'{"records":[],"offset":"itr/rec"}')
    conversation.send(again)
    with pytest.raises(Refused):
        conversation.send(again)


@pytest.mark.parametrize(
    "answer",
    [
        Response(200, headers(), b"<html>"),
        Response(200, headers(), b"{}"),
        Response(403, headers(), b""),
        Response(503, headers(), b""),
    ],
)
def test_an_answer_that_is_no_list_deletes_nothing(answer):
    tasks = collection(Account().discover(), "Tasks")
    conversation = AIRTABLE.read_records(tasks, [("recA",)])
    next(conversation)
    with pytest.raises(Refused):
        conversation.send(answer)


def test_a_refused_reading_names_the_scope_it_needs():
    account = Account(READER_TOKEN)
    tasks = collection(account.discover(), "Tasks")
    account.sandbox.world.tokens[READER_TOKEN].scopes = []
    with pytest.raises(Refused) as raised:
        account.converse(AIRTABLE.read_records(tasks, [("recA",)]))
    assert "data.records:read" in raised.value.remedy


def test_a_collection_from_elsewhere_does_not_say_which_base_to_ask():
    tasks = replace(
        collection(Account().discover(), "Tasks"), aliases=frozenset({"other", "appX/tblOther"})
    )
    with pytest.raises(ValueError, match="which base"):
        next(AIRTABLE.read_records(tasks, [("recA",)]))


def test_no_keys_need_no_request():
    tasks = collection(Account().discover(), "Tasks")
    assert Account().converse(AIRTABLE.read_records(tasks, [])) == ()
