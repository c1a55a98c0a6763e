"""The second door over syncs of both providers, and events that are simply there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import requests
from neighbours import syncs
from neighbours.house import SYSTEM
from outside.opened import Opened, open_door
from psycopg.types.json import Jsonb

from httpproxy.store.registry import Sync
from providers.catalog import PROVIDERS
from providers.record import Collection, ColumnType, Field
from providers.spec import Budget

INSERT = """
INSERT INTO httpproxy.event
    (sync_id, collection_id, upstream_id, event, data, changes, origin, request_id)
VALUES (%(sync_id)s, %(collection_id)s, %(upstream_id)s, %(event)s, %(data)s, %(changes)s,
    %(origin)s, 'r-1')
RETURNING seq
"""
TASKS, PROJECTS, CONTACT = "tblTasks000000001", "tblProjects000001", "0-1"


@dataclass
class Stage:
    """`crm` is a sync of HubSpot's, `base` and `other` are of Airtable's."""

    dsn: str
    door: Opened
    key: str
    crm: Sync
    base: Sync
    other: Sync
    _numbers: Any = field(default_factory=count)

    async def ask(self, path: str, key: str | None = None, **headers: str) -> requests.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named["Authorization"] = f"Bearer {key or self.key}"
        return await asyncio.to_thread(
            requests.get, f"{self.door.url}{path}", headers=named, timeout=60
        )

    async def got(self, path: str) -> list[dict[str, Any]]:
        """The documents of a page."""
        answer = await self.ask(path)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()
        return found

    def event(self, sync: Sync | None = None, **members: Any) -> dict[str, Any]:
        """The row of an event."""
        sync = sync or self.base
        record = f"rec{next(self._numbers)}"
        return {
            "sync_id": sync.id,
            "collection_id": CONTACT if sync is self.crm else TASKS,
            "upstream_id": record,
            "event": "created",
            "data": {"id": record, "fields": {"Name": record}},
            "changes": None,
            "origin": "proxy",
            **members,
        }

    async def write(self, *events: dict[str, Any]) -> None:
        """Commits events, each in its own transaction."""
        async with await psycopg.AsyncConnection.connect(
            self.dsn, autocommit=True
        ) as connection:
            for event in events:
                await put(connection, event)


async def put(connection: psycopg.AsyncConnection[Any], event: dict[str, Any]) -> int:
    """Inserts one event; its number."""
    row = {n: Jsonb(v) if n in ("data", "changes") and v else v for n, v in event.items()}
    done = await connection.execute(INSERT, row)
    found = await done.fetchone()
    assert found is not None
    return int(found[0])


@asynccontextmanager
async def open_stage(dsn: str, folder: Path, **settings: Any) -> AsyncIterator[Stage]:
    async with open_door(dsn, folder, **settings) as door:
        crm = await new_sync(door, "hubspot", "crm", "123", CONTACT)
        base = await new_sync(door, "airtable", "base", "app1", TASKS, PROJECTS)
        other = await new_sync(door, "airtable", "other", "app2", TASKS)
        yield Stage(dsn, door, await door.key("read"), crm, base, other)


async def new_sync(
    door: Opened, provider: str, name: str, account: str, *collections: str
) -> Sync:
    """A sync of these collections; those of other ids are called Tasks."""
    names = {PROJECTS: "Projects", CONTACT: "contacts"}
    fields = [
        Field(id_, column, "system", type_, writable=False, column_name=column)
        for id_, column, type_ in SYSTEM[provider]
    ]
    fields.append(Field("fldName0000000001", "Name", "singleLineText", ColumnType.TEXT))
    kind = PROVIDERS[provider]
    return await syncs.new_sync(
        door.inside.office.registry,
        provider,
        name,
        account,
        schema_name=name,
        rates=tuple(Budget(b.name, 1_000_000, 1.0) for b in kind.budgets),
        collections=[
            Collection(
                each,
                names.get(each, "Tasks"),
                tuple(fields),
                table_name=names.get(each, "Tasks"),
                aliases=frozenset({"contact"}) if each == CONTACT else frozenset(),
            )
            for each in collections
        ],
    )
