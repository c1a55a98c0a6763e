"""The layout of a sync's tables: as the registry has it, as Postgres has it, made, repaired.

Each function works on a connection that is in a transaction. How a layout changes is
`following`.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

from psycopg.types.json import Jsonb

from httpproxy.store.database import QUERIES, Connection
from httpproxy.store.layouts import evolution, statements
from httpproxy.store.layouts.evolution import Kept, Present
from httpproxy.store.layouts.tables import Column, SyncTables, Table, free_name
from providers.catalog import PROVIDERS
from providers.record import Collection, ColumnType, Field, Schema
from providers.selection import Without

log = logging.getLogger(__name__)

LOCK_TIMEOUT: Final = "2s"


@dataclass(frozen=True, slots=True)
class Layout:
    """A table, and all fields it ever had.

    `removed`: the collection is gone upstream. `locked`: all columns keep their names.
    """

    table: Table
    kept: tuple[Kept, ...]
    removed: bool = False
    locked: bool = False

    @property
    def upstream(self) -> Collection:
        """The collection as it was last discovered: with the types that wait."""
        fields = tuple(
            replace(k.field, column_type=k.pending or k.field.column_type)
            for k in self.kept
            if not k.removed
        )
        return replace(self.table.collection, fields=fields)


async def read_layouts(
    connection: Connection, sync_id: str, *, all_: bool = False
) -> list[Layout]:
    """The layouts of a sync's tables, in the provider's order. With `all_`, also those of
    collections that the user has taken out of it."""
    named = {"id": sync_id, "all": all_}
    rows = await (await connection.execute(QUERIES["read_collections"], named)).fetchall()
    by_number: dict[int, list[Kept]] = defaultdict(list)
    for row in await (await connection.execute(QUERIES["read_fields"], named)).fetchall():
        by_number[row["number"]].append(_kept(row))
    return [_layout(row, tuple(by_number[row["number"]])) for row in rows]


def sync_tables(layouts: Sequence[Layout]) -> SyncTables:
    """The tables as commits use them."""
    tables = {layout.table.collection.id: layout.table for layout in layouts}
    return SyncTables(
        Schema(tuple(table.collection for table in tables.values())),
        tables,
    )


def _kept(row: dict[str, Any]) -> Kept:
    field = Field(
        row["upstream_id"],
        row["name"],
        row["type"],
        ColumnType(row["column_type"]),
        row["writable"],
        row["empty"],
        row["fixed_name"],
        None if row["options"] is None else _shared(tuple(row["options"])),
    )
    pending = ColumnType(row["pending_type"]) if row["pending_type"] else None
    return Kept(
        field,
        row["column_name"],
        row["removed"],
        pending,
        row["locked"],
        row["selected"],
        row["own_name"],
    )


@lru_cache(maxsize=4096)
def _shared(options: tuple[str, ...]) -> tuple[str, ...]:
    # Thousands of accounts have the same lists: each is kept once.
    return options


def _layout(row: dict[str, Any], kept: tuple[Kept, ...]) -> Layout:
    live = [k for k in kept if not k.removed]
    collection = Collection(
        row["upstream_id"],
        row["name"],
        tuple(k.field for k in live),
        tuple(row["key"]),
        row["table_name"],
        frozenset(row["aliases"]),
    )
    table = Table(
        row["sync_id"],
        row["number"],
        row["version"],
        row["schema_name"],
        row["table_name"],
        collection,
        tuple(Column(k.field, k.column) for k in live if k.column),
        _without(row["provider"], collection, kept),
    )
    return Layout(table, kept, row["removed"], row["locked"])


def _without(provider: str, collection: Collection, kept: Sequence[Kept]) -> Without | None:
    deselected = tuple(k.field for k in kept if not k.selected)
    return PROVIDERS[provider].without(collection, deselected) if deselected else None


async def read_presents(connection: Connection, schema_name: str) -> dict[str, Present]:
    """What the tables of a schema have in fact, by their names."""
    named = {"schema_name": schema_name}
    columns: dict[str, set[str]] = defaultdict(set)
    dropped: dict[str, int] = defaultdict(int)
    dependents: dict[str, dict[str, tuple[str, ...]]] = defaultdict(dict)
    for row in await (await connection.execute(QUERIES["read_attributes"], named)).fetchall():
        if row["dropped"]:
            dropped[row["table_name"]] += 1
        else:
            columns[row["table_name"]].add(row["name"])
    for row in await (await connection.execute(QUERIES["read_dependents"], named)).fetchall():
        dependents[row["table_name"]][row["name"]] = tuple(row["dependents"])
    return {
        name: Present(frozenset(columns[name]), dropped[name], dependents[name])
        for name in columns
    }


async def make_tables(
    connection: Connection, sync_id: str, schema_name: str, collections: Sequence[Collection]
) -> None:
    """Makes the tables of collections that are new to the sync. The schema exists."""
    relations = await connection.execute(
        QUERIES["read_relations"], {"schema_name": schema_name}
    )
    taken = {row["name"] for row in await relations.fetchall()}
    for position, collection in enumerate(collections):
        name = free_name(collection.table_name or collection.name, collection.id, taken)
        taken.add(name)
        parameters = {
            "sync_id": sync_id,
            "upstream_id": collection.id,
            "name": collection.name,
            "table_name": name,
            "aliases": sorted(collection.aliases),
            "key": list(collection.key),
            "position": position,
        }
        done = await connection.execute(QUERIES["insert_collection"], parameters)
        row = await done.fetchone()
        if row is None:
            raise AssertionError("INSERT … RETURNING returns its row")
        fields = evolution.layout(collection)
        await save_fields(connection, row["id"], fields)
        columns = tuple(Column(k.field, k.column) for k in fields if k.column)
        table = Table(sync_id, row["id"], 1, schema_name, name, collection, columns)
        await connection.execute(statements.create_table(table))


async def come_back(connection: Connection, sync_id: str, collection: str) -> bool:
    """Makes a collection that had left its sync belong to it again, with the table that it
    had; it is read anew. Whether there is one."""
    named = {"sync_id": sync_id, "upstream_id": collection}
    row = await (await connection.execute(QUERIES["come_back"], named)).fetchone()
    if row is None:
        return False
    wanted = {"number": row["id"], "reason": "it is of the sync again"}
    await connection.execute(QUERIES["want_again"], wanted)
    return True


async def save_fields(connection: Connection, number: int, fields: Sequence[Kept]) -> None:
    """Records a collection's fields and their columns, in this order."""
    async with connection.cursor() as cursor:
        await cursor.executemany(
            QUERIES["save_field"],
            [
                {
                    "number": number,
                    "upstream_id": kept.field.id,
                    "name": kept.field.name,
                    "type": kept.field.type,
                    "column_type": kept.field.column_type.value,
                    "pending_type": kept.pending.value if kept.pending else None,
                    "column_name": kept.column,
                    "fixed_name": kept.field.column_name,
                    "writable": kept.field.writable,
                    "empty": None if kept.field.empty is None else Jsonb(kept.field.empty),
                    "options": None if kept.field.options is None else [*kept.field.options],
                    "position": position,
                }
                for position, kept in enumerate(fields)
            ],
        )


async def repair(connection: Connection, table: Table) -> None:
    """Makes again what the user dropped: schema, table, columns. Says so."""
    await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
    await connection.execute(statements.compose("create_schema", statements.names(table)))
    await connection.execute(statements.create_table(table))
    await connection.execute(statements.add_columns(table))
    log.warning("table %s.%s was changed by hand: repaired", table.schema_name, table.name)
