"""Reads of our own: repeated while the trouble can pass, each attempt under a permit."""

from __future__ import annotations

import asyncio
import time

import pytest
from neighbours.deadends import refusing
from neighbours.recorder import DROP, HANG, RESET, http, raw
from neighbours.rounds import least

from httpproxy.upstream import errors, retry
from httpproxy.upstream.lane import Priority
from httpproxy.upstream.limiter import Limiter
from httpproxy.upstream.repeat import ReadRules
from providers.http import Request, Response, headers
from providers.spec import Budget

HOST = "api.airtable.com"
KEY = ("airtable", "appX", "standard")
READ = Request("GET", HOST, "/v0/appX/Tasks?", headers(("Authorization", "Bearer patX")))
SEARCH = Request("POST", HOST, "/search", headers(("X-A", "1"), ("x-a", "2")), b'{"limit": 1}')


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(retry, "FIRST_WAIT", 0.02)


async def test_a_read_that_succeeds_is_made_once_and_as_it_is(client, upstream):
    assert (await client.fetch(READ)).body == b"{}"
    assert (await client.fetch(SEARCH)).body == b"{}"
    first, second = upstream.seen
    assert first.target == "/v0/appX/Tasks?"
    assert first.headers == (("Host", HOST), ("Authorization", "Bearer patX"))
    assert second.body == b'{"limit": 1}'
    assert second.all("X-A") == ["1", "2"]
    assert second.all("Content-Length") == ["12"]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("request_", [READ, SEARCH], ids=["GET", "POST"])
async def test_a_refusal_that_can_pass_is_asked_again(client, upstream, status, request_):
    upstream.replies += [http(status), http(status), http(200, body=b"[1]")]
    response = await client.fetch(request_)
    assert (response.status, response.body) == (200, b"[1]")
    assert len(upstream.seen) == 3


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 409, 413, 422, 501, 520])
async def test_any_other_answer_is_returned_as_it_came(client, upstream, status):
    upstream.replies.append(http(status, ("Location", "/elsewhere"), body=b"no"))
    response = await client.fetch(READ)
    assert (response.status, response.body) == (status, b"no")
    assert len(upstream.seen) == 1


@pytest.mark.parametrize(
    "trouble",
    [DROP, RESET, raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")],
    ids=["closed", "reset", "cut short"],
)
async def test_a_lost_connection_is_tried_again_and_each_attempt_is_seen_once(
    client, upstream, trouble
):
    upstream.replies += [trouble, trouble]
    assert (await client.fetch(READ)).status == 200
    assert len(upstream.seen) == 3


async def test_an_answer_that_does_not_come_is_asked_for_again(upstream, connect):
    client = await connect(upstream.url, timeout=0.2)
    upstream.replies.append(HANG)
    assert (await client.fetch(READ)).status == 200


async def test_the_last_refusal_is_returned_and_never_an_empty_success(client, upstream):
    upstream.usual = http(429, body=b"slow down")
    response = await client.fetch(READ, ReadRules(attempts=3))
    assert (response.status, response.body) == (429, b"slow down")
    assert len(upstream.seen) == 3


async def test_the_last_trouble_is_raised_as_an_error_of_ours(client, upstream):
    upstream.usual = DROP
    with pytest.raises(errors.ConnectionTerminated):
        await client.fetch(READ, ReadRules(attempts=3))
    assert len(upstream.seen) == 3


async def test_a_trouble_that_will_be_the_same_is_not_tried_again(client, upstream):
    upstream.usual = raw(b"SSH-2.0\r\n")
    with pytest.raises(errors.Malformed):
        await client.fetch(READ)
    assert len(upstream.seen) == 1


async def test_what_cannot_be_sent_is_not_tried_at_all(client, upstream):
    with pytest.raises(errors.Unsendable):
        await client.fetch(Request("GET", HOST, "/a b"))
    assert upstream.connections == 0


async def test_a_refusal_that_time_will_not_heal_is_not_asked_again(client, upstream):
    upstream.usual = http(429, body=b"PUBLIC_API_BILLING_LIMIT_EXCEEDED")
    rules = ReadRules(terminal=lambda answer: b"BILLING" in answer.body)
    assert (await client.fetch(READ, rules)).status == 429
    assert len(upstream.seen) == 1


async def test_retry_after_is_waited_for_and_no_longer(client, upstream):
    async def refused_once() -> float:
        upstream.replies.append(http(429, ("Retry-After", "1")))
        start = time.monotonic()
        assert (await client.fetch(READ)).status == 200
        return time.monotonic() - start

    assert 1.0 <= await least(refused_once, 2.0) < 2.0


async def test_every_attempt_has_its_own_permit_and_an_observer_can_pause_the_lane(
    client, upstream
):
    limiter = Limiter()
    limiter.lane(KEY, Budget("standard", 1, 0.2))
    moments: list[float] = []
    observed: list[int] = []

    async def admit():
        permit = await limiter.acquire(KEY, Priority.REREAD, 60)
        moments.append(time.monotonic())
        return permit

    def observe(answer: Response) -> None:
        observed.append(answer.status)
        (state,) = limiter.states()
        assert state.running == 1
        if answer.status == 429:
            limiter.pause(KEY, 0.5)

    upstream.replies += [http(503), http(429)]
    response = await client.fetch(READ, ReadRules(admit=admit, observe=observe))
    assert response.status == 200
    assert observed == [503, 429, 200]
    assert moments[1] - moments[0] >= 0.2
    assert moments[2] - moments[1] >= 0.5
    (state,) = limiter.states()
    assert state.running == 0
    limiter.close()


async def test_an_attempt_that_never_left_costs_no_slot(connect):
    limiter = Limiter()
    limiter.lane(KEY, Budget("standard", 1, 60))
    rules = ReadRules(lambda: limiter.acquire(KEY, Priority.READ, 0), attempts=3)
    with refusing() as origin:
        client = await connect(origin)
        with pytest.raises(errors.ConnectionRefused):
            await client.fetch(READ, rules)
    assert limiter.total.grants[Priority.READ] == 3
    limiter.close()


async def test_no_permit_in_time_ends_the_read(client, upstream):
    limiter = Limiter()
    limiter.lane(KEY, Budget("standard", 1, 60))
    rules = ReadRules(lambda: limiter.acquire(KEY, Priority.REREAD, 0))
    await client.fetch(READ, rules)
    with pytest.raises(errors.WaitExpired):
        await client.fetch(READ, rules)
    assert len(upstream.seen) == 1
    limiter.close()


async def test_cancelling_a_read_gives_its_permit_back(client, upstream):
    limiter = Limiter()
    limiter.lane(KEY, Budget("standard", 1, 0.01))
    upstream.usual = HANG
    rules = ReadRules(lambda: limiter.acquire(KEY, Priority.REREAD, 1))
    task = asyncio.ensure_future(client.fetch(READ, rules))
    while not upstream.seen:  # noqa: ASYNC110 - the recorder tells nobody
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (state,) = limiter.states()
    assert state.running == 0
    limiter.close()
