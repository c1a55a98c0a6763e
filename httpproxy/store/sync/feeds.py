"""Where the feeds of a sync go on: each listening follows the one before, once."""

from __future__ import annotations

from typing import Any

from httpproxy.store.commits.batch import mark_rows
from httpproxy.store.database import Connection
from httpproxy.store.errors import Forgotten, Stale
from httpproxy.store.layouts.tables import SyncTables
from httpproxy.store.sync.marks import SQL, hold_collections, jsonb
from httpproxy.store.sync.marks import save as save_marks
from httpproxy.store.sync.states import FeedStep
from providers.record import JSON


async def state(connection: Connection, sync_id: str, feed: str) -> JSON:
    """Where a feed goes on; None if it has not begun."""
    named = {"sync_id": sync_id, "feed": feed}
    row = await (await connection.execute(SQL["read_feed"], named)).fetchone()
    kept: JSON = None if row is None else row["state"]
    return kept


async def save(connection: Connection, tables: SyncTables, sync_id: str, step: FeedStep) -> int:
    """Keeps what a feed told; the connection is in a transaction. Returns how many marks
    were needed.

    Of two processes that listened with one state the second is told Stale: its state may
    be the older of the two, and what it heard beyond will be heard again.
    """
    if not await hold_collections(connection, sync_id):
        raise Forgotten(f"sync {sync_id} is not in the registry any more")
    kept: dict[str, Any] = {
        "sync_id": sync_id,
        "feed": step.feed,
        "state": jsonb(step.state),
        "before": jsonb(step.before),
        "fence": step.fence,
    }
    statement = "begin_feed" if step.before is None else "continue_feed"
    if await (await connection.execute(SQL[statement], kept)).fetchone() is None:
        raise Stale(f"feed {step.feed} has gone on meanwhile")
    told = {"sync_id": sync_id, "collections": list(step.collections)}
    await connection.execute(SQL["record_heard"], told)
    known = tables.tables
    return await save_marks(
        connection,
        mark_rows((known[m.collection].number, m) for m in step.marks if m.collection in known),
    )
