"""Requests damaged at random, and noise: whatever comes, the door answers properly or hangs up.

Seeded, so that a failure names the bytes that made it. What may never happen: an answer
without our marks, or with what was sent in it; an exception in the log, a second request
made of one, an upstream that is asked for what no client could have meant.
"""

from __future__ import annotations

import asyncio
import logging
import random

import pytest
from cases import AIRTABLE, PAYLOAD, TASKS
from neighbours.door import Door
from neighbours.rawclient import Answer, request_bytes
from neighbours.recorder import Recorder

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROUNDS = 25
MARK = "EchoedMark"  # what no answer may repeat
LINES = (
    b"Content-Length: 5\r\n",
    b"Content-Length: 5, 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding:\tchunked, \r\n",
    b"Connection: authorization, close\r\n",
    b"Host: other.example\r\n",
    b"Expect: 100-continue\r\n",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
    b" folded\r\n",
    b"X-A: \xff\xfe\r\n",
    b"X-A: a\rb\r\n",
    b": nameless\r\n",
    b"\r\n",
    b"\n",
)
PIECES = (b"\r", b"\n", b"\0", b" ", b"\t", b":", b"%", b"%00", b"/../", b"\\", b"#", b"\xff")


def damaged(rng: random.Random, request: bytes) -> bytes:
    """The request with one to three accidents."""
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(request))
        accident = rng.randrange(6)
        if accident == 0:
            request = request[:at] + rng.choice(PIECES) + request[at:]
        elif accident == 1:
            request = request[:at] + bytes([rng.randrange(256)]) + request[at + 1 :]
        elif accident == 2:
            request = request[:at] + request[at + rng.randint(1, 9) :]
        elif accident == 3:
            request = request.replace(b"\r\n", b"\n", rng.randint(1, 3))
        else:
            head, separator, rest = request.partition(b"\r\n")
            request = head + separator + rng.choice(LINES) + rest
    return request


def sound(rng: random.Random, either: Door) -> bytes:
    pairs = [("Authorization", f"Bearer {MARK}"), ("Content-Type", "application/json")]
    body = rng.choice((None, PAYLOAD, b""))
    return request_bytes(
        rng.choice(("GET", "POST", "PATCH")),
        f"{either.root(AIRTABLE)}{TASKS}?q={MARK}",
        pairs,
        body,
        chunked=body is not None and rng.random() < 0.3,
    )


def noise(rng: random.Random, either: Door) -> bytes:
    """Bytes that no client sends: some begin like a request, most do not."""
    beginning = rng.choice((b"", b"GET ", b"POST / HTTP/1.1\r\n", b"\x16\x03\x01", b"PRI * "))
    middle = f"{either.root(AIRTABLE)}{TASKS} {MARK}".encode() if rng.random() < 0.3 else b""
    rest = bytes(rng.choices(range(256), k=rng.randint(0, 200)))
    return beginning + middle + rest + rng.choice((b"", b"\r\n\r\n", b"\n\n"))


@pytest.mark.parametrize("seed", range(4))
async def test_a_damaged_request_gets_one_proper_answer_or_none(
    seed: int, either: Door, upstream: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    rng = random.Random(seed)
    for _ in range(ROUNDS):
        upstream.forget()
        request = damaged(rng, sound(rng, either))
        answers = await _answers(either, upstream, request)
        carried = [a for a in answers if "received-status=200" in a.get("Proxy-Status")]
        # A table name that was damaged may make us look for renamed tables.
        forwarded = [seen for seen in upstream.seen if "/meta/" not in seen.target]
        assert len(carried) == len(forwarded) <= 1, request
        _proper(answers, request)
        for seen in forwarded:
            assert seen.all("Host") == [AIRTABLE], request
            assert seen.target.startswith("/v0/appHouse"), request
            assert not seen.all("Transfer-Encoding"), request
            assert not seen.all("Connection"), request
    assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []


async def test_noise_gets_a_proper_answer_or_none_and_goes_nowhere(
    either: Door, upstream: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    rng = random.Random(4711)
    for _ in range(2 * ROUNDS):
        sent = noise(rng, either)
        _proper(await _answers(either, upstream, sent), sent)
    assert upstream.seen == []
    assert [r for r in caplog.records if r.levelno >= logging.ERROR] == []


def _proper(answers: list[Answer], sent: bytes) -> None:
    for answer in answers:
        assert 200 <= answer.status < 506, sent
        assert answer.get("Httpproxy-Commit"), sent
        assert MARK.encode() not in answer.head.raw + answer.body, sent


async def _answers(either: Door, upstream: Recorder, request: bytes) -> list[Answer]:
    """All answers that come until the door waits for more or hangs up."""
    found: list[Answer] = []
    method = request.split(b" ", 1)[0].decode("latin-1")
    bare = b""
    async with either.connect() as client:
        await client.send(request)
        for patience in (*[0.08] * 25, 3.0):
            try:
                async with asyncio.timeout(patience):
                    found.append(await client.answer(method))
            except TimeoutError:
                if found or not upstream.seen:  # else the answer is on its way
                    break
            except ConnectionError:
                break
            except asyncio.IncompleteReadError as broken:
                bare = broken.partial  # nginx's answer to HTTP/0.9 has no head
                break
    assert bare == b"" or bare.startswith(b'{"type":"urn:httpproxy:problem:'), request
    return found
