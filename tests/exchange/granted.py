"""Processes that share a stored OAuth credential, and the API that refreshes it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import requests
from neighbours.house import House, open_house
from neighbours.sandboxes import Hold, Sandboxes, sandboxes
from neighbours.syncs import new_sync

from httpproxy.exchange.directory.syncs import Live
from httpproxy.exchange.tokens.access import Tokens
from httpproxy.exchange.tokens.refreshing import Refresher
from httpproxy.store.credentials.apps import Apps
from httpproxy.store.credentials.refreshes import Refreshes
from httpproxy.store.credentials.values import CredentialDraft, TokenPair
from httpproxy.store.registry import Sync
from providers.catalog import PROVIDERS
from providers.record import JSON
from providers.spec import Budget, Provider

TOKEN_HOSTS = {"airtable": "airtable.com", "hubspot": "api.hubapi.com"}
TOKEN_PATHS = {"airtable": "/oauth2/v1/token", "hubspot": "/oauth/v1/token"}


@dataclass
class Granted:
    """A credential of the seeded grant, and houses that have it. `id` is the credential's."""

    provider: Provider
    apis: Sandboxes
    dsn: str
    folder: Path
    houses: list[House] = field(default_factory=list)
    id: str = ""
    app_id: str = ""

    @property
    def house(self) -> House:
        return self.houses[0]

    @property
    def tokens(self) -> Tokens:
        return self.house.service.office.tokens

    @property
    def first_token(self) -> str:
        return self.provider.sandbox.grant.tokens.access_token

    async def store(
        self, *, expires_in: float | None, refresh_in: float | None, **changes: Any
    ) -> str:
        """Stores the sandbox's grant as the account's credential."""
        office, given = self.house.service.office, self.provider.sandbox.grant
        app, _ = await Apps(office.database, office.vault).save(
            self.provider.name, given.app, "app"
        )
        self.app_id = app.id
        draft: dict[str, Any] = {
            "provider": self.provider.name,
            "account": self.provider.sandbox.account,
            "kind": given.kind,
            "tokens": TokenPair(given.tokens.access_token, given.tokens.refresh_token),
            "app_id": app.id,
            "expires_in": expires_in,
            "refresh_in": refresh_in,
            **changes,
        }
        saved, _ = await office.registry.credentials.save(CredentialDraft(**draft))
        self.id = self.id or saved.id
        return saved.id

    async def sync(self, collection: str) -> tuple[Sync, Live]:
        """A sync of the account, with the stored credential."""
        office, kit = self.house.service.office, self.provider.sandbox
        sync = await new_sync(
            office.registry,
            self.provider.name,
            f"{self.provider.name} granted",
            kit.account,
            credential=self.id,
            rates=tuple(Budget(b.name, 1_000_000, 1.0) for b in self.provider.budgets),
            collections=await office.conversations.discover(
                self.provider, kit.account, kit.token, [collection]
            ),
        )
        for house in self.houses:
            await house.service.directory.refresh()
        live = self.house.service.directory.of(sync.id)
        assert live is not None
        return sync, live

    def another(self, lease_seconds: float) -> Tokens:
        """Another process's tokens, with leases of its own length."""
        office = self.house.service.office
        parts = Refreshes(office.database, office.vault), Apps(office.database, office.vault)
        refresher = Refresher(*parts, office.client, "another", time.monotonic, lease_seconds)
        return Tokens(refresher, time.monotonic)

    def switch(self, **positions: JSON) -> None:
        self.apis.simulators.switch({self.provider.name: positions})

    def refreshes(self) -> int:
        """How many refreshes the API was asked for; call it from a thread."""
        name = self.provider.name
        query = {"method": "POST", "host": TOKEN_HOSTS[name], "path": f"^{TOKEN_PATHS[name]}"}
        answer = requests.get(
            f"{self.apis.origin}/_sandbox/requests", params=query, timeout=60
        ).json()
        return len(answer["requests"])

    def given(self) -> int:
        """How many refreshes the API has carried out, however many calls came since."""
        state: Any = self.apis.simulators.dump()[self.provider.name]
        if self.provider.name == "airtable":
            return len(state["grants"][0]["spent"])
        return sum(
            re.fullmatch("CN[0-9a-f]{46}", token) is not None for token in state["tokens"]
        )

    async def refreshed(self) -> int:
        return await asyncio.to_thread(self.refreshes)

    def hold(self) -> Hold:
        """Keeps back the answer to the next refresh."""
        return self.apis.hold("POST", f"^{TOKEN_PATHS[self.provider.name]}")

    async def fault(self, kind: str, **options: Any) -> None:
        """Orders a fault of the token endpoint."""
        name = self.provider.name
        order = {"kind": kind, "host": TOKEN_HOSTS[name], "path": f"^{TOKEN_PATHS[name]}"}
        await asyncio.to_thread(self.apis.order, {**order, **options})

    def row(self, credential_id: str = "") -> dict[str, Any]:
        """What is stored of the credential's refreshes."""
        query = (
            "SELECT trouble, spent, generation, refresh_holder, refresh_at - now() AS due"
            " FROM httpproxy.credential WHERE id = %s"
        )
        with psycopg.connect(self.dsn) as connection:
            cursor = connection.execute(query, (credential_id or self.id,))
            values = cursor.fetchone()
            assert values is not None
            return dict(zip((c.name for c in cursor.description or ()), values, strict=True))

    def change(self, what: str) -> None:
        """Changes the credential's row, as time would."""
        with psycopg.connect(self.dsn) as connection:
            connection.execute(f"UPDATE httpproxy.credential SET {what}")  # type: ignore[arg-type]  # a test's own text


@asynccontextmanager
async def granted(
    dsn: str, folder: Path, provider: str = "airtable", houses: int = 1, **settings: Any
) -> AsyncIterator[Granted]:
    """So many processes on one database, before there is a credential."""
    async with sandboxes() as apis:
        found = Granted(PROVIDERS[provider], apis, dsn, folder)
        async with _houses(found, houses, settings):
            yield found


@asynccontextmanager
async def _houses(found: Granted, number: int, settings: dict[str, Any]) -> AsyncIterator[None]:
    if not number:
        yield
        return
    async with open_house(found.dsn, found.folder, found.apis.upstreams, **settings) as house:
        found.houses.append(house)
        async with _houses(found, number - 1, settings):
            yield


async def until(condition: Callable[[], bool]) -> None:
    """Waits until the condition, which may ask the database, holds."""
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(condition):  # noqa: ASYNC110  # it has no event
            await asyncio.sleep(0.05)
