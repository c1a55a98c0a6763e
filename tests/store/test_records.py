"""The records stream: each record once, at its newest event, deleted ones included."""

from __future__ import annotations

import asyncio

import psycopg

from httpproxy.store.commits.commit import Committer
from httpproxy.store.streams import compaction
from httpproxy.store.streams.places import Place, Wanted
from httpproxy.store.streams.records import RecordStream
from httpproxy.store.streams.stream import LOOKS, EventStream
from tests.store.world import TASKS, World, deletion, image, make_sync, said

ALL = Wanted()
MANY = """
INSERT INTO httpproxy.event (sync_id, collection_id, upstream_id, event, origin, request_id)
SELECT %s, 'c', 'r' || n, 'created', 'sync', 'q' FROM generate_series(1, %s) n"""


async def told(
    stream: RecordStream, place: Place | None = None, wanted: Wanted = ALL, limit: int = 2
) -> tuple[list[tuple[str, str]], Place]:
    """All records behind a place, page by page; and where to go on."""
    found: list[tuple[str, str]] = []
    while True:
        page = await stream.after(place, wanted, limit)
        found += [(record.upstream_id, record.event) for record in page.records]
        place = page.next
        if page.end:
            return found, place


async def test_each_record_is_told_once_at_its_newest_place(
    world: World, committer: Committer
) -> None:
    stream = RecordStream(world.database)
    assert await told(stream) == ([], Place(0, 0, 0))
    await world.apply(committer, image("a", name="1"), image("b", name="1"))
    await world.apply(committer, image("c", name="1"))
    await world.apply(committer, image("a", name="2"))
    found, place = await told(stream)
    assert found == [("b", "created"), ("c", "created"), ("a", "updated")]
    assert await told(stream, place) == ([], place)
    await world.apply(committer, deletion("b"))
    await world.apply(committer, image("c", name="2"))
    assert (await told(stream, place))[0] == [("b", "deleted"), ("c", "updated")]
    assert (await told(stream))[0] == [("a", "updated"), ("b", "deleted"), ("c", "updated")]


async def test_a_record_says_what_its_newest_event_says(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image("a", updated_at="2024-11-10T18:38:00Z", name="1"))
    (record,) = (await RecordStream(world.database).after(None, ALL, 9)).records
    (event,) = said(await EventStream(world.database).after(None, ALL, 9))
    for member in record.__slots__:
        assert getattr(record, member) == getattr(event, member)


async def test_records_are_chosen_by_sync_collection_kind_and_origin(
    world: World, committer: Committer
) -> None:
    other = await make_sync(world.registry, "other")
    await world.apply(committer, image("a", name="1"), image("b", name="1"))
    await world.apply(committer, deletion("b"))
    await world.ask(MANY, other.id, 1)
    stream = RecordStream(world.database)
    for wanted, expected in (
        (Wanted(sync_ids=[world.sync.id]), ["a", "b"]),
        (Wanted(sync_ids=[other.id, world.sync.id]), ["a", "b", "r1"]),
        (Wanted(sync_ids=[other.id, *map(str, range(50))]), ["r1"]),
        (Wanted(sync_ids=[]), []),
        (Wanted(collection_ids=[TASKS.id]), ["a", "b"]),
        (Wanted(event=["deleted"]), ["b"]),
        (Wanted(origin=["sync"]), ["r1"]),
        (Wanted(origin=["proxy"], event=["created"]), ["a"]),
    ):
        found, _ = await told(stream, wanted=wanted)
        assert [name for name, _ in found] == expected


async def test_many_events_go_into_the_records_batch_by_batch(world: World) -> None:
    count = compaction.BATCH + LOOKS + 10
    await world.ask(MANY, world.sync.id, count)
    await world.ask(MANY, world.sync.id, 10)
    work, stream = compaction.Compaction(world.database), RecordStream(world.database)
    assert not await work.go_on(1)
    assert (await work.progress()).seq == compaction.BATCH
    page = await stream.after(None, Wanted(event=["deleted"]), 9)
    assert (page.records, page.end) == ((), False), "a call looks at so many and no more"
    found, place = await told(stream, limit=4000)
    assert len(found) == count
    assert [name for name, _ in found[-10:]] == [f"r{n}" for n in range(1, 11)]
    assert place == await EventStream(world.database).horizon()


async def test_a_reader_does_not_wait_for_long_where_another_is_at_it(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image("a", name="1"))
    stream = RecordStream(world.database)
    async with await psycopg.AsyncConnection.connect(world.dsn) as other:
        await other.execute("SELECT FROM httpproxy.record_progress FOR UPDATE")
        page = await stream.after(None, ALL, 9)
        assert (page.records, page.end) == ((), False)
    assert (await told(stream))[0] == [("a", "created")]


async def test_a_deleted_sync_leaves_no_records(world: World, committer: Committer) -> None:
    stream = RecordStream(world.database)
    await world.apply(committer, image("a", name="1"))
    assert (await told(stream))[0]
    await world.apply(committer, image("b", name="1"))
    work = compaction.Compaction(world.database)
    await asyncio.gather(
        world.registry.delete_sync(world.sync, drop_tables=True), work.go_on(3), work.go_on(3)
    )
    assert (await told(stream))[0] == []
    assert await world.ask("SELECT FROM httpproxy.record") == []
