"""How far the streams can be told: the eras of the history, and the border of what is complete.

Among the transactions that began before every open one nothing is still to come. Postgres
knows that border (pg_snapshot_xmin).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from httpproxy.store.database import Connection, Database
from httpproxy.store.errors import StoreError
from httpproxy.store.queries import load
from httpproxy.store.streams.places import LAST_SEQ, LAST_TRANSACTION, Place

QUERIES: Final = load("streams/bearings.sql")


@dataclass(frozen=True, slots=True)
class Era:
    """A part of the history: its number, its events' numbers and the salt of their ids.
    Transactions before `horizon` are told."""

    number: int
    first_seq: int
    last_seq: int
    horizon: int
    salt: UUID


@dataclass(frozen=True, slots=True)
class Bearings:
    """The eras, oldest first, and up to where events have been dropped for their age."""

    eras: tuple[Era, ...]
    dropped: Place | None

    @property
    def edge(self) -> Place:
        """The last place before the border: behind it stands all that is still to come."""
        era = self.eras[-1]
        return Place(era.number, max(era.horizon - 1, 0), LAST_SEQ)


@dataclass(frozen=True, slots=True)
class Border:
    """Transactions before this one have ended; nothing changes for the streams while it
    stays. `open`: one at least has not ended that began before another that has."""

    transaction: int
    open: bool


class Expired(StoreError):
    """Events behind a reader's place have been dropped for their age. All that is kept comes
    behind `oldest`."""

    def __init__(self, oldest: Place) -> None:
        super().__init__("events behind this place have been dropped for their age")
        self.oldest = oldest


async def bearings(connection: Connection, sync_ids: Sequence[str] | None = None) -> Bearings:
    """Where a reader of these syncs, or of all, can go by now."""
    named = {"sync_ids": None if sync_ids is None else list(sync_ids)}
    rows = await (await connection.execute(QUERIES["bearings"], named)).fetchall()
    horizon = int(rows[-1]["horizon"])
    ends = [row["first_seq"] - 1 for row in rows[1:]]
    eras = [
        # An era that is over is complete, and its transactions may be another cluster's.
        Era(row["era"], row["first_seq"], end, LAST_TRANSACTION, row["salt"])
        for row, end in zip(rows, (*ends, LAST_SEQ), strict=True)
    ]
    eras[-1] = replace(eras[-1], horizon=horizon)
    last = rows[-1]
    dropped = last["dropped_era"], last["dropped_transaction"], last["dropped_seq"]
    if last["dropped_era"] is None:
        return Bearings(tuple(eras), None)
    return Bearings(tuple(eras), Place(dropped[0], int(dropped[1]), dropped[2]))


@asynccontextmanager
async def in_order(database: Database) -> AsyncIterator[Connection]:
    """A connection in a transaction whose statements go along the streams' indexes."""
    async with database.transaction() as connection:
        await connection.execute(QUERIES["keep_to_order"])
        yield connection


async def border(database: Database) -> Border:
    """Where the border is. It reads no table. Raises Unavailable."""
    async with database.connection() as connection:
        row = await (await connection.execute(QUERIES["border"])).fetchone()
    if row is None:
        raise StoreError("Postgres has no snapshot")
    return Border(int(row["horizon"]), row["open"])
