"""The committed changes, told in an order in which none is ever skipped.

Numbers are drawn before their transactions commit: whoever went by what he sees would pass
by an event that commits late, for good. So events go by the transactions that wrote them,
and only those of transactions that began before every open one are told: by then nothing
is still to come among them. Postgres knows that border (pg_snapshot_xmin), and it costs
writers nothing. A transaction that stays open, whosever it is, holds it back.

A call looks at LOOKS events at most, whatever it finds among them; the page tells where to
go on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, TypeVar

from psycopg import AsyncCursor
from psycopg.sql import SQL, Composed, Literal
from psycopg.types.json import set_json_loads

from httpproxy.store.database import Connection, Database
from httpproxy.store.queries import load
from httpproxy.store.streams.bearings import Era, Expired, bearings, in_order
from httpproxy.store.streams.event_ids import event_id, seq_of
from httpproxy.store.streams.places import (
    LAST_SEQ,
    LAST_TRANSACTION,
    Event,
    EventPage,
    Place,
    Unread,
    Wanted,
)
from httpproxy.store.sync.comparing import exactly
from providers.record import JSON

QUERIES: Final = load("streams/streams.sql")
LOOKS: Final = 5000
FEW: Final = 16  # syncs that are looked through one by one
BEGINNING: Final = Place(0, 0, 0)
_END: Final = Place(1 << 62, LAST_TRANSACTION, LAST_SEQ)

T = TypeVar("T")
Row = Mapping[str, Any]


class EventStream:
    """Tells events. Raises Unavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def after(self, place: Place | None, wanted: Wanted, limit: int) -> EventPage:
        """The next events behind a place, oldest first, unread; None begins with the oldest
        that is kept.

        Raises Expired if events behind the place, of the wanted syncs, have been dropped.
        """
        async with in_order(self._database) as connection:
            known = await bearings(connection, wanted.sync_ids)
            if place is not None and known.dropped is not None and place < known.dropped:
                raise Expired(known.dropped)
            start = place or known.dropped or BEGINNING
            page = await _page(connection, forward(known.eras, start), start, wanted, limit)
            return replace(page, reach=max(start, known.edge)) if page.end else page

    async def before(self, place: Place | None, wanted: Wanted, limit: int) -> EventPage:
        """The events before a place, newest first, unread; None begins with the newest."""
        async with in_order(self._database) as connection:
            known = await bearings(connection)
            start = _END if place is None else place
            return await _page(connection, _backward(known.eras, start), start, wanted, limit)

    async def event(self, event_id: str) -> Event | None:
        """The event that has this id, if it is kept and can be told already."""
        async with self._database.connection() as connection:
            for era in (await bearings(connection)).eras:
                seq = seq_of(era.salt, event_id)
                if seq is None or not era.first_seq <= seq <= era.last_seq:
                    continue
                named = {"seq": seq, "horizon": str(era.horizon)}
                done = await _unread(connection).execute(QUERIES["event"], named)
                row = await done.fetchone()
                return None if row is None else _event(era, row).read()
        return None

    async def horizon(self) -> Place:
        """The place of the newest event that can be told, also if it is dropped by now;
        while an era has none, its beginning."""
        async with in_order(self._database) as connection:
            known = await bearings(connection)
            era = known.eras[-1]
            named = {"horizon": str(era.horizon), "first_seq": era.first_seq}
            row = await (await connection.execute(QUERIES["newest_event"], named)).fetchone()
        newest = Place(era.number, 0, 0) if row is None else _place(era, row)
        return newest if known.dropped is None else max(newest, known.dropped)

    async def edge(self) -> Place:
        """Behind this place stands all that is still to come, and nothing else."""
        async with self._database.connection() as connection:
            return (await bearings(connection)).edge


@dataclass(frozen=True, slots=True)
class Leg:
    """A part of the way through one era: where it starts, and in which direction."""

    era: Era
    start: Place
    forward: bool


def forward(eras: Sequence[Era], start: Place) -> Iterator[Leg]:
    """From a place on through the eras."""
    for era in eras:
        if era.number >= start.era:
            yield Leg(era, max(start, Place(era.number, 0, 0)), forward=True)


def _backward(eras: Sequence[Era], start: Place) -> Iterator[Leg]:
    for era in reversed(eras):
        if era.number <= start.era:
            end = Place(era.number, LAST_TRANSACTION, LAST_SEQ)
            yield Leg(era, min(start, end), forward=False)


async def _page(
    connection: Connection, legs: Iterator[Leg], start: Place, wanted: Wanted, limit: int
) -> EventPage:
    """Goes along the legs until there are enough events, or enough were looked at."""
    found: list[Unread] = []
    at = start
    for leg in legs:
        rows = await _rows(connection, leg, wanted, limit - len(found))
        found += [_event(leg.era, row) for row in rows if row["fits"]]
        if rows:
            at = _place(leg.era, rows[-1])
        if len(found) == limit or (rows and rows[-1]["looked"] >= LOOKS):
            return EventPage(tuple(found), at, end=False, reach=at)
    return EventPage(tuple(found), at, end=True, reach=at)


def _statements(forward: bool) -> tuple[Composed, Composed, Composed]:
    """Looks at the events of all syncs, at those of one, and at those of a few."""
    way, beyond = (SQL("ASC"), SQL(">")) if forward else (SQL("DESC"), SQL("<"))
    parts = {
        "way": way,
        "looks": Literal(LOOKS),
        "within": SQL(QUERIES["events_within"]).format(beyond=beyond),
    }
    of_all, of_one, of_few = (
        SQL(QUERIES["events"]).format(**parts, source=SQL(QUERIES[name]).format(**parts))
        for name in ("events_of_all", "events_of_one", "events_of_few")
    )
    return of_all, of_one, of_few


_STATEMENTS: Final = {forward: _statements(forward) for forward in (True, False)}


async def _rows(
    connection: Connection, leg: Leg, wanted: Wanted, limit: int
) -> list[dict[str, Any]]:
    of_all, of_one, of_few = _STATEMENTS[leg.forward]
    named = {**within(leg), **filters(wanted), "limit": limit}
    statement = of_syncs(wanted, of_all, of_one, of_few)
    return await (await _unread(connection).execute(statement, named)).fetchall()


def _unread(connection: Connection) -> AsyncCursor[dict[str, Any]]:
    """A cursor that leaves JSON as it comes."""
    cursor = connection.cursor()
    set_json_loads(_as_it_comes, cursor)
    return cursor


def _as_it_comes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def of_syncs(wanted: Wanted, of_all: T, of_one: T, of_few: T) -> T:
    """What looks through all syncs, through the one that is wanted, or through a few."""
    ids = _array(wanted.sync_ids)
    if ids is None or len(ids) > FEW:
        return of_all
    return of_one if len(ids) == 1 else of_few


def within(leg: Leg) -> dict[str, Any]:
    """What `events_within` names."""
    return {
        "transaction": str(leg.start.transaction),
        "seq": leg.start.seq,
        "horizon": str(leg.era.horizon),
        "first_seq": leg.era.first_seq,
        "last_seq": leg.era.last_seq,
    }


def filters(wanted: Wanted) -> dict[str, Any]:
    """What is wanted, as statements name it."""
    return {
        "sync_ids": _array(wanted.sync_ids),
        "collection_ids": _array(wanted.collection_ids),
        "kinds": _array(wanted.event),
        "origins": _array(wanted.origin),
    }


def _array(values: Sequence[str] | None) -> list[str] | None:
    return None if values is None else list(dict.fromkeys(values))


def _place(era: Era, row: Row) -> Place:
    return Place(era.number, int(row["transaction"]), row["seq"])


def _event(era: Era, row: Row) -> Unread:
    return Unread(
        _place(era, row),
        row["sync_id"],
        row["collection_id"],
        row["event"],
        row["origin"],
        len(row["data"] or b"") + len(row["changes"] or b""),
        partial(_read, era, row),
    )


def _read(era: Era, row: Row) -> Event:
    return Event(
        _place(era, row),
        event_id(era.salt, row["seq"]),
        row["sync_id"],
        row["collection_id"],
        row["upstream_id"],
        row["upstream_updated_at"],
        row["event"],
        exactly(row["data"] or b"null"),
        _changes(row["changes"]),
        row["origin"],
        row["request_id"],
        row["inserted_at"],
    )


def _changes(text: bytes | None) -> Mapping[str, JSON] | None:
    found = exactly(text or b"null")
    return found if isinstance(found, dict) else None
