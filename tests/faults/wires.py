"""A TCP connection as it really is: cut, delayed, swallowed, halved, truncated, trickling.

A `Wire` forwards a loopback port to another. What it does to bytes is its `Weather`, which
may change at any time; both directions have the same.

    fair        everything passes at once
    delay       each piece waits
    blackhole   nothing passes, and nobody is told
    trickle     a few bytes at a time
    truncate    after so many bytes from the server the connection ends
    reset       after so many bytes from the client it is reset
    half_close  the server's side ends after the first piece, as if it had said all
    cut         every connection is reset, and new ones are
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Final, Self

_PIECE: Final = 65_536
_POLL: Final = 0.05  # seconds between looks whether a swallowed connection passes again


class Weather(StrEnum):
    FAIR = "fair"
    DELAY = "delay"
    BLACKHOLE = "blackhole"
    TRICKLE = "trickle"
    TRUNCATE = "truncate"
    RESET = "reset"
    HALF_CLOSE = "half close"
    CUT = "cut"


class _Ended(Exception):
    """This connection is over."""


@dataclass(eq=False)
class _Line:
    """One connection: the two ends, and what each has sent."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    sent: dict[bool, int] = field(default_factory=lambda: {True: 0, False: 0})

    def end(self) -> None:
        for writer in (self.client, self.server):
            _reset(writer)


class Wire:
    """Forwards `port` (0: a free one) to `target` from `async with` to its end.

    `seconds` is what a piece waits in `delay`, `size` what passes in the others.
    """

    def __init__(self, target: int, port: int = 0) -> None:
        self.target, self.port = target, port
        self.weather = Weather.FAIR
        self.seconds, self.size = 0.1, 400
        self._lines: set[_Line] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        self._end_all()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def become(self, weather: Weather, *, seconds: float = 0.1, size: int = 400) -> None:
        """From now on the wire is like this; connections that it has go on in it."""
        self.weather, self.seconds, self.size = weather, seconds, size
        for line in self._lines:
            line.sent = {True: 0, False: 0}
        if weather is Weather.CUT:
            self._end_all()

    def _end_all(self) -> None:
        for line in list(self._lines):
            line.end()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.weather is Weather.CUT:
            _reset(writer)
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            _reset(writer)
            return
        line = _Line(writer, back)
        self._lines.add(line)
        try:
            await asyncio.gather(
                self._pour(line, reader, back, to_server=True),
                self._pour(line, there, writer, to_server=False),
            )
        except (_Ended, OSError):
            pass
        finally:
            self._lines.discard(line)
            line.end()

    async def _pour(
        self,
        line: _Line,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        to_server: bool,
    ) -> None:
        while piece := await reader.read(_PIECE):
            await self._pass(line, piece, writer, to_server)
        await self._swallowed()  # nobody is told that one end is gone
        if writer.can_write_eof():
            writer.write_eof()

    async def _pass(
        self, line: _Line, piece: bytes, writer: asyncio.StreamWriter, to_server: bool
    ) -> None:
        await self._swallowed()
        weather, before = self.weather, line.sent[to_server]
        line.sent[to_server] += len(piece)
        if weather is Weather.DELAY:
            await asyncio.sleep(self.seconds)
        ending = Weather.RESET if to_server else Weather.TRUNCATE
        if weather is ending and before + len(piece) > self.size:
            writer.write(piece[: max(0, self.size - before)])
            await writer.drain()
            raise _Ended
        if weather is Weather.TRICKLE:
            await self._trickle(piece, writer)
            return
        writer.write(piece)
        await writer.drain()
        if weather is Weather.HALF_CLOSE and not to_server and writer.can_write_eof():
            writer.write_eof()
            raise _Ended

    async def _swallowed(self) -> None:
        while self.weather is Weather.BLACKHOLE:  # noqa: ASYNC110  # set by whoever plays
            await asyncio.sleep(_POLL)

    async def _trickle(self, piece: bytes, writer: asyncio.StreamWriter) -> None:
        """Forty bytes at a time, until the weather changes."""
        for at in range(0, len(piece), 40):
            if self.weather is not Weather.TRICKLE:
                writer.write(piece[at:])
                break
            writer.write(piece[at : at + 40])
            await writer.drain()
            await asyncio.sleep(0.01)
        await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Ends a connection with a reset."""
    ours = writer.get_extra_info("socket")
    if ours is not None and not writer.is_closing():
        linger = struct.pack("ii", 1, 0)
        with suppress(OSError):  # it may have ended by itself
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()
