"""The streams as readers have them: pages of events and of records, one event, and the tail.

A page is asked for by cursor. An empty page tells as much as a full one: how far was looked.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, TypeVar

from httpproxy.management.problems import Declined
from httpproxy.office import Office
from httpproxy.store.registry import Sync
from httpproxy.store.streams.bearings import Expired, border
from httpproxy.store.streams.places import Place, Wanted
from httpproxy.store.streams.records import RecordStream
from httpproxy.store.streams.shapes import Shapes
from httpproxy.store.streams.stream import EventStream
from httpproxy.store.sync.rows import Rows
from httpproxy.streams.documents import Document, EventDocument, Filters, RecordDocument
from httpproxy.streams.items import Item, StreamPage
from httpproxy.streams.selecting import Names, Selection
from httpproxy.streams.sources import EventSource, RecordSource, Source
from httpproxy.streams.tail import Bounds, Feed, Reader, Tail

EVERYTHING: Final = Wanted()
SEARCH_SECONDS: Final = 2.0  # a page of what is rare ends then, however little was found

_EVENTS_EXPIRED: Final = (
    "Some of what comes after this cursor is not kept any more. Go on from `oldest`, and take"
    " what was missed from /v1/records or the tables."
)
_RECORDS_EXPIRED: Final = (
    "Which records were deleted after this cursor is not known any more. Begin a new copy at"
    " `oldest`, or at `start`: what is not in it is gone."
)

D = TypeVar("D", bound=Document)
Ways = Literal["after", "before"]
SyncNamed = Callable[[str], Awaitable[Sync]]
Pages = Callable[[Place | None, Wanted, int], Awaitable[StreamPage[Item[D]]]]
Following = AsyncGenerator[StreamPage[Item[D]], None]


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

    events: EventSource
    records: RecordSource
    names: Names
    tail: Tail
    event_feed: Feed[EventDocument]
    record_feed: Feed[RecordDocument]
    clock: Callable[[], float]

    async def select(
        self, filters: Filters, sync_named: SyncNamed, own: str | None = None
    ) -> Selection:
        """The filters, checked. `own`: the one sync that the reader may see.

        `sync_named` finds a sync by id or name, or raises what the reader is to be told.
        """
        try:
            named = [(await sync_named(name)).id for name in filters.sync_id]
        except Declined as declined:
            declined.members.setdefault("member", "sync_id")
            raise
        sync_ids = named or ([own] if own is not None else None)
        selection = Selection(filters, sync_ids, self.names)
        await selection.check()
        return selection

    async def now(self) -> str:
        """The cursor of what comes from now on."""
        return (await self.events.stream.horizon()).write()

    async def event(self, event_id: str, own: str | None = None) -> EventDocument:
        """One event by its id. Raises Declined if there is none that the reader may see."""
        event = await self.events.one(event_id)
        if event is not None and own in (None, event.sync_id):
            return event
        raise Declined(
            "unknown_event", "There is no event of this id; events are kept for a while."
        )

    async def event_page(
        self, selection: Selection, cursor: str | None, limit: int, way: Ways = "after"
    ) -> StreamPage[Item[EventDocument]]:
        """A page of events: oldest first after the cursor, or newest first before it."""
        pages = self.events.after if way == "after" else self.events.before
        return await self._page(pages, selection, await self._place(cursor, way), limit, way)

    async def record_page(
        self, selection: Selection, cursor: str | None, limit: int
    ) -> StreamPage[Item[RecordDocument]]:
        """A page of records: each once, those that changed last come last."""
        place = await self._place(cursor, "after")
        return await self._page(self.records.after, selection, place, limit)

    async def follow_events(
        self, selection: Selection, start: Start
    ) -> Following[EventDocument]:
        """Events as they are committed."""
        return await self._follow(self.events.after, self.event_feed, selection, start)

    async def follow_records(
        self, selection: Selection, start: Start
    ) -> Following[RecordDocument]:
        """Records as they change."""
        return await self._follow(self.records.after, self.record_feed, selection, start)

    async def _place(
        self, cursor: str | None, way: Ways, member: str | None = None
    ) -> Place | None:
        """What a cursor means; None is the first page of its way. Raises Declined, which names
        the `member` that said it."""
        member = member or way
        if cursor is None or cursor == {"after": "start", "before": "now"}[way]:
            return None
        if cursor == "now":
            return await self.events.stream.horizon()
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
        pages: Pages[D],
        selection: Selection,
        place: Place | None,
        limit: int,
        way: Ways = "after",
    ) -> StreamPage[Item[D]]:
        """As many as are wanted, if they are found in time."""
        found: list[Item[D]] = []
        until = self.clock() + SEARCH_SECONDS
        while True:
            told = await self._pull(pages, selection, place, limit - len(found), way)
            found += told.items
            place = told.next
            if told.end or len(found) >= limit or self.clock() >= until:
                return StreamPage(tuple(found), place, told.end, told.reach)

    async def _follow(
        self, pages: Pages[D], feed: Feed[D], selection: Selection, start: Start
    ) -> Following[D]:
        async def pull(place: Place | None, limit: int) -> StreamPage[Item[D]]:
            return await self._pull(pages, selection, place, limit, start.member)

        place = await self._place(start.cursor or "now", "after", start.member)
        return self.tail.follow(Reader(feed, selection.wanted, pull, start.key_id), place)

    async def _pull(
        self,
        pages: Pages[D],
        selection: Selection,
        place: Place | None,
        limit: int,
        member: str,
    ) -> StreamPage[Item[D]]:
        """A page from the database. Raises Declined, which names the `member` that said where
        it begins."""
        try:
            return await pages(place, await selection.wanted(), limit)
        except Expired as error:
            of_records = pages == self.records.after
            raise Declined(
                "cursor_expired",
                _RECORDS_EXPIRED if of_records else _EVENTS_EXPIRED,
                member,
                oldest=error.oldest.write(),
            ) from error


def make_streams(office: Office, clock: Callable[[], float], bounds: Bounds) -> Streams:
    """The streams of a database, for so many readers that listen; `Streams.tail.keep` is to be
    run for them."""
    database = office.database
    shapes = Shapes(database)
    events = EventSource(EventStream(database), shapes)
    records = RecordSource(RecordStream(database), shapes, Rows(database))
    return Streams(
        events=events,
        records=records,
        names=Names(shapes, clock),
        tail=Tail(partial(border, database), bounds),
        event_feed=_feed(events),
        record_feed=_feed(records),
        clock=clock,
    )


def _feed(source: Source[D]) -> Feed[D]:
    async def pull(place: Place, limit: int) -> StreamPage[Item[D]]:
        return await source.after(place, EVERYTHING, limit)

    return Feed(source.edge, pull)
