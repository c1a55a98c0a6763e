"""Kills between any two statements: of our process, of Postgres."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from httpproxy.store.commits.commit import Committer
from httpproxy.store.database import Database
from httpproxy.store.embedded.server import EmbeddedPostgres
from httpproxy.store.errors import SeenLost, Unavailable
from httpproxy.store.registry import Registry
from httpproxy.store.secrets.vault import Vault
from httpproxy.store.sync.progress import Progress
from httpproxy.store.sync.states import FeedStep, RunKind
from providers.record import Dirty
from tests.store.world import KEY, TASKS, World, image, make_sync

WHOLE = Dirty(TASKS.id, None, "why")
WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    folder = Path(tempfile.mkdtemp(prefix="httpproxy-crash-"))
    folder.chmod(0o755)
    with EmbeddedPostgres(folder) as server:
        yield server
    shutil.rmtree(folder)


async def crash(dsn: str) -> None:
    """Kills a backend: Postgres ends all others and recovers as after a loss of power."""
    victim = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
    os.kill(victim.info.backend_pid, signal.SIGKILL)
    with pytest.raises(psycopg.OperationalError):
        await victim.execute("SELECT pg_sleep(5)")
    await victim.close()
    async with asyncio.timeout(60):
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(dsn) as connection:
                    cursor = await connection.execute("SELECT FROM httpproxy.seen")
                    if not cursor.rowcount:
                        return
            except psycopg.OperationalError:
                await asyncio.sleep(0.05)


async def test_a_crash_of_postgres_keeps_the_run_and_loses_what_it_saw(
    server: EmbeddedPostgres,
) -> None:
    async with Database(server.dsn) as database:
        registry = Registry(database, Vault(KEY))
        sync = await make_sync(registry)
        world = World(server.dsn, database, registry, sync, await registry.tables(sync))
        table = world.tables.tables[TASKS.id]
        progress = Progress(database)
        async with Committer(server.dsn) as committer:
            await world.apply(committer, image("rec1"), image("rec2"))
        run = await progress.begin_run(table, RunKind.SWEEP, 99, thorough=False, mark=None)
        run = await progress.turn_page(table, run, [("rec1",), ("rec2",)], None)
        assert await progress.missing_keys(table, run, None, 10) == []
    await crash(server.dsn)
    async with Database(server.dsn) as database:
        progress = Progress(database)
        assert (await progress.states(sync.id))[0].run == run
        with pytest.raises(SeenLost):
            await progress.missing(table, run)
        with pytest.raises(SeenLost):
            await progress.missing_keys(table, run, None, 10)


@asynccontextmanager
async def held(world: World, statement: str) -> AsyncIterator[None]:
    """Somebody holds what the next step comes to; then the step's process is killed."""
    async with world.database.transaction() as connection:
        await connection.execute(statement)
        yield
        async with asyncio.timeout(60):
            while not (found := await world.ask(WAITING)):  # noqa: ASYNC110  # another's state
                await asyncio.sleep(0.01)
        await world.ask("SELECT pg_terminate_backend(%s)", found[0]["pid"])
        await asyncio.sleep(0.05)


async def test_a_kill_at_the_end_of_a_run_leaves_it_at_its_end(world: World) -> None:
    progress, table = Progress(world.database), world.tables.tables[TASKS.id]
    await world.registry.mark_dirty(world.sync, [WHOLE])
    mark = (await progress.states(world.sync.id))[0].whole_mark
    run = await progress.begin_run(table, RunKind.SWEEP, 1, thorough=False, mark=mark)
    run = await progress.turn_page(table, run, [("rec1",)], None)
    async with held(world, "SELECT FROM httpproxy.dirty FOR UPDATE"):
        ending = asyncio.ensure_future(progress.end_run(table, run))
    with pytest.raises(Unavailable):
        await ending
    state = (await progress.states(world.sync.id))[0]
    assert (state.run, state.listed_at, state.whole_mark) == (run, None, mark)
    await progress.end_run(table, run)
    state = (await progress.states(world.sync.id))[0]
    assert (state.run, state.whole_mark) == (None, None)
    assert await world.ask("SELECT FROM httpproxy.seen") == []


async def test_a_kill_while_a_run_begins_leaves_the_one_before(world: World) -> None:
    progress, table = Progress(world.database), world.tables.tables[TASKS.id]
    run = await progress.begin_run(table, RunKind.SWEEP, 1, thorough=False, mark=None)
    run = await progress.turn_page(table, run, [("rec1",)], "next")
    async with held(world, "SELECT FROM httpproxy.seen FOR UPDATE"):
        beginning = asyncio.ensure_future(
            progress.begin_run(table, RunKind.SWEEP, 2, thorough=True, mark=None)
        )
    with pytest.raises(Unavailable):
        await beginning
    assert (await progress.states(world.sync.id))[0].run == run
    assert len(await world.ask("SELECT FROM httpproxy.seen")) == 1


async def test_a_kill_while_marks_are_made_leaves_the_feed_where_it_was(world: World) -> None:
    progress = Progress(world.database)
    first, second = {"cursor": 1}, {"cursor": 2}
    begun = FeedStep("f", None, first, (TASKS.id,), (WHOLE,))
    await progress.save_feed(world.tables, world.sync.id, begun)
    marked = await world.ask("SELECT mark FROM httpproxy.dirty")
    async with held(world, "SELECT FROM httpproxy.dirty FOR UPDATE"):
        saving = asyncio.ensure_future(
            progress.save_feed(
                world.tables, world.sync.id, replace(begun, before=first, state=second)
            )
        )
    with pytest.raises(Unavailable):
        await saving
    assert await progress.feed_state(world.sync.id, "f") == {"cursor": 1}
    assert await world.ask("SELECT mark FROM httpproxy.dirty") == marked
