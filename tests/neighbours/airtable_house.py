"""A sandboxed Airtable base behind the gateway: its client, its truth and its rows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyairtable

from httpproxy.store.registry import Sync
from neighbours.house import House, open_house
from neighbours.rows import rows
from neighbours.sandboxes import Sandboxes, sandboxes
from neighbours.syncs import new_sync
from providers.catalog import PROVIDERS
from providers.spec import Budget

API = "api.airtable.com"
PROVIDER = PROVIDERS["airtable"]
TABLE = "Büro / Lager & Co"  # a slash, an umlaut, a space and an ampersand, as people do
FIELDS: list[dict[str, Any]] = [
    {"name": "Name", "type": "singleLineText"},
    {"name": "Notes", "type": "multilineText"},
    {"name": "Amount", "type": "number", "options": {"precision": 2}},
    {"name": "Price", "type": "currency", "options": {"precision": 0, "symbol": "€"}},
    {
        "name": "Stars",
        "type": "rating",
        "options": {"max": 5, "icon": "star", "color": "redBright"},
    },
    {"name": "Done", "type": "checkbox", "options": {"icon": "check", "color": "redBright"}},
    {"name": "Day", "type": "date", "options": {"dateFormat": {"name": "iso"}}},
    {
        "name": "Moment",
        "type": "dateTime",
        "options": {
            "dateFormat": {"name": "iso"},
            "timeFormat": {"name": "24hour"},
            "timeZone": "utc",
        },
    },
    {"name": "Choice", "type": "singleSelect", "options": {"choices": [{"name": "Red"}]}},
    {
        "name": "Tags",
        "type": "multipleSelects",
        "options": {"choices": [{"name": n} for n in ("b", "a, b", '"')]},
    },
    {"name": "Code", "type": "barcode"},
    {"name": "Pics", "type": "multipleAttachments"},
]


@dataclass(frozen=True)
class AirtableHouse:
    """`truth` is what the sandbox holds, `rows` what the database does."""

    house: House
    sync: Sync
    apis: Sandboxes
    table_id: str
    table_name: str

    @property
    def dsn(self) -> str:
        return self.house.dsn

    @property
    def schema(self) -> str:
        return self.sync.schema_name

    @property
    def token(self) -> str:
        return PROVIDER.sandbox.token

    def api(self) -> pyairtable.Api:
        """A client whose only difference is its base URL."""
        return pyairtable.Api(self.token, endpoint_url=self.house.door(self.sync).url(API))

    def table(self, name: str = TABLE) -> pyairtable.Table:
        return self.api().table(self.sync.account, name)

    def table_url(self) -> str:
        root = self.house.door(self.sync).url(API)
        return f"{root}/v0/{self.sync.account}/{quote(TABLE, safe='')}"

    def rows(self) -> dict[str, dict[str, Any]]:
        return rows(self.dsn, self.schema, self.table_name)

    def truth(self, record_id: str) -> dict[str, Any]:
        """The record as the API shows it."""
        return self._ask("GET", f"/v0/{self.sync.account}/{self.table_id}/{record_id}")

    def truths(self) -> dict[str, dict[str, Any]]:
        """All records of the table."""
        found: dict[str, dict[str, Any]] = {}
        offset = ""
        while True:
            page = self._ask("GET", f"/v0/{self.sync.account}/{self.table_id}?offset={offset}")
            found |= {record["id"]: record for record in page["records"]}
            offset = page.get("offset", "")
            if not offset:
                return found

    def add_field(self, name: str, type_: str, options: dict[str, Any]) -> None:
        """Adds a field as a colleague in Airtable's own interface would."""
        tables = f"/v0/meta/bases/{self.sync.account}/tables/{self.table_id}/fields"
        self._ask("POST", tables, {"name": name, "type": type_, "options": options})

    def rename_table(self, name: str) -> None:
        """Renames the table as a colleague would."""
        path = f"/v0/meta/bases/{self.sync.account}/tables/{self.table_id}"
        self._ask("PATCH", path, {"name": name})

    def forget_table(self, name: str) -> None:
        """Deletes another table, which no API can, as a colleague would."""
        state: Any = self.apis.simulators.dump()
        tables = state[PROVIDER.name]["bases"][self.sync.account]["tables"]
        del tables[next(i for i, table in tables.items() if table["name"] == name)]
        self.apis.simulators.load(state)

    def order_fault(self, kind: str, **options: Any) -> None:
        self.apis.order({"kind": kind, "host": API, "method": "POST", **options})

    def _ask(self, method: str, target: str, body: Any = None) -> Any:
        return self.apis.ask(API, self.token, method, target, body)


@asynccontextmanager
async def open_airtable(
    dsn: str, folder: Path, *, tables: tuple[str, ...] = (), **settings: Any
) -> AsyncIterator[AirtableHouse]:
    """A fresh base with one table of all kinds of fields, and a sync of it.

    `tables`: others of the seeded base that the sync covers too.
    """
    async with (
        sandboxes() as apis,
        open_house(dsn, folder, apis.upstreams, **settings) as house,
    ):
        kit, office = PROVIDER.sandbox, house.service.office
        made = apis.ask(
            API,
            kit.token,
            "POST",
            f"/v0/meta/bases/{kit.account}/tables",
            {"name": TABLE, "fields": FIELDS},
        )
        found = await office.conversations.discover(
            PROVIDER, kit.account, kit.token, [TABLE, *tables]
        )
        sync = await new_sync(
            office.registry,
            "airtable",
            "airtable",
            kit.account,
            kit.token,
            rates=tuple(Budget(b.name, 1_000_000, 1.0) for b in PROVIDER.budgets),
            collections=found,
        )
        known = await office.registry.tables(sync)
        name = known.tables[made["id"]].name
        yield AirtableHouse(house, sync, apis, made["id"], name)
