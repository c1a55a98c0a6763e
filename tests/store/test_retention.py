"""Old events are dropped by the day; nobody waits for it, and nobody misses any unawares."""

from __future__ import annotations

import asyncio
import logging

import psycopg
import pytest

from httpproxy.store.commits.commit import Committer
from httpproxy.store.database import Database
from httpproxy.store.streams.bearings import Expired
from httpproxy.store.streams.places import Wanted
from httpproxy.store.streams.records import RecordStream
from httpproxy.store.streams.retention import Retention
from httpproxy.store.streams.stream import EventStream
from httpproxy.tasks import Tasks
from tests.store.intending import until
from tests.store.world import World, deletion, image, make_sync, said

ALL = Wanted()
# Some tests count days: they do not begin right before one ends.
NOT_AT_MIDNIGHT = """
SELECT pg_sleep(CASE WHEN rest < 60 THEN rest + 1 ELSE 0 END) FROM (
    SELECT extract(epoch FROM date_trunc('day', n) + interval '1 day' - n)::float8 AS rest
    FROM (SELECT now() AT TIME ZONE 'UTC' AS n) t) l"""
# Instead of those that were made with the database, on this day or on the one before.
TEN_DAYS = """
DO $$
DECLARE
    partition text;
BEGIN
    FOR partition IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'httpproxy.event'::regclass AND c.relname ~ '^event_[0-9]'
    LOOP
        EXECUTE format('DROP TABLE httpproxy.%%I', partition);
    END LOOP;
    PERFORM httpproxy.make_event_day((now() AT TIME ZONE 'UTC')::date + age)
    FROM generate_series(-9, 3) age;
END $$"""
NONE_AHEAD = """
DO $$
BEGIN
    FOR ahead IN 1..3 LOOP
        EXECUTE 'DROP TABLE httpproxy.event_'
            || to_char((now() AT TIME ZONE 'UTC')::date + ahead, 'YYYYMMDD');
    END LOOP;
END $$"""
AGE = "UPDATE httpproxy.event SET inserted_at = inserted_at - make_interval(days => %s)"
DAYS = """
SELECT c.relname AS day FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'httpproxy.event'::regclass ORDER BY 1"""
NEW = """
INSERT INTO httpproxy.event
    (sync_id, collection_id, upstream_id, event, origin, request_id, inserted_at)
VALUES ('s', 'c', 'r', 'created', 'sync', 'q', now() + make_interval(days => %s))"""


async def days(world: World) -> list[str]:
    return [row["day"] for row in await world.ask(DAYS)]


@pytest.fixture
async def aged(world: World) -> World:
    await world.ask(NOT_AT_MIDNIGHT)
    await world.ask(TEN_DAYS)
    return world


async def kept(world: World) -> list[str]:
    page = await EventStream(world.database).after(None, ALL, 1000)
    return [event.upstream_id for event in said(page)]


async def test_days_are_dropped_when_they_are_old_and_made_ahead(
    aged: World, committer: Committer
) -> None:
    await aged.apply(committer, image("old", name="1"))
    await aged.ask(AGE, 5)
    await aged.apply(committer, image("new", name="1"))
    before = await days(aged)
    assert await Retention(aged.database, None).run()
    assert await days(aged) == before
    assert await kept(aged) == ["old", "new"]
    assert await Retention(aged.database, 6).run()
    assert await kept(aged) == ["old", "new"]
    assert len(await days(aged)) == len(before) - 3
    assert await Retention(aged.database, 3).run()
    assert await kept(aged) == ["new"]
    assert await Retention(aged.database, 3).run(), "there is nothing left to do"
    assert len(await days(aged)) == 1 + 3 + 1 + 3  # later ones, three whole days, today, ahead


async def test_who_stands_before_what_was_dropped_is_told(
    aged: World, committer: Committer
) -> None:
    other = await make_sync(aged.registry, "other")
    stream, records = EventStream(aged.database), RecordStream(aged.database)
    ours, theirs = Wanted(sync_ids=[aged.sync.id]), Wanted(sync_ids=[other.id])
    for name in ("1", "2", "3"):
        await aged.apply(committer, image("a", name=name))
    first, second, third = [event.place for event in (await stream.after(None, ALL, 9)).events]
    await aged.ask(AGE, 5)
    await aged.apply(committer, image("a", name="4"))
    await Retention(aged.database, 3).run()
    for place in (first, second):
        for wanted in (ALL, ours):
            with pytest.raises(Expired) as caught:
                await stream.after(place, wanted, 9)
            assert caught.value.oldest == third
            with pytest.raises(Expired):
                await records.after(place, wanted, 9)
        assert (await stream.after(place, theirs, 9)).end, "nothing of theirs was dropped"
    for start in (None, third):
        page = await stream.after(start, ours, 9)
        assert [event.changes for event in said(page)] == [{"f_name": "3"}]


async def test_records_outlive_their_events_but_deleted_ones_do_not(
    aged: World, committer: Committer
) -> None:
    await aged.apply(committer, image("kept", name="1"), image("gone", name="1"))
    await aged.apply(committer, image("back", name="1"))
    await aged.apply(committer, deletion("gone"), deletion("back"))
    await aged.ask(AGE, 5)
    await aged.apply(committer, image("back", name="2"), image("late", name="1"))
    await aged.apply(committer, deletion("late"))
    await Retention(aged.database, 3).run()
    page = await RecordStream(aged.database).after(None, ALL, 9)
    told = [(record.upstream_id, record.event) for record in page.records]
    assert told == [("kept", "created"), ("back", "created"), ("late", "deleted")]
    assert page.end


async def test_nothing_is_dropped_before_it_is_in_the_records(
    aged: World, committer: Committer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with await psycopg.AsyncConnection.connect(aged.dsn) as other:
        await other.execute("SELECT pg_current_xact_id()")
        await aged.apply(committer, image("a", name="1"))
        await aged.ask(AGE, 5)
        assert not await Retention(aged.database, 3).run()
        assert "a transaction stays open" in caplog.text
    assert await kept(aged) == ["a"]
    assert await Retention(aged.database, 3).run()
    assert await kept(aged) == []


async def test_an_event_of_a_day_without_a_partition_is_taken_and_moves_there(
    world: World,
) -> None:
    stream = EventStream(world.database)
    await world.ask(NEW, 40)
    await world.ask(NEW, 2)
    before = said(await stream.after(None, ALL, 9))
    where = """SELECT c.relname AS day FROM httpproxy.event e
        JOIN pg_class c ON c.oid = e.tableoid ORDER BY e.seq"""
    assert (await world.ask(where))[0]["day"] == "event_later"
    assert await Retention(world.database, None).run()
    found = [row["day"] for row in await world.ask(where)]
    assert "event_later" not in found
    assert len(found) == 2
    assert said(await stream.after(None, ALL, 9)) == before


async def test_processes_that_keep_days_at_once_are_in_nobodys_way(aged: World) -> None:
    async with Committer(aged.dsn) as committer:
        for number in range(40):
            await aged.apply(committer, image(f"old{number}", name="1"))
        await aged.ask(AGE, 5)
        await aged.ask(NONE_AHEAD)

        async def commits() -> None:
            for number in range(40):
                applied = await aged.apply(committer, image(f"new{number}", name="1"))
                assert applied.rows == 1

        keeping = [Retention(aged.database, 3) for _ in range(4)]  # on its four connections
        await asyncio.gather(commits(), *(until(each.run) for each in keeping))
    assert await kept(aged) == [f"new{number}" for number in range(40)]
    records = (await RecordStream(aged.database).after(None, ALL, 100)).records
    assert len(records) == 80


async def test_who_finds_another_at_it_leaves_it_to_him(aged: World) -> None:
    retention, before = Retention(aged.database, 3), await days(aged)
    async with await psycopg.AsyncConnection.connect(aged.dsn) as other:
        await other.execute("SELECT pg_advisory_xact_lock(7304519282161402)")
        assert await retention.run()
        assert await days(aged) == before
    await retention.run()
    assert await days(aged) != before


async def test_a_day_that_somebody_reads_is_dropped_later(aged: World) -> None:
    retention = Retention(aged.database, 3)
    async with await psycopg.AsyncConnection.connect(aged.dsn) as reader:
        await reader.execute("SELECT count(*) FROM httpproxy.event")
        async with asyncio.timeout(60):  # whoever commits meanwhile stands behind us
            assert not await retention.run()
    assert await retention.run()


async def test_a_day_that_something_depends_on_stays_with_a_word(
    aged: World, caplog: pytest.LogCaptureFixture
) -> None:
    oldest = (await days(aged))[0]
    await aged.ask(f"CREATE VIEW public.mine AS SELECT seq FROM httpproxy.{oldest}")
    assert not await Retention(aged.database, 3).run()
    assert "view mine depends on" in caplog.text


async def test_the_loop_goes_on_when_it_fails_or_the_database_is_away(
    aged: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("httpproxy.store.streams.retention.AGAIN_SECONDS", 0.01)
    database = Database(aged.dsn)
    function = "ALTER FUNCTION httpproxy.{}(date) RENAME TO {}"

    async def has_failed() -> bool:
        return "could not be dropped" in caplog.text

    async def only_the_young() -> bool:
        return len(await days(aged)) == 8

    await aged.ask(function.format("make_event_day", "gone"))
    async with Tasks() as tasks:
        tasks.start(Retention(database, 3).keep(), "events")
        await asyncio.sleep(0.05)  # the pool is not open yet
        async with database:
            await until(has_failed)
            assert len(await days(aged)) > 8
            await aged.ask(function.format("gone", "make_event_day"))
            await until(only_the_young)
    assert len(await days(aged)) == 8
