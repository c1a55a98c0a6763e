"""The feed by times of modification, for those who may have no webhook."""

from __future__ import annotations

import json
from email.utils import formatdate

import pytest
from airtable_calls import NOON, Account, collection
from airtable_feed import DAY, Listener, told

from providers.airtable.modified import OVERLAP, PAGES
from providers.airtable.provider import AIRTABLE
from providers.airtable.sandbox.seed import BASE, PROJECTS, READER_TOKEN, TASKS, TOKEN
from providers.airtable.sandbox.state import iso
from providers.http import Response, headers
from providers.record import NO_CHANGE, ImageKind
from providers.spec import Refused

PLAN, CALL, GEMINI = "recPlan0000000000", "recCall0000000000", "recGemini00000000"
HOOKS = f"//v0/bases/{BASE}/webhooks"
EMPTY = Response(200, headers(), b'{"records":[]}')


@pytest.fixture
def account():
    return Account(webhooks_allowed=False)


@pytest.fixture
def listener(account):
    found = Listener(account)
    found.listen()
    return found


def allow(account, allowed=True):
    switches = AIRTABLE.sandbox.create(webhooks_allowed=allowed).switches
    account.sandbox.switches = switches


def formula(request):
    return json.loads(request.body)["filterByFormula"]


def tables(requests):
    return [request.target.split("/")[3] for request in requests]


def refusal(status, kind=""):
    return Response(status, headers(), json.dumps({"error": {"type": kind}}).encode())


def test_a_token_that_may_have_no_webhook_is_told_why_and_followed_by_time(account):
    listener = Listener(account)
    now = account.now
    heard = listener.listen()
    assert (heard.change, heard.more, heard.missed) == (NO_CHANGE, False, ())
    assert heard.state["since"] == {TASKS: now, PROJECTS: now}
    assert heard.state["refusal"].startswith("INVALID_PERMISSIONS: You are not permitted")
    assert "webhook" not in heard.state


def test_a_token_without_the_scope_is_followed_by_time(account):
    allow(account)
    account.token = READER_TOKEN
    assert "since" in Listener(account).listen().state


def test_a_base_that_is_full_of_webhooks_is_followed_by_time(account):
    allow(account)
    for _ in range(10):
        specification = {"options": {"filters": {"dataTypes": ["tableData"]}}}
        account.post(HOOKS, {"specification": specification})
    assert "10 webhooks" in Listener(account).listen().state["refusal"]


@pytest.mark.parametrize("status", [402, 403, 404, 422])
def test_these_refusals_of_a_webhook_are_final(account, status):
    conversation = AIRTABLE.listen(Listener(account).feed, None, account.now)
    next(conversation)
    with pytest.raises(StopIteration) as done:
        conversation.send(refusal(status))
    assert "since" in done.value.value.state


@pytest.mark.parametrize("status", [401, 408, 429, 500, 503])
def test_these_refusals_of_a_webhook_are_tried_again(account, status):
    conversation = AIRTABLE.listen(Listener(account).feed, None, account.now)
    next(conversation)
    with pytest.raises(Refused):
        conversation.send(refusal(status))


def test_an_unchanged_base_costs_one_request_a_table(account, listener):
    account.now += 1000
    heard = listener.listen()
    assert (heard.change, heard.more, heard.missed, heard.refused) == (NO_CHANGE, False, (), {})
    assert tables(listener.sent) == [TASKS, PROJECTS]


def test_made_and_changed_records_come_as_whole_images(account, listener):
    made = account.create(Name="x")["id"]
    account.patch(f"/Tasks/{CALL}", {"fields": {"Name": "y", "Projects": [GEMINI]}})
    heard = listener.listen()
    assert told(heard) == {(TASKS, made), (TASKS, CALL), (PROJECTS, GEMINI)}
    images = {image.record_id: image for image in heard.change.images}
    assert {image.kind for image in images.values()} == {ImageKind.REPLACE}
    assert images[CALL].values["fldName0000000000"] == "y"


def test_the_times_are_compared_as_times_two_minutes_earlier(account, listener):
    started = listener.state["heard"]
    account.now += 1000
    listener.listen()
    at = iso(started - OVERLAP)[:19].replace("T", " ")
    parsed = f"DATETIME_PARSE('{at}','YYYY-MM-DD HH:mm:ss')"
    assert {formula(r) for r in listener.sent} == {f"IS_AFTER(LAST_MODIFIED_TIME(),{parsed})"}


def test_a_change_is_told_until_the_overlap_is_past_and_not_later(account, listener):
    account.patch(f"/Tasks/{CALL}", {"fields": {"Amount": 1}})
    assert told(listener.listen()) == {(TASKS, CALL)}
    assert told(listener.listen()) == {(TASKS, CALL)}
    account.now += OVERLAP
    listener.listen()
    account.now += OVERLAP
    assert told(listener.listen()) == set()


@pytest.mark.parametrize("skew", [-100.0, 100.0])
def test_a_clock_that_is_wrong_by_less_than_the_overlap_misses_nothing(account, skew):
    listener = Listener(account)
    account.now += skew
    listener.listen()
    account.now -= skew
    account.patch(f"/Tasks/{CALL}", {"fields": {"Amount": 1}})
    assert (TASKS, CALL) in told(listener.listen())


def test_what_changes_while_a_round_is_under_way_is_told_by_the_next(account, listener):
    account.now += 1000
    before = account.now
    listener.listen()
    assert listener.state["since"] == {TASKS: before, PROJECTS: before}


def fill(account, number):
    for turn in range(number):
        account.post("/Projects", {"fields": {"Name": f"p{turn}"}})


def test_a_long_round_is_cut_into_calls_of_ten_pages_and_tells_everything(account, listener):
    fill(account, 1050)
    started = account.now
    heard = listener.listen_to_the_end()
    assert [h.more for h in heard] == [True, False]
    assert [len(h.change.images) for h in heard] == [900, 150]
    assert heard[0].state["todo"] == [PROJECTS]
    assert heard[0].state["since"][TASKS] == started
    assert listener.state["since"] == {TASKS: started, PROJECTS: started}


def test_a_call_asks_for_ten_pages_at_most(listener):
    conversation = AIRTABLE.listen(listener.feed, listener.state, listener.account.now)
    next(conversation)
    for turn in range(PAGES - 1):
        page = {"records": [], "offset": f"itrA/rec{turn}"}
        conversation.send(Response(200, headers(), json.dumps(page).encode()))
    with pytest.raises(StopIteration) as done:
        conversation.send(Response(200, headers(), b'{"records":[],"offset":"itrA/recZ"}'))
    assert done.value.value.more
    assert done.value.value.state["offset"] == "itrA/recZ"


def test_a_listing_that_expired_between_two_calls_begins_again(account, listener):
    fill(account, 1050)
    first = listener.listen()
    account.now += 3600
    rest = listener.listen_to_the_end()
    images = {i.record_id for h in (first, *rest) for i in h.change.images}
    assert len(images) == 1050
    assert not any(h.refused for h in rest)


def test_a_table_that_left_the_sync_does_not_leave_its_offset_to_another(account, listener):
    state = listener.state | {"todo": [TASKS, PROJECTS], "offset": "itrA/recB", "began": NOON}
    (feed,) = AIRTABLE.feeds((collection(account.discover(), "Projects"),))
    listener.state = state
    heard = listener.listen(feed)
    assert tables(listener.sent) == [PROJECTS]
    assert "offset" not in json.loads(listener.sent[0].body)
    assert heard.state["since"].keys() == {PROJECTS}


def test_a_table_that_joined_the_sync_is_asked_since_the_feed_was_last_heard(account):
    both = account.discover()
    (one,) = AIRTABLE.feeds((collection(both, "Projects"),))
    listener = Listener(account)
    listener.listen(one)
    account.patch(f"/Tasks/{CALL}", {"fields": {"Amount": 1}})
    account.now += 1000
    assert told(listener.listen()) == {(TASKS, CALL)}


def test_a_refused_table_keeps_its_time_and_the_others_go_on(account, listener):
    since = listener.state["since"]
    account.now += 1000
    conversation = AIRTABLE.listen(listener.feed, listener.state, account.now)
    next(conversation)
    conversation.send(refusal(403, "INVALID_PERMISSIONS"))
    with pytest.raises(StopIteration) as done:
        conversation.send(EMPTY)
    heard = done.value.value
    assert heard.refused.keys() == {TASKS}
    assert "INVALID_PERMISSIONS" in heard.refused[TASKS].said
    assert "data.records:read" in heard.refused[TASKS].remedy
    assert heard.state["since"] == {TASKS: since[TASKS], PROJECTS: account.now}


@pytest.mark.parametrize("status", [401, 429])
def test_what_refuses_every_table_ends_the_call(listener, status):
    conversation = AIRTABLE.listen(listener.feed, listener.state, listener.account.now)
    next(conversation)
    with pytest.raises(Refused):
        conversation.send(refusal(status))


# A webhook after all ---------------------------------------------------------------


def test_a_webhook_is_tried_for_once_a_day(account, listener):
    account.now += DAY - 100
    listener.listen()
    assert "POST webhooks" not in calls(listener)
    account.now += 100
    listener.listen()
    assert calls(listener)[0] == "POST webhooks"
    listener.listen()
    assert "POST webhooks" not in calls(listener)


def test_no_webhook_is_tried_for_in_the_middle_of_a_round(account, listener):
    fill(account, 1050)
    listener.listen()
    account.now += 2 * DAY
    listener.listen()
    assert "POST webhooks" not in calls(listener)


def test_with_a_webhook_at_last_what_was_before_it_is_still_asked_for(account, listener):
    account.now += 2 * DAY
    account.patch(f"/Tasks/{CALL}", {"fields": {"Amount": 1}})
    allow(account)
    heard = listener.listen()
    assert calls(listener) == ["POST webhooks", "POST listRecords", "POST listRecords"]
    assert told(heard) == {(TASKS, CALL)}
    assert heard.state.keys() == {"heard", "webhook", "cursor"}
    account.delete(f"/Tasks/{CALL}")
    assert told(listener.listen()) == {(TASKS, CALL)}
    assert len(listener.sent) == 1


def test_a_webhook_waits_for_the_round_to_end(account, listener):
    account.now += 2 * DAY
    fill(account, 1050)
    allow(account)
    first = listener.listen()
    assert first.state.keys() > {"webhook", "since"}
    heard = listener.listen_to_the_end()
    assert len(account.get(HOOKS).json["webhooks"]) == 1
    assert listener.state.keys() == {"heard", "webhook", "cursor"}
    assert len({i.record_id for h in (first, *heard) for i in h.change.images}) == 1050


def test_a_table_that_was_refused_to_the_last_is_missed_by_the_webhook(account, listener):
    account.now += 2 * DAY
    conversation = AIRTABLE.listen(listener.feed, listener.state, account.now)
    next(conversation)
    conversation.send(Response(200, headers(), b'{"id":"achNew"}'))
    conversation.send(refusal(422, "INVALID_FILTER_BY_FORMULA"))
    with pytest.raises(StopIteration) as done:
        conversation.send(EMPTY)
    heard = done.value.value
    assert (heard.missed, heard.refused.keys()) == ((TASKS,), {TASKS})
    assert heard.state["webhook"] == "achNew"


@pytest.mark.parametrize("status", [403, 500])
def test_the_times_go_on_whatever_becomes_of_the_webhook(account, listener, status):
    account.now += 2 * DAY
    conversation = AIRTABLE.listen(listener.feed, listener.state, account.now)
    next(conversation)
    conversation.send(refusal(status))
    conversation.send(EMPTY)
    with pytest.raises(StopIteration) as done:
        conversation.send(EMPTY)
    assert done.value.value.state["retry_at"] == account.now + DAY


def test_a_token_that_loses_its_webhooks_is_followed_by_time_and_everything_listed(account):
    allow(account)
    listener = Listener(account)
    listener.listen()
    allow(account, allowed=False)
    heard = listener.listen()
    assert set(heard.missed) == {TASKS, PROJECTS}
    assert heard.state["since"].keys() == {TASKS, PROJECTS}
    account.patch(f"/Tasks/{CALL}", {"fields": {"Amount": 1}})
    assert told(listener.listen()) == {(TASKS, CALL)}


def test_there_is_nothing_to_hang_up(listener):
    listener.hang_up()
    assert listener.sent == []
    listener.state = None
    listener.hang_up()
    assert listener.sent == []


def calls(listener):
    paths = (request.path.rsplit("/", 1)[-1] for request in listener.sent)
    return [f"{r.method} {last}" for r, last in zip(listener.sent, paths, strict=True)]


def test_a_token_of_the_bases_owner_may_have_webhooks():
    assert "webhook" in Listener(Account(TOKEN)).listen().state


def test_a_clock_of_ours_that_is_fast_passes_over_nothing(account):
    listener, there = Listener(account), account.now
    date = headers(("Date", formatdate(there, usegmt=True)))
    conversation = AIRTABLE.listen(listener.feed, None, there + 600)
    next(conversation)
    with pytest.raises(StopIteration) as opened:
        conversation.send(Response(403, date, refusal(403, "INVALID_PERMISSIONS").body))
    state = opened.value.value.state
    assert state["since"] == {TASKS: int(there), PROJECTS: int(there)}
    conversation = AIRTABLE.listen(listener.feed, state, there + 660)
    next(conversation)
    conversation.send(Response(200, date, EMPTY.body))
    with pytest.raises(StopIteration) as heard:
        conversation.send(Response(200, date, EMPTY.body))
    assert heard.value.value.state["since"] == {TASKS: int(there), PROJECTS: int(there)}
