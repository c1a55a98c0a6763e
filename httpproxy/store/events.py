"""The committed changes (`httpproxy.event`), read. They are written by commits, in their
own transactions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from httpproxy.store.database import Database
from httpproxy.store.queries import load

QUERIES: Final = load("events.sql")


class Events:
    """Reads events. Raises Unavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def created_by_others(
        self, sync_id: str, request_id: str, since: float, record_ids: Sequence[str]
    ) -> frozenset[tuple[str, str]]:
        """Which of these records another call of the application made.

        (collection's upstream id, record id) of those that calls other than `request_id`
        made since `since` (epoch seconds), and five minutes before, for clocks differ.
        """
        wanted = {
            "sync_id": sync_id,
            "request_id": request_id,
            "since": since,
            "record_ids": list(record_ids),
        }
        async with self._database.connection() as connection:
            cursor = await connection.execute(QUERIES["created_by_others"], wanted)
            rows = await cursor.fetchall()
        return frozenset((row["collection_id"], row["upstream_id"]) for row in rows)
