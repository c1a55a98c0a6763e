"""A client's connection: aiohttp's, with the limits that aiohttp leaves to others.

    head     a request head that does not arrive is answered 408 and hung up on
    idle     a connection without a request is closed in the end
    answer   one that its client does not read is dropped
    crowd    of too many connections, idle ones of who holds most are closed

aiohttp has no time limit for heads, and none for answers. Nothing is timed by request
here: one look a second at all connections sees what has not moved since, so that a
request pays for two comparisons. What aiohttp's parser refuses is answered in our form.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final, Protocol

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import LineTooLong

from httpproxy.exchange.problems import Rejected
from httpproxy.gateway.answer import Answer
from httpproxy.gateway.callers import TrustedProxies, key_of
from httpproxy.gateway.crowd import Crowd
from httpproxy.gateway.draining import DrainingConnection, DrainingServer

MAX_LINE: Final = 40_000  # the parser's own limit, above the gateway's, so that that answers
MAX_FIELD: Final = 32_768
MAX_HEADERS: Final = 256
MAX_HEAD: Final = 131_072  # of a head that arrives in pieces
STEP: Final = 16_384  # so much of an answer must be taken within `Limits.answer`
LEAVE_SECONDS: Final = 2.0  # for the client to read why it is hung up on
LOOK_SECONDS: Final = 1.0

_PARSER_PROBLEMS: Final = {
    400: "bad_request",
    414: "target_too_long",
    431: "headers_too_large",
    505: "version_not_supported",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What is borne of clients: bytes of a body, seconds, connections; and who is believed."""

    max_body: int
    head: float
    idle: float
    connections: int
    trusted: TrustedProxies
    answer: float = 30.0


class Door(Protocol):
    """The gateway, as a connection sees it."""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse: ...

    def refuse(self, rejected: Rejected, method: str) -> Answer: ...


class Connection(DrainingConnection):
    """One client's connection. `peer` is the address at its other end, "" for a socket's."""

    __slots__ = (
        "_deaf", "_head", "_house", "_leaving", "_payload", "_serving", "_since", "_stage",
        "peer",
    )  # fmt: skip

    def __init__(self, house: GatewayServer, **options: Any) -> None:
        super().__init__(house, **options)
        self._house = house
        self._head = 0  # bytes of a head that is not whole yet
        self._serving = False  # the latest request is not answered yet
        self._leaving = False
        self._deaf = False  # the client will send no more
        self._stage: tuple[str, int] = ("new", 0)
        self._since = house.now()
        self._payload: StreamReader | None = None  # of the latest request
        self.peer = ""

    @property
    def idle(self) -> bool:
        """Whether it waits for a request, or for the rest of one's head."""
        return self._waiter is not None and not self._waiter.done()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        name = transport.get_extra_info("peername")
        self.peer = name[0] if isinstance(name, tuple) else ""
        self._house.entered(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._house.left(self)
        if self._payload is not None and not self._serving:
            self._payload.feed_eof()  # aiohttp would wait 10 s for the rest of it
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._has_begun:
            self._head += len(data)
            if self._head > MAX_HEAD:
                self.dismiss("headers_too_large", f"The head is over {MAX_HEAD} bytes.")
        elif self._head:
            self._head = 0

    def serves(self, payload: StreamReader) -> None:
        """From now on it serves the request with this body."""
        self._payload, self._serving = payload, True

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio's may return one
        """A client that has closed its sending side alone gets its answers still."""
        payloads = [payload for _, payload in self._messages]
        if self._payload is not None:
            payloads.append(self._payload)
        due = self._serving or bool(self._messages)
        if self._leaving or not due or not all(payload.is_eof() for payload in payloads):
            return False
        self._deaf = True
        if not self._messages:
            self.close()
        return True

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._serving = False

    def look(self, now: float, limits: Limits) -> None:
        """Ends what has not moved for too long. Called for each connection, once a second."""
        if self._deaf and self.idle:
            self.force_close()
            return
        stage = self._where()
        if stage != self._stage:
            self._stage, self._since = stage, now
            return
        stood = now - self._since
        match stage[0]:
            case "answer" if stood >= limits.answer:
                self._drop()
            case "head" if stood >= limits.head:
                self.dismiss("request_timeout", "The head of the request did not arrive.")
            case "new" if stood >= limits.head:
                self.force_close()
            case "idle" if stood >= limits.idle:
                self.force_close()
            case "leaving" if stood >= LEAVE_SECONDS:
                self._drop()

    def _where(self) -> tuple[str, int]:
        """The stage it is in, and a number that changes whenever something moves."""
        unread = self.transport.get_write_buffer_size() if self.transport is not None else 0
        if self._leaving:
            return "leaving", 0
        if unread:
            return "answer", unread // STEP
        if not self.idle:
            return "busy", self._request_count
        if self._head:
            return "head", self._request_count
        return ("idle" if self._request_count else "new"), self._request_count

    def dismiss(self, code: str, detail: str) -> None:
        """Says why and hangs up; what the client still sends is not read as a request."""
        if self._leaving or self.transport is None:
            return
        self._leaving = True
        answer = self._house.door.refuse(Rejected(code, detail, retry_after=1), "GET")
        self.transport.write(answer.whole())
        self.transport.write_eof()
        self.close()

    def _drop(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if isinstance(exc, LineTooLong):
            status = 414 if str(exc.args[1]) == str(MAX_LINE) else 431
        elif message is not None and "many headers" in message:
            status = 431
        elif "Invalid HTTP version" in str(exc):
            status = 505
        code = _PARSER_PROBLEMS.get(status, "bad_request")
        unreadable = Rejected(code, "The request could not be read as HTTP/1.1.")
        return self._house.door.refuse(unreadable, request.method)


class GatewayServer(DrainingServer):
    """Makes a connection for each client, within our limits."""

    def __init__(self, door: Door, limits: Limits) -> None:
        super().__init__(door.handle, request_factory=self._new_request)
        self.door = door
        self._limits = limits
        self._running_loop = asyncio.get_running_loop()
        self._crowd = Crowd(limits.connections)
        self._open: set[Connection] = set()
        shortest = min(limits.head, limits.idle, limits.answer)
        self._period = min(LOOK_SECONDS, shortest / 4)
        self._timer = self._running_loop.call_later(self._period, self._look)

    def now(self) -> float:
        return self._running_loop.time()

    def entered(self, connection: Connection) -> None:
        """A connection is open: room is made for it, or it is turned away."""
        self._open.add(connection)
        if self._limits.trusted.trusts(connection.peer):
            return  # its clients are many, and it has limits of its own
        leaving = self._crowd.enter(key_of(connection.peer), connection)
        if leaving is connection:
            connection.dismiss(
                "too_many_connections", "Close connections, or try again in a moment."
            )
            connection.force_close()
        elif isinstance(leaving, Connection):
            leaving.force_close()

    def left(self, connection: Connection) -> None:
        """A connection is closed."""
        self._open.discard(connection)
        self._crowd.leave(key_of(connection.peer), connection)

    def _look(self) -> None:
        self._timer = self._running_loop.call_later(self._period, self._look)
        now = self.now()
        for connection in list(self._open):
            connection.look(now, self._limits)

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - theirs
        await super().shutdown(timeout)
        self._timer.cancel()

    def __call__(self) -> web.RequestHandler:
        return Connection(
            self,
            loop=self._running_loop,
            access_log=None,
            auto_decompress=False,
            max_line_size=MAX_LINE,
            max_field_size=MAX_FIELD,
            max_headers=MAX_HEADERS,
        )

    def _new_request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        if isinstance(protocol, Connection):
            protocol.serves(payload)
        return web.BaseRequest(
            message,
            payload,
            protocol,
            writer,
            task,
            self._running_loop,
            client_max_size=self._limits.max_body,
        )
