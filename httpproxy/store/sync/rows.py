"""Rows as they are now, to show beside what a request would make of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg.sql import Identifier

from httpproxy.store.database import QUERIES, Database
from httpproxy.store.errors import Stale
from httpproxy.store.layouts.statements import compose, parts_of
from httpproxy.store.layouts.tables import Table
from httpproxy.store.sync.comparing import ask
from httpproxy.store.sync.marks import jsonb
from providers.record import JSON

Row = Mapping[str, JSON]


class Rows:
    """Reads rows as column name -> JSON value. Raises Unavailable when the database is
    away, and Stale if a table's layout is not the one that it is asked with."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_keys(
        self, table: Table, keys: Sequence[tuple[str, ...]]
    ) -> Mapping[tuple[str, ...], Row]:
        """The rows with these keys, those that there are; none while the table is gone, which
        its user dropped."""
        if not keys:
            return {}
        statement = compose("rows_of_keys", parts_of(table)).as_bytes(None)
        wanted: list[JSON] = [list(key) for key in keys]
        try:
            found = await self._ask(statement, jsonb(wanted))
        except Stale as error:
            if not isinstance(error.__cause__, psycopg.errors.UndefinedTable):
                raise
            await self._ask(compose("require_layout", parts_of(table)).as_bytes(None))
            return {}
        return {tuple(str(row[c.name]) for c in table.key): row for row in found}

    async def of_value(self, table: Table, field_id: str, value: str) -> Row | None:
        """The one row that holds this value, None if there is none or are several."""
        column = table.names.get(field_id)
        if column is None:
            return None
        named = {**parts_of(table), "match": Identifier(column)}
        found = await self._ask(compose("rows_of_value", named).as_bytes(None), value)
        return found[0] if len(found) == 1 else None

    async def told_at(self, sync_id: str, collections: Sequence[str]) -> str | None:
        """When the API last told of these collections, of all of them (ISO 8601); None if
        that is not known."""
        named = {"sync_id": sync_id, "collections": list(collections)}
        async with self._database.connection() as connection:
            done = await connection.execute(QUERIES["read_discovered_at"], named)
            row = await done.fetchone()
        return None if row is None or row["at"] is None else row["at"].isoformat()

    async def _ask(self, statement: bytes, *parameters: Any) -> list[Row]:
        async with self._database.connection() as connection:
            return [found["row"] for found in await ask(connection, statement, *parameters)]
