"""Clients that send slowly, read slowly, hold connections for nothing, or open too many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from itertools import count

import pytest
from aiohttp import web
from cases import AIRTABLE, TASKS
from multidict import CIMultiDict
from neighbours.problem import assert_problem
from neighbours.rawclient import RawClient, connect, request_bytes
from neighbours.recorder import Recorder

from httpproxy.exchange.problems import Rejected, body
from httpproxy.gateway.answer import Answer
from httpproxy.gateway.callers import TrustedProxies
from httpproxy.gateway.connection import MAX_HEAD, GatewayServer, Limits

GET = request_bytes("GET", "/x")
NOBODY = TrustedProxies(())


class Desk:
    """A door that answers with its paths' numbers: /wait when told, /large with much."""

    def __init__(self) -> None:
        self.served: list[str] = []
        self.told = asyncio.Event()
        self._numbers = count(1)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.served.append(request.raw_path)
        if request.raw_path == "/wait":
            await self.told.wait()
        if request.raw_path == "/body":
            await request.read()
        large = bytes(32 << 20) if request.raw_path == "/large" else b""
        fields = CIMultiDict({"X-Number": str(next(self._numbers))})
        return Answer(200, "OK", fields, large)

    def refuse(self, rejected: Rejected, method: str) -> Answer:
        content = body(rejected, method, "1", None)
        fields = CIMultiDict({"X-Code": rejected.code, "Content-Length": str(len(content))})
        return Answer(rejected.kind.status, rejected.kind.title, fields, content)


class Hall(Desk):
    """The desk behind a listening GatewayServer."""

    port = 0
    server: GatewayServer | None = None

    def open(self, address: str = "127.0.0.1") -> AbstractAsyncContextManager[RawClient]:
        return connect("127.0.0.1", self.port, source=address)


OpenHall = Callable[..., AbstractAsyncContextManager[Hall]]


@pytest.fixture
def open_hall() -> OpenHall:
    """Opens a server with limits that a test can wait for: `open_hall(head=0.3)`."""

    @asynccontextmanager
    async def opened(
        head: float = 60.0,
        idle: float = 60.0,
        answer: float = 60.0,
        connections: int = 100,
        trusted: TrustedProxies = NOBODY,
    ) -> AsyncIterator[Hall]:
        hall = Hall()
        limits = Limits(1000, head, idle, connections, trusted, answer)
        hall.server = server = GatewayServer(hall, limits)
        listening = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
        hall.port = listening.sockets[0].getsockname()[1]
        try:
            yield hall
        finally:
            listening.close()
            await server.shutdown(0.1)

    return opened


async def test_a_head_that_trickles_in_is_answered_408_and_hung_up_on(
    open_hall: OpenHall,
) -> None:
    async with open_hall(head=0.3) as hall, hall.open() as client:
        sending = asyncio.ensure_future(_trickle(client, GET[:-4] + b"\r\nX-A: " + b"a" * 500))
        answer = await client.answer()
        assert (answer.status, answer.get("X-Code")) == (408, "request_timeout")
        assert answer.get("Connection") == "close"
        sending.cancel()
        assert await client.rest() == b""
        assert hall.served == []


async def _trickle(client: RawClient, data: bytes) -> None:
    for at in range(len(data)):
        await client.send(data[at : at + 1])
        await asyncio.sleep(0.02)


async def test_a_head_that_is_slow_and_in_time_is_served(open_hall: OpenHall) -> None:
    async with open_hall(head=30.0, idle=30.0) as hall, hall.open() as client:
        await _trickle(client, GET)
        assert (await client.answer()).status == 200


async def test_a_connection_that_never_says_anything_is_closed(open_hall: OpenHall) -> None:
    async with open_hall(head=0.3) as hall, hall.open() as client:
        assert await client.rest() == b""


async def test_a_connection_is_kept_for_its_next_request_but_not_for_ever(
    open_hall: OpenHall,
) -> None:
    async with open_hall(head=30.0, idle=3.0) as hall, hall.open() as client:
        await client.exchange(GET)
        assert await client.rest(0.5) is None
        await client.exchange(GET)
        assert await client.rest(0.5) is None
        assert await client.rest() == b""


async def test_a_request_that_takes_long_to_serve_is_not_idle(open_hall: OpenHall) -> None:
    async with open_hall(head=1.0, idle=1.0, answer=1.0) as hall, hall.open() as client:
        await client.send(request_bytes("GET", "/wait"))
        await asyncio.sleep(2.0)
        hall.told.set()
        assert (await client.answer()).status == 200


async def test_an_answer_that_nobody_reads_is_dropped(open_hall: OpenHall) -> None:
    async with open_hall(answer=0.3) as hall, hall.open() as client:
        client.writer.transport.pause_reading()
        await client.send(request_bytes("GET", "/large"))
        await asyncio.sleep(1.2)
        client.writer.transport.resume_reading()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.answer()


async def test_an_answer_that_is_read_slowly_but_steadily_arrives_whole(
    open_hall: OpenHall,
) -> None:
    async with open_hall(answer=3.0) as hall, hall.open() as client:
        client.reader._limit = 2 << 20  # so that little is read ahead
        await client.send(request_bytes("GET", "/large"))
        length = 0
        while length < 32 << 20:
            await asyncio.sleep(0.25)
            piece = await client.reader.read(2 << 20)
            assert piece, f"cut off after {length} bytes"
            length += len(piece)


async def test_a_head_in_pieces_may_not_grow_without_end(open_hall: OpenHall) -> None:
    line = b"X-Filler: " + b"a" * 8000 + b"\r\n"
    async with open_hall() as hall, hall.open() as client:
        await client.send(b"GET /x HTTP/1.1\r\nHost: h\r\n")
        for _ in range(MAX_HEAD // len(line) + 1):
            await client.send(line)
            await asyncio.sleep(0.001)
        answer = await client.answer()
        assert (answer.status, answer.get("X-Code")) == (431, "headers_too_large")
        assert hall.served == []


async def test_many_requests_at_once_are_served_one_after_another(open_hall: OpenHall) -> None:
    async with open_hall() as hall, hall.open() as client:
        await client.send(b"".join(request_bytes("GET", f"/{n}") for n in range(300)))
        numbers = [(await client.answer()).get("X-Number") for _ in range(300)]
    assert numbers == [str(n + 1) for n in range(300)]
    assert hall.served == [f"/{n}" for n in range(300)]


@pytest.mark.parametrize("requests", [1, 3])
async def test_a_client_that_has_closed_its_sending_side_gets_its_answers(
    requests: int, open_hall: OpenHall
) -> None:
    async with open_hall() as hall, hall.open() as client:
        await client.send(request_bytes("GET", "/wait") * requests)
        client.writer.write_eof()
        await asyncio.sleep(0.1)
        hall.told.set()
        for number in range(requests):
            assert (await client.answer()).get("X-Number") == str(number + 1)
        assert await client.rest() == b""


async def test_one_that_was_answered_before_its_body_came_is_not_waited_for(
    open_hall: OpenHall,
) -> None:
    async with open_hall() as hall, hall.open() as client:
        await client.send(request_bytes("POST", "/x", [("Content-Length", "100")]))
        assert (await client.answer()).status == 200
        client.writer.write_eof()
        assert await client.rest() == b""
        assert hall.server is not None
        async with asyncio.timeout(60):
            while hall.server.connections:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.01)


async def test_one_that_closes_it_in_the_middle_of_a_request_is_hung_up_on(
    open_hall: OpenHall,
) -> None:
    for part in (GET[:-2], request_bytes("POST", "/body", body=b"x" * 100)[:-1]):
        async with open_hall() as hall, hall.open() as client:
            await client.send(part)
            await asyncio.sleep(0.05)
            client.writer.write_eof()
            assert await client.rest() == b""


async def test_who_opens_too_many_connections_crowds_out_itself_alone(
    open_hall: OpenHall,
) -> None:
    async with (
        AsyncExitStack() as stack,
        open_hall(connections=4) as hall,
        hall.open("127.0.0.9") as modest,
    ):
        await modest.exchange(GET)
        greedy = [await stack.enter_async_context(hall.open("127.0.0.8")) for _ in range(12)]
        assert (await modest.exchange(GET)).status == 200
        async with hall.open("127.0.0.7") as newcomer:
            assert (await newcomer.exchange(GET)).status == 200
            assert (await modest.exchange(GET)).status == 200
        left = [client for client in greedy if await client.rest(0.5) is None]
        assert len(left) == 2  # of 12: three had room, and one of these made room


async def test_nobody_who_is_being_served_is_cut_off_for_a_newcomer(
    open_hall: OpenHall,
) -> None:
    async with open_hall(connections=2) as hall, hall.open() as first, hall.open() as second:
        await first.send(request_bytes("GET", "/wait"))
        await second.send(request_bytes("GET", "/wait"))
        async with asyncio.timeout(60):
            while len(hall.served) < 2:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.01)
        async with hall.open("127.0.0.9") as newcomer:
            answer = await newcomer.answer()
            assert (answer.status, answer.get("X-Code")) == (503, "too_many_connections")
        hall.told.set()
        assert [(await each.answer()).status for each in (first, second)] == [200, 200]


async def test_a_trusted_proxy_may_hold_as_many_as_it_likes(open_hall: OpenHall) -> None:
    trusted = TrustedProxies(("127.0.0.8",))
    async with open_hall(connections=1, trusted=trusted) as hall, AsyncExitStack() as stack:
        proxied = [await stack.enter_async_context(hall.open("127.0.0.8")) for _ in range(4)]
        async with hall.open() as client:
            assert (await client.exchange(GET)).status == 200
            for each in proxied:
                assert (await each.exchange(GET)).status == 200
            assert (await client.exchange(GET)).status == 200


@pytest.mark.asyncio(loop_scope="module")  # as the recorder's
async def test_the_settings_reach_the_gateway(open_door, upstream: Recorder) -> None:
    limits = {"head_timeout": 2.0, "max_client_connections": 1, "trusted_proxies": ()}
    async with open_door(upstream.url, **limits) as door:
        async with door.connect() as client:
            await client.send(b"GET /x HT")
            problem = assert_problem(await client.answer())
            assert problem["code"] == "request_timeout"
        await asyncio.sleep(0.1)  # until that connection is gone
        request = request_bytes("GET", door.root(AIRTABLE) + TASKS)
        async with door.connect() as first:
            assert (await first.exchange(request)).status == 200
            async with door.connect() as second:
                assert (await second.exchange(request)).status == 200
                assert await first.rest() == b""
