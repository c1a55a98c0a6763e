"""Everything in the table of passing exchanges arrives at both ends as it was sent."""

from __future__ import annotations

import asyncio

import pytest
from answers import PASSING
from cases import (
    AIRTABLE,
    ANSWER_REMOVED,
    ANSWER_SET,
    REQUEST_REMOVED,
    REQUEST_SET,
    Case,
)
from neighbours.door import Door
from neighbours.rawclient import Answer, request_bytes
from neighbours.recorder import Recorder, Reply, Seen
from neighbours.wire import Head, read_body, read_head, values, without

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("case", PASSING, ids=lambda case: case.name)
async def test_an_exchange_arrives_as_it_was_sent(
    case: Case, either: Door, upstream: Recorder
) -> None:
    upstream.replies.append(case.reply)
    target = either.root(AIRTABLE) + case.target
    sent = request_bytes(case.method, target, case.headers, case.body, chunked=case.chunked)
    async with either.connect() as client:
        answer = await client.exchange(sent)
    (seen,) = upstream.seen
    _same_request(case, seen)
    head, body = await _scripted(case.reply, case.method)
    _same_answer(head, body, answer, behind_nginx=either.behind_nginx)
    _framed(case, head, answer)


def _same_request(case: Case, seen: Seen) -> None:
    assert (seen.method, seen.target, seen.version) == (case.method, case.target, "HTTP/1.1")
    assert seen.body == (case.body or b"")
    expected = case.headers if case.arrives is None else case.arrives
    altered = REQUEST_REMOVED | REQUEST_SET
    assert without(seen.headers, REQUEST_SET) == without(expected, altered)
    for name, _ in expected:
        if name.lower() not in altered:
            assert seen.all(name) == values(expected, name)
    assert seen.all("Host") == [AIRTABLE]
    assert seen.all("Content-Length") == ([] if case.body is None else [str(len(case.body))])
    vias = ", ".join(seen.all("Via")).split(", ")
    assert vias == [*values(case.headers, "Via"), "1.1 httpproxy"]


def _same_answer(head: Head, body: bytes, answer: Answer, *, behind_nginx: bool) -> None:
    version, status, *reason = head.start.split(" ", 2)
    assert version.startswith("HTTP/")
    assert answer.version == "HTTP/1.1"
    assert answer.status == int(status)
    assert answer.reason == (reason[0] if reason else "")
    assert answer.body == body
    named = {o.strip() for v in head.all("Connection") for o in v.split(",")}
    altered = ANSWER_REMOVED | ANSWER_SET | named
    added = _added_by_nginx(head) if behind_nginx else frozenset()
    assert without(answer.headers, ANSWER_SET | added) == without(head.headers, altered)
    *theirs, ours = answer.all("Proxy-Status")  # a list in which each hop comes after the last
    assert theirs == head.all("Proxy-Status")
    assert ours == f"httpproxy; received-status={answer.status}"
    for name in ("Set-Cookie", "X-A", "WWW-Authenticate"):
        assert answer.all(name) == head.all(name)
    assert len(answer.all("Httpproxy-Commit")) == 1


def _added_by_nginx(head: Head) -> set[str]:
    """What nginx cannot be kept from adding, and what nginx.conf has it add."""
    absent = {name for name in ("server", "date") if not head.all(name)}
    return absent | {"connection", "referrer-policy"}


def _framed(case: Case, head: Head, answer: Answer) -> None:
    assert not answer.all("Transfer-Encoding")
    if answer.status in (204, 304):
        assert not answer.all("Content-Length")
    elif case.method == "HEAD":
        assert answer.all("Content-Length") == head.all("Content-Length")
    else:
        assert answer.all("Content-Length") == [str(len(answer.body))]


async def _scripted(reply: Reply, method: str) -> tuple[Head, bytes]:
    """What a careful reader makes of the bytes that the upstream was told to send."""
    reader = asyncio.StreamReader(limit=1 << 26)
    for part in reply.parts:
        if isinstance(part, bytes):
            reader.feed_data(part)
    reader.feed_eof()
    head = await read_head(reader)
    assert head is not None
    if head.start.split(" ")[1].startswith("1"):
        head = await read_head(reader)
        assert head is not None
    empty = method == "HEAD" or head.start.split(" ")[1] in ("204", "304")
    return head, b"" if empty else await read_body(reader, head, to_close=True)
