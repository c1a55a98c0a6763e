"""Readers of `/v1/events`, many of them in a process of their own.

Each notes for every event how long ago its transaction began, by the clock that Postgres reads
as well. An order is {"port", "key", "readers"} to connect; {"after": cursor} with it to begin
there. Then {"seconds"} to listen: the answer is {"delays": ms, sorted; "events": how many}.
An order to connect ends the readers that there were.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Any, Final, cast

from tests.benchmarks.child import orders, run, say

_AT: Final = b'"event_inserted_at":"'
_LENGTH: Final = len("2026-11-21T12:00:00.312004Z")


class Listener(asyncio.Protocol):
    """One stream; `delays` of all of them go into one list."""

    def __init__(self, request: bytes, delays: list[float]) -> None:
        self._request = request
        self._delays = delays
        self._left = b""
        self.listening = asyncio.Event()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.time()  # noqa: TID251 - compared with a clock of another process
        data = self._left + data
        at = data.find(_AT)
        done = 0
        while 0 <= at <= len(data) - len(_AT) - _LENGTH:
            done = at + len(_AT) + _LENGTH
            text = data[at + len(_AT) : done].decode()
            self._delays.append((now - datetime.fromisoformat(text).timestamp()) * 1000)
            at = data.find(_AT, done)
        if b": listening" in data:
            self.listening.set()
        self._left = data[max(done, len(data) - len(_AT) - _LENGTH) :]


async def _connected(order: dict[str, Any], delays: list[float]) -> list[Listener]:
    cursor = f"?after={order['after']}" if "after" in order else ""
    request = (
        f"GET /v1/events{cursor} HTTP/1.1\r\nHost: localhost\r\n"
        f"Accept: text/event-stream\r\nAuthorization: Bearer {order['key']}\r\n\r\n"
    ).encode()
    loop = asyncio.get_running_loop()
    made = [
        (await loop.create_connection(lambda: Listener(request, delays), "127.0.0.1", p))[1]
        for p in [order["port"]] * order["readers"]
    ]
    async with asyncio.timeout(30):
        for one in made:
            if "after" not in order:
                await one.listening.wait()
    return made


async def serve() -> None:
    """Takes orders until the parent is gone."""
    delays: list[float] = []
    readers: list[Listener] = []
    async for order in orders():
        if "readers" in order:
            for one in readers:
                if one.transport is not None:
                    one.transport.abort()
            readers = await _connected(order, delays)
            say({"readers": len(readers)})
        else:
            delays.clear()
            await asyncio.sleep(order["seconds"])
            say({"delays": sorted(delays), "events": len(delays)})


if __name__ == "__main__":
    run(serve())
