"""A sandboxed HubSpot portal behind the gateway: its client, its truth and its rows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import requests
from hubspot import HubSpot
from psycopg.sql import SQL, Identifier

from httpproxy.store.registry import Sync
from neighbours.house import House, open_house
from neighbours.rows import rows
from neighbours.sandboxes import Sandboxes, sandboxes
from neighbours.syncs import new_sync
from providers.catalog import PROVIDERS
from providers.hubspot.sandbox.kit import OTHER_TOKEN
from providers.spec import Budget

API = "api.hubapi.com"
PROVIDER = PROVIDERS["hubspot"]
COLOURS = [{"label": n, "value": n, "displayOrder": i} for i, n in enumerate(("red", "blue"))]
LETTERS = [{"label": n, "value": n, "displayOrder": i} for i, n in enumerate(("a", "b"))]
PROPERTIES: list[dict[str, Any]] = [
    {"name": "house_number", "type": "number", "fieldType": "number"},
    {
        "name": "house_flag",
        "type": "bool",
        "fieldType": "booleancheckbox",
        "options": [
            {"label": "Yes", "value": "true", "displayOrder": 0},
            {"label": "No", "value": "false", "displayOrder": 1},
        ],
    },
    {"name": "house_day", "type": "date", "fieldType": "date"},
    {"name": "house_moment", "type": "datetime", "fieldType": "date"},
    {"name": "house_kind", "type": "enumeration", "fieldType": "select", "options": COLOURS},
    {"name": "house_tags", "type": "enumeration", "fieldType": "checkbox", "options": LETTERS},
]


@dataclass(frozen=True)
class HubSpotHouse:
    """`truth` is what the sandbox holds, `rows` what the database does."""

    house: House
    sync: Sync
    apis: Sandboxes
    other_token: str

    def client(self, token: str | None = None) -> HubSpot:
        """A client whose only difference is its base URL."""
        url = self.house.door(self.sync).url(API)
        return HubSpot(access_token=token or PROVIDER.sandbox.token, host=url, base_url=url)

    def post(self, path: str, body: Any, token: str | None = None) -> requests.Response:
        """A call that the client has no method for."""
        return requests.post(
            self.house.door(self.sync).url(API) + path,
            json=body,
            headers={"Authorization": f"Bearer {token or PROVIDER.sandbox.token}"},
            timeout=60,
        )

    def rows(self, table: str) -> dict[str, dict[str, Any]]:
        return rows(self.house.dsn, self.sync.schema_name, table)

    def pairs(self) -> set[tuple[str, str]]:
        """The associations of companies and contacts, as (company, contact)."""
        query = SQL("SELECT company_id, contact_id FROM {}").format(
            Identifier(self.sync.schema_name, "associations_company_contact")
        )
        with psycopg.connect(self.house.dsn) as connection:
            return {(str(a), str(b)) for a, b in connection.execute(query)}

    def add_property(self, name: str, type_: str, field_type: str) -> None:
        """Adds a property as a colleague in HubSpot's own interface would."""
        definition = {
            "name": name,
            "label": name,
            "type": type_,
            "fieldType": field_type,
            "groupName": "contactinformation",
        }
        path = "/crm/v3/properties/contacts"
        self.apis.ask(API, PROVIDER.sandbox.token, "POST", path, definition)

    def truth(self, type_: str, record_id: str) -> dict[str, Any]:
        """The record as the API shows it."""
        names = "email,firstname,lastname," + ",".join(p["name"] for p in PROPERTIES)
        target = f"/crm/v3/objects/{type_}/{record_id}?properties={names}"
        found: dict[str, Any] = self.apis.ask(API, PROVIDER.sandbox.token, "GET", target)
        return found


@asynccontextmanager
async def open_hubspot(dsn: str, folder: Path, **settings: Any) -> AsyncIterator[HubSpotHouse]:
    """A fresh portal with properties of all types, and a sync of contacts and companies."""
    async with (
        sandboxes() as apis,
        open_house(dsn, folder, apis.upstreams, **settings) as house,
    ):
        kit, office = PROVIDER.sandbox, house.service.office
        for spec in PROPERTIES:
            definition = {"label": spec["name"], "groupName": "contactinformation", **spec}
            apis.ask(API, kit.token, "POST", "/crm/v3/properties/contacts", definition)
        wanted = ["contact", "company", "associations_company_contact"]
        found = await office.conversations.discover(PROVIDER, kit.account, kit.token, wanted)
        sync = await new_sync(
            office.registry,
            "hubspot",
            "hubspot",
            kit.account,
            kit.token,
            rates=tuple(Budget(b.name, 1_000_000, 1.0) for b in PROVIDER.budgets),
            collections=found,
        )
        yield HubSpotHouse(house, sync, apis, OTHER_TOKEN)
