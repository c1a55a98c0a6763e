"""A sandbox on a free port, and a client that talks to it as any program would."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
from neighbours.rawclient import Answer, RawClient, connect, request_bytes

from httpproxy.sandbox.server import SandboxServer
from httpproxy.sandbox.simulators import Simulators
from providers.airtable.provider import AIRTABLE

HOST = AIRTABLE.hosts[0]
KIT = AIRTABLE.sandbox
TASKS = f"/v0/{KIT.account}/Tasks"
AUTHORIZATION = ("Authorization", f"Bearer {KIT.token}")


@dataclass(frozen=True)
class Sandbox:
    """The running sandbox as its clients see it."""

    server: SandboxServer

    def connected(self) -> Any:
        parts = urlsplit(self.server.origin)
        return connect(parts.hostname or "", parts.port or 0)

    async def call(
        self, method: str, target: str, body: Any = None, host: str = HOST
    ) -> Answer:
        """One call with the seeded token on a connection of its own."""
        async with self.connected() as client:
            return await call(client, method, target, body, host)

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        """A call of the side API; its JSON."""
        answer = await self.call(method, f"/_sandbox/{path}", body, "localhost")
        assert answer.status == 200, answer.body
        return answer.json()

    async def refused(self, method: str, path: str, body: Any) -> dict[str, Any]:
        """What the side API has against a call."""
        answer = await self.call(method, f"/_sandbox/{path}", body, "localhost")
        assert answer.status == 400, answer.body
        return answer.json()["error"]

    async def order(self, **fault: Any) -> None:
        await self.control("POST", "faults", fault)

    async def create(self, name: str) -> Answer:
        """Create a task through the API."""
        return await self.call("POST", TASKS, {"fields": {"Name": name}})

    async def names(self) -> list[str]:
        """The names of all tasks, as the API lists them."""
        answer = await self.call("GET", TASKS)
        assert answer.status == 200, answer.body
        return [record["fields"].get("Name") for record in answer.json()["records"]]


async def call(
    client: RawClient, method: str, target: str, body: Any = None, host: str = HOST
) -> Answer:
    """One call on an open connection."""
    fields = [("Host", host), AUTHORIZATION]
    content = None
    if body is not None:
        fields.append(("Content-Type", "application/json"))
        content = body if isinstance(body, bytes) else orjson.dumps(body)
    return await client.exchange(request_bytes(method, target, fields, content))


@asynccontextmanager
async def sandbox(folder: Path | None = None) -> AsyncIterator[Sandbox]:
    """Airtable's simulator, without its rate limit, on a free port."""
    simulators = Simulators([AIRTABLE], folder)
    simulators.switch({"airtable": {"base_rate": 0, "token_rate": 0}})
    async with SandboxServer(simulators, "127.0.0.1", 0) as server:
        yield Sandbox(server)
