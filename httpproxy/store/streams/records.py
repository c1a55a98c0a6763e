"""The records, each once and at its newest event: what to read to have all of them.

A record that changes moves on to its new place. So a reader who goes on from where he is
sees every record, deleted ones included, as often as it has changed under him; what it
says is to be looked up when it is told, and may be newer still.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from psycopg.sql import SQL, Composed, Literal

from httpproxy.store.database import Database
from httpproxy.store.streams.bearings import Expired, bearings, in_order
from httpproxy.store.streams.compaction import QUERIES, Compaction, place_of
from httpproxy.store.streams.places import Place, RecordPage, RecordPlace, Wanted
from httpproxy.store.streams.stream import BEGINNING, LOOKS, filters, of_syncs

# That a reader brings up, about a second's work; the rest is the next page's.
BATCHES: Final = 4


class RecordStream:
    """Tells records. Raises Unavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._compaction = Compaction(database)

    async def after(self, place: Place | None, wanted: Wanted, limit: int) -> RecordPage:
        """The next records behind a place, by their newest events; None begins with all.

        Raises Expired if the reader may have missed that records were deleted since it began,
        as the events have been dropped; `oldest` begins with all records again.
        """
        is_up = await self._compaction.go_on(BATCHES)
        progress = await self._compaction.progress()
        anew = replace(BEGINNING, since=progress)
        start = place or anew
        async with in_order(self._database) as connection:
            dropped = (await bearings(connection, wanted.sync_ids)).dropped
            if dropped is not None and _heard(start) < dropped:
                raise Expired(anew)
            named = {
                "era": start.era,
                "transaction": str(start.transaction),
                "seq": start.seq,
                "limit": limit,
                **filters(wanted),
            }
            statement = of_syncs(wanted, _OF_ALL, _OF_ONE, _OF_FEW)
            done = await connection.execute(statement, named)
            rows = await done.fetchall()
        found = tuple(_record(row, start, dropped) for row in rows if row["fits"])
        at = _begun(place_of(rows[-1]), start, start.since) if rows else start
        full = len(found) == limit or (bool(rows) and rows[-1]["looked"] >= LOOKS)
        end = is_up and not full
        reach = _begun(max(at, progress), start, start.since) if end else at
        return RecordPage(found, at, end, reach)

    async def edge(self) -> Place:
        """Behind this place stands every record that changes from now on."""
        return await self._compaction.progress()


def _statement(source: str) -> Composed:
    looks = Literal(LOOKS)
    return SQL(QUERIES["records"]).format(
        looks=looks, source=SQL(QUERIES[source]).format(looks=looks)
    )


_OF_ALL: Final = _statement("records_of_all")
_OF_ONE: Final = _statement("records_of_one")
_OF_FEW: Final = _statement("records_of_few")


def _heard(place: Place) -> Place:
    """Up to where a reader knows what was deleted: whatever was before it began, it was never
    told of as being there."""
    return place if place.since is None else max(place, place.since)


def _begun(place: Place, start: Place, needed: Place | None) -> Place:
    """A place with when its reader began, if that is `needed` behind it."""
    return place if needed is None or place >= needed else replace(place, since=start.since)


def _record(row: dict[str, Any], start: Place, dropped: Place | None) -> RecordPlace:
    return RecordPlace(
        _begun(place_of(row), start, dropped),
        row["sync_id"],
        row["collection_id"],
        row["upstream_id"],
        row["event"],
        row["upstream_updated_at"],
        row["inserted_at"],
        row["origin"],
        row["request_id"],
    )
