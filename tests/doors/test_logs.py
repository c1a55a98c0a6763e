"""What the gateway logs never tells a token, a cookie, a query, a body or a unique id."""

from __future__ import annotations

import logging

import pytest
from cases import AIRTABLE, BASE, JSON_TYPE
from neighbours.door import Door
from neighbours.rawclient import connect, request_bytes
from neighbours.recorder import DROP, Recorder, Reply, http, raw

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRETS = ("patSECRETtoken", "SECRETcookie", "SECRETquery", "SECRETbody", "SECRETanswer")


@pytest.mark.parametrize(
    "reply",
    [
        http(200, JSON_TYPE, ("Set-Cookie", "s=SECRETcookie"), body=b'{"SECRETanswer": 1}'),
        http(200, JSON_TYPE, body=b"SECRETanswer is no JSON"),
        http(500, JSON_TYPE, body=b"SECRETanswer"),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9x\r\nX: SECRETanswer\r\n\r\n"),
        DROP,
    ],
    ids=["good", "unreadable", "error", "malformed", "lost"],
)
async def test_logs_tell_no_secret(
    reply: Reply, door: Door, upstream: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.replies.append(reply)
    headers = [("Authorization", "Bearer patSECRETtoken"), ("Cookie", "c=SECRETcookie")]
    target = f"/v0/{BASE}/Tasks?q=SECRETquery"
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("test").debug("the capture works")
        async with connect(door.host, door.port) as client:
            sent = request_bytes("POST", door.root(AIRTABLE) + target, headers, b"SECRETbody")
            await client.exchange(sent)
            await client.exchange(
                request_bytes("GET", f"/{door.unique_id}/SECRETquery/x?SECRETquery", headers)
            )
            await client.send(b"GET /SECRETquery HTTP/1.1\r\nSECRETbody\r\n\r\n")
            await client.answer()
    told = "\n".join(
        logging.Formatter("%(name)s %(message)s").format(r) + repr(vars(r))
        for r in caplog.records
    )
    assert "the capture works" in told
    assert [s for s in (*SECRETS, door.unique_id) if s in told] == []
