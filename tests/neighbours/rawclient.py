"""A client that sends exact bytes and gives back the exact answer."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import orjson

from neighbours.wire import READ_LIMIT, Head, Pairs, chunks, read_body, read_head, values

PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it arrived; `interim` are the 1xx heads that came before it."""

    head: Head
    body: bytes
    interim: tuple[Head, ...] = ()

    @property
    def version(self) -> str:
        return self.head.start.split(" ", 2)[0]

    @property
    def status(self) -> int:
        return int(self.head.start.split(" ", 2)[1])

    @property
    def reason(self) -> str:
        return [*self.head.start.split(" ", 2), ""][2]

    @property
    def headers(self) -> Pairs:
        return self.head.headers

    def all(self, name: str) -> list[str]:
        return values(self.headers, name)

    def get(self, name: str) -> str:
        """The one value of `name`; fails if there is none or several."""
        (value,) = self.all(name)
        return value

    def json(self) -> dict[str, object]:
        return orjson.loads(self.body)


def request_bytes(
    method: str,
    target: str,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes | None = None,
    *,
    chunked: bool = False,
) -> bytes:
    """A request with exactly these lines, plus Host and the framing of a body."""
    lines = [f"{method} {target} HTTP/1.1"]
    pairs = list(headers)
    if not values(pairs, "Host"):
        lines.append("Host: proxy.example")
    lines += [f"{name}: {value}" for name, value in pairs]
    if chunked:
        lines.append("Transfer-Encoding: chunked")
    elif body is not None:
        lines.append(f"Content-Length: {len(body)}")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    return head + (chunks(body or b"") if chunked else body or b"")


class RawClient:
    """One connection. `connect` opens it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, method: str = "GET") -> Answer:
        """The next final answer. `method` is the request's: HEAD has no body back."""
        async with asyncio.timeout(PATIENCE):
            interim: list[Head] = []
            while True:
                head = await read_head(self.reader)
                if head is None:
                    raise ConnectionResetError("closed without an answer")
                if head.start.split(" ")[1][0] != "1":
                    break
                interim.append(head)
            status = int(head.start.split(" ")[1])
            empty = method == "HEAD" or status in (204, 304)
            body = b"" if empty else await read_body(self.reader, head, to_close=True)
            return Answer(head, body, tuple(interim))

    async def exchange(self, data: bytes) -> Answer:
        """Send one request and read its answer."""
        await self.send(data)
        return await self.answer(data.split(b" ", 1)[0].decode("latin-1"))

    async def rest(self, patience: float = PATIENCE) -> bytes | None:
        """What else comes until the peer closes; None if it keeps the line open."""
        try:
            return await asyncio.wait_for(self.reader.read(), patience)
        except TimeoutError:
            return None
        except ConnectionError:
            return b""


@asynccontextmanager
async def connect(
    host: str, port: int, tls: ssl.SSLContext | None = None, source: str | None = None
) -> AsyncIterator[RawClient]:
    """A connection to a door, closed at the end; `source` is the address to come from."""
    reader, writer = await asyncio.open_connection(
        host, port, limit=READ_LIMIT, ssl=tls, local_addr=(source, 0) if source else None
    )
    try:
        yield RawClient(reader, writer)
    finally:
        writer.transport.abort()
