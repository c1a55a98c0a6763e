"""Syncs shared out to processes, and writes of owners that lost theirs."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import psycopg
import pytest

from httpproxy.store.database import Database
from httpproxy.store.errors import Fenced
from httpproxy.store.sharing.processes import Processes
from httpproxy.store.sync.owners import Owners
from httpproxy.store.sync.progress import Progress
from httpproxy.store.sync.states import FeedStep, Missing, RunKind
from tests.store.world import TASKS, World

_SYNCS = """
INSERT INTO httpproxy.sync (id, provider, name, account, unique_id, digest, schema_name,
    owns_schema, revision)
SELECT 's' || lpad(n::text, 5, '0'), 'airtable', 'n' || n, 'a', 'u' || n, n::text::bytea,
    'c' || n, true, n
FROM generate_series(1, {}) n
"""


def make_syncs(dsn: str, count: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_SYNCS.format(count))


def execute(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement)


async def test_shares_are_fair_and_add_up(database_dsn):
    make_syncs(database_dsn, 11)
    async with Database(database_dsn) as database:
        processes, owners = Processes(database), Owners(database)
        numbers = [await processes.register(f"p{n}", ["sync"]) for n in range(3)]
        await processes.register("gateway alone", ["gateway"])
        claims = await asyncio.gather(*(owners.claim(number, 0) for number in numbers))
        assert sorted(claim.due for claim in claims) == [3, 4, 4]
        for number in numbers:  # whoever met another at the same syncs takes the others now
            await owners.claim(number, len(await owners.owned(number)))
        held = [await owners.owned(number) for number in numbers]
        assert [len(each) for each in held] == [4, 4, 3]
        assert len({sync_id for each in held for sync_id in each}) == 11


async def test_what_a_process_left_behind_is_taken_over_under_another_fence(database_dsn):
    make_syncs(database_dsn, 3)
    async with Database(database_dsn) as database:
        processes, owners = Processes(database), Owners(database)
        first = await processes.register("first", ["sync"])
        second = await processes.register("second", ["sync"])
        before = (await owners.claim(first, 0)).taken
        taken = dict((await owners.claim(second, 0)).taken)
        assert (await owners.claim(second, 1)).taken == {}
        execute(database_dsn, f"DELETE FROM httpproxy.process WHERE number = {first}")
        more = (await owners.claim(second, 1)).taken
        assert more.keys() == before.keys()
        assert all(more[each] > before[each] for each in before)
        assert (await owners.owned(second)).keys() == (taken | more).keys()
        assert (await owners.claim(first, 0)).due is None


async def test_who_retires_gets_no_share_and_a_pause_makes_them_smaller(database_dsn):
    make_syncs(database_dsn, 4)
    async with Database(database_dsn) as database:
        processes, owners = Processes(database), Owners(database)
        number = await processes.register("one", ["gateway", "sync"])
        assert len((await owners.claim(number, 0)).taken) == 4
        execute(database_dsn, "UPDATE httpproxy.sync SET status = 'paused' WHERE id = 's00001'")
        assert (await owners.claim(number, 4)).due == 3
        await owners.give_up(number, ["s00001"])
        execute(database_dsn, "DELETE FROM httpproxy.sync WHERE id = 's00002'")
        assert sorted(await owners.owned(number)) == ["s00003", "s00004"]
        await owners.retire(number)
        assert await owners.owned(number) == {}
        assert (await owners.claim(number, 0)).due is None
        assert (await processes.beat(number)).others == 0


async def test_a_frozen_owner_that_holds_a_row_does_not_keep_the_others_from_being_taken(
    database_dsn,
):
    make_syncs(database_dsn, 3)
    async with Database(database_dsn) as database:
        processes, owners = Processes(database), Owners(database)
        gone = await processes.register("frozen", ["sync"])
        fences = (await owners.claim(gone, 0)).taken
        number = await processes.register("other", ["sync"])
        execute(database_dsn, f"DELETE FROM httpproxy.process WHERE number = {gone}")
        with psycopg.connect(database_dsn) as frozen:
            frozen.execute("SELECT httpproxy.require_owner('s00002', %s)", [fences["s00002"]])
            async with asyncio.timeout(60):
                claimed = await owners.claim(number, 0)
            assert sorted(claimed.taken) == ["s00001", "s00003"]
        assert sorted((await owners.claim(number, 2)).taken) == ["s00002"]


async def _owner(world: World) -> int:
    """The world's sync, taken over by a process that has just come; its fence."""
    execute(world.dsn, "DELETE FROM httpproxy.process")
    number = await Processes(world.database).register("owner", ["sync"])
    return (await Owners(world.database).claim(number, 0)).taken[world.sync.id]


async def test_nothing_that_an_owner_writes_after_it_lost_the_sync_is_kept(world: World):
    progress, table = Progress(world.database), world.tables.tables[TASKS.id]
    lost = await _owner(world)
    run = await progress.begin_run(
        table, RunKind.SWEEP, 1, thorough=False, mark=None, fence=lost
    )
    run = await progress.turn_page(table, run, [("rec1",)], "second page")
    step = FeedStep("feed", None, {"at": 1}, (TASKS.id,), fence=lost)
    await progress.save_feed(world.tables, world.sync.id, step)

    owner = await _owner(world)
    told = replace(step, before={"at": 1}, state={"at": 2})
    for late in (
        progress.begin_run(table, RunKind.SWEEP, 1, thorough=False, mark=None, fence=lost),
        progress.turn_page(table, run, [("rec2",)], None),
        progress.hold(table, run, Missing(1, 1)),
        progress.drop_run(table, run),
        progress.save_feed(world.tables, world.sync.id, told),
        progress.save_feed(world.tables, world.sync.id, replace(step, feed="another")),
    ):
        with pytest.raises(Fenced):
            await late
    state = (await progress.states(world.sync.id))[0]
    assert state.run == replace(run, fence=None), "the run is where it was"
    assert await progress.feed_state(world.sync.id, "feed") == {"at": 1}
    assert await progress.feed_state(world.sync.id, "another") is None

    run = await progress.turn_page(table, replace(run, fence=owner), [("rec2",)], None)
    with pytest.raises(Fenced):
        await progress.end_run(table, replace(run, fence=lost))
    await progress.end_run(table, run)
    await progress.save_feed(world.tables, world.sync.id, replace(told, fence=owner))
    assert await progress.feed_state(world.sync.id, "feed") == {"at": 2}


async def test_nobody_takes_a_sync_over_while_its_owner_is_writing(world: World):
    progress, table = Progress(world.database), world.tables.tables[TASKS.id]
    fence = await _owner(world)
    execute(world.dsn, "DELETE FROM httpproxy.process")
    other = await Processes(world.database).register("other", ["sync"])
    async with world.database.transaction() as connection:
        await connection.execute(
            "SELECT httpproxy.require_owner(%s, %s)", [world.sync.id, fence]
        )
        assert (await Owners(world.database).claim(other, 0)).taken == {}
    assert (await Owners(world.database).claim(other, 0)).taken.keys() == {world.sync.id}
    with pytest.raises(Fenced):
        await progress.begin_run(
            table, RunKind.SWEEP, 1, thorough=False, mark=None, fence=fence
        )
