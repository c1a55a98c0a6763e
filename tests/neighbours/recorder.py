"""An upstream that records the bytes it gets and answers with the bytes it is told.

    async with Recorder() as upstream:
        upstream.replies.append(http(207, body=b"{}"))
        ...
        assert upstream.seen[0].target == "/v0/app/T"

A `Reply` is bytes and pauses in order, then what becomes of the connection; an event is a
pause until a test sets it. With no
reply queued, `upstream.usual` answers; `upstream.by_target` comes before both, for a
request whose target begins with its key.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from typing import Self

from neighbours.wire import READ_LIMIT, Head, Pairs, chunks, read_body, read_head, values


class End(Enum):
    """What becomes of the connection after the answer."""

    KEEP = "keep"
    CLOSE = "close"
    RESET = "reset"
    HOLD = "hold"  # open and silent until the recorder stops


@dataclass(frozen=True, slots=True)
class Reply:
    """Bytes to send and seconds or events to wait for, in order, then the end.

    `early` answers as soon as the head is there, without reading the body.
    """

    parts: tuple[bytes | float | asyncio.Event, ...] = ()
    end: End = End.KEEP
    early: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived; `connection` counts the connections from 0.

    `at` is when it was there, in seconds of time.monotonic.
    """

    head: Head
    body: bytes
    connection: int
    at: float = 0.0

    @property
    def method(self) -> str:
        return self.head.start.split(" ", 1)[0]

    @property
    def target(self) -> str:
        return self.head.start.split(" ", 1)[1].rpartition(" ")[0]

    @property
    def version(self) -> str:
        return self.head.start.rpartition(" ")[2]

    @property
    def headers(self) -> Pairs:
        return self.head.headers

    def all(self, name: str) -> list[str]:
        return values(self.headers, name)


def http(
    status: int = 200,
    *pairs: tuple[str, str],
    body: bytes = b"{}",
    reason: str | None = None,
    chunked: bool = False,
) -> Reply:
    """A well-formed answer with these header lines and nothing else but its framing."""
    bodyless = status in (204, 304)
    lines = [f"HTTP/1.1 {status} {_reason(status) if reason is None else reason}"]
    lines += [f"{name}: {value}" for name, value in pairs]
    if chunked:
        lines.append("Transfer-Encoding: chunked")
    elif not bodyless:
        lines.append(f"Content-Length: {len(body)}")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    return Reply((head, b"" if bodyless else chunks(body) if chunked else body))


def raw(*parts: bytes | float, end: End = End.CLOSE) -> Reply:
    """These very bytes and pauses."""
    return Reply(parts, end)


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Odd"


DROP = Reply((), End.CLOSE)
RESET = Reply((), End.RESET)
HANG = Reply((), End.HOLD)


@dataclass
class Recorder:
    """A server on a free loopback port. Enter it to listen, leave it to stop."""

    usual: Reply = field(default_factory=lambda: http(200, ("Content-Type", "text/json")))
    replies: list[Reply] = field(default_factory=list)
    by_target: dict[str, Reply] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    answered: int = 0  # requests whose replies have left

    async def __aenter__(self) -> Self:
        self._writers: set[asyncio.StreamWriter] = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=READ_LIMIT)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def forget(self) -> None:
        """Back to a fresh recorder; connections stay."""
        self.answered = 0
        self.seen.clear()
        self.replies.clear()
        self.by_target.clear()
        self.usual = Recorder().usual

    async def has(self, seen: int = 0, answered: int = 0) -> None:
        """Returns once so many requests are here, and so many have their replies."""
        async with asyncio.timeout(60):
            while len(self.seen) < seen or self.answered < answered:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.01)

    def targets(self) -> list[str]:
        return [seen.target for seen in self.seen]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, self.connections = self.connections, self.connections + 1
        self._writers.add(writer)
        try:
            while await self._exchange(reader, writer, number):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the other side went away, which some tests are about
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _exchange(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> bool:
        head = await read_head(reader)
        if head is None:
            return False
        reply = self._reply_to(head)
        body = b"" if reply.early else await read_body(reader, head, to_close=False)
        self.seen.append(Seen(head, body, number, time.monotonic()))
        for part in reply.parts:
            if isinstance(part, bytes):
                writer.write(part)
                await writer.drain()
            elif isinstance(part, asyncio.Event):
                await part.wait()
            else:
                await asyncio.sleep(part)
        self.answered += 1
        return await _finish(reader, writer, reply.end)

    def _reply_to(self, head: Head) -> Reply:
        target = head.start.split(" ")[1]
        for beginning, reply in self.by_target.items():
            if target.startswith(beginning):
                return reply
        return self.replies.pop(0) if self.replies else self.usual


async def _finish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, end: End) -> bool:
    if end is End.HOLD:
        await reader.read()
    if end is End.RESET:
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
    return end is End.KEEP
