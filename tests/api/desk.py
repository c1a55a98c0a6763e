"""The management API over sandboxes of both providers, and somebody who asks it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from neighbours.rates import unhurried
from neighbours.sandboxes import Sandboxes, sandboxes
from neighbours.syncs import new_sync
from outside.opened import Opened, open_door

from httpproxy.office import Office
from httpproxy.store.credentials.apps import Apps
from httpproxy.store.registry import Registry, Sync
from providers.catalog import PROVIDERS

AIRTABLE, HUBSPOT = (PROVIDERS[name].sandbox for name in ("airtable", "hubspot"))
PAT = {"kind": "airtable_token", "access_token": AIRTABLE.token, "base_id": AIRTABLE.account}
PRIVATE = {"kind": "hubspot_private_app", "access_token": HUBSPOT.token}


@dataclass(frozen=True)
class Said:
    """An answer: its status, its JSON, its headers."""

    status: int
    body: Any
    headers: Any

    @property
    def wrong(self) -> tuple[int, str, str | None]:
        """Of a problem: status, code, member."""
        return self.status, self.body["code"], self.body.get("member")


@dataclass(frozen=True)
class Desk:
    """Who asks has a key that allows everything."""

    door: Opened
    apis: Sandboxes
    key: str

    @property
    def office(self) -> Office:
        return self.door.inside.office

    @property
    def registry(self) -> Registry:
        return self.office.registry

    @property
    def apps(self) -> Apps:
        return Apps(self.office.database, self.office.vault)

    async def sync(self, name: str = "tasks", **more: Any) -> Sync:
        """A sync of the base, which no API was asked for; `more` as of `new_sync`."""
        given = {"secret": AIRTABLE.token, **more}
        return await new_sync(self.registry, "airtable", name, AIRTABLE.account, **given)

    async def ask(
        self, method: str, path: str, body: Any = None, key: str | None = None, **headers: str
    ) -> Said:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await asyncio.to_thread(
            requests.request,
            method,
            f"{self.door.url}{path}",
            headers={"Authorization": f"Bearer {key or self.key}", **named},
            json=body,
            timeout=60,
        )
        return Said(
            answer.status_code, answer.json() if answer.content else None, answer.headers
        )

    async def post(self, path: str, body: Any = None) -> Said:
        return await self.ask("POST", path, body)

    async def get(self, path: str) -> Said:
        return await self.ask("GET", path)

    async def patch(self, path: str, body: Any, **headers: str) -> Said:
        return await self.ask("PATCH", path, body, **headers)

    async def delete(self, path: str) -> Said:
        return await self.ask("DELETE", path)


@asynccontextmanager
async def open_desk(dsn: str, folder: Path) -> AsyncIterator[Desk]:
    """Fresh sandboxes, a fresh door, a key."""
    with unhurried():
        async with (
            sandboxes() as apis,
            open_door(dsn, folder, upstreams=apis.upstreams) as door,
        ):
            yield Desk(door, apis, await door.key("admin"))
