"""When the API does not answer, the client learns what may have happened, and nothing twice."""

from __future__ import annotations

import pytest
from answers import UNSOUND
from cases import AIRTABLE, JSON_TYPE, PAYLOAD, TASKS
from neighbours.deadends import blackhole, refusing
from neighbours.door import Door
from neighbours.problem import assert_problem
from neighbours.rawclient import Answer, request_bytes
from neighbours.recorder import DROP, HANG, RESET, End, Recorder, Reply, http, raw
from neighbours.rounds import least_time

pytestmark = pytest.mark.asyncio(loop_scope="module")

RECORD_PATH = f"{TASKS}/rec00000000000001"


async def ask(door: Door, method: str = "POST") -> Answer:
    target = RECORD_PATH if method in ("PUT", "DELETE", "PATCH") else TASKS
    body = PAYLOAD if method in ("PUT", "POST", "PATCH") else None
    async with door.connect() as client:
        sent = request_bytes(method, door.root(AIRTABLE) + target, [JSON_TYPE], body)
        return await client.exchange(sent)


@pytest.mark.parametrize("reply", [DROP, RESET], ids=["closed", "reset"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST", "PATCH"])
@pytest.mark.parametrize("pooled", [False, True], ids=["fresh", "pooled"])
async def test_a_call_whose_answer_is_lost_is_sent_exactly_once(
    method: str, reply: Reply, pooled: bool, either: Door, upstream: Recorder
) -> None:
    if pooled:
        await ask(either, "GET")
        upstream.seen.clear()
    upstream.usual = reply
    answer = await ask(either, method)
    assert [s.method for s in upstream.seen] == [method]
    assert answer.status == 502
    problem = assert_problem(answer)
    assert problem["sent"] in ("yes", "unknown")
    assert problem["retry_safe"] is (method == "GET")


@pytest.mark.parametrize("name", UNSOUND)
async def test_an_unsound_answer_is_a_502_and_its_connection_is_given_up(
    name: str, either: Door, upstream: Recorder
) -> None:
    kept = Reply((*UNSOUND[name].parts,), End.CLOSE)
    upstream.replies.append(kept)
    answer = await ask(either)
    assert answer.status == 502
    problem = assert_problem(answer)
    assert problem["code"] == "upstream_failed"
    assert problem["sent"] in ("yes", "unknown")
    assert problem["retry_safe"] is False
    assert (await ask(either)).status == 200
    first, second = upstream.seen
    assert first.connection != second.connection


async def test_a_folded_header_arrives_unfolded(either: Door, upstream: Recorder) -> None:
    """RFC 9112 §5.2 lets a gateway do this in place of a 502."""
    folded = b"HTTP/1.1 200 OK\r\nX-A: a\r\n  b\r\nContent-Length: 2\r\n\r\n{}"
    upstream.replies.append(raw(folded))
    answer = await ask(either)
    assert (answer.status, answer.body) == (200, b"{}")
    assert answer.get("X-A").split() == ["a", "b"]


async def test_bytes_after_an_answer_never_become_the_next_one(
    either: Door, upstream: Recorder
) -> None:
    first = http(200, body=b"mine")
    forged = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
    upstream.replies.append(Reply((*first.parts, forged), End.KEEP))
    assert (await ask(either)).body == b"mine"
    assert (await ask(either)).body == b"{}"


async def test_a_pooled_connection_that_closed_meanwhile_costs_no_call(
    either: Door, upstream: Recorder
) -> None:
    upstream.replies.append(Reply(http(200).parts, End.CLOSE))
    assert (await ask(either)).status == 200
    assert (await ask(either)).status == 200
    assert len(upstream.seen) == 2


async def test_nobody_listening_is_502_not_sent(open_door) -> None:
    with refusing() as url:
        async with open_door(url) as door:
            answer = await ask(door)
    assert answer.status == 502
    problem = assert_problem(answer)
    assert (problem["sent"], problem["retry_safe"]) == ("no", True)
    assert "error=connection_refused" in answer.get("Proxy-Status")


async def test_no_connection_in_time_is_504_not_sent(open_door) -> None:
    with blackhole() as url:
        async with open_door(url, connect_timeout=0.4) as door:

            async def tried() -> None:
                assert (await ask(door)).status == 504

            assert await least_time(tried, 3.0) < 3.0
            answer = await ask(door)
    assert answer.status == 504
    problem = assert_problem(answer)
    assert (problem["sent"], problem["retry_safe"]) == ("no", True)
    assert "error=connection_timeout" in answer.get("Proxy-Status")


@pytest.mark.parametrize(
    "reply",
    [HANG, raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", end=End.HOLD)],
    ids=["silence", "half an answer"],
)
async def test_no_answer_in_time_is_504_and_not_safe_to_repeat(
    reply: Reply, open_door, upstream: Recorder
) -> None:
    upstream.usual = reply
    async with open_door(upstream.url, upstream_timeout=2.0) as door:
        answer = await ask(door)
    assert answer.status == 504
    problem = assert_problem(answer)
    assert problem["sent"] in ("yes", "unknown")
    assert problem["retry_safe"] is False
    assert "error=http_response_timeout" in answer.get("Proxy-Status")
    assert len(upstream.seen) == 1


async def test_a_rate_limit_without_room_is_504_not_sent(open_door, upstream: Recorder) -> None:
    rate = {"allowed_requests": 2, "interval": 600.0}
    async with open_door(upstream.url, permit_timeout=30.0, **rate) as door:
        answers = [await ask(door) for _ in range(3)]
    assert [a.status for a in answers] == [200, 200, 504]
    problem = assert_problem(answers[2])
    assert (problem["code"], problem["sent"]) == ("permit_timeout", "no")
    assert problem["retry_safe"] is True
    assert int(answers[2].get("Retry-After")) >= 1
    assert len(upstream.seen) == 2


async def test_an_answer_over_the_limit_is_502_and_was_sent(
    open_door, upstream: Recorder
) -> None:
    upstream.usual = http(200, body=bytes(300_000))
    async with open_door(upstream.url, max_response_bytes=200_000) as door:
        answer = await ask(door)
    assert answer.status == 502
    problem = assert_problem(answer)
    assert problem["sent"] == "yes"
    assert problem["retry_safe"] is False
    assert len(upstream.seen) == 1
