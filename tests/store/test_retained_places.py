"""Who reads on while old events are dropped: beginnings, ends, and copies that take long."""

from __future__ import annotations

import psycopg
import pytest

from httpproxy.store.commits.commit import Committer
from httpproxy.store.streams.bearings import Expired, bearings, in_order
from httpproxy.store.streams.event_ids import event_id
from httpproxy.store.streams.places import Place, Wanted
from httpproxy.store.streams.records import RecordStream
from httpproxy.store.streams.retention import Retention
from httpproxy.store.streams.stream import EventStream
from tests.store.test_retention import AGE, ALL, NOT_AT_MIDNIGHT, TEN_DAYS
from tests.store.world import World, deletion, image, said


@pytest.fixture
async def aged(world: World) -> World:
    await world.ask(NOT_AT_MIDNIGHT)
    await world.ask(TEN_DAYS)
    return world


async def test_what_is_now_can_be_gone_on_from_when_all_events_are_dropped(
    aged: World, committer: Committer
) -> None:
    stream, records = EventStream(aged.database), RecordStream(aged.database)
    await aged.apply(committer, image("old", name="1"))
    await aged.ask(AGE, 5)
    await Retention(aged.database, 3).run()
    now = await stream.horizon()
    own = Wanted(sync_ids=[aged.sync.id])
    for wanted in (ALL, own):
        first = await stream.after(None, wanted, 9)
        for place in (now, first.next):
            assert (await stream.after(place, wanted, 9)).events == ()
            assert (await records.after(place, wanted, 9)).records == ()
    await aged.apply(committer, image("new", name="1"))
    for place in (now, first.next):
        (event,) = said(await stream.after(place, ALL, 9))
        assert event.upstream_id == "new"


async def test_records_older_than_what_is_kept_are_copied_page_by_page(
    aged: World, committer: Committer
) -> None:
    records = RecordStream(aged.database)
    for name in ("a", "b", "c"):
        await aged.apply(committer, image(name, name="1"))
    await aged.ask(AGE, 5)
    await Retention(aged.database, 3).run()
    found, place = [], None
    for _ in range(4):
        page = await records.after(place, ALL, 1)
        found += [record.upstream_id for record in page.records]
        place = page.next
    assert found == ["a", "b", "c"]
    assert place is not None
    assert (page.end, place) == (True, (await EventStream(aged.database).horizon()))


async def test_a_copy_goes_on_until_a_deletion_behind_it_is_forgotten(
    aged: World, committer: Committer
) -> None:
    records = RecordStream(aged.database)
    for name in ("a", "b", "c"):
        await aged.apply(committer, image(name, name="1"))
    begun = await records.after(None, ALL, 1)
    places = (begun.next, begun.records[0].place)
    await aged.ask(AGE, 5)
    await Retention(aged.database, 3).run()
    for place in (begun.next, Place.read(begun.next.write())):
        page = await records.after(place, ALL, 9)
        assert [record.upstream_id for record in page.records] == ["b", "c"]
    with pytest.raises(Expired):
        await records.after(places[1], ALL, 9)  # that this reader had begun is not known
    await aged.apply(committer, deletion("a"))
    await aged.ask(AGE, 5)
    await Retention(aged.database, 3).run()
    for place in (begun.next, page.next):
        with pytest.raises(Expired) as caught:
            await records.after(place, ALL, 9)
        again = await records.after(caught.value.oldest, ALL, 1)
        assert [record.upstream_id for record in again.records] == ["b"]
        (rest,) = (await records.after(again.records[0].place, ALL, 9)).records
        assert rest.upstream_id == "c", "a record's own place is a cursor as well"


async def test_a_day_is_not_dropped_between_the_look_at_it_and_its_reading(
    aged: World, committer: Committer
) -> None:
    await aged.apply(committer, image("a", name="1"))
    await aged.ask(AGE, 5)
    async with in_order(aged.database) as connection:
        assert (await bearings(connection)).dropped is None
        assert not await Retention(aged.database, 3).run()
        done = await connection.execute("SELECT upstream_id FROM httpproxy.event")
        assert await done.fetchall() == [{"upstream_id": "a"}]
    assert await Retention(aged.database, 3).run()


async def test_an_event_that_is_not_told_yet_is_not_found_by_its_id_either(
    aged: World, committer: Committer
) -> None:
    stream = EventStream(aged.database)
    async with await psycopg.AsyncConnection.connect(aged.dsn) as other:
        await other.execute("SELECT pg_current_xact_id()")
        await aged.apply(committer, image("a", name="1"))
        (row,) = await aged.ask("SELECT seq, salt FROM httpproxy.event, httpproxy.event_era")
        wanted = event_id(row["salt"], row["seq"])
        assert await stream.event(wanted) is None
    found = await stream.event(wanted)
    assert found is not None
    assert found.upstream_id == "a"
