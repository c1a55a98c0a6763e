"""One limit over several real processes on one real database, counted by the API."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

PROGRAM = Path(__file__).with_name("leaseholder.py")


class Api:
    """Counts calls as they come in; `pause` is answered once, to whoever calls next."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, str, str]] = []  # when, whose, which class
        self.pause = ""
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            who, _, priority = (await reader.readline()).decode().strip().partition(" ")
            if who:  # a process that was killed before it sent has called nobody
                self.seen.append((time.monotonic(), who, priority))
            answer, self.pause = self.pause or "well", ""
            await asyncio.sleep(0.01)
            writer.write(f"{answer}\n".encode())
            await writer.drain()
        writer.close()

    def busiest(self, interval: float) -> int:
        times = [at for at, _, _ in self.seen]
        most = first = 0
        for last, moment in enumerate(times):
            while times[first] <= moment - interval:
                first += 1
            most = max(most, last - first + 1)
        return most

    def between(self, begin: float, end: float, whose: Process | None = None) -> int:
        pid = str(whose.pid) if whose else None
        return sum(begin <= at < end and pid in (None, who) for at, who, _ in self.seen)


async def until(holds: Callable[[float], object]) -> None:
    """Returns once it holds at this moment."""
    async with asyncio.timeout(60):
        while not holds(time.monotonic()):  # noqa: ASYNC110 - what comes tells nobody
            await asyncio.sleep(0.1)


class Process:
    """A leaseholder; `calls` of the database so far."""

    def __init__(self, program: asyncio.subprocess.Process) -> None:
        self.program, self.pid, self.calls = program, program.pid, 0
        self._reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        assert self.program.stdout is not None
        async for line in self.program.stdout:
            self.calls = int(line)

    def send(self, what: signal.Signals) -> None:
        self.program.send_signal(what)

    async def end(self) -> None:
        if self.program.returncode is None:
            self.program.kill()
        await self.program.wait()
        await self._reading


@pytest.fixture
async def start(database_dsn):
    """Starts leaseholders; all are ended."""
    started: list[Process] = []

    async def start_one(api: Api, rate: tuple[int, float], *classes: str) -> Process:
        program = await asyncio.create_subprocess_exec(
            sys.executable, str(PROGRAM), str(api.port), *map(str, rate), *classes,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write(f"{database_dsn}\n".encode())
        assert (await program.stdout.readline()) == b"ready\n"
        started.append(Process(program))
        return started[-1]

    yield start_one
    await asyncio.gather(*(process.end() for process in started))


async def test_processes_that_come_die_and_are_stopped_never_fill_a_window(start, database_dsn):
    rate = (20, 0.5)
    async with Api() as api:
        one = await start(api, rate, "WRITE=5", "BACKFILL=2")
        await asyncio.sleep(0.5)
        two = await start(api, rate, "READ=5")
        three = await start(api, rate, "BACKFILL=5", "REREAD=1")
        await asyncio.sleep(2)
        one.send(signal.SIGSTOP)
        await asyncio.sleep(1.5)
        two.send(signal.SIGKILL)
        one.send(signal.SIGCONT)
        await asyncio.sleep(1)
        three.send(signal.SIGSTOP)
        four = await start(api, rate, "WRITE=5", "INCREMENTAL=2")
        await asyncio.sleep(12)  # longer than the lease: its slots are given to others
        await until(lambda now: api.between(now - 3, now) > 3 * 20)
        begin = time.monotonic()
        three.send(signal.SIGCONT)
        for each in (three, one, four):  # it is there again, and the others still are
            await until(lambda now, who=each: api.between(begin, now, who))
        await asyncio.sleep(1)
        assert api.busiest(rate[1]) <= rate[0]
