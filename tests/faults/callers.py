"""The load: clients that write and look, clients that go away, and others who do neither.

A caller sends one call after the other through whichever gateway answers it, and after
each answer looks at the rows that it was told of, on a connection of its own. Now and then
it goes away in the middle of a call. A third party writes to the APIs themselves.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from providers.catalog import PROVIDERS
from tests.faults import operations
from tests.faults.authority import OPERATION, fingerprint
from tests.faults.database import Reader
from tests.faults.history import Call, History, Look, Outcome
from tests.faults.operations import Plan, Pool
from tests.neighbours.wire import READ_LIMIT, Head, read_body, read_head

PATIENCE: Final = 15.0  # seconds for an answer
_KEYED: Final = 0.2  # of the calls that write one record have a key
_AGAIN: Final = 60.0  # seconds for which a call with a key is sent again
_LEAVING: Final = 0.04  # of the calls, in each of four phases alike
_PHASES: Final = ("early", "sent", "waiting", "half")


@dataclass
class Ledger:
    """What all callers share: names of operations, records that are there, the history."""

    table: str
    history: History
    pools: Mapping[str, Pool] = field(
        default_factory=lambda: {name: Pool() for name in PROVIDERS}
    )
    named: bool = False  # only calls that name records by their ids
    count: int = 0
    acknowledged: int = 0
    deferred: int = 0

    def next(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"


@dataclass(frozen=True, slots=True)
class Door:
    """A gateway as clients reach it: a port, and the path before the API's."""

    port: int
    roots: Mapping[str, str]


@dataclass
class Connection:
    """One connection to a door."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, port: int) -> Connection:
        async with asyncio.timeout(5):
            found = await asyncio.open_connection("127.0.0.1", port, limit=READ_LIMIT)
        return cls(*found)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[Head, bytes]:
        """The next answer, whole. Raises OSError or EOFError if it does not come."""
        head = await read_head(self.reader)
        if head is None:
            raise ConnectionResetError("closed without an answer")
        status = int(head.start.split(" ")[1])
        if status == 204:
            return head, b""
        try:
            return head, await read_body(self.reader, head, to_close=False)
        except ValueError as error:  # the end came where a chunk's size should be
            raise EOFError("cut short") from error

    def leave(self) -> None:
        self.writer.transport.abort()


class Caller:
    """One client of one API. `pause` is the mean of the seconds between its calls."""

    def __init__(
        self, provider: str, doors: Sequence[Door], ledger: Ledger, dice: Random, pause: float
    ) -> None:
        self._provider, self._doors, self._ledger = provider, doors, ledger
        self._dice, self._pause = dice, pause
        self._door = dice.choice(doors)
        self._line: Connection | None = None

    async def run(self, stop: asyncio.Event, reader: Reader) -> None:
        """Calls until it is told to stop."""
        try:
            while not stop.is_set():
                await asyncio.sleep(self._dice.expovariate(1 / self._pause))
                call = await self._call(stop)
                if call.acknowledged and call.receipt == "applied":
                    rows = await reader.look(list(call.writes))
                    look = Look(call.operation, time.monotonic(), rows)
                    self._ledger.history.looks.append(look)
                elif call.outcome in (Outcome.LOST, Outcome.PROBLEM):
                    await asyncio.sleep(self._dice.random() * 0.2)
        finally:
            self._hang_up()

    async def _call(self, stop: asyncio.Event) -> Call:
        ledger, provider = self._ledger, self._provider
        operation = ledger.next("o")
        pool = ledger.pools[provider]
        plan = operations.draw(
            provider, ledger.table, pool, self._dice, operation, named=ledger.named
        )
        host = PROVIDERS[provider].hosts[0]
        head = fingerprint(plan.method, host, plan.target)
        call = Call(operation, plan.kind, head, fingerprint(plan.body), began=time.monotonic())
        ledger.history.calls.append(call)
        if plan.is_single and self._dice.random() < _KEYED:
            call.keyed = True
            ended = await self._ends(plan, call, "")
            while not ended and not stop.is_set():
                await asyncio.sleep(0.3)
                ended = await self._ends(plan, call, "")
        else:
            leaves = self._dice.random() < _LEAVING
            await self._ends(plan, call, self._dice.choice(_PHASES) if leaves else "")
        return call

    async def _ends(self, plan: Plan, call: Call, phase: str) -> bool:
        """Sends a call once; False if one with a key is to be sent again."""
        call.outcome, call.status, call.code = Outcome.LOST, 0, ""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._exchange(plan, call, phase)
        except (OSError, EOFError, TimeoutError):
            self._hang_up()
        call.ended = time.monotonic()
        if not call.keyed or call.ended > call.began + _AGAIN:
            return True
        known = call.outcome is Outcome.ANSWERED and call.status < 500
        return known or call.code in ("already_applied", "outcome_unclear")

    async def _exchange(self, plan: Plan, call: Call, phase: str) -> None:
        if self._line is None:
            self._door = self._dice.choice(self._doors)
            self._line = await Connection.open(self._door.port)
        root = self._door.roots[self._provider]
        request = _request(plan, root, call.operation, keyed=call.keyed)
        if phase == "early":
            await self._line.send(request[: -1 - len(plan.body) // 2])
            call.outcome = Outcome.GONE_EARLY
            self._hang_up()
            return
        await self._line.send(request)
        if phase:
            await self._leave(phase)
            call.outcome = Outcome.GONE
            return
        head, body = await self._line.answer()
        self._note(plan, call, head, body)

    async def _leave(self, phase: str) -> None:
        """Goes away when the call is sent, while it is waited for, or in its answer."""
        assert self._line is not None
        if phase == "waiting":
            await asyncio.sleep(self._dice.random() * 0.05)
        elif phase == "half":
            await self._line.reader.read(60)
        self._hang_up()

    def _note(self, plan: Plan, call: Call, head: Head, body: bytes) -> None:
        call.status = int(head.start.split(" ")[1])
        call.answer = fingerprint(body)
        call.receipt = " ".join(head.all("Httpproxy-Commit")).partition(";")[0]
        if "received-status" not in " ".join(head.all("Proxy-Status")):
            call.outcome = Outcome.PROBLEM
            problem = json.loads(body)
            call.sent, call.code = str(problem["sent"]), str(problem["code"])
            return
        call.outcome = Outcome.ANSWERED
        if not call.acknowledged:
            return
        answer = _json(head, body)
        call.writes = operations.writes(plan, answer)
        self._ledger.pools[self._provider].learn(plan, answer)
        self._ledger.acknowledged += 1
        self._ledger.deferred += call.receipt == "deferred"

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.leave()
            self._line = None


class ThirdParty:
    """Somebody who writes to the APIs without the proxy."""

    def __init__(
        self, provider: str, port: int, ledger: Ledger, dice: Random, pause: float
    ) -> None:
        self._provider, self._port = provider, port
        self._ledger, self._dice, self._pause = ledger, dice, pause

    async def run(self, stop: asyncio.Event) -> None:
        """Writes until it is told to stop."""
        host = PROVIDERS[self._provider].hosts[0]
        pool = self._ledger.pools[self._provider]
        line = await Connection.open(self._port)
        try:
            while not stop.is_set():
                await asyncio.sleep(self._dice.expovariate(1 / self._pause))
                name = self._ledger.next("third")
                table = self._ledger.table
                plan = operations.draw(self._provider, table, pool, self._dice, name)
                try:
                    await line.send(_request(plan, f"/{host}", name))
                    head, body = await line.answer()
                except (OSError, EOFError):  # an ordered fault is for everybody
                    line.leave()
                    line = await Connection.open(self._port)
                    continue
                if head.start.split(" ")[1][0] == "2":
                    pool.learn(plan, _json(head, body))
        finally:
            line.leave()


def _json(head: Head, body: bytes) -> Any:
    """What an answer holds, None if it has no body."""
    content = gzip.decompress(body) if "gzip" in head.all("Content-Encoding") else body
    return json.loads(content) if content else None


def _request(plan: Plan, root: str, operation: str, *, keyed: bool = False) -> bytes:
    token = PROVIDERS[plan.provider].sandbox.token
    lines = [
        f"{plan.method} {root}{plan.target} HTTP/1.1",
        "Host: proxy.example",
        f"Authorization: Bearer {token}",
        f"{OPERATION}: {operation}",
    ]
    if keyed:
        lines.append(f'Idempotency-Key: "{operation}"')
    if plan.body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(plan.body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + plan.body
