"""A call with an Idempotency-Key has one effect, however often it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import requests
from neighbours.airtable_house import AirtableHouse, open_airtable
from neighbours.house import open_house
from neighbours.rawclient import connect, request_bytes

from httpproxy.exchange.settling import doubts
from httpproxy.store.errors import Unavailable
from httpproxy.store.intents.book import Intents

KEY = '"8e03978e-40d5-43dd-bc93-6894a57f9324"'


@pytest.fixture
async def base(database_dsn: str, tmp_path: Path) -> AsyncIterator[AirtableHouse]:
    async with open_airtable(database_dsn, tmp_path) as house:
        yield house


async def post(
    base: AirtableHouse, name: str, key: str | None = KEY, token: str | None = None
) -> requests.Response:
    """A record made under a key; with the sync's own token where none is named."""
    return await asyncio.to_thread(
        requests.post,
        base.table_url(),
        json={"fields": {"Name": name}},
        headers={"Authorization": f"Bearer {base.token if token is None else token}"}
        | ({} if key is None else {"Idempotency-Key": key}),
        timeout=60,
    )


async def settled(base: AirtableHouse, name: str, key: str = KEY) -> requests.Response:
    """The call repeated until it is known what became of the first."""
    async with asyncio.timeout(60):
        while True:
            answer = await post(base, name, key)
            waits = ("idempotency_in_flight", "idempotency_uncertain")
            if answer.json().get("code") not in waits:
                return answer
            await asyncio.sleep(0.1)


async def fault(base: AirtableHouse, **order: Any) -> None:
    await asyncio.to_thread(base.apis.order, order)


def names(base: AirtableHouse) -> list[str]:
    return sorted(record["fields"]["Name"] for record in base.truths().values())


async def test_the_same_call_gets_the_stored_answer_and_is_not_sent_again(base):
    first, again = await post(base, "once"), await post(base, "once")
    assert first.status_code == again.status_code == 200
    assert again.content == first.content
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Httpproxy-Commit"].startswith("replayed")
    assert await asyncio.to_thread(names, base) == ["once"]


async def test_the_key_may_come_bare_or_as_a_string(base):
    await post(base, "once")
    again = await post(base, "once", KEY.strip('"'))
    assert again.headers["Idempotency-Replayed"] == "true"


async def test_nothing_is_taken_for_a_repetition_without_a_key(base):
    await post(base, "twice", None)
    await post(base, "twice", None)
    assert await asyncio.to_thread(names, base) == ["twice", "twice"]


async def test_another_call_under_the_same_key_is_refused(base):
    await post(base, "one")
    other = await post(base, "another")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert await asyncio.to_thread(names, base) == ["one"]


async def test_while_the_first_is_under_way_the_second_is_told_to_ask_again(base):
    held = base.apis.hold("POST")
    first = asyncio.ensure_future(post(base, "slow"))
    await held.reached()
    second = await post(base, "slow")
    assert (second.status_code, second.json()["code"]) == (409, "idempotency_in_flight")
    assert second.json()["retry_safe"] is True
    assert second.headers["Retry-After"] == "1"
    held.let_go()
    answer = await first
    assert (await settled(base, "slow")).content == answer.content
    assert await asyncio.to_thread(names, base) == ["slow"]


async def test_an_answer_that_says_no_is_kept_too(base):
    await fault(base, kind="status", status=422, method="POST")
    first = await post(base, "no")
    again = await settled(base, "no")
    assert (first.status_code, again.status_code) == (422, 422)
    assert again.content == first.content
    assert await asyncio.to_thread(names, base) == []


@pytest.mark.parametrize("refusal", [{"status": 423}, {"status": 400, "retry_after": 1}])
async def test_a_call_that_came_at_a_bad_moment_is_sent_again(base, refusal):
    await fault(base, kind="status", method="POST", **refusal)
    assert (await post(base, "later")).status_code == refusal["status"]
    again = await settled(base, "later")
    assert (again.status_code, "Idempotency-Replayed" in again.headers) == (200, False)
    assert (await post(base, "later")).content == again.content
    assert await asyncio.to_thread(names, base) == ["later"]


async def test_a_call_that_came_with_a_bad_token_is_sent_again_with_a_good_one(base):
    assert (await post(base, "mine", token="patNobody.secret")).status_code == 401
    assert (await settled(base, "mine")).status_code == 200
    assert await asyncio.to_thread(names, base) == ["mine"]


@pytest.mark.parametrize("token", ["", "patNobody.secret"])
async def test_nobody_else_is_told_what_a_key_stands_for(base, token):
    await post(base, "mine")
    stranger = await post(base, "mine", token=token)
    assert (stranger.status_code, stranger.json()["code"]) == (403, "token_unproven")
    other_call = await post(base, "not mine", token=token)
    assert other_call.json()["code"] == "token_unproven"


async def test_the_syncs_own_token_is_told_whoever_came_first(base):
    state = base.apis.simulators.dump()
    tokens = state["airtable"]["tokens"]
    tokens["patTheirs.secret"] = tokens[base.token] | {"secret": "patTheirs.secret"}
    base.apis.simulators.load(state)
    first = await post(base, "theirs", token="patTheirs.secret")
    assert first.status_code == 200
    assert (await post(base, "theirs")).headers["Idempotency-Replayed"] == "true"
    again = await post(base, "theirs", token="patTheirs.secret")
    assert again.headers["Idempotency-Replayed"] == "true"


async def test_a_lost_answer_is_looked_into_before_anything_is_sent_again(base, monkeypatch):
    monkeypatch.setattr(doubts, "LOOKS", (0.0, 0.5, 1.0, 600.0))
    await fault(base, kind="drop", when="after", method="POST")
    lost = await post(base, "lost")
    assert lost.status_code == 502
    early = await post(base, "lost")
    assert early.status_code == 409
    later = await settled(base, "lost")
    assert later.json()["code"] == "already_applied"
    (record,) = await asyncio.to_thread(base.truths)
    assert record in later.json()["detail"]
    assert await asyncio.to_thread(names, base) == ["lost"]


async def test_what_was_not_applied_is_sent_again_after_the_last_look(base, monkeypatch):
    monkeypatch.setattr(doubts, "LOOKS", (0.0, 0.4))
    await fault(base, kind="drop", when="before", method="POST")
    assert (await post(base, "lost")).status_code == 502
    later = await settled(base, "lost")
    assert later.status_code == 200
    assert await asyncio.to_thread(names, base) == ["lost"]


async def test_a_record_that_another_call_made_is_not_taken_for_the_lost_one(base, monkeypatch):
    monkeypatch.setattr(doubts, "LOOKS", (0.0, 0.4))
    await post(base, "twin", None)
    await fault(base, kind="drop", when="before", method="POST")
    assert (await post(base, "twin")).status_code == 502
    later = await settled(base, "twin")
    assert later.status_code == 200
    assert await asyncio.to_thread(names, base) == ["twin", "twin"]


async def test_a_record_that_a_look_at_another_call_has_found_is_not_that_calls(
    base, monkeypatch
):
    """The slow call is applied when the lost one is looked at, and loses its answer later."""
    monkeypatch.setattr(doubts, "LOOKS", (0.0, 0.4))
    held = base.apis.hold("POST")
    await fault(base, kind="drop", when="after", method="POST", count=2)
    slow = asyncio.ensure_future(post(base, "slow", "slow"))
    await held.reached()
    assert (await post(base, "lost", "lost")).status_code == 502
    assert (await settled(base, "lost", "lost")).json()["code"] == "already_applied"
    assert not slow.done()
    held.let_go()
    assert (await slow).status_code == 502
    assert (await settled(base, "slow", "slow")).json()["code"] == "already_applied"
    assert await asyncio.to_thread(names, base) == ["lost", "slow"]


async def test_a_call_with_a_key_is_not_sent_without_an_intent(
    database_dsn, tmp_path, monkeypatch
):
    forward = {"on_database_down": "forward"}
    async with open_airtable(database_dsn, tmp_path, **forward) as base:

        async def away(*_: Any) -> int:
            raise Unavailable("the database went away a moment ago")

        monkeypatch.setattr(Intents, "begin", away)
        refused = await post(base, "keyed")
        assert (refused.status_code, refused.json()["sent"]) == (502, "no")
        assert (await post(base, "blind", None)).status_code == 200
        assert await asyncio.to_thread(names, base) == ["blind"]


@pytest.mark.parametrize("key", ["", "x" * 256, '""', "caf\xc3\xa9"])
async def test_a_key_that_is_none_is_refused_by_name(base, key):
    answer = await post(base, "bad", key)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_header")
    assert "Idempotency-Key" in answer.json()["detail"]
    assert await asyncio.to_thread(names, base) == []


async def test_a_key_that_came_twice_is_refused(base):
    door = base.house.door(base.sync)
    path = "/" + base.table_url().split("/", 3)[3]
    fields = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    async with connect(door.host, door.port) as client:
        answer = await client.exchange(request_bytes("POST", path, fields, b"{}"))
    assert answer.status == 400
    assert b"Idempotency-Key was sent 2 times" in answer.body


async def test_a_repetition_waits_for_no_permit(base):
    first = await post(base, "once")
    await fault(base, kind="status", status=429, retry_after=600, method="POST")
    assert (await post(base, "too many", None)).status_code == 429  # the lane is paused now
    again = await asyncio.wait_for(post(base, "once"), 60)
    assert again.content == first.content


async def test_a_call_that_was_too_many_leaves_its_key_free(base):
    await fault(base, kind="status", status=429, retry_after=1, method="POST")
    assert (await post(base, "later")).status_code == 429
    async with Intents(base.dsn, lambda: 1) as book, asyncio.timeout(60):
        while await book.kept(base.sync.id, KEY.strip('"')) is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_the_stored_answer_survives_a_restart(database_dsn, tmp_path):
    async with open_airtable(database_dsn, tmp_path) as base:
        first = await post(base, "once")
        async with open_house(database_dsn, tmp_path, base.apis.upstreams) as other:
            door = other.door(base.sync).url("api.airtable.com")
            path = base.table_url().partition("/api.airtable.com")[2]
            again = await asyncio.to_thread(
                requests.post,
                door + path,
                json={"fields": {"Name": "once"}},
                headers={"Authorization": f"Bearer {base.token}", "Idempotency-Key": KEY},
                timeout=60,
            )
        assert again.content == first.content
        assert again.headers["Idempotency-Replayed"] == "true"
