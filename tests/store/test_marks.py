"""Marks: which are made, which are handed out first, and which are answered; and feeds,
whose marks and next state stand or fall together."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from neighbours.rounds import least_time

from httpproxy.store.commits.batch import mark_rows
from httpproxy.store.commits.commit import Committer
from httpproxy.store.database import Database
from httpproxy.store.errors import Forgotten, Stale
from httpproxy.store.layouts.tables import SyncTables
from httpproxy.store.sync.progress import Progress
from httpproxy.store.sync.states import DirtyKinds, FeedStep
from providers.record import JSON, Change, Dirty, Image, ImageKind
from tests.store.world import PAIRS, TASKS, World, deletion, image, make_sync

VERSION = "2024-05-01T10:00:00Z"
SAME = "2024-05-01T12:00:00.000+02:00"  # spelled otherwise
READ = datetime(2024, 5, 1, 10, 0, tzinfo=UTC).timestamp()


@pytest.fixture
def progress(world: World) -> Progress:
    return Progress(world.database)


async def read(world: World, committer: Committer, found: Image, seconds: float | None) -> None:
    """Commits an image that was read so many seconds after VERSION; None: nobody knows."""
    commit = world.commit(found, start=committer.clock())
    read_at = None if seconds is None else READ + seconds
    await committer.commit(replace(commit, read_at=read_at))


async def marks(world: World) -> dict[str, str]:
    rows = await world.ask("SELECT record_id, reason FROM httpproxy.dirty")
    return {row["record_id"]: row["reason"] for row in rows}


def dirty(
    record: str | None = "rec1", updated_at: str | None = None, why: str = "why"
) -> Dirty:
    return Dirty(TASKS.id, None if record is None else (record,), why, updated_at)


# What is there, how long after its version it was read, the mark, and whether it is made.
CASES = {
    "the row has this version": (image(updated_at=VERSION), 3.0, dirty(updated_at=SAME), False),
    "the row was read too soon after": (
        image(updated_at=VERSION),
        2.0,
        dirty(updated_at=SAME),
        True,
    ),
    "a newer version": (
        image(updated_at=VERSION),
        3.0,
        dirty(updated_at="2024-05-01T10:00:01Z"),
        True,
    ),
    "an older version": (
        image(updated_at=VERSION),
        3.0,
        dirty(updated_at="2024-05-01T09:00:00Z"),
        True,
    ),
    "no version told": (image(updated_at=VERSION), 3.0, dirty(), True),
    "no version known": (image(), 3.0, dirty(updated_at=VERSION), True),
    "no version at all": (image(), 3.0, dirty(), True),
    "a version that is no moment": (
        image(updated_at=VERSION),
        3.0,
        dirty(updated_at="yesterday"),
        True,
    ),
    "a part of the row": (
        image(kind=ImageKind.MERGE, updated_at=VERSION),
        3.0,
        dirty(updated_at=VERSION),
        True,
    ),
    "a tombstone": (
        replace(deletion(), updated_at=VERSION),
        3.0,
        dirty(updated_at=VERSION),
        True,
    ),
    "an unknown record": (image("rec2"), 3.0, dirty(updated_at=VERSION), True),
    "the collection": (image(updated_at=VERSION), 3.0, dirty(None, VERSION), True),
}


@pytest.mark.parametrize("way", ["registry", "commit", "feed"])
@pytest.mark.parametrize("case", CASES)
async def test_a_mark_is_made_unless_the_row_has_its_version(
    case: str, way: str, world: World, committer: Committer, progress: Progress
) -> None:
    there, seconds, mark, made = CASES[case]
    await read(world, committer, there, seconds)
    if way == "registry":
        await world.registry.mark_dirty(world.sync, [mark])
    elif way == "commit":
        await committer.commit(replace(world.commit(start=0), change=Change(dirty=(mark,))))
    else:
        counted = await progress.save_feed(
            world.tables, world.sync.id, FeedStep("f", None, {}, (TASKS.id,), (mark,))
        )
        assert counted == made
    assert bool(await marks(world)) == made


async def test_a_row_of_which_nobody_knows_when_it_was_read_is_read_again_for_two_minutes(
    world: World, committer: Committer
) -> None:
    def ago(seconds: float) -> str:
        moment = datetime.fromtimestamp(time.time_ns() / 1e9 - seconds, UTC)
        return moment.isoformat()

    young, old = ago(100), ago(140)
    await read(world, committer, image("rec1", updated_at=young), None)
    await read(world, committer, image("rec2", updated_at=old), None)
    told = [dirty("rec1", young), dirty("rec2", old)]
    await world.registry.mark_dirty(world.sync, told)
    assert set(await marks(world)) == {"rec1"}


async def test_a_clock_that_is_ahead_does_not_make_a_row_younger_than_its_commit(
    world: World, committer: Committer
) -> None:
    now = datetime.fromtimestamp(time.time_ns() / 1e9, UTC).isoformat()
    await read(world, committer, image(updated_at=now), 10**9)
    await world.registry.mark_dirty(world.sync, [dirty(updated_at=now)])
    assert set(await marks(world)) == {"rec1"}


def test_a_mark_without_a_version_is_not_forgotten_over_one_with() -> None:
    several = [
        dirty(updated_at=VERSION, why="first"),
        dirty(why="2"),
        dirty(updated_at=VERSION),
    ]
    (row,) = mark_rows((7, mark) for mark in several)
    assert (row["c"], row["r"], row["w"], row["u"]) == (7, "rec1", "why", None)
    (row,) = mark_rows((7, mark) for mark in (several[0], several[2]))
    assert (row["w"], row["u"]) == ("why", VERSION)


async def test_marks_come_oldest_first_and_of_one_collection(
    world: World, progress: Progress
) -> None:
    assert await progress.marked(world.tables) is None
    pair = Dirty(PAIRS.id, ("1", "2"), "why")
    for mark in (dirty("rec3"), pair, dirty("rec1"), dirty(None), dirty("rec2")):
        await world.registry.mark_dirty(world.sync, [mark])
    found = await progress.marked(world.tables)
    assert found is not None
    assert (found.collection, found.keys) == (TASKS.id, (("rec3",), ("rec1",), ("rec2",)))
    two = await progress.marked(world.tables, 2)
    assert two is not None
    assert two.keys == (("rec3",), ("rec1",))
    other = await progress.marked(world.tables, skip=[TASKS.id])
    assert other is not None
    assert (other.collection, other.keys) == (PAIRS.id, (("1", "2"),))
    assert await progress.marked(world.tables, skip=[TASKS.id, PAIRS.id]) is None


async def test_a_record_that_is_marked_again_keeps_its_place(
    world: World, progress: Progress
) -> None:
    for record in ("rec1", "rec2", "rec1"):
        await world.registry.mark_dirty(world.sync, [dirty(record)])
    found = await progress.marked(world.tables)
    assert found is not None
    assert found.keys == (("rec1",), ("rec2",))
    assert found.marks[0] > found.marks[1]


async def test_what_was_read_is_settled_unless_it_was_marked_meanwhile(
    world: World, progress: Progress
) -> None:
    await world.registry.mark_dirty(world.sync, [dirty("rec1"), dirty("rec2"), dirty("rec3")])
    found = await progress.marked(world.tables)
    assert found is not None
    await world.registry.mark_dirty(world.sync, [dirty("rec2", why="again")])
    await progress.settle(found, [("rec1",), ("rec2",), ("rec9",)])
    assert await marks(world) == {"rec2": "again", "rec3": "why"}
    await progress.settle(found, [])
    assert set(await marks(world)) == {"rec2", "rec3"}


async def test_a_mark_that_is_made_while_it_is_settled_stays(
    world: World, progress: Progress
) -> None:
    await world.registry.mark_dirty(world.sync, [dirty("rec1")])
    found = await progress.marked(world.tables)
    assert found is not None
    async with world.database.transaction() as connection:
        await connection.execute(
            "UPDATE httpproxy.dirty SET mark = nextval('httpproxy.clock'), reason = 'again'"
        )
        settling = asyncio.ensure_future(progress.settle(found, found.keys))
        await asyncio.sleep(0.1)
        assert not settling.done()
    await settling
    assert await marks(world) == {"rec1": "again"}


async def test_pairs_are_settled_by_both_ends(world: World, progress: Progress) -> None:
    both = [Dirty(PAIRS.id, ("1", "2"), ""), Dirty(PAIRS.id, ("1", "3"), "")]
    await world.registry.mark_dirty(world.sync, both)
    found = await progress.marked(world.tables)
    assert found is not None
    await progress.settle(found, [("1", "3")])
    assert set(await marks(world)) == {"1:2"}


async def test_many_processes_mark_and_settle_without_blocking_each_other(
    world: World,
) -> None:
    records = [f"rec{n}" for n in range(40)]
    async with Database(world.dsn, connections=10) as database:
        progress = Progress(database)
        registry = type(world.registry)(database, world.registry._vault)

        async def work(n: int) -> None:
            for _ in range(5):
                some = records[:: 1 if n % 2 else -1]
                await registry.mark_dirty(world.sync, [dirty(r) for r in some])
                found = await progress.marked(world.tables)
                if found is not None:
                    await progress.settle(found, found.keys[:: -1 if n % 2 else 1])

        async with asyncio.timeout(60):
            await asyncio.gather(*(work(n) for n in range(8)))
            while found := await progress.marked(world.tables):
                await progress.settle(found, found.keys)
    assert await marks(world) == {}


async def test_syncs_with_marks_are_told_apart_by_kind(
    world: World, progress: Progress
) -> None:
    assert await progress.dirty_syncs() == {}
    names = ["records", "wholes", "both", "none"]
    syncs = {name: await make_sync(world.registry, name) for name in names}
    await world.registry.mark_dirty(syncs["records"], [Dirty(PAIRS.id, ("1", "2"), "")])
    await world.registry.mark_dirty(syncs["wholes"], [dirty(None)])
    await world.registry.mark_dirty(syncs["both"], [dirty(), Dirty(PAIRS.id, None, "")])
    assert await progress.dirty_syncs() == {
        syncs["records"].id: DirtyKinds(records=True, wholes=False),
        syncs["wholes"].id: DirtyKinds(records=False, wholes=True),
        syncs["both"].id: DirtyKinds(records=True, wholes=True),
    }


async def test_marks_of_forgotten_collections_are_dropped(
    world: World, committer: Committer, progress: Progress
) -> None:
    await world.registry.delete_sync(world.sync, drop_tables=False)
    await world.registry.mark_dirty(world.sync, [dirty()])
    await committer.commit(replace(world.commit(start=0), change=Change(dirty=(dirty(),))))
    with pytest.raises(Forgotten):
        await progress.save_feed(
            world.tables, world.sync.id, FeedStep("f", None, {}, (TASKS.id,), (dirty(),))
        )
    for table in ("dirty", "feed", "progress"):
        assert await world.ask(f"SELECT FROM httpproxy.{table}") == [], table
    assert await progress.dirty_syncs() == {}


async def test_a_hundred_thousand_marks_are_no_burden(world: World, progress: Progress) -> None:
    await world.ask(
        "INSERT INTO httpproxy.dirty (collection, record_id, key, reason, since)"
        " SELECT %s, 'rec' || n, ARRAY['rec' || n], '', now() - n * interval '1 ms'"
        " FROM generate_series(1, 100_000) n",
        world.tables.tables[TASKS.id].number,
    )
    await progress.marked(world.tables)

    async def looks() -> None:
        for _ in range(10):
            await progress.marked(world.tables)
            assert await progress.dirty_syncs() == {world.sync.id: DirtyKinds(True, False)}

    assert await least_time(looks, 1.0) < 1.0  # a walk over all of them takes that for two
    found = await progress.marked(world.tables)
    assert found is not None
    assert found.keys[0] == ("rec100000",)
    assert len(found.keys) == 100


async def save(
    progress: Progress, world: World, state: JSON, before: JSON, *told: Dirty
) -> int:
    collections = [TASKS.id]
    return await progress.save_feed(
        world.tables,
        world.sync.id,
        FeedStep("f", before, state, tuple(collections), tuple(told)),
    )


async def test_a_feed_goes_on_from_its_last_word(world: World, progress: Progress) -> None:
    assert await progress.feed_state(world.sync.id, "f") is None
    assert await save(progress, world, {"cursor": 1}, None) == 0
    assert await progress.feed_state(world.sync.id, "f") == {"cursor": 1}
    assert await save(progress, world, {"cursor": 2.5}, {"cursor": 1}, dirty(), dirty("r")) == 2
    assert await progress.feed_state(world.sync.id, "f") == {"cursor": 2.5}
    assert await progress.feed_state(world.sync.id, "g") is None
    first, second = await progress.states(world.sync.id)
    assert first.heard_at is not None
    assert second.heard_at is None
    with pytest.raises(Stale):
        await save(progress, world, {"cursor": 3}, {"cursor": 1})


@pytest.mark.parametrize("before", [None, {"cursor": 1}])
async def test_of_two_that_listened_at_once_one_is_told_to_listen_again(
    world: World, progress: Progress, before: JSON
) -> None:
    if before is not None:
        await save(progress, world, before, None)
    async with Database(world.dsn) as database:
        told = await asyncio.gather(
            save(progress, world, {"cursor": 3}, before, dirty("rec3")),
            save(Progress(database), world, {"cursor": 2}, before, dirty("rec2")),
            return_exceptions=True,
        )
    assert sum(isinstance(result, Stale) for result in told) == 1
    first = told[0] == 1
    assert await progress.feed_state(world.sync.id, "f") == {"cursor": 3 if first else 2}
    assert set(await marks(world)) == {"rec3" if first else "rec2"}


async def test_marks_that_cannot_be_made_leave_the_feed_where_it_was(
    world: World, progress: Progress
) -> None:
    await save(progress, world, 1, None)
    unknown = SyncTables(world.tables.schema, {})
    broken = replace(world.tables.tables[TASKS.id], number=2**40)
    tables = SyncTables(world.tables.schema, {TASKS.id: broken})
    with pytest.raises(Exception, match="out of range"):
        await progress.save_feed(
            tables, world.sync.id, FeedStep("f", 1, 2, (TASKS.id,), (dirty(),))
        )
    assert await progress.feed_state(world.sync.id, "f") == 1
    made = await progress.save_feed(
        unknown, world.sync.id, FeedStep("f", 1, 2, (TASKS.id,), (dirty(),))
    )
    assert made == 0
