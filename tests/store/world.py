"""What the store's tests share: a collection with every column type, and its images."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any

import psycopg
from neighbours.syncs import new_sync
from psycopg.rows import dict_row

from httpproxy.store.commits.commit import Applied, Commit, Committer
from httpproxy.store.database import Database
from httpproxy.store.layouts.tables import SyncTables
from httpproxy.store.registry import Registry, Sync
from httpproxy.store.streams.places import Event, EventPage
from providers.record import JSON, Change, Collection, ColumnType, Field, Image, ImageKind
from providers.spec import Budget

KEY = "a key of tests, never a secret: 0123456789"
_REQUESTS = count(1)

ID = Field("$id", "id", "string", ColumnType.TEXT, writable=False, column_name="id")
ARCHIVED = Field(
    "$archived", "archived", "bool", ColumnType.BOOLEAN, writable=False, column_name="archived"
)
FIELDS = (
    ID,
    ARCHIVED,
    Field("f_name", "Name", "string", ColumnType.TEXT),
    Field("f_amount", "Amount", "number", ColumnType.NUMERIC),
    Field("f_done", "Done", "checkbox", ColumnType.BOOLEAN, empty=False),
    Field("f_due", "Due Date", "date", ColumnType.DATE),
    Field("f_seen", "Seen At", "dateTime", ColumnType.TIMESTAMPTZ),
    Field("f_tags", "Tags", "multi", ColumnType.TEXT_ARRAY),
    Field("f_blob", "Blob", "object", ColumnType.JSONB),
)
TASKS = Collection("tblTasks", "Tasks", FIELDS)
PAIRS = Collection(
    "associations_a_b",
    "a to b",
    (
        Field("$left", "left", "id", ColumnType.TEXT, column_name="a_id"),
        Field("$right", "right", "id", ColumnType.TEXT, column_name="b_id"),
        Field("$labels", "labels", "labels", ColumnType.TEXT_ARRAY, column_name="labels"),
    ),
    ("$left", "$right"),
    "associations_a_b",
)


def image(
    record: str = "rec1",
    kind: ImageKind = ImageKind.REPLACE,
    *,
    updated_at: str | None = None,
    extra: dict[str, JSON] | None = None,
    **values: JSON,
) -> Image:
    """An image of a task; `name="x"` stands for the value of field f_name."""
    named = {f"f_{name}": value for name, value in values.items() if name != "archived"}
    if "archived" in values:
        named["$archived"] = values["archived"]
    return Image(
        TASKS.id, (record,), kind, named, extra or {}, updated_at, {"id": record, **values}
    )


def deletion(record: str = "rec1") -> Image:
    return Image(TASKS.id, (record,), ImageKind.DELETE)


@dataclass
class World:
    """A sync, its tables, and SQL over them."""

    dsn: str
    database: Database
    registry: Registry
    sync: Sync
    tables: SyncTables

    def commit(self, *images: Image, start: int, origin: str = "proxy") -> Commit:
        request_id = f"request {next(_REQUESTS)}"
        return Commit(self.tables, Change(images), start, self.sync.id, origin, request_id)

    async def apply(
        self, committer: Committer, *images: Image, start: int | None = None
    ) -> Applied:
        """Commits images of an exchange that began at `start`, by default just now."""
        begun = committer.clock() if start is None else start
        return await committer.commit(self.commit(*images, start=begun))

    async def ask(self, query: str, *parameters: Any) -> list[dict[str, Any]]:
        connection = await psycopg.AsyncConnection.connect(
            self.dsn, autocommit=True, row_factory=dict_row
        )
        async with connection:
            cursor = await connection.execute(query, parameters)
            return [] if cursor.description is None else await cursor.fetchall()

    async def rows(self) -> dict[str, dict[str, Any]]:
        """The rows of the tasks' table, by id."""
        return {row["id"]: row for row in await self.ask(f"SELECT * FROM {self.table}")}

    async def row(self, record: str = "rec1") -> dict[str, Any]:
        return (await self.rows())[record]

    async def names(self) -> dict[str, str | None]:
        return {record: row["name"] for record, row in (await self.rows()).items()}

    async def events(self) -> list[tuple[str, str]]:
        rows = await self.ask("SELECT upstream_id, event FROM httpproxy.event ORDER BY seq")
        return [(row["upstream_id"], row["event"]) for row in rows]

    @property
    def table(self) -> str:
        return f'"{self.sync.schema_name}".tasks'


async def make_sync(
    registry: Registry,
    name: str = "tasks",
    collections: tuple[Collection, ...] = (TASKS, PAIRS),
) -> Sync:
    return await new_sync(
        registry,
        "airtable",
        name,
        "appX",
        "patX.secret",
        rates=(Budget("standard", 5, 1.0),),
        collections=collections,
    )


def said(page: EventPage) -> list[Event]:
    """The events of a page, read."""
    return [each.read() for each in page.events]
