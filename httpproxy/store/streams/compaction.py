"""Brings the records up to the events: each record stands at its newest one.

Writers know nothing of it. Whoever reads the records does it first, and so does whoever
drops old events; one at a time, by the row that tells how far that is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import psycopg
from psycopg.sql import SQL, Literal

from httpproxy.store.database import Connection, Database
from httpproxy.store.queries import load
from httpproxy.store.streams.bearings import bearings, in_order
from httpproxy.store.streams.places import Place
from httpproxy.store.streams.stream import QUERIES as STREAMS
from httpproxy.store.streams.stream import Leg, forward, within

QUERIES: Final = load("streams/records.sql")
BATCH: Final = 5000  # events that one transaction takes in

_WITHIN: Final = SQL(STREAMS["events_within"]).format(beyond=SQL(">"))
_IS_BEHIND: Final = SQL(QUERIES["is_behind"]).format(within=_WITHIN)
_BRING_UP: Final = SQL(QUERIES["bring_up"]).format(within=_WITHIN, batch=Literal(BATCH))


class Compaction:
    """Goes on with it. Raises Unavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def go_on(self, batches: int) -> bool:
        """Takes in up to `batches` times BATCH events; whether there are no more by now."""
        for _ in range(batches):
            async with in_order(self._database) as connection:
                if await _next_leg(connection, await _progress(connection)) is None:
                    return True
            try:
                async with in_order(self._database) as connection:
                    await _batch(connection)
            except psycopg.errors.LockNotAvailable:
                return False  # another is at it, or a sync is being deleted
        return False

    async def progress(self) -> Place:
        """The place of the last event that has been taken in."""
        async with self._database.connection() as connection:
            return await _progress(connection)


async def _batch(connection: Connection) -> None:
    await connection.execute(QUERIES["be_patient"])
    # The row first: what others did while this waited is seen from here on.
    start = await _progress(connection, "hold_progress")
    for leg in forward((await bearings(connection)).eras, start):
        done = await connection.execute(_BRING_UP, {"era": leg.era.number, **within(leg)})
        row = await done.fetchone()
        if row is not None and row["looked"] == BATCH:
            return


async def _next_leg(connection: Connection, start: Place) -> Leg | None:
    for leg in forward((await bearings(connection)).eras, start):
        if await (await connection.execute(_IS_BEHIND, within(leg))).fetchone() is not None:
            return leg
    return None


async def _progress(connection: Connection, query: str = "read_progress") -> Place:
    row = await (await connection.execute(QUERIES[query])).fetchone()
    if row is None:
        raise LookupError("httpproxy.record_progress is empty: restore its one row")
    return place_of(row)


def place_of(row: Mapping[str, Any]) -> Place:
    """The place that a row names."""
    return Place(row["era"], int(row["transaction"]), row["seq"])
