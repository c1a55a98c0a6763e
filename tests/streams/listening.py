"""A reader of server-sent events, on a socket of its own, as the standard has it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Message:
    """What was dispatched: an event, and the last id that the reader knows then."""

    id: str
    event: str
    data: Any


@dataclass
class Listener:
    """One connection. `last_id` is what the next one is to say."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    status: int
    headers: Mapping[str, str]
    last_id: str = ""
    retry: int | None = None
    comments: list[str] = field(default_factory=list)
    _left: bytes = b""

    async def body(self) -> Any:
        """The whole answer, if it is no stream."""
        length = int(self.headers["content-length"])
        return json.loads(await self.reader.readexactly(length))

    async def messages(self) -> AsyncIterator[Message]:
        """Everything that is dispatched, until the answer ends."""
        kind, data = "", ""
        async for line in self._lines():
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if line == "":
                if data:
                    yield Message(self.last_id, kind or "message", json.loads(data))
                kind, data = "", ""
            elif name == "":
                self.comments.append(value)
            elif name == "id":
                self.last_id = value
            elif name == "retry":
                self.retry = int(value)
            elif name == "event":
                kind = value
            elif name == "data":
                data += value

    async def take(self, count: int, seconds: float = 60.0) -> list[Message]:
        """The next messages, so many."""
        found: list[Message] = []
        async with asyncio.timeout(seconds):
            async for message in self.messages():
                found.append(message)
                if len(found) == count:
                    return found
        raise AssertionError(f"the stream ended after {len(found)} of {count} messages")

    async def ended(self, seconds: float = 60.0) -> list[Message]:
        """What is still told until the stream ends, which it has to."""
        async with asyncio.timeout(seconds):
            return [message async for message in self.messages()]

    async def _lines(self) -> AsyncIterator[str]:
        while True:
            while b"\n" in self._left:
                line, _, self._left = self._left.partition(b"\n")
                yield line.decode()
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            chunk = await self.reader.readexactly(size + 2)
            if size == 0:
                return
            self._left += chunk[:-2]


@asynccontextmanager
async def listen(
    url: str, path: str, key: str, *, last_id: str = "", accept: str = "text/event-stream"
) -> AsyncIterator[Listener]:
    """Opens a stream and reads the head of the answer."""
    at = urlsplit(url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port, limit=2**24)
    head = [
        f"GET {path} HTTP/1.1",
        f"Host: {at.netloc}",
        f"Authorization: Bearer {key}",
        f"Accept: {accept}",
    ]
    if last_id:
        head.append(f"Last-Event-ID: {last_id}")
    try:
        writer.write(("\r\n".join(head) + "\r\n\r\n").encode())
        status, *fields = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in fields)
        yield Listener(reader, writer, int(status.split(" ")[1]), headers, last_id)
    finally:
        writer.transport.abort()
