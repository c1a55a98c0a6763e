"""The layout of a sync's tables: as the registry has it, made, followed, repaired.

Each function works on a connection that is in a transaction, except where it says
otherwise. A table is changed in a transaction of its own, so that the commits of other
tables wait for none of it.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb

from httpproxy.store import evolution, statements
from httpproxy.store.database import QUERIES, Connection
from httpproxy.store.evolution import Kept, Plan
from httpproxy.store.tables import Column, SyncTables, Table, free_name
from providers.record import Collection, ColumnType, Field, Schema

log = logging.getLogger(__name__)

LOCK_TIMEOUT: Final = "2s"


@dataclass(frozen=True, slots=True)
class Layout:
    """A table, and all fields it ever had."""

    table: Table
    kept: tuple[Kept, ...]


async def read_layouts(connection: Connection, sync_id: str) -> list[Layout]:
    """The layouts of a sync's tables, in the provider's order."""
    named = {"id": sync_id}
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
    )
    return Kept(field, row["column_name"], row["removed"])


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
    )
    return Layout(table, kept)


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
        await _save_fields(connection, row["id"], fields)
        columns = tuple(Column(field, column) for field, column in fields if column)
        table = Table(sync_id, row["id"], 1, schema_name, name, collection, columns)
        await connection.execute(statements.create_table(table))


async def _save_fields(
    connection: Connection, number: int, fields: Sequence[tuple[Field, str | None]]
) -> None:
    async with connection.cursor() as cursor:
        await cursor.executemany(
            QUERIES["save_field"],
            [
                {
                    "number": number,
                    "upstream_id": field.id,
                    "name": field.name,
                    "type": field.type,
                    "column_type": field.column_type.value,
                    "column_name": column,
                    "fixed_name": field.column_name,
                    "writable": field.writable,
                    "empty": None if field.empty is None else Jsonb(field.empty),
                    "position": position,
                }
                for position, (field, column) in enumerate(fields)
            ],
        )


async def follow_table(
    connection: Connection, layout: Layout, found: Collection
) -> Plan | None:
    """Brings a table to what discovery found. Returns the steps taken, None for none."""
    table = layout.table
    await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
    plan = evolution.plan(layout.kept, found, await _columns_in(connection, table))
    renamed = found.name != table.collection.name or found.aliases != table.collection.aliases
    if not (plan.changed or renamed):
        return None
    await _rename(connection, table, plan.renames)
    for old, new in plan.relabels:
        await connection.execute(statements.rename_extra(table, old, new))
    refused = [
        retype.column.field
        for retype in plan.retypes
        if not await _change_type(connection, table, retype)
    ]
    if plan.added:
        await connection.execute(statements.add_columns(replace(table, columns=plan.added)))
    types = {field.id: field.column_type for field in refused}
    fields = [(_typed(field, types), column) for field, column in plan.fields]
    if fields == [(k.field, k.column) for k in layout.kept if not k.removed] and not renamed:
        return None
    await _save_fields(connection, table.number, fields)
    await connection.execute(
        QUERIES["remove_fields"], {"number": table.number, "gone": list(plan.removed)}
    )
    await connection.execute(
        QUERIES["update_collection"],
        {"number": table.number, "name": found.name, "aliases": sorted(found.aliases)},
    )
    return replace(plan, awaiting=tuple(c for c in plan.awaiting if c.field.id not in types))


def _typed(field: Field, types: dict[str, ColumnType]) -> Field:
    return replace(field, column_type=types.get(field.id, field.column_type))


async def _columns_in(connection: Connection, table: Table) -> set[str]:
    named = {"schema_name": table.schema_name, "table_name": table.name}
    rows = await (await connection.execute(QUERIES["read_attributes"], named)).fetchall()
    return {row["name"] for row in rows}


async def _rename(
    connection: Connection, table: Table, renames: Sequence[tuple[str, str]]
) -> None:
    """Renames columns; two that swap their names go by way of a third."""
    leaving = {old for old, _ in renames}
    if any(new in leaving for _, new in renames):
        detour = [(old, f"_sync_moving_{n}") for n, (old, _) in enumerate(renames)]
        await _rename(connection, table, detour)
        renames = [(by, new) for (_, by), (_, new) in zip(detour, renames, strict=True)]
    for old, new in renames:
        await connection.execute(statements.rename_column(table, old, new))


async def _change_type(connection: Connection, table: Table, retype: evolution.Retype) -> bool:
    """Whether the type was changed. A view of the user's that shows the column keeps it
    as it is: values that do not fit it then go to `_extra`."""
    keep_unfit, change = statements.change_type(table, retype.column, retype.to)
    try:
        async with connection.transaction():
            await connection.execute(keep_unfit)
            await connection.execute(change)
    except (psycopg.errors.FeatureNotSupported, psycopg.errors.DependentObjectsStillExist):
        log.warning(
            "column %s.%s.%s keeps its type %s: something of yours depends on it;"
            " values that do not fit go to _extra",
            table.schema_name,
            table.name,
            retype.column.name,
            retype.column.field.column_type,
        )
        return False
    return True


async def move_values(connection: Connection, table: Table, awaiting: Sequence[Column]) -> None:
    """Moves values that waited in `_extra` into their columns, each in its own transaction.

    `connection` is in autocommit mode.
    """
    for column in awaiting:
        await connection.execute(statements.move_over(table, column))


async def repair(connection: Connection, table: Table) -> None:
    """Makes again what the user dropped: schema, table, columns. Says so."""
    await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
    await connection.execute(statements.compose("create_schema", statements.names(table)))
    await connection.execute(statements.create_table(table))
    await connection.execute(statements.add_columns(table))
    log.warning("table %s.%s was changed by hand: repaired", table.schema_name, table.name)
