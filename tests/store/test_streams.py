"""Events are told in an order in which none is skipped; a record's, in that of its versions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from httpproxy.store.commits.batch import pending
from httpproxy.store.commits.commit import Committer
from httpproxy.store.commits.writer import open_writer
from httpproxy.store.sharing.epochs import Epochs
from httpproxy.store.streams.places import Event, Place, Wanted
from httpproxy.store.streams.stream import LOOKS, EventStream
from httpproxy.store.sync.lags import Lags
from httpproxy.store.wire import Statement
from tests.store.world import TASKS, World, deletion, image, make_sync, said

ALL = Wanted()
NEW = """
INSERT INTO httpproxy.event (sync_id, collection_id, upstream_id, event, origin, request_id)
SELECT 's', 'c', %s, 'created', 'sync', 'q' FROM generate_series(1, %s)"""
Raw = psycopg.AsyncConnection[Any]


@pytest.fixture
def stream(world: World) -> EventStream:
    return EventStream(world.database)


async def told(stream: EventStream, wanted: Wanted = ALL, limit: int = 100) -> list[Event]:
    """All events from the beginning, page by page."""
    found: list[Event] = []
    place: Place | None = None
    while True:
        page = await stream.after(place, wanted, limit)
        found += said(page)
        place = page.next
        if page.end:
            return found


def names(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.upstream_id, event.event) for event in events]


async def test_events_are_told_as_they_were_committed_and_each_once(
    world: World, committer: Committer, stream: EventStream
) -> None:
    await world.apply(committer, image("a", name="1"), image("b", name="1"))
    await world.apply(committer, image("a", name="2"))
    await world.apply(committer, deletion("b"))
    expected = [("a", "created"), ("b", "created"), ("a", "updated"), ("b", "deleted")]
    for limit in (1, 2, 3, 100):
        assert names(await told(stream, limit=limit)) == expected
    newest = await stream.before(None, ALL, 100)
    assert names(said(newest))[::-1] == expected
    assert newest.end
    half = await stream.before(None, ALL, 2)
    rest = await stream.before(half.next, ALL, 2)
    assert names([*said(half), *said(rest)])[::-1] == expected


async def test_an_event_is_found_by_its_id(
    world: World, committer: Committer, stream: EventStream
) -> None:
    await world.apply(committer, image("a", name="1"), image("b", name="1"))
    for event in await told(stream):
        assert await stream.event(event.event_id) == event
    assert await stream.event("cdbf6ba1-97dd-45ee-991d-6c79464cb8a2") is None
    assert await stream.event("no id") is None


async def test_the_horizon_is_the_newest_event(
    world: World, committer: Committer, stream: EventStream
) -> None:
    assert await stream.horizon() == Place(1, 0, 0)
    await world.apply(committer, image("a", name="1"))
    assert await stream.horizon() == (await told(stream))[-1].place


@asynccontextmanager
async def opened(world: World) -> AsyncIterator[Raw]:
    """A transaction of somebody's that has begun to write."""
    async with await psycopg.AsyncConnection.connect(world.dsn) as connection:
        await connection.execute("SELECT pg_current_xact_id()")
        yield connection


async def is_done(work: Awaitable[object]) -> bool:
    """Whether it ends within a moment, or waits for something."""
    return bool((await asyncio.wait([asyncio.ensure_future(work)], timeout=0.2))[0])


async def test_an_event_that_commits_late_is_not_skipped(
    world: World, committer: Committer, stream: EventStream
) -> None:
    async with opened(world) as slow:
        await slow.execute(NEW, ("slow", 1))
        await world.apply(committer, image("quick", name="1"))
        before = await stream.after(None, ALL, 9)
        assert (before.events, before.end) == ((), True)
        (hidden,) = await world.ask("SELECT max(seq) AS seq FROM httpproxy.event")
        assert (await stream.before(None, ALL, 9)).events == ()
        assert await stream.horizon() == Place(1, 0, 0)
        await slow.commit()
    page = await stream.after(before.next, ALL, 9)
    assert names(said(page)) == [("slow", "created"), ("quick", "created")]
    assert page.events[1].place.seq == hidden["seq"]


async def test_how_long_events_have_waited_to_be_told_is_known(
    world: World, committer: Committer
) -> None:
    lags = Lags(world.database)
    assert await lags.stream_lag() == 0
    async with opened(world):
        await world.apply(committer, image("a", name="1"))
        await world.ask(
            "UPDATE httpproxy.event SET inserted_at = now() - interval '90 seconds'"
        )
        assert await lags.stream_lag() == pytest.approx(90, abs=5)
        assert (await lags.read(1)).stream_lag == pytest.approx(90, abs=5)
    assert await lags.stream_lag() == 0
    await world.ask("UPDATE httpproxy.event SET transaction = '123456789'")
    await Epochs(world.database).begin()
    assert await lags.stream_lag() == 0, "what a former history left is told"


async def test_a_transaction_that_only_reads_keeps_nothing_back(
    world: World, committer: Committer, stream: EventStream
) -> None:
    async with await psycopg.AsyncConnection.connect(world.dsn) as reader:
        await reader.execute("SELECT count(*) FROM httpproxy.event")
        await world.apply(committer, image("a", name="1"))
        assert names(await told(stream)) == [("a", "created")]


async def test_a_record_is_told_in_the_order_of_its_versions_whoever_began_first(
    world: World, committer: Committer, stream: EventStream
) -> None:
    """Who began to write before the other and gets the record after it stands behind it."""
    await world.apply(committer, image("a", name="1"))
    writer = await open_writer(world.dsn)
    try:
        await writer.alone(Statement(b"BEGIN"))
        await writer.alone(Statement(b"SELECT pg_current_xact_id()"))
        await world.apply(committer, image("a", name="2"))
        await world.apply(committer, image("a", name="3"))
        late = world.commit(image("a", name="4"), image("b", name="1"), start=committer.clock())
        item = pending(late, lambda _: True)
        await writer.transact([item], lambda table: table)
    finally:
        await writer.close()
    events = await told(stream)
    ours = [event.changes for event in events if event.upstream_id == "a"]
    assert ours == [None, {"f_name": "1"}, {"f_name": "2"}, {"f_name": "3"}]
    assert [event.place for event in events] == sorted(event.place for event in events)


async def test_what_another_cluster_left_at_a_record_keeps_no_event_back(
    world: World, committer: Committer, stream: EventStream
) -> None:
    await world.apply(committer, image("a", name="1"))
    await world.ask("UPDATE httpproxy.meta SET transaction = '123456789'")
    await world.apply(committer, image("a", name="2"))
    assert names(await told(stream)) == [("a", "created"), ("a", "updated")]


async def test_a_new_era_comes_after_all_that_was_told_before(
    world: World, committer: Committer, stream: EventStream
) -> None:
    await world.apply(committer, image("a", name="1"))
    lost = (await told(stream))[-1].place
    await world.ask("UPDATE httpproxy.event SET transaction = '123456789'")
    assert await told(stream) == [], "as a dump of another cluster tells it"
    await Epochs(world.database).begin()
    for _ in range(2):  # the first one began before
        await world.apply(committer, image("a", name="2"))
    for limit in (1, 9):
        events = await told(stream, limit=limit)
        assert names(events) == [("a", "created"), ("a", "updated")]
    first, second = events
    assert first.place.era == 1 < second.place.era
    assert second.place.seq > first.place.seq + 2**32
    back = await stream.before(None, ALL, 9)
    assert names(said(back)) == [("a", "updated"), ("a", "created")]
    # A reader of the history that was lost had seen more of it.
    ahead = Place(lost.era, lost.transaction + 10**12, lost.seq + 10**6)
    assert names(said(await stream.after(ahead, ALL, 9))) == [("a", "updated")]
    for event in events:
        assert await stream.event(event.event_id) == event
    await Epochs(world.database).begin()
    assert (await stream.horizon()).era > second.place.era
    assert len(await told(stream)) == 2


async def test_an_era_begins_when_all_events_of_the_one_before_have_committed(
    world: World, stream: EventStream
) -> None:
    async with opened(world) as slow:
        await slow.execute(NEW, ("slow", 1))
        begin = asyncio.ensure_future(Epochs(world.database).begin())
        assert not await is_done(begin)
        await slow.commit()
        await begin
    (event,) = await told(stream)
    assert (event.place.era, event.upstream_id) == (1, "slow")


async def test_a_page_looks_at_so_many_events_and_says_where_it_stopped(
    world: World, stream: EventStream
) -> None:
    await world.ask(NEW, "a", LOOKS + 1)
    await world.ask(NEW, "b", 1)
    wanted = Wanted(collection_ids=["none"])
    for read in (stream.after, stream.before):
        first = await read(None, wanted, 9)
        assert (first.events, first.end) == ((), False)
        second = await read(first.next, wanted, 9)
        assert (second.events, second.end) == ((), True)
        assert second.next != first.next
    assert names(said(await stream.before(None, ALL, 1))) == [("b", "created")]


async def test_events_are_chosen_by_sync_collection_kind_and_origin(
    world: World, committer: Committer, stream: EventStream
) -> None:
    other = await make_sync(world.registry, "other")
    tables = await world.registry.tables(other)
    await world.apply(committer, image("a", name="1"))
    theirs = World(world.dsn, world.database, world.registry, other, tables)
    await committer.commit(
        theirs.commit(image("b", name="1"), start=committer.clock(), origin="sync")
    )
    await world.apply(committer, deletion("a"))
    many = [str(number) for number in range(50)]
    for wanted, expected in (
        (Wanted(sync_ids=[world.sync.id]), [("a", "created"), ("a", "deleted")]),
        (Wanted(sync_ids=[other.id]), [("b", "created")]),
        (Wanted(sync_ids=[other.id, other.id, *many]), [("b", "created")]),
        (Wanted(sync_ids=[other.id, world.sync.id], event=["deleted"]), [("a", "deleted")]),
        (Wanted(sync_ids=[]), []),
        (Wanted(origin=["sync", "sql"]), [("b", "created")]),
        (Wanted(collection_ids=[TASKS.id], event=["deleted"]), [("a", "deleted")]),
        (Wanted(collection_ids=["other"]), []),
    ):
        assert names(await told(stream, wanted, 1)) == expected
        newest = said(await stream.before(None, wanted, 9))
        assert names(newest) == expected[::-1]
