"""The load generator: a keep-alive HTTP client on raw protocols, in a process of its own.

Closed loop: N connections, each sends its next request when it has the answer; the
figure is requests per second. Open loop: requests leave at a fixed rate whether or
not earlier ones were answered; the figure is the latency from leaving to the last
byte, so a slow server cannot slow down the schedule and hide itself. The clock is
`perf_counter`: uvloop's own advances once per turn, in milliseconds.

An order is {"port", "requests": [text, …], "seconds", and "connections" or "rate"};
the answer {"requests", "failures", "seconds", "latencies" (ms; open loop only)}.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable
from itertools import cycle
from time import perf_counter
from typing import Any, Final, cast

from tests.benchmarks.child import orders, run, say

_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length:[ \t]*(\d+)")
_OPEN_LOOP_CONNECTIONS: Final = 32


class Connection(asyncio.Protocol):
    """One request at a time. `done(connection, ok)` is called with each answer."""

    def __init__(self, done: Callable[[Connection, bool], None]) -> None:
        self._done = done
        self._buffer = b""
        self._total = 0
        self._transport: asyncio.Transport | None = None
        self.sent_at = 0.0
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, request: bytes, now: float) -> None:
        """Sends one request; the caller waits for `done` before the next."""
        assert self._transport is not None
        self.sent_at = now
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        if not self._total:
            end = data.find(b"\r\n\r\n")
            length = _LENGTH.search(data, 0, end + 2) if end >= 0 else None
            if length is None:
                if end >= 0:
                    raise ValueError(f"an answer without Content-Length: {data[:end]!r}")
                self._buffer = data
                return
            self._total = end + 4 + int(length[1])
        if len(data) < self._total:
            self._buffer = data
            return
        self._buffer, self._total = b"", 0
        self._done(self, data[9:10] == b"2")

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._done(self, False)

    def close(self) -> None:
        """Ends the connection; a later `done` says nothing any more."""
        self._done = lambda *_: None
        if self._transport is not None:
            self._transport.close()


async def _connect(
    port: int, connections: int, done: Callable[[Connection, bool], None]
) -> list[Connection]:
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Connection(done), "127.0.0.1", port)
        for _ in range(connections)
    ]
    return [protocol for _, protocol in made]


async def closed_loop(
    port: int, requests: list[bytes], *, connections: int, seconds: float
) -> dict[str, Any]:
    """As many requests as the server takes, `connections` at a time."""
    following = cycle(requests)
    answered = failures = 0
    deadline = 0.0
    idle = asyncio.Event()
    busy = connections

    def done(connection: Connection, ok: bool) -> None:
        nonlocal answered, failures, busy
        answered += ok
        failures += not ok
        if perf_counter() < deadline and not connection.lost:
            connection.send(next(following), 0.0)
            return
        busy -= 1
        if not busy:
            idle.set()

    made = await _connect(port, connections, done)
    start = perf_counter()
    deadline = start + seconds
    for connection in made:
        connection.send(next(following), 0.0)
    try:
        async with asyncio.timeout(seconds + 20):
            await idle.wait()
    finally:
        for connection in made:
            connection.close()
    return {"requests": answered, "failures": failures, "seconds": perf_counter() - start}


async def open_loop(
    port: int, requests: list[bytes], *, rate: float, seconds: float
) -> dict[str, Any]:
    """`rate` requests per second, and the latency of each in milliseconds."""
    following = cycle(requests)
    free: deque[Connection] = deque()
    latencies: list[float] = []
    failures = 0

    def done(connection: Connection, ok: bool) -> None:
        nonlocal failures
        latencies.append((perf_counter() - connection.sent_at) * 1000)
        failures += not ok
        if not connection.lost:
            free.append(connection)

    made = await _connect(port, _OPEN_LOOP_CONNECTIONS, done)
    free.extend(made)
    start = perf_counter()
    for at in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, start + at / rate - perf_counter()))
        if free:
            free.popleft().send(next(following), perf_counter())
        else:
            failures += 1
    await asyncio.sleep(0.2)
    for connection in made:
        connection.close()
    return {
        "requests": len(latencies),
        "failures": failures,
        "seconds": perf_counter() - start,
        "latencies": latencies,
    }


async def serve() -> None:
    """Takes orders until the parent is gone."""
    async for order in orders():
        requests = [text.encode() for text in order["requests"]]
        if "rate" in order:
            result = await open_loop(
                order["port"], requests, rate=order["rate"], seconds=order["seconds"]
            )
        else:
            result = await closed_loop(
                order["port"],
                requests,
                connections=order["connections"],
                seconds=order["seconds"],
            )
        say(result)


if __name__ == "__main__":
    run(serve())
