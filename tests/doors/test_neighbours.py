"""The measuring instruments themselves: what they record and send is what travelled."""

from __future__ import annotations

import asyncio
import socket

import pytest
from neighbours.deadends import blackhole, refusing
from neighbours.rawclient import connect, request_bytes
from neighbours.recorder import DROP, RESET, Recorder, Reply, http


async def test_the_recorder_keeps_order_case_and_bytes() -> None:
    pairs = [("X-b", "1"), ("x-A", ""), ("X-b", "2 ")]
    sent = request_bytes("PoST", "/a%2f?#", pairs, b"\xff\x00", chunked=True)
    async with Recorder() as upstream, connect("127.0.0.1", upstream.port) as client:
        await client.exchange(sent)
    (seen,) = upstream.seen
    assert seen.head.raw == sent[: sent.index(b"\r\n\r\n") + 4]
    assert (seen.method, seen.target, seen.body) == ("PoST", "/a%2f?#", b"\xff\x00")
    assert [n for n, _ in seen.headers][1:4] == ["X-b", "x-A", "X-b"]


async def test_the_client_gives_back_interim_answers_and_final_ones() -> None:
    first = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    async with Recorder() as upstream, connect("127.0.0.1", upstream.port) as client:
        upstream.replies.append(
            Reply((first, 0.01, *http(299, ("A", "b"), reason="Ok!").parts))
        )
        answer = await client.exchange(request_bytes("GET", "/"))
    assert (answer.status, answer.reason, answer.body) == (299, "Ok!", b"{}")
    assert [head.raw for head in answer.interim] == [first]


@pytest.mark.parametrize("reply", [DROP, RESET], ids=["closed", "reset"])
async def test_a_lost_answer_is_lost(reply: Reply) -> None:
    async with Recorder() as upstream, connect("127.0.0.1", upstream.port) as client:
        upstream.replies.append(reply)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await client.exchange(request_bytes("GET", "/"))
    assert len(upstream.seen) == 1


def test_dead_ends_refuse_and_swallow() -> None:
    with refusing() as url, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 1)
    with blackhole() as url, pytest.raises(TimeoutError):
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 0.3)
