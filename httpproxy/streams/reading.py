"""The streams as readers have them: pages of events and of records, one event, and the tail.

A page is asked for by cursor. An empty page tells as much as a full one: how far was looked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from httpproxy.management.problems import Declined
from httpproxy.office import Office
from httpproxy.store.errors import Stale
from httpproxy.store.registry import Sync
from httpproxy.store.streams.places import Event, Expired, Place, RecordPlace, Wanted
from httpproxy.store.streams.records import RecordStream
from httpproxy.store.streams.shapes import Shape, Shapes
from httpproxy.store.streams.stream import EventStream
from httpproxy.store.sync.rows import Row, Rows
from httpproxy.streams.documents import EventDocument, Filters, RecordDocument
from httpproxy.streams.selecting import Selection
from httpproxy.streams.tail import Bounds, StreamPage, Tail
from httpproxy.streams.telling import key_of, told_event, told_record
from providers.catalog import PROVIDERS

SEARCH_SECONDS: Final = 2.0  # a page of what is rare ends then, however little was found
PULL: Final = 50  # events in the hands of a reader that listens
LAYOUT_TRIES: Final = 3

_EXPIRED: Final = {
    False: "Some of what comes after this cursor is not kept any more. Go on from `oldest`, and"
    " take what was missed from /v1/records or the tables.",
    True: "Which records were deleted after this cursor is not known any more. Begin a new copy"
    " at `oldest`, or at `start`: what is not in it is gone.",
}

T = TypeVar("T")
Ways = Literal["after", "before"]
SyncNamed = Callable[[str], Awaitable[Sync]]
Pages = Callable[[Place | None, Wanted, int], Awaitable[StreamPage[T]]]


@dataclass(frozen=True, slots=True)
class Start:
    """Where a reader that listens begins: at a cursor, which `member` of its request says;
    without one, now. `key_id` is the API key that it uses."""

    cursor: str | None = None
    member: str = "after"
    key_id: str = ""


@dataclass(frozen=True)
class Streams:
    """What is told of what was committed.

    `clock` is a monotonic one, in seconds. Raises Unavailable when the database is away, and
    Declined for cursors that nobody can go on from.
    """

    events: EventStream
    records: RecordStream
    shapes: Shapes
    rows: Rows
    tail: Tail
    clock: Callable[[], float]

    async def select(
        self, filters: Filters, sync_named: SyncNamed, own: str | None = None
    ) -> Selection:
        """The filters, checked. `own`: the one sync that the reader may see.

        `sync_named` finds a sync by id or name, or raises what the reader is to be told.
        """
        named = [(await sync_named(name)).id for name in filters.sync_id]
        sync_ids = named or ([own] if own is not None else None)
        selection = Selection(filters, sync_ids, self.shapes, self.clock)
        await selection.check()
        return selection

    async def now(self) -> str:
        """The cursor of what comes from now on."""
        return (await self.events.horizon()).write()

    async def event(self, event_id: str, own: str | None = None) -> EventDocument:
        """One event by its id. Raises Declined if there is none that the reader may see."""
        event = await self.events.event(event_id)
        if event is not None and own in (None, event.sync_id):
            for told in await self._told_events([event]):
                return told
        raise Declined(
            "unknown_event", "There is no event of this id; events are kept for a while."
        )

    async def event_page(
        self, selection: Selection, cursor: str | None, limit: int, way: Ways = "after"
    ) -> StreamPage[EventDocument]:
        """A page of events: oldest first after the cursor, or newest first before it."""
        pages = self._events_after if way == "after" else self._events_before
        return await self._page(pages, selection, await self._place(cursor, way), limit, way)

    async def record_page(
        self, selection: Selection, cursor: str | None, limit: int
    ) -> StreamPage[RecordDocument]:
        """A page of records: each once, those that changed last come last."""
        place = await self._place(cursor, "after")
        return await self._page(self._records_after, selection, place, limit)

    async def follow_events(
        self, selection: Selection, start: Start
    ) -> AsyncGenerator[StreamPage[EventDocument], None]:
        """Events as they are committed."""
        return await self._follow(self._events_after, selection, start)

    async def follow_records(
        self, selection: Selection, start: Start
    ) -> AsyncGenerator[StreamPage[RecordDocument], None]:
        """Records as they change."""
        return await self._follow(self._records_after, selection, start)

    # --- places and pages ----------------------------------------------------------------

    async def _place(
        self, cursor: str | None, way: Ways, member: str | None = None
    ) -> Place | None:
        """What a cursor means; None is the first page of its way. Raises Declined, which names
        the `member` that said it."""
        member = member or way
        if cursor is None or cursor == {"after": "start", "before": "now"}[way]:
            return None
        if cursor == "now":
            return await self.events.horizon()
        try:
            return Place.read(cursor)
        except ValueError as error:
            words = "`start` or `now`" if way == "after" else "`now`"
            raise Declined(
                "bad_parameter",
                f"{member} is no cursor of this stream. Take the seq of an event or of a"
                f" record, the Link header of a page, or {words}.",
                member,
            ) from error

    async def _page(
        self,
        pages: Pages[T],
        selection: Selection,
        place: Place | None,
        limit: int,
        way: Ways = "after",
    ) -> StreamPage[T]:
        """As many as are wanted, if they are found in time."""
        found: list[T] = []
        until = self.clock() + SEARCH_SECONDS
        while True:
            told = await self._pull(pages, selection, place, limit - len(found), way)
            found += told.items
            place = told.next
            if told.end or len(found) >= limit or self.clock() >= until:
                return StreamPage(tuple(found), place, told.end)

    async def _follow(
        self, pages: Pages[T], selection: Selection, start: Start
    ) -> AsyncGenerator[StreamPage[T], None]:
        async def pull(place: Place | None) -> StreamPage[T]:
            try:
                return await self._pull(pages, selection, place, PULL)
            except Declined as declined:
                declined.members["member"] = start.member
                raise

        place = await self._place(start.cursor or "now", "after", start.member)
        return self.tail.follow(pull, place, start.key_id)

    async def _pull(
        self,
        pages: Pages[T],
        selection: Selection,
        place: Place | None,
        limit: int,
        way: Ways = "after",
    ) -> StreamPage[T]:
        try:
            return await pages(place, await selection.wanted(), limit)
        except Expired as error:
            raise Declined(
                "cursor_expired",
                _EXPIRED[pages == self._records_after],
                way,
                oldest=error.oldest.write(),
            ) from error

    # --- what the store has, told ---------------------------------------------------------

    async def _events_after(
        self, place: Place | None, wanted: Wanted, limit: int
    ) -> StreamPage[EventDocument]:
        page = await self.events.after(place, wanted, limit)
        return StreamPage(await self._told_events(page.events), page.next, page.end)

    async def _events_before(
        self, place: Place | None, wanted: Wanted, limit: int
    ) -> StreamPage[EventDocument]:
        page = await self.events.before(place, wanted, limit)
        return StreamPage(await self._told_events(page.events), page.next, page.end)

    async def _records_after(
        self, place: Place | None, wanted: Wanted, limit: int
    ) -> StreamPage[RecordDocument]:
        page = await self.records.after(place, wanted, limit)
        for turn in range(LAYOUT_TRIES):
            shapes = await self._shapes({each.sync_id for each in page.records})
            try:
                told = await self._told_records(page.records, shapes)
            except Stale:  # a table has just been given another layout
                if turn == LAYOUT_TRIES - 1:
                    raise
            else:
                break
        return StreamPage(told, page.next, page.end)

    async def _told_events(self, events: Sequence[Event]) -> tuple[EventDocument, ...]:
        shapes = await self._shapes({event.sync_id for event in events})
        return tuple(
            told_event(event, shapes[event.sync_id])
            for event in events
            if event.sync_id in shapes  # else the sync is deleted, its events with it
        )

    async def _told_records(
        self, places: Sequence[RecordPlace], shapes: Mapping[str, Shape]
    ) -> tuple[RecordDocument, ...]:
        """A row that is gone is left out: its deletion is a newer place, and told there."""
        keys: dict[tuple[str, str], list[str]] = defaultdict(list)
        for place in places:
            if place.sync_id in shapes and place.event != "deleted":
                keys[place.sync_id, place.collection_id].append(place.upstream_id)
        rows: dict[tuple[str, str, str], Row] = {}
        for (sync_id, collection_id), ids in keys.items():
            table = shapes[sync_id].tables.tables.get(collection_id)
            if table is not None:
                by_key = {key_of(table, each): each for each in ids}
                for key, row in (await self.rows.of_keys(table, [*by_key])).items():
                    rows[sync_id, collection_id, by_key[key]] = row
        told: list[RecordDocument] = []
        for place in places:
            now = rows.get((place.sync_id, place.collection_id, place.upstream_id))
            if place.sync_id in shapes and (now is not None or place.event == "deleted"):
                told.append(told_record(place, shapes[place.sync_id], now))
        return tuple(told)

    async def _shapes(self, sync_ids: set[str]) -> Mapping[str, Shape]:
        """Of the syncs that there are, those whose provider this version knows."""
        found = await self.shapes.of(sync_ids) if sync_ids else {}
        return {id_: shape for id_, shape in found.items() if shape.provider in PROVIDERS}


def make_streams(office: Office, clock: Callable[[], float], bounds: Bounds) -> Streams:
    """The streams of a database, for so many readers that listen; `Streams.tail.keep` is to be
    run for them."""
    database = office.database
    events = EventStream(database)
    return Streams(
        events=events,
        records=RecordStream(database),
        shapes=Shapes(database),
        rows=Rows(database),
        tail=Tail(events.horizon, bounds),
        clock=clock,
    )
