"""Where items come from: the events and the records of the database, with their names.

Each source reads what comes behind a place, for readers with any filters.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, Protocol, TypeVar

from httpproxy.store.errors import Stale
from httpproxy.store.streams.places import EventPage, Place, RecordPage, RecordPlace, Wanted
from httpproxy.store.streams.records import RecordStream
from httpproxy.store.streams.shapes import Shape, Shapes
from httpproxy.store.streams.stream import EventStream
from httpproxy.store.sync.rows import Row, Rows
from httpproxy.streams.documents import Document, EventDocument, RecordDocument
from httpproxy.streams.items import Item, StreamPage
from httpproxy.streams.telling import key_of, told_event, told_record, told_unread
from providers.catalog import PROVIDERS

LAYOUT_TRIES: Final = 3

D = TypeVar("D", bound=Document)
D_co = TypeVar("D_co", bound=Document, covariant=True)
Key = tuple[str, str, str]  # sync, collection and record


class Source(Protocol, Generic[D_co]):
    """A stream in the database. Raises Unavailable when that is away."""

    async def after(
        self, place: Place | None, wanted: Wanted, limit: int
    ) -> StreamPage[Item[D_co]]:
        """What comes behind a place; None is the beginning. Raises Expired."""

    async def edge(self) -> Place:
        """Behind this place stands all that is still to come."""


@dataclass(frozen=True, slots=True)
class EventSource:
    """Events, each with the names that its fields have when it is read."""

    stream: EventStream
    shapes: Shapes

    async def after(
        self, place: Place | None, wanted: Wanted, limit: int
    ) -> StreamPage[Item[EventDocument]]:
        return await self._items(await self.stream.after(place, wanted, limit))

    async def before(
        self, place: Place | None, wanted: Wanted, limit: int
    ) -> StreamPage[Item[EventDocument]]:
        """What comes before a place, newest first; None is the end."""
        return await self._items(await self.stream.before(place, wanted, limit))

    async def edge(self) -> Place:
        return await self.stream.edge()

    async def one(self, event_id: str) -> EventDocument | None:
        """The event of this id, if there is one and its sync is there still."""
        event = await self.stream.event(event_id)
        if event is None:
            return None
        shapes = await _known(self.shapes, {event.sync_id})
        return told_event(event, shapes[event.sync_id]) if shapes else None

    async def _items(self, page: EventPage) -> StreamPage[Item[EventDocument]]:
        shapes = await _known(self.shapes, {each.sync_id for each in page.events})
        items = (
            Item(each, partial(told_unread, each, shapes[each.sync_id]), each.size)
            for each in page.events
            if each.sync_id in shapes  # else the sync is deleted, its events with it
        )
        return StreamPage(tuple(items), page.next, page.end, page.reach)


@dataclass(frozen=True, slots=True)
class RecordSource:
    """Records, each with its row as it is when it is read."""

    stream: RecordStream
    shapes: Shapes
    rows: Rows

    async def after(
        self, place: Place | None, wanted: Wanted, limit: int
    ) -> StreamPage[Item[RecordDocument]]:
        page = await self.stream.after(place, wanted, limit)
        for turn in range(LAYOUT_TRIES):
            shapes = await _known(self.shapes, {each.sync_id for each in page.records})
            try:
                rows = await self._rows(page, shapes)
            except Stale:  # a table has just been given another layout
                if turn == LAYOUT_TRIES - 1:
                    raise
            else:
                break
        return StreamPage(_records(page.records, shapes, rows), page.next, page.end, page.reach)

    async def edge(self) -> Place:
        return await self.stream.edge()

    async def _rows(self, page: RecordPage, shapes: Mapping[str, Shape]) -> Mapping[Key, Row]:
        """The rows of those that are not deleted, as far as they are there."""
        keys: dict[tuple[str, str], list[str]] = defaultdict(list)
        for place in page.records:
            if place.sync_id in shapes and place.event != "deleted":
                keys[place.sync_id, place.collection_id].append(place.upstream_id)
        found: dict[Key, Row] = {}
        for (sync_id, collection_id), ids in keys.items():
            table = shapes[sync_id].tables.tables.get(collection_id)
            if table is not None:
                by_key = {key_of(table, each): each for each in ids}
                for key, row in (await self.rows.of_keys(table, [*by_key])).items():
                    found[sync_id, collection_id, by_key[key]] = row
        return found


def _records(
    places: Sequence[RecordPlace], shapes: Mapping[str, Shape], rows: Mapping[Key, Row]
) -> tuple[Item[RecordDocument], ...]:
    """A row that is gone is left out: its deletion is a newer place, and told there."""
    found: list[Item[RecordDocument]] = []
    for place in places:
        key = (place.sync_id, place.collection_id, place.upstream_id)
        row = rows.get(key)
        if place.sync_id in shapes and (row is not None or place.event == "deleted"):
            tell = partial(told_record, place, shapes[place.sync_id], row)
            found.append(Item(place, tell, _size(row), key))
    return tuple(found)


def _size(row: Row | None) -> int:
    """About how many bytes of JSON a row is."""
    return 200 if row is None else 200 + sum(map(len, map(str, row.values())))


async def _known(shapes: Shapes, sync_ids: set[str]) -> Mapping[str, Shape]:
    """Of the syncs that there are, those whose provider this version knows."""
    found = await shapes.of(sync_ids) if sync_ids else {}
    return {id_: shape for id_, shape in found.items() if shape.provider in PROVIDERS}
