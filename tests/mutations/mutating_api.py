"""A house with the doors of mutations, and somebody who asks there with a key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import requests
from neighbours.airtable_house import AirtableHouse, open_airtable
from neighbours.house import House
from neighbours.hubspot_house import HubSpotHouse, open_hubspot
from neighbours.keyring import new_key
from psycopg.rows import dict_row

ROLES = ("gateway", "api")


@dataclass(frozen=True)
class Told:
    """An answer: its status, its header fields, its JSON."""

    status: int
    headers: Mapping[str, str]
    body: dict[str, Any]

    @property
    def results(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.body["results"]
        return found

    def each(self, member: str) -> list[Any]:
        return [result[member] for result in self.results]


@dataclass(frozen=True)
class Client:
    """Sends mutations of one sync's collection."""

    house: House
    sync: str
    collection: str
    key: str

    async def run(
        self, kind: str, data: Any, idempotency_key: str = "", /, **members: Any
    ) -> Told:
        """One mutation; the kind is in the body."""
        body = {"kind": kind, "data": data, **self.named, **members}
        more = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        return await self.post("/v1/mutations/run", body, **more)

    @property
    def named(self) -> dict[str, str]:
        return {"sync_id": self.sync, "collection_id": self.collection}

    async def post(self, path: str, body: Any, **headers: str) -> Told:
        fields = {"Authorization": f"Bearer {self.key}", **headers}
        url = f"{self.house.service.api_url}{path}"
        answer = await asyncio.to_thread(
            requests.post, url, json=body, headers=fields, timeout=60
        )
        return Told(answer.status_code, answer.headers, answer.json())


@dataclass(frozen=True)
class Airtable:
    """The house, and a client for its table."""

    at: AirtableHouse
    client: Client

    async def calls(self, method: str | None = None) -> int:
        """How many calls that write the table's records have reached the API."""
        return len(await self._journal(method))

    async def keys(self) -> list[str]:
        """The idempotency keys that the API was shown."""
        told = await self._journal(None)
        return [dict(each["headers"]).get("Idempotency-Key", "") for each in told]

    async def _journal(self, method: str | None) -> list[dict[str, Any]]:
        url = f"{self.at.apis.origin}/_sandbox/requests"
        answer = await asyncio.to_thread(requests.get, url, timeout=60)
        wanted = (method,) if method else ("POST", "PATCH", "DELETE")
        return [
            each
            for each in answer.json()["requests"]
            if self.at.table_id in each["target"] and each["method"] in wanted
        ]


@dataclass(frozen=True)
class HubSpot:
    """The house, and a client for its contacts."""

    at: HubSpotHouse
    client: Client


@asynccontextmanager
async def airtable(dsn: str, folder: Path, **settings: Any) -> AsyncIterator[Airtable]:
    async with open_airtable(dsn, folder, roles=ROLES, **settings) as at:
        key = await new_key(at.house, "write")
        collection = f"airtable:{at.table_id}"
        yield Airtable(at, Client(at.house, at.sync.id, collection, key))


@asynccontextmanager
async def hubspot(dsn: str, folder: Path, **settings: Any) -> AsyncIterator[HubSpot]:
    async with open_hubspot(dsn, folder, roles=ROLES, **settings) as at:
        await at.house.service.directory.refresh()
        key = await new_key(at.house, "write")
        yield HubSpot(at, Client(at.house, at.sync.name, "hubspot:contact", key))


def events(dsn: str) -> list[dict[str, Any]]:
    """All events, in their order."""
    with psycopg.connect(dsn, row_factory=dict_row) as connection:
        return connection.execute("SELECT * FROM httpproxy.event ORDER BY seq").fetchall()
