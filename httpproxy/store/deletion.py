"""A sync is deleted, with all that is kept of it; its tables stay unless they are to go.

In one transaction: the sync is held first, then its tables, then a revision is drawn, by
which other processes learn that it is gone.
"""

from __future__ import annotations

from typing import Final

from httpproxy.store.credentials import book
from httpproxy.store.database import QUERIES, Connection, next_revision
from httpproxy.store.layouts import schemas
from providers.record import JSON

# What goes with a sync, the sync itself last.
_DELETED: Final = (
    "delete_events",
    "delete_meta",
    "delete_dirty",
    "delete_quarantine",
    "delete_seen",
    "delete_intents",
    "delete_idempotency",
    "hold_records",
    "delete_records",
    "delete_dropped",
    "delete_sync",
)


async def delete(
    connection: Connection,
    sync_id: str,
    schema_name: str,
    credential_id: str | None,
    *,
    drop_tables: bool,
) -> list[tuple[str, JSON]]:
    """Deletes a sync, and a credential that was made with it and that nobody else uses. The
    feeds that it had, by name; none if it is gone already. Raises InUse."""
    named = {"id": sync_id}
    held = await (await connection.execute(QUERIES["lock_sync"], named)).fetchone()
    if held is None:
        return []
    if drop_tables:
        await schemas.drop_tables(connection, sync_id)
        if held["owns_schema"]:
            await schemas.drop_schema(connection, schema_name)
    else:
        await schemas.stop_writes(connection, sync_id, schema_name)
    revision = await next_revision(connection)
    await connection.execute(QUERIES["hold_collections"], named)
    feeds = await (await connection.execute(QUERIES["delete_feeds"], named)).fetchall()
    for query in _DELETED:
        await connection.execute(QUERIES[query], named)
    await connection.execute(QUERIES["record_deleted_sync"], {**named, "revision": revision})
    await book.drop_unused(connection, credential_id)
    return [(row["name"], row["state"]) for row in feeds]
