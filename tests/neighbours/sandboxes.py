"""The bundled sandboxes in this process, without their vendors' rate limits."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import requests
from aiohttp import web

from httpproxy.sandbox.server import SandboxServer
from httpproxy.sandbox.simulators import Simulators
from providers.catalog import PROVIDERS
from providers.http import Request, headers
from providers.record import JSON

UNLIMITED: dict[str, JSON] = {
    "airtable": {"base_rate": 0, "token_rate": 0},
    "hubspot": {"requests_per_ten_seconds": 1_000_000, "searches_per_second": 1_000_000},
}


@dataclass
class Hold:
    """The answers to `count` calls of a method whose target has `path`, after so many that
    pass: applied, and kept back until they are let go."""

    method: str
    path: str
    count: int
    after: int = 0
    held: int = 0
    _reached: asyncio.Event = field(default_factory=asyncio.Event)
    _let_go: asyncio.Event = field(default_factory=asyncio.Event)

    def fits(self, call: Request) -> bool:
        if self.held >= self.count or call.method != self.method:
            return False
        if re.search(self.path, call.target) is None:
            return False
        self.after -= 1
        return self.after < 0

    async def wait(self) -> None:
        """The call's own part: it is here, and stays."""
        self.held += 1
        if self.held == self.count:
            self._reached.set()
        await self._let_go.wait()

    async def reached(self) -> None:
        """Returns when all of them are held."""
        async with asyncio.timeout(60):
            await self._reached.wait()

    def let_go(self) -> None:
        self._let_go.set()


class HoldingServer(SandboxServer):
    """A sandbox that can keep its answers back."""

    def __init__(self, simulators: Simulators) -> None:
        super().__init__(simulators, "127.0.0.1", 0)
        self.holds: list[Hold] = []

    async def _carry(self, call: Request, now: float, date: str) -> web.StreamResponse:
        holding = next((hold for hold in self.holds if hold.fits(call)), None)
        answer = await super()._carry(call, now, date)
        if holding is not None:
            await holding.wait()
        return answer


@dataclass(frozen=True)
class Sandboxes:
    """The simulators themselves, for the truth, and the server in front of them."""

    simulators: Simulators
    server: HoldingServer

    @property
    def origin(self) -> str:
        return self.server.origin

    @property
    def upstreams(self) -> Mapping[str, str]:
        return self.server.upstreams

    def hold(self, method: str, path: str = "", count: int = 1, after: int = 0) -> Hold:
        """Keeps back the answers to the next such calls; `after` so many that pass."""
        self.server.holds.append(Hold(method, path, count, after))
        return self.server.holds[-1]

    def ask(self, host: str, token: str, method: str, target: str, body: Any = None) -> Any:
        """A call past every proxy and server; its answer's JSON, None if it has no body."""
        fields = headers(
            ("Authorization", f"Bearer {token}"), ("Content-Type", "application/json")
        )
        content = b"" if body is None else orjson.dumps(body)
        request = Request(method, host, target, fields, content)
        response = self.simulators.handle(request, time.time_ns() / 1e9)
        assert response.ok, (response, response.body)
        return orjson.loads(response.body) if response.body else None

    def order(self, fault: dict[str, Any]) -> None:
        """Orders a fault over the side API; call it from a thread."""
        answer = requests.post(f"{self.origin}/_sandbox/faults", json=fault, timeout=60)
        assert answer.ok, answer.text


@asynccontextmanager
async def sandboxes() -> AsyncIterator[Sandboxes]:
    """Both sandboxes on one port, fresh and in memory."""
    simulators = Simulators(PROVIDERS.values())
    simulators.switch(UNLIMITED)
    async with HoldingServer(simulators) as server:
        yield Sandboxes(simulators, server)
