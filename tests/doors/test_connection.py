"""How the gateway keeps a client's connection: framing, expectations, versions, aborts."""

from __future__ import annotations

import asyncio

import pytest
from cases import AIRTABLE, BASE, JSON_TYPE, PAYLOAD, RECORD, TASKS
from neighbours.door import Door
from neighbours.problem import assert_problem
from neighbours.rawclient import request_bytes
from neighbours.recorder import Recorder, Reply, http

from httpproxy.gateway import incoming

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_one_connection_carries_many_exchanges(either: Door, upstream: Recorder) -> None:
    async with either.connect() as client:
        for number in range(5):
            upstream.replies.append(http(200, body=b"%d" % number))
            answer = await client.exchange(request_bytes("GET", either.root(AIRTABLE) + TASKS))
            assert answer.body == b"%d" % number
        assert await client.rest(0.1) is None
    assert len({seen.connection for seen in upstream.seen}) == 1


async def test_pipelined_requests_are_answered_in_order(
    either: Door, upstream: Recorder
) -> None:
    upstream.replies += [
        Reply((0.1, *http(200, body=b"first").parts)),
        http(200, body=b"second"),
    ]
    request = request_bytes("GET", either.root(AIRTABLE) + TASKS)
    async with either.connect() as client:
        await client.send(request + request)
        answers = [await client.answer(), await client.answer()]
    assert [a.body for a in answers] == [b"first", b"second"]


async def test_close_is_honoured(either: Door, upstream: Recorder) -> None:
    sent = request_bytes("GET", either.root(AIRTABLE) + TASKS, [("Connection", "close")])
    async with either.connect() as client:
        answer = await client.exchange(sent)
        assert answer.get("Connection") == "close"
        assert await client.rest() == b""
    assert not upstream.seen[0].all("Connection")


async def test_http_1_0_is_served_and_closed(either: Door, upstream: Recorder) -> None:
    upstream.replies.append(http(200, JSON_TYPE, body=RECORD, chunked=True))
    async with either.connect() as client:
        await client.send(f"GET {either.root(AIRTABLE)}{TASKS} HTTP/1.0\r\n\r\n".encode())
        answer = await client.answer()
        assert (answer.status, answer.version, answer.body) == (200, "HTTP/1.1", RECORD)
        assert answer.get("Content-Length") == str(len(RECORD))
        assert await client.rest() == b""
    assert upstream.seen[0].version == "HTTP/1.1"


async def test_the_absolute_form_is_served_and_its_authority_ignored(
    either: Door, upstream: Recorder
) -> None:
    """R12; nginx takes no user information in it."""
    others = () if either.behind_nginx else ("user@evil.example",)
    for authority in ("proxy.example", "api.hubapi.com:1", "[::1]:80", *others):
        target = f"http://{authority}{either.root(AIRTABLE)}{TASKS}/?a=%41"
        async with either.connect() as client:
            answer = await client.exchange(request_bytes("GET", target))
        assert answer.status == 200
        seen = upstream.seen[-1]
        assert (seen.target, seen.all("Host")) == (f"{TASKS}/?a=%41", [AIRTABLE])


async def test_https_before_the_host_is_tolerated(either: Door, upstream: Recorder) -> None:
    target = f"/{either.unique_id}/https://{AIRTABLE}{TASKS}?"
    async with either.connect() as client:
        answer = await client.exchange(request_bytes("GET", target))
    assert answer.status == 200
    assert upstream.seen[0].target == f"{TASKS}?"


async def test_options_star_is_answered_by_the_gateway(
    either: Door, upstream: Recorder
) -> None:
    async with either.connect() as client:
        answer = await client.exchange(request_bytes("OPTIONS", "*"))
        if either.behind_nginx:  # it takes no "*" for a target
            assert assert_problem(answer)["part"] == "nginx"
            return
        assert answer.status in (200, 204)
        assert {"GET", "POST", "PATCH", "PUT", "DELETE"} <= set(answer.get("Allow").split(", "))
        assert answer.get("Proxy-Status").startswith("httpproxy")
        assert answer.get("Httpproxy-Commit").startswith("none; ")
        assert (await client.exchange(request_bytes("OPTIONS", "*"))).status == answer.status
    assert upstream.seen == []


async def test_options_with_max_forwards_counts_down_and_stops_here(
    either: Door, upstream: Recorder
) -> None:
    target = either.root(AIRTABLE) + TASKS
    async with either.connect() as client:
        for hops, arrived in (("7", ["6"]), ("1", ["0"])):
            await client.exchange(request_bytes("OPTIONS", target, [("Max-Forwards", hops)]))
            assert upstream.seen[-1].all("Max-Forwards") == arrived
        answer = await client.exchange(
            request_bytes("OPTIONS", target, [("Max-Forwards", "0")])
        )
    assert answer.status in (200, 204)
    assert len(upstream.seen) == 2


async def test_a_client_that_waits_for_100_gets_it_and_its_answer(
    either: Door, upstream: Recorder
) -> None:
    head, body = _expecting(either, len(PAYLOAD)), PAYLOAD
    async with either.connect() as client:
        await client.send(head)
        first = await asyncio.wait_for(client.reader.readuntil(b"\r\n\r\n"), 60)
        assert first == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert upstream.seen == []
        await client.send(body)
        assert (await client.answer()).status == 200
        answer = await client.exchange(request_bytes("GET", either.root(AIRTABLE) + TASKS))
        assert answer.status == 200
    assert upstream.seen[0].body == PAYLOAD
    assert not upstream.seen[0].all("Expect")


@pytest.mark.parametrize(
    ("path", "length", "status"),
    [
        (f"/{AIRTABLE}{TASKS}", 99_999_999_999, 413),
        (f"/{AIRTABLE}/v0/appOther/Tasks", 10, 403),
        (f"/evil.example{TASKS}", 10, 404),
        (f"/{AIRTABLE}/v9/unknown", 10, 404),
    ],
)
async def test_who_would_be_refused_is_not_asked_to_go_on(
    path: str, length: int, status: int, either: Door, upstream: Recorder
) -> None:
    head = _expecting(either, length, f"/{either.unique_id}{path}")
    async with either.connect() as client:
        await client.send(head)
        if either.behind_nginx and status != 413:  # nginx asks for the body itself
            await client.send(b"x" * length)
            assert (await client.answer()).status == status
            return
        answer = await client.answer()
        assert answer.status == status
        assert answer.interim == ()
        assert answer.get("Connection") == "close"  # whether the body follows is unknown
    assert upstream.seen == []


def _expecting(either: Door, length: int, target: str | None = None) -> bytes:
    pairs = [("Expect", "100-Continue"), ("Content-Length", str(length))]
    return request_bytes("POST", target or either.root(AIRTABLE) + TASKS, pairs)


async def test_a_request_that_never_ends_is_never_forwarded(
    either: Door, upstream: Recorder
) -> None:
    whole = request_bytes("POST", either.root(AIRTABLE) + TASKS, body=b"x" * 1000)
    async with either.connect() as client:
        await client.send(whole[:-1])
        await asyncio.sleep(0.2)
    await asyncio.sleep(0.2)
    assert upstream.seen == []


@pytest.mark.parametrize("rest", [b"", b"no chunk\r\n\r\n"], ids=["slow", "damaged"])
async def test_a_body_that_does_not_come_whole_is_refused_and_never_forwarded(
    rest: bytes, door: Door, upstream: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incoming, "BODY_SECONDS", 3.0 if rest else 0.3)
    whole = request_bytes("POST", door.root(AIRTABLE) + TASKS, body=PAYLOAD, chunked=True)
    async with door.connect() as client:
        await client.send(whole[:-20])
        await asyncio.sleep(0.1)
        await client.send(rest)
        answer = await client.answer()
        assert answer.status == 408
        assert assert_problem(answer)["code"] == "request_timeout"
        assert answer.get("Connection") == "close"
    assert upstream.seen == []


async def test_a_client_that_goes_away_does_not_stop_its_write(
    either: Door, upstream: Recorder
) -> None:
    gone = asyncio.Event()
    upstream.replies.append(Reply((gone, *http(200, body=RECORD).parts)))
    async with either.connect() as client:
        await client.send(request_bytes("POST", either.root(AIRTABLE) + TASKS, body=PAYLOAD))
        await upstream.has(seen=1)
    await asyncio.sleep(0.2)  # until it is noticed that the client has gone
    gone.set()
    await upstream.has(answered=1)
    await asyncio.sleep(0.2)  # and until the answer, which has left, is read
    assert len(upstream.seen) == 1
    async with either.connect() as client:
        request = request_bytes("GET", either.root(AIRTABLE) + TASKS)
        assert (await client.exchange(request)).status == 200
    # The upstream's connection outlived the client's: the answer was read to its end.
    assert upstream.seen[0].connection == upstream.seen[1].connection


async def test_a_refused_call_leaves_the_connection_usable(
    either: Door, upstream: Recorder
) -> None:
    async with either.connect() as client:
        for target in ("/x/y/z", f"{either.root(AIRTABLE)}/v0/appOther/T"):
            answer = await client.exchange(request_bytes("POST", target, body=PAYLOAD))
            assert_problem(answer)
        root = either.root(AIRTABLE)
        answer = await client.exchange(request_bytes("GET", f"{root}/v0/{BASE}/Tasks"))
        assert answer.status == 200
    assert len(upstream.seen) == 1


async def test_head_of_a_refusal_has_the_length_and_no_body(
    either: Door, upstream: Recorder
) -> None:
    async with either.connect() as client:
        await client.send(request_bytes("HEAD", "/x/y/z"))
        answer = await client.answer("HEAD")
        assert answer.status == 404
        assert int(answer.get("Content-Length")) > 100
        request = request_bytes("GET", either.root(AIRTABLE) + TASKS)
        assert (await client.exchange(request)).status == 200
    assert len(upstream.seen) == 1


async def test_cookies_of_one_answer_are_not_sent_with_the_next_request(
    open_door, upstream: Recorder
) -> None:
    """A jar takes cookies from names alone, not from addresses: hence localhost."""
    upstream.usual = http(200, ("Set-Cookie", "tenant=a; Path=/"))
    async with open_door(f"http://localhost:{upstream.port}") as door:
        for _ in range(3):
            async with door.connect() as client:
                await client.exchange(request_bytes("GET", door.root(AIRTABLE) + TASKS))
    assert [seen.all("Cookie") for seen in upstream.seen] == [[], [], []]
