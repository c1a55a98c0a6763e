"""Runs: begun, turned page by page, ended; by any process, after any kill."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from httpproxy.store.commits.commit import Committer
from httpproxy.store.database import Database
from httpproxy.store.errors import Forgotten, SeenLost, Stale, StoreError
from httpproxy.store.layouts.tables import Table
from httpproxy.store.sync.progress import Progress
from httpproxy.store.sync.states import CollectionState, Missing, Run, RunKind
from providers.record import Dirty, Image, ImageKind
from tests.store.world import PAIRS, TASKS, World, deletion, image

SWEEP, BACKFILL = RunKind.SWEEP, RunKind.BACKFILL


@pytest.fixture
def progress(world: World) -> Progress:
    return Progress(world.database)


@pytest.fixture
def table(world: World) -> Table:
    return world.tables.tables[TASKS.id]


async def state(world: World, collection: str = TASKS.id) -> CollectionState:
    states = await Progress(world.database).states(world.sync.id)
    return next(s for s in states if s.collection == collection)


async def begin(
    progress: Progress, table: Table, start: int = 2**40, *, mark: int | None = None
) -> Run:
    return await progress.begin_run(table, SWEEP, start, thorough=False, mark=mark)


async def missing(progress: Progress, table: Table, run: Run) -> list[tuple[str, ...]]:
    """All missing keys, two at a time."""
    found: list[tuple[str, ...]] = []
    while some := await progress.missing_keys(table, run, found[-1] if found else None, 2):
        found += some
    assert await progress.missing(table, run) == Missing(
        len(found), (await progress.missing(table, run)).rows
    )
    return found


async def test_a_collection_of_which_nothing_is_known(world: World, progress: Progress) -> None:
    first, second = await progress.states(world.sync.id)
    assert (first.collection, first.name, first.table_name) == (TASKS.id, "Tasks", "tasks")
    assert first.number == world.tables.tables[TASKS.id].number
    assert second.collection == PAIRS.id
    assert (first.run, first.held, first.trouble, first.whole_mark) == (None,) * 4
    assert (first.backfilled_at, first.listed_at, first.heard_at, first.succeeded_at) == (
        None,
    ) * 4
    assert (first.dirty, first.rows, dict(first.requests)) == (0, 0, {})
    assert (first.truth.checked, first.truth.drifted, first.truth.at) == (0, 0, None)
    assert not first.wants_thorough
    assert not first.removed
    assert await progress.states("sync_unknown") == []


async def test_a_run_is_taken_up_where_it_was_left(
    world: World, progress: Progress, table: Table
) -> None:
    run = await progress.begin_run(table, BACKFILL, 7, thorough=True, mark=None)
    assert (run.kind, run.thorough, run.start, run.pages, run.after) == (
        BACKFILL,
        True,
        7,
        0,
        None,
    )
    run = await progress.turn_page(table, run, [("rec1",), ("rec2",)], "next")
    assert (await state(world)).run == run
    assert (run.pages, run.after) == (1, "next")
    run = await progress.turn_page(table, run, [("rec3",)], None)
    found = (await state(world)).run
    assert found == run
    assert found is not None
    assert (found.pages, found.records, found.after) == (2, 3, None)


async def test_what_a_listing_did_not_show_is_missing(
    world: World, committer: Committer, progress: Progress, table: Table
) -> None:
    await world.apply(committer, *(image(f"rec{n}") for n in range(1, 7)))
    await world.apply(committer, deletion("rec6"))
    run = await begin(progress, table, committer.clock())
    run = await progress.turn_page(table, run, [("rec2",)], "x")
    run = await progress.turn_page(table, run, [("rec2",), ("rec9",)], None)
    assert await progress.missing(table, run) == Missing(4, 5)
    assert await missing(progress, table, run) == [("rec1",), ("rec3",), ("rec4",), ("rec5",)]


async def test_what_was_committed_after_a_run_began_is_not_missing(
    world: World, committer: Committer, progress: Progress, table: Table
) -> None:
    await world.apply(committer, image("rec1", name="old"), image("rec2", name="old"))
    run = await begin(progress, table, committer.clock())
    await world.apply(committer, image("rec2", name="new"), image("rec3", name="new"))
    run = await progress.turn_page(table, run, [], None)
    assert await missing(progress, table, run) == [("rec1",)]


async def test_a_pair_is_missing_by_both_ends(
    world: World, committer: Committer, progress: Progress
) -> None:
    table = world.tables.tables[PAIRS.id]
    pairs = [Image(PAIRS.id, key, ImageKind.REPLACE) for key in (("1", "2"), ("1", "3"))]
    await world.apply(committer, *pairs)
    run = await progress.turn_page(table, await begin(progress, table), [("1", "3")], None)
    assert await missing(progress, table, run) == [("1", "2")]


async def test_records_of_other_collections_are_not_missing(
    world: World, committer: Committer, progress: Progress, table: Table
) -> None:
    pairs = world.tables.tables[PAIRS.id]
    await world.apply(committer, image("rec1"), Image(PAIRS.id, ("1", "2"), ImageKind.REPLACE))
    here = await progress.turn_page(table, await begin(progress, table), [("1:2",)], None)
    there = await progress.turn_page(pairs, await begin(progress, pairs), [("rec1", "")], None)
    assert await missing(progress, table, here) == [("rec1",)]
    assert await missing(progress, pairs, there) == [("1", "2")]


async def test_of_two_processes_one_turns_the_page(
    world: World, progress: Progress, table: Table
) -> None:
    run = await begin(progress, table)
    async with Database(world.dsn) as database:
        other = Progress(database)
        told = await asyncio.gather(
            progress.turn_page(table, run, [("rec1",)], "a"),
            other.turn_page(table, run, [("rec1",), ("rec2",)], "b"),
            return_exceptions=True,
        )
    turned = [result for result in told if isinstance(result, Run)]
    assert len(turned) == 1
    assert sum(isinstance(result, Stale) for result in told) == 1
    assert (await state(world)).run == turned[0]
    seen = await world.ask("SELECT record_id FROM httpproxy.seen")
    assert len(seen) == turned[0].records


async def test_a_page_that_another_process_turns_is_waited_for(
    world: World, progress: Progress, table: Table
) -> None:
    run = await begin(progress, table)
    async with world.database.transaction() as connection:
        await connection.execute("UPDATE httpproxy.run SET pages = pages + 1, after = 'a'")
        turning = asyncio.ensure_future(progress.turn_page(table, run, [("rec1",)], "b"))
        await asyncio.sleep(0.1)
        assert not turning.done()
    with pytest.raises(Stale):
        await turning
    assert await world.ask("SELECT FROM httpproxy.seen") == []


async def test_a_run_that_was_begun_anew_is_over_for_who_had_it(
    world: World, committer: Committer, progress: Progress, table: Table
) -> None:
    await world.apply(committer, image())
    run = await progress.turn_page(table, await begin(progress, table), [("rec1",)], None)
    newer = await begin(progress, table)
    assert newer.number > run.number
    for step in (
        progress.turn_page(table, run, [], None),
        progress.missing(table, run),
        progress.missing_keys(table, run, None, 10),
        progress.hold(table, run, Missing(1, 1)),
        progress.end_run(table, run),
    ):
        with pytest.raises(Stale):
            await step
    await progress.drop_run(table, run)
    found = await state(world)
    assert (found.run, found.held, found.listed_at) == (newer, None, None)
    assert await world.ask("SELECT FROM httpproxy.seen") == []


async def test_two_processes_that_begin_at_once_have_one_run(
    world: World, progress: Progress, table: Table
) -> None:
    async with Database(world.dsn, connections=8) as database:
        other = Progress(database)
        runs = await asyncio.gather(*(begin(other, table) for _ in range(8)))
    found = (await state(world)).run
    assert found == max(runs, key=lambda run: run.number)
    assert len(await world.ask("SELECT FROM httpproxy.run")) == 1


async def test_the_end_of_a_run_is_a_success_that_answers_its_mark(
    world: World, progress: Progress, table: Table
) -> None:
    await world.registry.mark_dirty(world.sync, [Dirty(TASKS.id, None, "why")])
    await progress.failed(world.sync.id, [TASKS.id], "403", "ask")
    marked = await state(world)
    assert marked.whole_since is not None
    run = await begin(progress, table, mark=marked.whole_mark)
    run = await progress.turn_page(table, run, [("rec1",)], None)
    await progress.end_run(table, run)
    found = await state(world)
    assert (found.run, found.whole_mark) == (None, None)
    assert found.trouble is not None, "another job may fail still: it says itself when not"
    assert found.backfilled_at is not None
    assert found.backfilled_at == found.listed_at == found.succeeded_at
    assert await world.ask("SELECT FROM httpproxy.seen") == []
    run = await progress.turn_page(table, await begin(progress, table), [], None)
    await progress.end_run(table, run)
    again = await state(world)
    assert again.backfilled_at == found.backfilled_at
    assert again.listed_at is not None
    assert again.listed_at > found.backfilled_at


async def test_a_collection_that_was_marked_again_stays_marked(
    world: World, progress: Progress, table: Table
) -> None:
    marks = [Dirty(TASKS.id, None, "why"), Dirty(TASKS.id, ("rec1",), "why")]
    await world.registry.mark_dirty(world.sync, marks)
    first = await state(world)
    run = await begin(progress, table, mark=first.whole_mark)
    await world.registry.mark_dirty(world.sync, [Dirty(TASKS.id, None, "again")])
    await progress.end_run(table, await progress.turn_page(table, run, [], None))
    found = await state(world)
    assert found.whole_mark is not None
    assert found.whole_mark != first.whole_mark
    assert found.whole_since == first.whole_since
    assert found.dirty == 1


async def test_a_run_without_a_mark_answers_none(
    world: World, progress: Progress, table: Table
) -> None:
    await world.registry.mark_dirty(world.sync, [Dirty(TASKS.id, None, "why")])
    run = await progress.turn_page(table, await begin(progress, table), [], None)
    await progress.end_run(table, run)
    assert (await state(world)).whole_mark is not None


@pytest.mark.parametrize("pages", [[], ["next"]])
async def test_a_run_that_is_not_at_its_end_is_no_success(
    world: World, progress: Progress, table: Table, pages: list[str]
) -> None:
    run = await begin(progress, table)
    for after in pages:
        run = await progress.turn_page(table, run, [("rec1",)], after)
    with pytest.raises(StoreError, match="not at its end"):
        await progress.end_run(table, run)
    found = await state(world)
    assert found.run == run
    assert (found.listed_at, found.backfilled_at, found.succeeded_at) == (None,) * 3


async def test_a_void_run_is_no_success_and_leaves_nothing(
    world: World, progress: Progress, table: Table
) -> None:
    run = await progress.turn_page(table, await begin(progress, table), [("rec1",)], None)
    await progress.drop_run(table, run)
    found = await state(world)
    assert (found.run, found.listed_at, found.succeeded_at) == (None, None, None)
    assert await world.ask("SELECT FROM httpproxy.seen") == []


async def test_what_a_crash_of_postgres_has_emptied_deletes_nothing(
    world: World, committer: Committer, progress: Progress, table: Table
) -> None:
    await world.apply(committer, image("rec1"), image("rec2"))
    run = await progress.turn_page(table, await begin(progress, table), [("rec1",)], "x")
    await world.ask("TRUNCATE httpproxy.seen")  # which is what a crash does
    with pytest.raises(SeenLost):
        await progress.missing_keys(table, run, None, 10)
    run = await progress.turn_page(table, run, [("rec2",)], None)
    with pytest.raises(SeenLost):
        await progress.missing(table, run)


async def test_a_listing_that_showed_nothing_has_lost_nothing(
    world: World, committer: Committer, progress: Progress, table: Table
) -> None:
    await world.apply(committer, image("rec1"))
    run = await progress.turn_page(table, await begin(progress, table), [], None)
    assert await progress.missing(table, run) == Missing(1, 1)
    assert await progress.missing_keys(table, run, None, 10) == [("rec1",)]


async def test_a_held_run_waits_for_the_operator(
    world: World, progress: Progress, table: Table
) -> None:
    assert not await progress.approve(world.sync.id, TASKS.id)
    run = await progress.turn_page(table, await begin(progress, table), [], None)
    assert not await progress.approve(world.sync.id, TASKS.id)
    await progress.hold(table, run, Missing(600, 1000))
    held = (await state(world)).held
    assert held is not None
    assert (held.missing, held.rows, held.approved) == (600, 1000, False)
    assert not await progress.approve(world.sync.id, PAIRS.id)
    assert not await progress.approve("sync_other", TASKS.id)
    assert await progress.approve(world.sync.id, TASKS.id)
    await progress.hold(table, run, Missing(600, 1000))
    assert (await state(world)).held == replace(held, approved=True)
    await progress.end_run(table, run)
    assert (await state(world)).held is None


async def test_an_approval_covers_no_more_than_was_told(
    world: World, progress: Progress, table: Table
) -> None:
    run = await progress.turn_page(table, await begin(progress, table), [], None)
    await progress.hold(table, run, Missing(600, 1000))
    await progress.approve(world.sync.id, TASKS.id)
    await progress.hold(table, run, Missing(601, 1000))
    held = (await state(world)).held
    assert held is not None
    assert not held.approved


async def test_a_resync_drops_the_run_and_what_is_held(
    world: World, progress: Progress, table: Table
) -> None:
    run = await progress.turn_page(table, await begin(progress, table), [("rec1",)], None)
    await progress.hold(table, run, Missing(600, 1000))
    assert await progress.ask_resync(world.sync.id, [TASKS.id, "tblUnknown"]) == 1
    found = await state(world)
    assert (found.run, found.held, found.wants_thorough) == (None, None, True)
    assert not (await state(world, PAIRS.id)).wants_thorough
    assert await world.ask("SELECT FROM httpproxy.seen") == []
    with pytest.raises(Stale):
        await progress.end_run(table, run)
    assert await progress.ask_resync(world.sync.id, None) == 2
    assert (await state(world, PAIRS.id)).wants_thorough


async def test_only_a_thorough_run_answers_a_resync(
    world: World, progress: Progress, table: Table
) -> None:
    await progress.ask_resync(world.sync.id, None)
    for thorough in (False, True):
        assert (await state(world)).wants_thorough
        run = await progress.begin_run(table, SWEEP, 1, thorough=thorough, mark=None)
        assert (await state(world)).wants_thorough
        await progress.end_run(table, await progress.turn_page(table, run, [], None))
    assert not (await state(world)).wants_thorough
    assert (await state(world, PAIRS.id)).wants_thorough


async def test_a_forgotten_sync_begins_nothing(
    world: World, progress: Progress, table: Table
) -> None:
    run = await progress.turn_page(table, await begin(progress, table), [("rec1",)], None)
    await world.registry.delete_sync(world.sync, drop_tables=True)
    with pytest.raises(Forgotten):
        await begin(progress, table)
    with pytest.raises(Forgotten):
        await progress.end_run(table, run)
    with pytest.raises(Stale):
        await progress.turn_page(table, run, [], None)
    await progress.drop_run(table, run)
    assert await progress.ask_resync(world.sync.id, None) == 0


async def test_keys_that_postgres_cannot_hold_are_seen_as_they_are_stored(
    world: World, committer: Committer, progress: Progress, table: Table
) -> None:
    await world.apply(committer, image("rec\0", name="a"))
    run = await progress.turn_page(table, await begin(progress, table), [("rec\0",)], None)
    assert await missing(progress, table, run) == []
