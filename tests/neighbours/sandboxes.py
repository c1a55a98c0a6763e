"""The bundled sandboxes in this process, without their vendors' rate limits."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import requests

from httpproxy.sandbox.server import SandboxServer
from httpproxy.sandbox.simulators import Simulators
from providers.catalog import PROVIDERS
from providers.http import Request, headers
from providers.record import JSON

UNLIMITED: dict[str, JSON] = {
    "airtable": {"base_rate": 0, "token_rate": 0},
    "hubspot": {"requests_per_ten_seconds": 1_000_000, "searches_per_second": 1_000_000},
}


@dataclass(frozen=True)
class Sandboxes:
    """The simulators themselves, for the truth, and the server in front of them."""

    simulators: Simulators
    origin: str
    upstreams: Mapping[str, str]

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
    async with SandboxServer(simulators, "127.0.0.1", 0) as server:
        yield Sandboxes(simulators, server.origin, server.upstreams)
