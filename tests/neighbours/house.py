"""A running service in this process: real gateway, real database, chosen upstreams."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from httpproxy.service import Service, open_service
from httpproxy.settings.reading import Settings
from httpproxy.store.registry import Sync
from neighbours.door import Door
from neighbours.syncs import new_sync
from providers.catalog import PROVIDERS
from providers.record import Collection, ColumnType, Field
from providers.spec import Budget

BASE = "appHouse000000001"
PORTAL = "123456"

# What a machine that is busy may make of a call and of a commit is not what a test is about.
PATIENT = {"commit_timeout": 30.0, "connect_timeout": 60.0}

SYSTEM = {
    "airtable": (
        ("$id", "id", ColumnType.TEXT),
        ("$created_time", "created_time", ColumnType.TIMESTAMPTZ),
    ),
    "hubspot": (
        ("$id", "id", ColumnType.TEXT),
        ("$created_at", "created_at", ColumnType.TIMESTAMPTZ),
        ("$updated_at", "updated_at", ColumnType.TIMESTAMPTZ),
        ("$archived", "archived", ColumnType.BOOLEAN),
    ),
}


@dataclass(frozen=True, slots=True)
class House:
    """The service and where its doors are."""

    service: Service
    dsn: str

    def door(self, sync: Sync) -> Door:
        """The door to one sync."""
        at = urlsplit(self.service.gateway_url)
        assert at.hostname is not None
        assert at.port is not None
        return Door(at.hostname, at.port, sync.unique_id)


@asynccontextmanager
async def open_house(
    dsn: str, folder: Path, upstream: str | Mapping[str, str], **settings: Any
) -> AsyncIterator[House]:
    """A service whose upstreams all stand at one address, or at those of a mapping.

    Without a background sync, whose calls would stand among those that a test looks at;
    `roles=("gateway", "sync")` brings it.
    """
    hosts = [h for p in PROVIDERS.values() for h in (*p.hosts, *p.token_hosts)]
    origins = dict.fromkeys(hosts, upstream) if isinstance(upstream, str) else dict(upstream)
    chosen = Settings(
        database_url=SecretStr(dsn),
        data_dir=folder,
        gateway_port=0,
        api_port=0,
        upstreams=origins,
        **{"roles": ("gateway",), **PATIENT, **settings},
    )
    async with open_service(chosen) as service:
        yield House(service, dsn)


async def add_sync(
    house: House,
    provider: str,
    *,
    allowed_requests: int = 1_000_000,
    interval: float = 1.0,
    name: str = "house",
) -> Sync:
    """A sync with one small collection, at a rate that no test will reach by chance."""
    known = PROVIDERS[provider]
    account, collection, table = {
        "airtable": (BASE, "Tasks", "tblTasks000000001"),
        "hubspot": (PORTAL, "contact", "0-1"),
    }[provider]
    fields = [
        Field(id_, column, "system", type_, writable=False, column_name=column)
        for id_, column, type_ in SYSTEM[provider]
    ]
    fields.append(Field("fldName0000000001", "Name", "singleLineText", ColumnType.TEXT))
    return await new_sync(
        house.service.office.registry,
        provider,
        f"{provider} {name}",
        account,
        schema_name=f"{provider}_{name}",
        rates=tuple(Budget(b.name, allowed_requests, interval) for b in known.budgets),
        collections=(
            Collection(
                table,
                collection,
                tuple(fields),
                table_name=collection,
                aliases=frozenset({"contacts"}),
            ),
        ),
    )
