"""How things went: troubles, requests, truth, rows; and what is old enough to go."""

from __future__ import annotations

import asyncio

import pytest

from httpproxy.store.commits.commit import Committer
from httpproxy.store.database import Database
from httpproxy.store.sync.progress import Progress
from httpproxy.store.sync.states import CollectionState, FeedStep, RunKind
from providers.record import Dirty
from tests.store.world import PAIRS, TASKS, World, deletion, image, make_sync

DAY = 86400.0


@pytest.fixture
def progress(world: World) -> Progress:
    return Progress(world.database)


async def state(world: World, collection: str = TASKS.id) -> CollectionState:
    states = await Progress(world.database).states(world.sync.id)
    return next(s for s in states if s.collection == collection)


async def test_a_trouble_tells_the_last_words_and_since_when(
    world: World, progress: Progress
) -> None:
    await progress.failed(world.sync.id, [TASKS.id], "first", "do this")
    first = (await state(world)).trouble
    assert first is not None
    assert (first.error, first.remedy, first.failures) == ("first", "do this", 1)
    await progress.failed(world.sync.id, [TASKS.id, "tblUnknown"], "sec\0ond", "do that")
    second = (await state(world)).trouble
    assert second is not None
    assert (second.error, second.remedy, second.failures) == ("sec\ufffdond", "do that", 2)
    assert second.since == first.since
    found = await state(world)
    assert found.succeeded_at is None
    assert (await state(world, PAIRS.id)).trouble is None


async def test_a_success_ends_a_trouble(world: World, progress: Progress) -> None:
    await progress.failed(world.sync.id, [TASKS.id], "first", "")
    await progress.succeeded(world.sync.id, [TASKS.id])
    found = await state(world)
    assert found.trouble is None
    assert found.succeeded_at is not None
    assert (await state(world, PAIRS.id)).succeeded_at is None
    await progress.failed(world.sync.id, [TASKS.id], "later", "")
    trouble = (await state(world)).trouble
    assert trouble is not None
    assert trouble.failures == 1
    assert trouble.since > found.succeeded_at


async def test_whole_pages_are_cut(world: World, progress: Progress) -> None:
    await progress.failed(world.sync.id, [TASKS.id], "x" * 100_000, "")
    trouble = (await state(world)).trouble
    assert trouble is not None
    assert len(trouble.error) == 2000


async def test_troubles_of_several_processes_do_not_block_each_other(world: World) -> None:
    both = [TASKS.id, PAIRS.id]
    async with Database(world.dsn, connections=8) as database:
        progress = Progress(database)
        calls = [
            progress.failed(world.sync.id, both[:: 1 - 2 * (n % 2)], "x", "") for n in range(40)
        ]
        await asyncio.gather(*calls)
    for collection in both:
        trouble = (await state(world, collection)).trouble
        assert trouble is not None
        assert trouble.failures == 40


async def test_requests_add_up_by_class(world: World, progress: Progress) -> None:
    here, there = (world.tables.tables[name].number for name in (TASKS.id, PAIRS.id))
    await progress.count_requests({})
    await progress.count_requests(
        {(here, "write"): 2, (there, "read"): 1, (999_999, "read"): 7}
    )
    await progress.count_requests({(here, "write"): 3, (here, "backfill"): 1})
    assert dict((await state(world)).requests) == {"write": 5, "backfill": 1}
    assert dict((await state(world, PAIRS.id)).requests) == {"read": 1}


async def test_truth_adds_up(world: World, progress: Progress) -> None:
    table = world.tables.tables[TASKS.id]
    await progress.count_truth(table, 10, 1)
    await progress.count_truth(table, 5, 0)
    truth = (await state(world)).truth
    assert (truth.checked, truth.drifted) == (15, 1)
    assert truth.at is not None


async def test_few_rows_are_counted(
    world: World, committer: Committer, progress: Progress
) -> None:
    await world.apply(committer, *(image(f"rec{n}") for n in range(30)))
    await world.apply(committer, deletion("rec3"))
    assert (await state(world)).rows == 29
    assert (await state(world, PAIRS.id)).rows == 0


async def test_many_rows_are_estimated_and_marks_counted_up_to_ten_thousand(
    world: World, progress: Progress
) -> None:
    number = world.tables.tables[TASKS.id].number
    numbers = "generate_series(%s::integer, %s::integer) n"
    insert = f"INSERT INTO {world.table} (id) SELECT 'rec' || n FROM {numbers}"
    await world.ask(insert, 1, 20_000)
    await world.ask(f"ANALYZE {world.table}")
    await world.ask(insert, 20_001, 40_000)
    await world.ask(
        "INSERT INTO httpproxy.dirty (collection, record_id, key, reason)"
        " SELECT %s, 'rec' || n, ARRAY['rec' || n], '' FROM generate_series(1, 10_500) n",
        number,
    )
    found = await state(world)
    assert 38_000 <= found.rows <= 42_000  # it grew since it was looked at
    assert found.dirty == 10_000


async def test_a_removed_collection_is_told(world: World) -> None:
    await world.ask(
        "UPDATE httpproxy.collection SET removed_at = now() WHERE upstream_id = %s", TASKS.id
    )
    assert (await state(world)).removed
    assert await Progress(world.database).ask_resync(world.sync.id, None) == 1


async def test_a_deleted_sync_leaves_nothing_of_its_progress(
    world: World, progress: Progress
) -> None:
    table = world.tables.tables[TASKS.id]
    other = await make_sync(world.registry, "other")
    theirs = await world.registry.tables(other)
    for sync, tables in ((world.sync, world.tables), (other, theirs)):
        table = tables.tables[TASKS.id]
        run = await progress.begin_run(table, RunKind.SWEEP, 1, thorough=False, mark=None)
        await progress.turn_page(table, run, [("rec1",)], "x")
        await progress.count_requests({(table.number, "write"): 1})
        mark = Dirty(TASKS.id, ("rec1",), "why")
        step = FeedStep("f", None, {"a": 1}, (TASKS.id,), (mark,))
        await progress.save_feed(tables, sync.id, step)
    kept = {"progress": 2, "request": 1, "run": 1, "seen": 1, "feed": 1, "dirty": 1}
    for name, of_one in kept.items():
        assert len(await world.ask(f"SELECT FROM httpproxy.{name}")) == 2 * of_one, name
    await world.registry.delete_sync(world.sync, drop_tables=False)
    for name, of_one in kept.items():
        assert len(await world.ask(f"SELECT FROM httpproxy.{name}")) == of_one, name
    assert await progress.feed_state(other.id, "f") == {"a": 1}


async def test_old_tombstones_go_and_young_ones_stay(
    world: World, committer: Committer, progress: Progress
) -> None:
    await world.apply(committer, *(image(f"rec{n}") for n in range(1, 4)))
    await world.apply(committer, deletion("rec1"), deletion("rec2"))
    await world.ask(
        "UPDATE httpproxy.meta SET read_at = now() - interval '3 days'"
        " WHERE record_id <> 'rec2'"
    )
    assert await progress.prune_tombstones(4 * DAY) == 0
    assert await progress.prune_tombstones(2 * DAY) == 1
    found = await world.ask("SELECT record_id FROM httpproxy.meta ORDER BY 1")
    assert [row["record_id"] for row in found] == ["rec2", "rec3"]


async def test_tombstones_that_a_run_may_need_stay(
    world: World, committer: Committer, progress: Progress
) -> None:
    table = world.tables.tables[TASKS.id]
    await world.apply(committer, image("rec1"), image("rec2"))
    await world.apply(committer, deletion("rec1"))
    run = await progress.begin_run(
        table, RunKind.SWEEP, committer.clock(), thorough=False, mark=None
    )
    await world.apply(committer, deletion("rec2"))
    await world.ask("UPDATE httpproxy.meta SET read_at = now() - interval '3 days'")
    assert await progress.prune_tombstones(2 * DAY) == 1  # rec1: older than the run
    await progress.drop_run(table, run)
    assert await progress.prune_tombstones(2 * DAY) == 1


async def test_many_tombstones_go_some_at_a_time(world: World, progress: Progress) -> None:
    await world.ask(
        "INSERT INTO httpproxy.meta (collection, record_id, end_seq, deleted, partial, read_at)"
        " SELECT %s, 'rec' || n, 1, true, false, '-infinity' FROM generate_series(1, 10_000) n",
        world.tables.tables[TASKS.id].number,
    )
    assert await progress.prune_tombstones(DAY) == 10_000
    assert await world.ask("SELECT FROM httpproxy.meta") == []


async def test_old_news_of_deleted_syncs_goes(world: World, progress: Progress) -> None:
    for name in ("one", "two"):
        sync = await make_sync(world.registry, name)
        await world.registry.delete_sync(sync, drop_tables=True)
    await world.ask(
        "UPDATE httpproxy.deleted_sync SET deleted_at = now() - interval '3 days'"
        " WHERE id = %s",
        sync.id,
    )
    await progress.prune_tombstones(2 * DAY)
    _, deleted, _ = await world.registry.changed_since(0)
    assert len(deleted) == 1
    assert sync.id not in deleted
