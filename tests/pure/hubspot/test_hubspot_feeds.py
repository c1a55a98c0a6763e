"""What has changed, found by search: its window, its walk by id, and what it costs."""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

import orjson
import pytest
from hubspot_portal import GRACE, HOST, MARY, NOON, Portal, collection

from providers.http import Request, Response, headers
from providers.hubspot.feeds import (
    OVERLAP,
    PAGES_AT_ONCE,
    allowed,
    feeds,
    hang_up,
    listen,
    modified_property,
)
from providers.hubspot.fields import moment
from providers.hubspot.objects import STANDARD as TYPES
from providers.hubspot.objects import object_collection
from providers.hubspot.provider import HUBSPOT, SEARCH
from providers.hubspot.sandbox.kit import OAUTH_TOKEN, READ_ONLY_TOKEN
from providers.record import JSON
from providers.routing import Router
from providers.spec import Budget, Feed, Heard, Refused

V3 = "/crm/v3/objects"


class Ear(Portal):
    """A portal that is listened to, and counts what that costs."""

    def __init__(self, *args: Any, **switches: Any) -> None:
        super().__init__(*args, **switches)
        schema = self.schema("contacts", "companies")
        self.step = 0.25
        (self.feed,) = feeds([collection(schema, "contacts")])
        self.state: JSON = None
        self.asked: list[Request] = []

    def send(self, request: Request) -> Response:
        if hasattr(self, "asked"):
            self.asked.append(request)
        return super().send(request)

    def hear(self, later: float = 30.0) -> Heard:
        """One call of `listen`, so many seconds later."""
        self.now += later
        self.asked = []
        heard = self.converse(listen(self.feed, self.state, self.now))
        self.state = orjson.loads(orjson.dumps(heard.state))  # as it is kept
        return heard

    def ids(self, later: float = 30.0) -> list[str]:
        return [mark.key[0] for mark in self.hear(later).change.dirty if mark.key]

    def touch(self, record: str, **properties: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call(
            "PATCH", f"{V3}/contacts/{record}", {"properties": properties}
        )
        return found


def body_of(request: Request) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(request.body)
    return found


# --- which feeds ----------------------------------------------------------------------------


def test_every_object_type_has_a_feed_and_no_pair_has():
    schema = Portal().schema("contacts", "companies", "deals")
    found = feeds(schema.collections)
    assert [(feed.name, [c.id for c in feed.collections]) for feed in found] == [
        ("0-1", ["0-1"]),
        ("0-2", ["0-2"]),
        ("0-3", ["0-3"]),
    ]


def test_contacts_have_a_modified_date_of_another_name():
    schema = Portal().schema("contacts", "deals")
    names = [modified_property(collection(schema, each)) for each in ("contacts", "deals")]
    assert names == ["lastmodifieddate", "hs_lastmodifieddate"]


def test_a_type_without_a_modified_date_is_only_listed():
    bare = object_collection(TYPES[0], ())
    assert modified_property(bare) is None
    assert feeds([bare]) == ()


# --- a pass ---------------------------------------------------------------------------------


def test_a_feed_opens_with_one_search_and_hears_what_came_after():
    portal = Ear()
    portal.touch(GRACE, lastname="Hopper")
    opened = portal.hear()
    assert (opened.change.dirty, opened.more, opened.missed) == ((), False, ())
    assert len(portal.asked) == 1
    made = portal.touch(MARY, lastname="Shelley")
    heard = portal.hear()
    marks = {mark.key: mark for mark in heard.change.dirty}
    assert marks[MARY,].updated_at == moment(made["updatedAt"])
    assert heard.change.images == ()
    assert not heard.more


def test_when_nothing_changed_a_pass_is_exactly_one_search():
    portal = Ear()
    portal.hear()
    assert portal.ids() == []
    (asked,) = portal.asked
    match = Router(HUBSPOT).match(asked.method, HOST, asked.path)
    assert match is not None
    assert match.route.budget == "search"
    assert len(asked.body) < 3_000


def test_a_pass_begins_before_the_last_one_did_and_marks_again_what_it_finds():
    portal = Ear()
    portal.hear()
    portal.touch(GRACE, lastname="Hopper")
    assert portal.ids(10.0) == [GRACE]
    assert portal.ids(10.0) == [GRACE], "the store knows that it has this version"
    assert portal.ids(OVERLAP) == [GRACE]
    assert portal.ids(10.0) == []


def test_what_the_index_shows_late_is_heard_late_and_not_lost():
    portal = Ear(search_lag=200.0)
    portal.hear()
    portal.touch(GRACE, lastname="Hopper")
    heard = [GRACE in portal.ids(60.0) for _ in range(9)]
    assert heard[:3] == [False, False, False]
    assert any(heard)


def test_a_pass_tells_the_versions_that_the_index_has():
    portal = Ear(search_lag=100.0)
    portal.hear()
    old = portal.touch(GRACE, lastname="Hopper")
    portal.now += 60.0
    portal.touch(GRACE, lastname="Murray")
    (mark,) = portal.hear(60.0).change.dirty
    assert mark.updated_at == moment(old["updatedAt"])


def test_archived_records_are_not_found():
    portal = Ear()
    portal.hear()
    portal.touch(GRACE, lastname="Hopper")
    portal.call("DELETE", f"{V3}/contacts/{GRACE}")
    assert portal.ids() == []


# --- many -----------------------------------------------------------------------------------


def crowd(portal: Ear, count: int) -> list[str]:
    """That many new contacts; their ids."""
    ids: list[str] = []
    for first in range(0, count, 100):
        inputs = [
            {"properties": {"email": f"p{n}@example.com"}}
            for n in range(first, min(first + 100, count))
        ]
        made = portal.call("POST", f"{V3}/contacts/batch/create", {"inputs": inputs})
        ids += [each["id"] for each in made["results"]]
    return ids


def test_a_bulk_update_is_heard_in_parts_and_each_part_can_be_the_last_before_a_crash():
    portal = Ear()
    portal.hear()
    ids = crowd(portal, 200 * PAGES_AT_ONCE + 150)
    first = portal.hear()
    assert first.more
    assert len(portal.asked) == PAGES_AT_ONCE <= SEARCH.allowed_requests
    kept = portal.state
    second = portal.ids(400.0)
    portal.state = kept
    assert portal.ids() == second, "the same place again"
    found = [mark.key[0] for mark in first.change.dirty if mark.key] + second
    assert found == ids
    assert portal.hear(OVERLAP).more, "found again, for the index may have been late"
    assert not portal.hear().more
    assert portal.ids() == []


def test_a_pass_that_took_long_starts_the_next_before_its_own_beginning():
    portal = Ear()
    portal.hear()
    ids = crowd(portal, 200 * PAGES_AT_ONCE + 1)
    assert portal.hear().more
    portal.touch(GRACE, lastname="behind the place where the pass is")
    portal.ids(3_600.0)
    assert GRACE in portal.ids(30.0)
    assert ids[0] > GRACE


def test_pages_are_asked_for_by_id_and_never_by_offset():
    portal = Ear()
    portal.hear()
    ids = crowd(portal, 250)
    portal.hear()
    bodies = [body_of(each) for each in portal.asked]
    assert len(bodies) == 2
    for body in bodies:
        assert "after" not in body
        assert body["sorts"] == [{"propertyName": "hs_object_id", "direction": "ASCENDING"}]
        assert body["properties"] == ["hs_object_id"]
        assert body["limit"] == 200
    beyond = [body["filterGroups"][0]["filters"][1] for body in bodies]
    assert [each["value"] for each in beyond] == ["0", ids[199]]
    assert {each["operator"] for each in beyond} == {"GT"}


def test_records_that_move_while_a_pass_walks_are_not_skipped():
    portal = Ear()
    portal.hear()
    ids = crowd(portal, 450)
    conversation = listen(portal.feed, portal.state, portal.now)
    request, found = next(conversation), list[str]()
    while True:
        answer = portal.send(request)
        portal.touch(ids[0], lastname="moves to the end of any order by date")
        try:
            request = conversation.send(answer)
        except StopIteration as done:
            found += [mark.key[0] for mark in done.value.change.dirty]
            break
    assert set(found) == set(ids)


# --- clocks and states ----------------------------------------------------------------------


def answer(body: Any = None, **fields: str) -> Response:
    pairs = [(name.replace("_", "-"), value) for name, value in fields.items()]
    return Response(200, headers(*pairs), orjson.dumps(body or {"results": []}))


def state_after(state: JSON, now: float, **fields: str) -> Any:
    feed = Ear().feed
    conversation = listen(feed, state, now)
    next(conversation)
    with pytest.raises(StopIteration) as done:
        conversation.send(answer(**fields))
    return done.value.value.state


AT_NOON = {"since": 1000, "following": None, "last": "0"}


@pytest.mark.parametrize("state", [None, AT_NOON])
def test_a_clock_of_ours_that_is_fast_passes_over_nothing(state: JSON):
    there = formatdate(NOON - 1_200, usegmt=True)
    found = state_after(state, NOON, Date=there)
    assert found["since"] == (NOON - 1_200 - OVERLAP) * 1000


@pytest.mark.parametrize("date", ["", "yesterday", formatdate(NOON + 1_200, usegmt=True)])
def test_otherwise_it_goes_by_our_clock(date: str):
    assert state_after(AT_NOON, NOON, Date=date)["since"] == (NOON - OVERLAP) * 1000


def test_a_clock_of_ours_that_is_slow_delays_nothing():
    portal = Ear()
    portal.hear()
    portal.touch(GRACE, lastname="Hopper")
    heard = portal.converse(listen(portal.feed, portal.state, portal.now - 1_000))
    assert [mark.key for mark in heard.change.dirty] == [(GRACE,)]


@pytest.mark.parametrize(
    "state", [7, "x", [], {}, {"since": "1", "following": None, "last": ""}]
)
def test_a_state_that_nobody_can_read_is_begun_anew_and_says_what_was_missed(state: JSON):
    portal = Ear()
    portal.state = state
    assert portal.hear().missed == ("0-1",)
    portal.touch(GRACE, lastname="Hopper")
    assert portal.ids() == [GRACE]


def test_odd_answers_end_a_pass_and_break_nothing():
    feed = Ear().feed
    for body in (
        {"results": [None, {}, {"id": []}, {"id": "x"}], "paging": {"next": {"a": 1}}},
        {},
    ):
        conversation = listen(feed, AT_NOON, NOON)
        next(conversation)
        with pytest.raises(StopIteration) as done:
            conversation.send(answer(body))
        assert (done.value.value.change.dirty, done.value.value.more) == ((), False)


def test_hanging_up_asks_for_nothing():
    with pytest.raises(StopIteration):
        next(hang_up(Feed("0-1", ()), AT_NOON))


def test_a_missing_scope_is_refused_by_name():
    portal = Ear()
    portal.token = READ_ONLY_TOKEN
    (feed,) = feeds([collection(Portal().schema("deals"), "deals")])
    with pytest.raises(Refused) as refused:
        portal.converse(listen(feed, None, portal.now))
    assert "crm.objects.deals.read" in refused.value.remedy


# --- rates ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("requests", "token"), [(190, None), (110, OAUTH_TOKEN)])
def test_any_answer_but_a_searchs_states_the_rate(requests: int, token: str | None):
    portal = Portal(requests_per_ten_seconds=requests, **({"token": token} if token else {}))
    listed = portal.send(Request("GET", HOST, f"{V3}/contacts"))
    assert allowed("standard", listed) == Budget("standard", requests, 10.0)
    assert allowed("search", listed) is None
    searched = portal.send(Request("POST", HOST, f"{V3}/contacts/search", body=b"{}"))
    assert searched.ok
    assert allowed("search", searched) is None
    assert allowed("standard", searched) is None


@pytest.mark.parametrize(
    ("most", "interval"),
    [("", "10000"), ("190", ""), ("0", "10000"), ("190", "0"), ("-1", "10000"), ("many", "x")],
)
def test_headers_that_make_no_rate_state_none(most: str, interval: str):
    pairs = {
        "X-HubSpot-RateLimit-Max": most,
        "X-HubSpot-RateLimit-Interval-Milliseconds": interval,
    }
    response = Response(200, headers(*pairs.items()))
    assert allowed("standard", response) is None
