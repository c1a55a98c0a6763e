"""What goes wrong, besides kills: one thing after the other, each for a while.

database   a restart without warning, connections ended, rows and tables locked,
           statements that run out of time, a disk without space
wires      every weather, between clients and gateway, gateway and API, gateway and
           Postgres
APIs       answers that are dropped, delayed, cut and replaced
process    frozen for longer than its lease, or drained and started again: `play` does
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from tests.faults.callers import Connection
from tests.faults.database import Book, Postgres
from tests.faults.proxies import Proxy
from tests.faults.wires import Weather, Wire

# Of the sandbox: kind, and its options (docs/sandbox.md).
_ORDERS: Final[Sequence[dict[str, Any]]] = (
    {"kind": "drop", "when": "before"},
    {"kind": "drop", "when": "after"},
    {"kind": "status", "status": 500, "when": "after"},
    {"kind": "status", "status": 503, "when": "before"},
    {"kind": "status", "status": 429, "retry_after": 1, "when": "before"},
    {"kind": "status", "status": 502, "body": "html", "when": "after"},
    {"kind": "truncate"},
    {"kind": "delay_before", "seconds": 3},
    {"kind": "delay_after", "seconds": 3},
    {"kind": "compress", "coding": "gzip"},
    {"kind": "chunked", "size": 30},
)
_FOUL: Final = tuple(weather for weather in Weather if weather is not Weather.FAIR)


@dataclass
class Troubles:
    """Makes trouble until it is told to stop; `done` counts what was made."""

    postgres: Postgres
    book: Book
    proxies: Sequence[Proxy]
    api: int
    dice: Random
    disk: bool
    done: Counter[str] = field(default_factory=Counter)

    async def run(self, stop: asyncio.Event, pause: float) -> None:
        """One trouble after the other, each kind as often as the others."""
        kinds = self._kinds()
        while not stop.is_set():
            self.dice.shuffle(kinds)
            for name, make in kinds:
                await asyncio.sleep(self.dice.expovariate(1 / pause))
                if stop.is_set():
                    break
                self.done[name] += 1
                await make()

    def _kinds(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        found: list[tuple[str, Callable[[], Awaitable[None]]]] = [
            ("postgres restarted", self.restart),
            ("connections terminated", self.terminate),
            ("rows locked", self.lock_rows),
            ("table locked", self.lock_table),
            ("statements out of time", self.out_of_time),
            ("API order", self.order),
            ("API order", self.order),
        ]
        if self.disk:
            found.append(("disk full", self.fill))
        for where in ("clients", "API", "Postgres"):
            found += [(f"wire to {where}", self._storm(where))] * 2
        return found

    async def restart(self) -> None:
        await asyncio.to_thread(self.postgres.restart)

    async def terminate(self) -> None:
        for _ in range(self.dice.randint(1, 5)):
            await self.postgres.terminate()
            await asyncio.sleep(self.dice.random() * 0.2)

    async def lock_rows(self) -> None:
        """Half of the rows that the load writes to, and what the guard knows of them."""
        schema, table = self.dice.choice(list(self.book.tables.values()))
        rows = f'SELECT FROM "{schema}"."{table}" ORDER BY id DESC LIMIT 20 FOR UPDATE'
        meta = "SELECT FROM httpproxy.meta ORDER BY record_id DESC LIMIT 20 FOR UPDATE"
        await self._held(self.dice.choice((rows, meta)))

    async def lock_table(self) -> None:
        schema, table = self.dice.choice(list(self.book.tables.values()))
        await self._held(f'LOCK TABLE "{schema}"."{table}" IN SHARE ROW EXCLUSIVE MODE')

    async def _held(self, statement: str) -> None:
        if not await self.postgres.hold(statement, self.dice.uniform(0.3, 2.0)):
            self.done["a lock that was not to be had"] += 1

    async def out_of_time(self) -> None:
        """New connections have a hundredth of a second for a statement."""
        database = "ALTER DATABASE httpproxy"
        await self.postgres.run(f"{database} SET statement_timeout = '10ms'")
        try:
            await self.postgres.terminate()
            await self.lock_rows()
        finally:
            await self.postgres.run(f"{database} RESET statement_timeout")
            await self.postgres.terminate()

    async def fill(self) -> None:
        """The disk is full for a while. A server that gave up is started again."""
        with self.postgres.full():
            await asyncio.sleep(self.dice.uniform(0.5, 3.0))
        await asyncio.sleep(0.5)
        if not await asyncio.to_thread(self.postgres.is_up):
            self.done["postgres gave up on a full disk"] += 1
            await self.restart()

    async def order(self) -> None:
        """The next calls of an API go wrong, whoever makes them."""
        for order in self.dice.sample(_ORDERS, 3):
            await side_api(self.api, "faults", {**order, "count": self.dice.randint(1, 6)})

    def _storm(self, where: str) -> Callable[[], Awaitable[None]]:
        async def storm() -> None:
            proxy, weather = self.dice.choice(self.proxies), self.dice.choice(_FOUL)
            wires = {
                "clients": proxy.to_us,
                "API": proxy.to_api,
                "Postgres": proxy.to_postgres,
            }
            self.done[f"{weather} ({where})"] += 1
            await self._foul(wires[where], weather)

        return storm

    async def _foul(self, wire: Wire, weather: Weather) -> None:
        size = self.dice.randint(1, 3000)
        wire.become(weather, seconds=self.dice.uniform(0.02, 0.5), size=size)
        try:
            await asyncio.sleep(self.dice.uniform(0.3, 2.5))
        finally:
            wire.become(Weather.FAIR)

    async def end(self) -> None:
        """Everything is fair again."""
        for proxy in self.proxies:
            for wire in (proxy.to_us, proxy.to_api, proxy.to_postgres):
                wire.become(Weather.FAIR)
        await side_api(self.api, "faults", None, method="DELETE")
        if not await asyncio.to_thread(self.postgres.is_up):
            await self.restart()


async def side_api(port: int, path: str, body: Any, method: str = "POST") -> Any:
    """Asks the sandboxes' own API."""
    content = b"" if body is None else json.dumps(body).encode()
    line = await Connection.open(port)
    try:
        head = f"{method} /_sandbox/{path} HTTP/1.1\r\nHost: x\r\nContent-Length: "
        await line.send(f"{head}{len(content)}\r\n\r\n".encode() + content)
        answered, answer = await line.answer()
    finally:
        line.leave()
    assert " 200 " in answered.start, answer
    return json.loads(answer)
