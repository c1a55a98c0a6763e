"""The gateway ends, and no call that reached it goes without its answer."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from http.client import HTTPConnection, RemoteDisconnected

import pytest
from aiohttp import web
from multidict import CIMultiDict

from httpproxy.gateway import draining
from httpproxy.gateway.answer import Answer
from httpproxy.gateway.draining import DrainingConnection, DrainingServer
from httpproxy.sockets import accepting, listen, port_of

_CLIENTS: list[_Client] = []


class _Server(DrainingServer):
    """Answers after `takes` seconds; the path is the answer."""

    def __init__(self, takes: float = 0.0) -> None:
        super().__init__(self._answer)
        self._takes = takes
        self.asked = 0

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked += 1
        await asyncio.sleep(self._takes)
        return Answer(200, "OK", CIMultiDict(), request.path.encode())

    def __call__(self) -> web.RequestHandler:
        return DrainingConnection(self, loop=asyncio.get_running_loop(), access_log=None)


class _Client:
    """A connection that is kept until the end of the test."""

    def __init__(self, port: int) -> None:
        self.connection = HTTPConnection("127.0.0.1", port, timeout=60)
        _CLIENTS.append(self)

    def connect(self) -> None:
        self.connection.connect()

    def ask(self, path: str = "/x") -> tuple[bytes, str | None]:
        self.connection.request("GET", path)
        response = self.connection.getresponse()
        return response.read(), response.headers["Connection"]

    def at_end(self) -> bool:
        self.connection.sock.settimeout(60)
        return self.connection.sock.recv(1) == b""


async def _until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 - a server's state
            await asyncio.sleep(0.01)


def copies(sockets):
    """What a process has of sockets that others hold, too."""
    return [each.dup() for each in sockets]


@pytest.fixture
def sockets():
    made = listen("127.0.0.1", 0)
    yield made
    while _CLIENTS:
        _CLIENTS.pop().connection.close()
    for each in made:
        each.close()


async def test_a_call_under_way_is_answered_and_its_connection_closed(sockets):
    server, client = _Server(takes=0.3), _Client(port_of(sockets))
    async with accepting(server, sockets):
        call = asyncio.ensure_future(asyncio.to_thread(client.ask))
        await _until(lambda: server.asked)
    await server.drain(600.0)
    assert await call == (b"/x", "close")


async def test_a_connection_at_rest_is_closed_only_when_it_was_quiet_for_a_while(
    sockets, monkeypatch
):
    monkeypatch.setattr(draining, "QUIET", 3.0)
    server, client = _Server(), _Client(port_of(sockets))
    other = _Client(port_of(sockets))
    async with accepting(server, sockets):
        await asyncio.to_thread(client.ask)
        await asyncio.to_thread(other.ask)
    drained = asyncio.ensure_future(server.drain(600.0))
    await asyncio.sleep(0.2)
    assert await asyncio.to_thread(client.ask, "/late") == (b"/late", "close")
    assert await asyncio.to_thread(other.at_end)
    await asyncio.wait_for(drained, 60)


async def test_a_head_that_has_begun_is_waited_for(sockets):
    server = _Server()
    with socket.create_connection(("127.0.0.1", port_of(sockets))) as client:
        async with accepting(server, sockets):
            client.sendall(b"GET /slow HTTP/1.1\r\nHo")
            await _until(lambda: server.connections)
            await asyncio.sleep(0.1)
        drained = asyncio.ensure_future(server.drain(600.0))
        await asyncio.sleep(0.2)  # ten times as long as a connection at rest has
        client.sendall(b"st: x\r\n\r\n")
        answer = await asyncio.to_thread(client.recv, 1000)
        assert answer.startswith(b"HTTP/1.1 200")
        await asyncio.wait_for(drained, 60)


async def test_bytes_that_the_system_holds_are_read_before_a_connection_is_closed(sockets):
    server, client = _Server(), _Client(port_of(sockets))
    async with accepting(server, sockets):
        await asyncio.to_thread(client.ask)
        await asyncio.sleep(0.1)
        client.connection.request("GET", "/unseen")  # and our loop has not turned since
        server.connections[0].end_if_quiet(asyncio.get_running_loop().time() + 60)
    drained = asyncio.ensure_future(server.drain(600.0))
    answer = await asyncio.to_thread(client.connection.getresponse)
    assert answer.read() == b"/unseen"
    await drained


async def test_what_waits_in_the_queue_of_our_own_socket_is_answered(sockets):
    server, client = _Server(), _Client(port_of(sockets))
    async with accepting(server, sockets):
        client.connect()  # the system has accepted it, and we have not
        client.connection.request("GET", "/queued")
    drained = asyncio.ensure_future(server.drain(600.0))
    answer = await asyncio.to_thread(client.connection.getresponse)
    assert answer.read() == b"/queued"
    await drained


async def test_what_waits_in_the_queue_of_a_socket_that_was_handed_in_is_the_successors(
    sockets,
):
    first, second = _Server(), _Server()
    client = _Client(port_of(sockets))
    async with accepting(first, copies(sockets)):
        pass
    await first.drain(1.0)
    client.connect()
    client.connection.request("GET", "/later")
    async with accepting(second, sockets):
        answer = await asyncio.to_thread(client.connection.getresponse)
        assert answer.read() == b"/later"
    await second.drain(1.0)


async def test_a_call_that_takes_too_long_is_given_up(sockets):
    server, client = _Server(takes=600), _Client(port_of(sockets))
    async with accepting(server, sockets):
        call = asyncio.ensure_future(asyncio.to_thread(client.ask))
        await _until(lambda: server.asked)
    async with asyncio.timeout(60):
        await server.drain(0.1)
    with pytest.raises(RemoteDisconnected):
        await call


async def test_clients_at_work_lose_no_call_when_the_server_is_replaced(sockets):
    """Closed loops on kept connections, while ten servers follow one another."""
    port, ended, failed, done = port_of(sockets), threading.Event(), [], []

    def work() -> None:
        client = _Client(port)
        while not ended.is_set():
            try:
                client.ask()
                done.append(1)
            except (OSError, ConnectionError) as error:  # whatever a caller would see
                failed.append(error)

    workers = [asyncio.ensure_future(asyncio.to_thread(work)) for _ in range(8)]
    server = _Server()
    for _ in range(10):
        successor = _Server()
        async with accepting(server, copies(sockets)):
            await asyncio.sleep(0.1)
        drained = asyncio.ensure_future(server.drain(600.0))
        server = successor
        async with accepting(server, copies(sockets)):
            await drained
    async with accepting(server, copies(sockets)):
        await _until(lambda: len(done) > 100 or failed)
        ended.set()
        await asyncio.gather(*workers)
    await server.drain(1.0)
    assert failed == []
