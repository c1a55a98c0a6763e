"""The feed by webhook: what it tells, what it costs, and when it has missed something."""

from __future__ import annotations

import json

import pytest
from airtable_calls import Account, collection
from airtable_feed import DAY, Listener, told

from providers.airtable.payloads import change_in
from providers.airtable.provider import AIRTABLE
from providers.airtable.sandbox.seed import BASE, PROJECTS, TASKS
from providers.http import Response, headers
from providers.record import NO_CHANGE, Dirty
from providers.spec import Refused, Unreadable

PLAN, CALL, GEMINI = "recPlan0000000000", "recCall0000000000", "recGemini00000000"
HOOKS = f"//v0/bases/{BASE}/webhooks"
META = f"//v0/meta/bases/{BASE}"
OURS = frozenset({TASKS, PROJECTS})


@pytest.fixture
def account():
    return Account()


@pytest.fixture
def listener(account):
    found = Listener(account)
    found.listen()
    return found


def hooks(account):
    return [hook["id"] for hook in account.get(HOOKS).json["webhooks"]]


def test_one_feed_covers_all_tables_and_none_none(account):
    tables = account.discover().collections
    (feed,) = AIRTABLE.feeds(tables)
    assert (feed.name, feed.collections) == ("base", tables)
    assert AIRTABLE.feeds(()) == ()


def test_opening_makes_a_webhook_without_a_url_for_data_and_schema(account):
    listener = Listener(account)
    now = account.now
    heard = listener.listen()
    (hook,) = account.get(HOOKS).json["webhooks"]
    assert hook["notificationUrl"] is None
    filters = hook["specification"]["options"]["filters"]
    assert filters == {"dataTypes": ["tableData", "tableFields", "tableMetadata"]}
    assert heard.state == {"heard": now, "webhook": hook["id"], "cursor": 1}
    assert (heard.change, heard.more, heard.missed) == (NO_CHANGE, False, ())
    assert len(listener.sent) == 1


def test_an_unchanged_base_costs_one_request(listener):
    heard = listener.listen()
    assert (heard.change, heard.more, heard.missed, heard.refused) == (NO_CHANGE, False, (), {})
    assert len(listener.sent) == 1


def test_made_changed_and_deleted_records_are_marked_and_told_once(account, listener):
    made = account.create(Name="x")["id"]
    account.patch(f"/Tasks/{CALL}", {"fields": {"Name": "y"}})
    account.delete(f"/Tasks/{PLAN}")
    heard = listener.listen()
    assert told(heard) >= {(TASKS, made), (TASKS, CALL), (TASKS, PLAN)}
    assert heard.change.images == ()
    assert all(mark.updated_at is None for mark in heard.change.dirty)
    assert not heard.change.schema_changed
    assert listener.listen().change == NO_CHANGE


def test_the_other_side_of_a_link_is_told_too(account, listener):
    account.patch(f"/Tasks/{CALL}", {"fields": {"Projects": [GEMINI]}})
    assert told(listener.listen()) == {(TASKS, CALL), (PROJECTS, GEMINI)}


def test_a_record_that_changed_often_is_marked_once(account, listener):
    for amount in range(3):
        account.patch(f"/Tasks/{CALL}", {"fields": {"Amount": amount}})
    assert [mark.key for mark in listener.listen().change.dirty] == [(CALL,)]


def test_tables_that_the_sync_does_not_cover_are_not_told(account, listener):
    (feed,) = AIRTABLE.feeds((collection(account.discover(), "Projects"),))
    account.patch(f"/Tasks/{CALL}", {"fields": {"Projects": [GEMINI]}})
    field = {"name": "New", "type": "date"}
    account.post(f"{META}/tables/{TASKS}/fields", field)
    heard = listener.listen(feed)
    assert told(heard) == {(PROJECTS, GEMINI)}
    assert not heard.change.schema_changed


def test_more_than_a_page_of_payloads_is_heard_page_by_page(account, listener):
    for amount in range(120):
        account.patch(f"/Tasks/{CALL}", {"fields": {"Amount": amount + 1}})
    heard = listener.listen_to_the_end()
    assert [h.more for h in heard] == [True, True, False]
    assert [h.state["cursor"] for h in heard] == [51, 101, 121]
    assert not any(h.missed for h in heard)


# The schema ------------------------------------------------------------------------


def altered(**sides):
    return {"changedFieldsById": {"fldA": sides}}


def test_a_new_field_asks_for_discovery_and_a_listing(account, listener):
    account.post(f"{META}/tables/{TASKS}/fields", {"name": "New", "type": "date"})
    heard = listener.listen()
    assert heard.change.schema_changed
    assert told(heard) == {(TASKS, None)}


def test_a_renamed_field_or_table_and_a_new_table_ask_for_discovery_only(account, listener):
    account.patch(f"{META}/tables/{TASKS}/fields/fldName0000000000", {"name": "Title"})
    heard = listener.listen()
    assert (heard.change.schema_changed, told(heard)) == (True, set())
    account.patch(f"{META}/tables/{TASKS}", {"name": "Jobs"})
    heard = listener.listen()
    assert (heard.change.schema_changed, told(heard)) == (True, set())
    table = {"name": "T", "fields": [{"name": "A", "type": "date"}]}
    account.post(f"{META}/tables", table)
    assert listener.listen().change.schema_changed


@pytest.mark.parametrize(
    ("changed", "whole"),
    [
        (altered(current={"name": "b"}), False),
        (altered(current={"type": "date"}, previous={"type": "text"}), True),
        (altered(current={"type": "formula"}, previous={"type": "formula"}), True),
        (altered(), True),
        ({"createdFieldsById": {"fldA": {"name": "a", "type": "date"}}}, True),
        ({"destroyedFieldIds": ["fldA"]}, False),
        ({"changedMetadata": {"current": {"name": "b"}}}, False),
    ],
)
def test_cells_are_read_anew_unless_a_field_was_only_renamed(changed, whole):
    change = change_in([{"changedTablesById": {TASKS: changed}}], OURS)
    assert change.schema_changed
    assert [mark.key for mark in change.dirty] == ([None] if whole else [])


@pytest.mark.parametrize(
    "payload", [{"createdTablesById": {"tblN": {}}}, {"destroyedTableIds": ["tblN"]}]
)
def test_tables_that_come_and_go_ask_for_discovery(payload):
    assert change_in([payload], OURS).schema_changed


def test_views_concern_nobody():
    views = {TASKS: {"changedViewsById": {"viwA": {"changedRecordsById": {CALL: {}}}}}}
    assert change_in([{"changedTablesById": views}], OURS) == NO_CHANGE


def test_a_destroyed_record_is_read_again_too_for_it_may_be_given_back():
    payloads = [{"changedTablesById": {TASKS: {"destroyedRecordIds": [CALL]}}}]
    assert change_in(payloads, OURS).dirty == (Dirty(TASKS, (CALL,), "changed at Airtable"),)


@pytest.mark.parametrize(
    "payload",
    [[], 5, {"changedTablesById": []}, {"changedTablesById": {TASKS: 5}},
     {"changedTablesById": {TASKS: {"changedRecordsById": [CALL]}}},
     {"changedTablesById": {TASKS: {"destroyedRecordIds": CALL}}},
     {"changedTablesById": {TASKS: {"changedFieldsById": {"fldA": 5}}}}],
)  # fmt: skip
def test_a_payload_of_another_shape_is_not_passed_over(payload):
    with pytest.raises(Unreadable):
        change_in([payload], OURS)


# What was missed -------------------------------------------------------------------


def test_a_webhook_that_is_gone_is_made_anew_and_everything_listed(account, listener):
    (old,) = hooks(account)
    account.delete(f"{HOOKS}/{old}")
    heard = listener.listen()
    (new,) = hooks(account)
    assert (heard.state["webhook"], heard.state["cursor"]) == (new, 1)
    assert new != old
    assert set(heard.missed) == OURS
    account.patch(f"/Tasks/{CALL}", {"fields": {"Amount": 1}})
    assert told(listener.listen()) == {(TASKS, CALL)}


def test_a_webhook_lives_on_as_long_as_it_is_listened_to(account, listener):
    for _ in range(3):
        account.now += 6 * DAY
        assert listener.listen().missed == ()
    assert len(hooks(account)) == 1


@pytest.mark.parametrize("days", [7.5, 30])
def test_after_more_than_a_week_away_everything_is_listed(account, listener, days):
    account.patch(f"/Tasks/{CALL}", {"fields": {"Amount": 1}})
    account.now += days * DAY
    assert set(listener.listen().missed) == OURS
    assert listener.listen().missed == ()


def test_a_webhook_that_somebody_else_kept_alive_has_still_lost_its_payloads(account, listener):
    account.patch(f"/Tasks/{CALL}", {"fields": {"Amount": 1}})
    (hook,) = hooks(account)
    for _ in range(2):
        account.now += 4 * DAY
        account.post(f"{HOOKS}/{hook}/refresh")
    heard = listener.listen()
    assert heard.state["webhook"] == hook
    assert set(heard.missed) == OURS
    assert listener.listen().missed == ()


@pytest.mark.parametrize(
    ("cursor", "payloads", "missed"), [(2, 1, False), (1, 0, False), (5, 1, True), (4, 0, True)]
)
def test_numbers_that_are_not_consecutive_mean_lost_payloads(
    listener, cursor, payloads, missed
):
    conversation = AIRTABLE.listen(listener.feed, listener.state, listener.account.now)
    next(conversation)
    body = {"payloads": [{}] * payloads, "cursor": cursor, "mightHaveMore": False}
    with pytest.raises(StopIteration) as done:
        conversation.send(answer(body))
    assert bool(done.value.value.missed) is missed
    assert done.value.value.state["cursor"] == cursor


def test_a_payload_in_error_gives_the_webhook_up_for_a_new_one(account, listener):
    conversation = AIRTABLE.listen(listener.feed, listener.state, account.now)
    next(conversation)
    body = {"payloads": [{"error": True, "code": "INVALID_HOOK"}], "cursor": 2}
    old = listener.state["webhook"]
    gone = conversation.send(answer(body))
    assert (gone.method, gone.target) == ("DELETE", f"/v0/bases/{BASE}/webhooks/{old}")
    made = conversation.send(answer({}))
    assert (made.method, made.target) == ("POST", f"/v0/bases/{BASE}/webhooks")
    with pytest.raises(StopIteration) as done:
        conversation.send(answer({"id": "achNew"}))
    heard = done.value.value
    assert heard.state["webhook"] == "achNew"
    assert set(heard.missed) == OURS


@pytest.mark.parametrize(
    "state", [{}, [], "x", 5, {"heard": 1}, {"heard": "x", "webhook": "a", "cursor": 1},
              {"heard": 1, "since": {}}, {"heard": 1, "webhook": "a", "cursor": None},
              {"heard": 1, "since": [], "todo": 5}],
)  # fmt: skip
def test_a_state_that_is_none_of_ours_opens_the_feed_anew(account, state):
    listener = Listener(account, state)
    heard = listener.listen()
    assert heard.state["webhook"] == hooks(account)[0]
    assert set(heard.missed) == OURS


# Refusals --------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_trouble_that_says_nothing_of_the_webhook_leaves_it(listener, status):
    before = listener.state
    conversation = AIRTABLE.listen(listener.feed, before, listener.account.now)
    next(conversation)
    with pytest.raises(Refused):
        conversation.send(Response(status, headers(), b""))


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"[]", b"{}", b'{"payloads":{},"cursor":1}', b'{"payloads":[]}',
     b'{"payloads":[],"cursor":true}', b'{"payloads":[5],"cursor":2}'],
)  # fmt: skip
def test_payloads_that_cannot_be_read_are_not_passed_over(listener, body):
    conversation = AIRTABLE.listen(listener.feed, listener.state, listener.account.now)
    next(conversation)
    with pytest.raises(Refused, match="cannot be read"):
        conversation.send(Response(200, headers(), body))


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"id":5}', b'{"id":""}'])
def test_a_webhook_without_an_id_is_none(account, body):
    conversation = AIRTABLE.listen(Listener(account).feed, None, account.now)
    next(conversation)
    with pytest.raises(Refused, match="cannot be read"):
        conversation.send(Response(200, headers(), body))


def test_hanging_up_deletes_the_webhook_and_may_be_done_twice(account, listener):
    listener.hang_up()
    assert hooks(account) == []
    listener.hang_up()


def test_hanging_up_says_if_airtable_refuses(account, listener):
    account.sandbox.switches = AIRTABLE.sandbox.create(webhooks_allowed=False).switches
    with pytest.raises(Refused) as raised:
        listener.hang_up()
    assert "webhook:manage" in raised.value.remedy


def test_no_answer_of_airtables_states_a_rate():
    stated = headers(("X-RateLimit-Limit", "100"))
    assert AIRTABLE.allowed("standard", Response(200, stated)) is None


def answer(body):
    return Response(200, headers(), json.dumps(body).encode())
