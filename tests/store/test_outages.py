"""The database goes away and comes back; nothing that was answered is lost."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from neighbours.cable import Cable
from neighbours.rounds import least
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from httpproxy.store.commits.commit import Committer
from httpproxy.store.database import Database
from httpproxy.store.embedded.server import EmbeddedPostgres
from httpproxy.store.errors import SetAside, Unavailable
from httpproxy.store.registry import Registry
from httpproxy.store.secrets.vault import Vault
from tests.store.world import KEY, World, image, make_sync

KILL = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'httpproxy' AND pid <> pg_backend_pid()
        AND datname = current_database()
"""


async def until(committer: Committer, available: bool) -> None:
    async with asyncio.timeout(60):
        while committer.available is not available:  # noqa: ASYNC110  # a property
            await asyncio.sleep(0.01)


async def test_a_commit_survives_the_loss_of_its_connection(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(name="a"))
    await world.ask(KILL)
    async with asyncio.timeout(60):
        applied = await world.apply(committer, image(name="b"))
    assert applied.rows == 1
    assert (await world.row())["name"] == "b"


async def test_connections_that_die_again_and_again_lose_no_commit(
    world: World, committer: Committer
) -> None:
    async def kill() -> None:
        for _ in range(10):
            await asyncio.sleep(0.03)
            await world.ask(KILL)

    async def write(n: int) -> None:
        for turn in range(5):
            applied = await world.apply(committer, image(f"rec{n}", name=f"{turn}"))
            assert applied.rows == 1
            await asyncio.sleep(0.02)

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(kill())
        for n in range(20):
            tasks.create_task(write(n))
    assert set((await world.names()).values()) == {"4"}
    events = await world.events()
    assert len(events) == len(set(events)) + 20 * 3, "each change has one event"


async def test_a_commit_that_kills_its_connection_every_time_is_set_aside(
    world: World, committer: Committer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("httpproxy.store.commits.commit.GIVE_UP", 5)
    await world.ask("""
        CREATE FUNCTION public.bomb() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_terminate_backend(pg_backend_pid()) WHERE new.name = 'bomb';
            RETURN new;
        END $$
    """)
    await world.ask(f"""
        CREATE TRIGGER bomb BEFORE INSERT ON {world.table}
        FOR EACH ROW EXECUTE FUNCTION public.bomb()
    """)
    async with asyncio.timeout(60):
        *good, bad = await asyncio.gather(
            *(world.apply(committer, image(f"rec{n}", name="good")) for n in range(5)),
            world.apply(committer, image("rec9", name="bomb")),
            return_exceptions=True,
        )
    assert [one.rows for one in good] == [1] * 5
    assert isinstance(bad, SetAside)
    kept = await world.ask("SELECT record_id FROM httpproxy.quarantine")
    assert kept == [{"record_id": "rec9"}]
    assert set(await world.rows()) == {f"rec{n}" for n in range(5)}


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    folder = Path(tempfile.mkdtemp(prefix="httpproxy-outage-"))
    folder.chmod(0o755)
    with EmbeddedPostgres(folder) as server:
        yield server
    shutil.rmtree(folder)


@pytest.fixture
async def fragile(server: EmbeddedPostgres) -> AsyncIterator[World]:
    async with Database(server.dsn) as database:
        registry = Registry(database, Vault(KEY))
        sync = await make_sync(registry)
        yield World(server.dsn, database, registry, sync, await registry.tables(sync))


async def test_a_commit_that_nobody_waits_for_lands_when_the_server_is_back(
    server: EmbeddedPostgres, fragile: World
) -> None:
    async with Committer(fragile.dsn) as committer:
        await fragile.apply(committer, image("rec0", name="before"))
        assert committer.available
        await asyncio.to_thread(server.stop)
        await until(committer, available=False)
        for n in (1, 2):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await fragile.apply(committer, image(f"rec{n}", name="deferred"))
        assert committer.waiting == 2
        await asyncio.to_thread(server.start)
        await until(committer, available=True)
        async with asyncio.timeout(60):
            await fragile.apply(committer, image("rec3", name="after"))
        assert await fragile.names() == {
            "rec0": "before",
            "rec1": "deferred",
            "rec2": "deferred",
            "rec3": "after",
        }


async def test_a_full_queue_refuses_while_the_database_is_away(
    server: EmbeddedPostgres, fragile: World
) -> None:
    async with Committer(fragile.dsn, queue_images=3) as committer:
        await asyncio.to_thread(server.stop)
        await until(committer, available=False)
        async with asyncio.TaskGroup() as tasks:
            waiting = [
                tasks.create_task(fragile.apply(committer, image(f"rec{n}", name="x")))
                for n in range(3)
            ]
            await asyncio.sleep(0.05)
            with pytest.raises(Unavailable):
                await fragile.apply(committer, image("rec9", name="x"))
            await asyncio.to_thread(server.start)
        assert [task.result().rows for task in waiting] == [1, 1, 1]


async def test_a_queue_that_is_full_for_a_moment_makes_callers_wait(
    world: World,
) -> None:
    async with Committer(world.dsn, queue_images=2) as committer:
        applied = await asyncio.gather(
            *(world.apply(committer, image(f"rec{n}", name="x")) for n in range(50))
        )
    assert [one.rows for one in applied] == [1] * 50


async def test_closing_commits_what_still_waits(world: World) -> None:
    async with Committer(world.dsn) as committer, asyncio.TaskGroup() as tasks:
        last = [
            tasks.create_task(world.apply(committer, image(f"rec{n}", name="x")))
            for n in range(20)
        ]
        await asyncio.sleep(0)
    assert len(await world.rows()) == 20
    assert all(task.result().rows == 1 for task in last)
    with pytest.raises(Unavailable):
        await world.apply(committer, image("late", name="x"))


async def test_closing_while_the_database_is_away_tells_whoever_waits(
    server: EmbeddedPostgres, fragile: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("httpproxy.store.commits.commit.DRAIN_SECONDS", 0.2)
    committer = Committer(fragile.dsn)
    async with asyncio.TaskGroup() as tasks:
        async with committer:
            await asyncio.to_thread(server.stop)
            await until(committer, available=False)
            lost = tasks.create_task(outcome(fragile, committer))
            await asyncio.sleep(0.05)
        assert await lost == "Unavailable"


async def outcome(world: World, committer: Committer) -> str:
    try:
        await world.apply(committer, image(name="x"))
    except Unavailable:
        return "Unavailable"
    return "applied"


async def test_an_overlap_that_nobody_waited_for_is_marked_to_be_read_again(
    world: World, committer: Committer
) -> None:
    start = committer.clock()
    await world.apply(committer, image(name="a"))
    task = asyncio.ensure_future(world.apply(committer, image(name="b"), start=start))
    await asyncio.sleep(0)
    task.cancel()
    async with asyncio.timeout(60):
        while not (marks := await world.ask("SELECT key, reason FROM httpproxy.dirty")):  # noqa: ASYNC110  # a table
            await asyncio.sleep(0.01)
    assert marks == [{"key": ["rec1"], "reason": "overlapping answers"}]


async def test_a_server_that_hangs_is_noticed(world: World, committer: Committer) -> None:
    await world.apply(committer, image(name="a"))
    committer._busy_since = asyncio.get_running_loop().time() - 60
    assert not committer.available


async def test_without_a_database_there_is_a_clear_error() -> None:
    nowhere = "postgresql://nobody:x@127.0.0.1:1/none"
    with pytest.raises(Unavailable):
        await Committer(nowhere).__aenter__()
    with pytest.raises(Unavailable):
        await Database(nowhere).__aenter__()


async def test_the_end_of_a_long_outage_is_noticed_at_once(database_dsn: str) -> None:
    parts = conninfo_to_dict(database_dsn)
    async with Cable(str(parts["host"]), int(str(parts["port"]))) as cable:
        dsn = make_conninfo(database_dsn, host="127.0.0.1", port=cable.port)
        async with Database(dsn) as database:

            async def noticed() -> float:
                """How long it takes after an outage of 3.3 seconds."""
                cable.cut()
                outage = asyncio.get_running_loop().time() + 3.3
                while asyncio.get_running_loop().time() < outage:
                    with suppress(OSError, TimeoutError):
                        async with asyncio.timeout(0.5), database.connection():
                            pass
                cable.mend()
                over = asyncio.get_running_loop().time()
                async with asyncio.timeout(60):
                    while True:
                        with suppress(OSError):
                            async with database.connection() as connection:
                                await connection.execute("SELECT 1")
                            break
                return asyncio.get_running_loop().time() - over

            assert await least(noticed, 2.0) < 2.0


async def test_the_registry_reports_an_outage_as_an_os_error(
    server: EmbeddedPostgres, fragile: World
) -> None:
    await asyncio.to_thread(server.stop)
    with pytest.raises(OSError, match="database"):
        await fragile.registry.syncs()
