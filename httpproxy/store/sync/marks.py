"""What is to be read again: made, handed out, answered.

Each function works on a connection; `save` and `mark_dirty` on one in a transaction, if
the marks are to stand or fall with something else. All marks are made by one statement
(commit.sql's), the one of the commits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from psycopg import AsyncRawCursor
from psycopg.types.json import Jsonb

from httpproxy.store.commits.batch import mark_rows
from httpproxy.store.commits.encoding import encoded_with_care
from httpproxy.store.database import Connection
from httpproxy.store.layouts.tables import Row, SyncTables
from httpproxy.store.queries import load
from httpproxy.store.sync.states import DirtyKinds, Marked
from providers.record import JSON, Dirty

SQL: Final = load("sync/sync.sql")
_MARK: Final = load("commits/commit.sql")["mark"].encode()


def jsonb(value: JSON) -> Jsonb:
    """A parameter that Postgres takes, whatever the value."""
    return Jsonb(encoded_with_care(value), dumps=_as_is)


def _as_is(text: bytes) -> bytes:
    return text


async def save(connection: Connection, rows: list[Row]) -> int:
    """Makes the marks of `batch.mark_rows`; returns how many were needed."""
    if not rows:
        return 0
    cursor = AsyncRawCursor(connection)
    await cursor.execute(_MARK, [jsonb(list(rows))])
    return cursor.rowcount


async def mark_dirty(connection: Connection, sync_id: str, marks: Sequence[Dirty]) -> int:
    """Makes marks; those of collections that the sync does not have are dropped."""
    numbers = await hold_collections(connection, sync_id)
    known = ((numbers[m.collection], m) for m in marks if m.collection in numbers)
    return await save(connection, mark_rows(known))


async def hold_collections(connection: Connection, sync_id: str) -> Mapping[str, int]:
    """The collections' numbers by the provider's ids. They, and so the sync, are not
    deleted before the transaction ends."""
    named = {"sync_id": sync_id}
    rows = await (await connection.execute(SQL["hold_collections"], named)).fetchall()
    return {row["upstream_id"]: row["number"] for row in rows}


async def dirty_syncs(connection: Connection) -> Mapping[str, DirtyKinds]:
    """The syncs that have marks. A few index lookups per collection that has any."""
    rows = await (await connection.execute(SQL["dirty_syncs"])).fetchall()
    return {row["sync_id"]: DirtyKinds(row["records"], row["wholes"]) for row in rows}


async def marked(
    connection: Connection, tables: SyncTables, limit: int, skip: Sequence[str]
) -> Marked | None:
    """The oldest marks of records, all of one collection."""
    ids = {t.number: name for name, t in tables.tables.items() if name not in skip}
    asked = {"numbers": list(ids), "limit": limit}
    rows = await (await connection.execute(SQL["read_marks"], asked)).fetchall()
    if not rows:
        return None
    number = rows[0]["collection"]
    return Marked(
        number,
        ids[number],
        tuple(tuple(row["key"]) for row in rows),
        tuple(row["mark"] for row in rows),
    )


async def settle(
    connection: Connection, marked: Marked, keys: Sequence[tuple[str, ...]]
) -> None:
    """Deletes the marks of these keys, unless they were marked again."""
    answered = frozenset(keys)
    pairs = sorted(
        (":".join(key), mark)
        for key, mark in zip(marked.keys, marked.marks, strict=True)
        if key in answered
    )
    if pairs:
        records, marks = zip(*pairs, strict=True)
        parameters = {"number": marked.number, "records": list(records), "marks": list(marks)}
        await connection.execute(SQL["settle_marks"], parameters)
