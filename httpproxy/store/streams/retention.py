"""Events by the day: partitions are made ahead, and dropped when they are old.

To drop a day's partition takes milliseconds, however many events it holds, and leaves
nothing to clean up. Before that its events go into the records, and how far they are gone
is noted for those who stand before them (`Expired`).

Several processes may do this at once: each step is one's at a time. No step makes a commit
wait for more than a tenth of a second; one that cannot have its lock is tried again.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import psycopg
from psycopg.sql import SQL, Identifier

from httpproxy.store.database import Connection, Database
from httpproxy.store.errors import Unavailable
from httpproxy.store.queries import load
from httpproxy.store.streams.compaction import Compaction, place_of
from httpproxy.store.streams.places import Place

log = logging.getLogger(__name__)

QUERIES: Final = load("streams/retention.sql")
AHEAD: Final = 3  # days
ROUND_SECONDS: Final = 900.0
AGAIN_SECONDS: Final = 20.0  # after a step that could not be done
BATCHES: Final = 100  # of the compaction, until others may have their turn


class Retention:
    """Keeps `days` days of events, None: all of them. Raises Unavailable."""

    def __init__(self, database: Database, days: float | None) -> None:
        self._database = database
        self._days = days
        self._compaction = Compaction(database)

    async def keep(self) -> None:
        """Makes and drops partitions for as long as it runs."""
        while True:
            try:
                done = await self.run()
            except Unavailable:
                done = False
            except psycopg.Error:  # somebody cancels it, a disk is full: nothing to end for
                log.exception("old events could not be dropped; tried again soon")
                done = False
            await asyncio.sleep(ROUND_SECONDS if done else AGAIN_SECONDS)

    async def run(self) -> bool:
        """One round; whether all is done that is due."""
        if not await self._make_days():
            return False
        for day in await self._old_days():
            if not await self._drop(day):
                return False
        return True

    async def _make_days(self) -> bool:
        try:
            async with self._database.transaction() as connection:
                if not await _take_turn(connection):
                    return True  # another is at it
                await connection.execute(QUERIES["make_days"], {"ahead": AHEAD})
        except (psycopg.errors.LockNotAvailable, psycopg.errors.CheckViolation):
            return False  # somebody reads for long; or writes to a day that is being made
        return True

    async def _old_days(self) -> list[str]:
        if self._days is None:
            return []
        async with self._database.connection() as connection:
            done = await connection.execute(QUERIES["old_days"], {"days": self._days})
            return [row["relname"] for row in await done.fetchall()]

    async def _drop(self, day: str) -> bool:
        """Drops a day's events, once they are in the records; whether that is done."""
        if not await self._compaction.go_on(BATCHES):
            return False
        taken_in = await self._compaction.progress()
        try:
            async with self._database.transaction() as connection:
                if not await _take_turn(connection):
                    return True
                return await _drop(connection, day, taken_in)
        except psycopg.errors.LockNotAvailable:
            return False
        except psycopg.errors.UndefinedTable:
            return True  # another has dropped it
        except psycopg.errors.DependentObjectsStillExist as error:
            log.warning("events of %s cannot be dropped: %s", day, error.diag.message_detail)
            return False


async def _drop(connection: Connection, day: str, taken_in: Place) -> bool:
    named = {"day": Identifier("httpproxy", day)}
    last = SQL(QUERIES["last_of_day"]).format(**named)
    row = await (await connection.execute(last)).fetchone()
    if row is not None and taken_in < place_of(row):
        log.warning("%s is not dropped yet: a transaction stays open", day)
        return False
    for step in ("note_dropped", "forget_deleted", "drop_day"):
        await connection.execute(SQL(QUERIES[step]).format(**named))
    log.info("%s is dropped: its events are too old", day)
    return True


async def _take_turn(connection: Connection) -> bool:
    row = await (await connection.execute(QUERIES["take_turn"])).fetchone()
    return row is not None and bool(row["mine"])
