"""The gateways of a run: started, killed at a step or at any moment, frozen, started again.

A `Proxy` is a place with fixed ports; the processes in it come and go. Before and behind it
are wires: clients reach it by one, it reaches the APIs and Postgres by two others.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from providers.catalog import PROVIDERS
from tests.benchmarks.processes import ROOT, free_port
from tests.faults.failpoints import Point
from tests.faults.wires import Wire

DRAIN: Final = 90.0  # seconds until a process that was asked to end must have
READY: Final = 20.0  # seconds until a process that can start listens
KEY: Final = "the secret key of the fault suite, 32 characters at least"
HOSTS: Final = [host for provider in PROVIDERS.values() for host in provider.hosts]
_POLL: Final = 0.02


@dataclass
class Life:
    """A process from its start to its end; `ended` gives (status, the point that fired)."""

    pid: int
    ended: asyncio.Future[tuple[int, str]]


class Nursery:
    """The parent of all gateways: a process that forks them (tests.faults.serving), with
    some constants changed, and without a guard."""

    def __init__(self, constants: Mapping[str, Any], without: str) -> None:
        self.constants, self.without = constants, without
        self._waiting: dict[str, asyncio.Future[int]] = {}
        self._lives: dict[int, Life] = {}

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.faults.serving",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
            env={"PATH": os.defpath, "PYTHONUNBUFFERED": "1"},
        )
        self._listener = asyncio.ensure_future(self._listen())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        await self._listener

    async def start(self, name: str, folder: Path, arguments: list[str], armed: Armed) -> Life:
        """A child that lives in `folder`."""
        assert self._process.stdin is not None
        loop = asyncio.get_running_loop()
        started = self._waiting[name] = loop.create_future()
        order: dict[str, Any] = {"start": name, "folder": f"{folder}", "arguments": arguments}
        order |= {"constants": self.constants, "without": self.without}
        if armed.point is not None:
            order |= {"point": armed.point.name, "passage": armed.passage}
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        return self._lives[await started]

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            word = json.loads(line)
            if "started" in word:
                ended = asyncio.get_running_loop().create_future()
                self._lives[word["pid"]] = Life(word["pid"], ended)
                self._waiting.pop(word["started"]).set_result(word["pid"])
            else:
                life = self._lives.pop(word["pid"])
                life.ended.set_result((word["status"], word["fired"]))


@dataclass(frozen=True, slots=True)
class Armed:
    """What a process is to die of by itself; None: of nothing."""

    point: Point | None = None
    passage: int = 1


NOTHING: Final = Armed()


@dataclass
class Tally:
    """How processes ended: kills by the step, other ends, and those that nobody wanted."""

    kills: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    surprises: list[str] = field(default_factory=list)


class Proxy:
    """One gateway and its wires: `open` opens those, `live` starts a process."""

    def __init__(self, name: str, nursery: Nursery, folder: Path, tally: Tally) -> None:
        self.name, self._nursery, self._tally = name, nursery, tally
        self._folder = folder / name
        self._folder.mkdir()
        self._listening = free_port()
        self.life: Life | None = None

    @property
    def log(self) -> Path:
        return self._folder / "serve.log"

    async def open(self, stack: AsyncExitStack, api: int, postgres: int) -> None:
        """Opens the wires: to the API's port, to Postgres', and from clients to us."""
        self.to_api = await stack.enter_async_context(Wire(api))
        self.to_postgres = await stack.enter_async_context(Wire(postgres))
        self.to_us = await stack.enter_async_context(Wire(self._listening))
        stack.push_async_callback(self.kill)

    def settle(self, settings: Mapping[str, Any]) -> None:
        """Writes the settings that the next process will have."""
        origin = f"http://127.0.0.1:{self.to_api.port}"
        chosen = {
            "secret_key": KEY,
            "gateway_port": self._listening,
            "upstreams": dict.fromkeys(HOSTS, origin),
            **settings,
        }
        lines = [f"{name} = {_toml(value)}" for name, value in chosen.items()]
        self._folder.joinpath("httpproxy.toml").write_text("\n".join(lines) + "\n")

    async def live(self, armed: Armed = NOTHING) -> Life:
        """A process that serves; one that cannot start yet is started again.

        With something to die of it may be dead already.
        """
        while True:
            life = await self._nursery.start(self.name, self._folder, ["serve"], armed)
            self.life = life
            if await self._listens(life):
                return life
            status, fired = life.ended.result()
            if fired:
                return life
            self._tally.ends[f"did not start ({status})"] += 1
            await asyncio.sleep(0.3)

    async def _listens(self, life: Life) -> bool:
        until = time.monotonic() + READY
        while not life.ended.done():
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self._listening)
            except OSError:
                await asyncio.sleep(_POLL)
            else:
                writer.transport.abort()
                return True
            if time.monotonic() > until:  # it waits for a database that does not come
                self.signal(signal.SIGKILL)
                await life.ended
        return False

    async def dies(self, life: Life, otherwise: str) -> None:
        """Notes what a process has died of; one that lives is killed."""
        if not life.ended.done():
            await self.kill(otherwise)
            return
        status, fired = life.ended.result()
        if fired:
            self._tally.kills[fired] += 1
        else:
            self._tally.surprises.append(f"{self.name} ended by itself with {status}")

    async def kill(self, why: str = "") -> None:
        """Ends the process, hard. Without a reason it does not count."""
        life = self.life
        if life is None or life.ended.done():
            return
        self.signal(signal.SIGKILL)
        _, fired = await life.ended
        if fired or why:
            self._tally.kills[fired or why] += 1

    async def stop(self) -> None:
        """SIGTERM: the process drains."""
        assert self.life is not None
        self.signal(signal.SIGTERM)
        try:
            status, _ = await asyncio.wait_for(asyncio.shield(self.life.ended), DRAIN)
        except TimeoutError:
            self._tally.surprises.append(f"{self.name} does not end in {DRAIN:.0f} s")
            await self.kill()
            return
        self._tally.ends["stopped"] += 1
        if status:
            self._tally.surprises.append(f"{self.name} was stopped, and ended with {status}")

    async def freeze(self, seconds: float) -> None:
        """SIGSTOP, and after a while SIGCONT."""
        self.signal(signal.SIGSTOP)
        self._tally.ends["frozen"] += 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self.signal(signal.SIGCONT)

    def signal(self, number: int) -> None:
        if self.life is not None and not self.life.ended.done():
            # It may have died a moment ago, and nobody has been told yet.
            with suppress(ProcessLookupError):
                os.kill(self.life.pid, number)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items())
        return "{" + inner + "}"
    return json.dumps(value)
