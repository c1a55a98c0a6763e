"""A sync's schema in the user's database: its name, and its end."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import psycopg
from psycopg.sql import Identifier

from httpproxy.store.database import QUERIES, Connection
from httpproxy.store.errors import InUse, NameTaken
from httpproxy.store.layouts import layout, statements
from httpproxy.store.layouts.tables import MAX_NAME, free_name, snake_case

log = logging.getLogger(__name__)

_RESERVED: Final = frozenset({"httpproxy", "public", "information_schema"})


async def schema_for(
    connection: Connection, wanted: str | None, provider: str, name: str
) -> tuple[str, bool]:
    """The schema's name, and whether it is to be made (and so is ours to drop)."""
    rows = await (await connection.execute(QUERIES["taken_schemas"])).fetchall()
    taken = {row["name"] for row in rows} | _RESERVED
    if wanted is None:
        stem = snake_case(name) or provider
        stem = stem if stem.startswith(snake_case(provider)) else f"{provider}_{stem}"
        return free_name(stem, provider, taken), True
    ours = wanted in ("httpproxy", "information_schema") or wanted.startswith("pg_")
    too_long = len(wanted.encode()) > MAX_NAME  # Postgres would cut it, silently
    if ours or too_long or not wanted or "\0" in wanted:
        raise NameTaken("schema_name", wanted)
    if any(row["name"] == wanted for row in rows if row["by_sync"]):
        raise NameTaken("schema_name", wanted)
    return wanted, wanted not in taken


async def make_schema(connection: Connection, schema_name: str) -> None:
    """Makes a sync's schema, if it is not there."""
    parts = {"schema": Identifier(schema_name)}
    await connection.execute(statements.compose("create_schema", parts))


async def stop_writes(
    connection: Connection, sync_id: str, schema_name: str, only: Sequence[str] | None = None
) -> None:
    """Waits for the commits to a sync's tables that are under way (`only`: those of these
    collections), and keeps others back until the transaction ends; readers go on. Who waited
    finds that the layout is gone."""
    await connection.execute(f"SET LOCAL lock_timeout = '{layout.LOCK_TIMEOUT}'")
    named = {"schema_name": schema_name}
    rows = await (await connection.execute(QUERIES["read_relations"], named)).fetchall()
    there = {row["name"] for row in rows}
    for each in await layout.read_layouts(connection, sync_id):
        wanted = only is None or each.table.collection.id in only
        if wanted and each.table.name in there:
            parts = statements.names(each.table)
            await connection.execute(statements.compose("stop_writes", parts))


async def drop_tables(connection: Connection, sync_id: str) -> None:
    """Drops a sync's tables. Raises InUse."""
    try:
        for each in await layout.read_layouts(connection, sync_id, all_=True):
            parts = statements.names(each.table)
            await connection.execute(statements.compose("drop_table", parts))
    except psycopg.errors.DependentObjectsStillExist as error:
        raise InUse(f"{error.diag.message_primary}: {error.diag.message_detail}") from error


async def drop_schema(connection: Connection, schema_name: str) -> None:
    """Drops a schema of ours, unless something of the user's is left in it."""
    try:
        async with connection.transaction():
            parts = {"schema": Identifier(schema_name)}
            await connection.execute(statements.compose("drop_schema", parts))
    except psycopg.errors.DependentObjectsStillExist:
        log.warning("schema %s stays: it holds more than our tables", schema_name)
