"""Syncs, and how other processes learn of them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from hashlib import sha256

import pytest
from neighbours.syncs import new_sync, secret_of

from httpproxy.store.commits.commit import Committer
from httpproxy.store.database import Database
from httpproxy.store.errors import InUse, KeyMismatch, NameTaken, Unavailable
from httpproxy.store.registry import Registry
from httpproxy.store.secrets.vault import Vault
from providers.record import Dirty
from providers.spec import Budget
from tests.store.world import KEY, TASKS, World, deletion, image, make_sync


async def create(registry: Registry, name: str, schema: str | None = None, secret: str = "s"):
    return await new_sync(
        registry,
        "hubspot",
        name,
        "123",
        secret,
        schema_name=schema,
        rates=(Budget("burst", 100, 10.0, 3), Budget("search", 4, 1.0)),
        collections=(TASKS,),
    )


async def test_a_sync_is_found_in_every_way(registry: Registry) -> None:
    sync = await create(registry, "hubspot")
    assert sync.id.startswith("sync_")
    assert len(sync.id) == len("sync_") + 20
    assert len(sync.unique_id) >= 22, "128 bits at least"
    assert sync.unique_id not in repr(sync)
    assert sync.schema_name == "hubspot"
    assert await registry.syncs() == [sync]
    assert await registry.sync(sync.id) == sync
    assert await registry.sync("hubspot") == sync
    assert await registry.sync("other") is None
    assert await registry.sync_by_digest(sha256(sync.unique_id.encode()).digest()) == sync
    assert await registry.sync_by_digest(sha256(b"guess").digest()) is None
    assert await secret_of(registry, sync) == "s"


async def test_an_account_has_one_credential_and_the_last_one_counts(
    registry: Registry,
) -> None:
    first = await create(registry, "one", secret="old")
    second = await create(registry, "two", secret="new")
    assert first.credential_id == second.credential_id
    assert await secret_of(registry, first) == "new"


async def test_the_tables_come_back_as_they_were_made(world: World) -> None:
    found = world.tables.schema.find("Tasks")
    assert found is not None
    assert found.fields == TASKS.fields
    assert found.key == TASKS.key
    assert world.tables.tables[TASKS.id].name == "tasks"
    assert world.tables.schema.find("associations_a_b") is not None


async def test_names_that_are_taken_are_refused_by_name(registry: Registry) -> None:
    await create(registry, "mine", "crm")
    with pytest.raises(NameTaken) as taken:
        await create(registry, "mine", "other")
    assert (taken.value.field, taken.value.value) == ("name", "mine")
    for schema in ("crm", "httpproxy", "pg_catalog", "information_schema", "", "x" * 64):
        with pytest.raises(NameTaken) as taken:
            await create(registry, f"sync for {schema}", schema)
        assert (taken.value.field, taken.value.value) == ("schema_name", schema)
    assert len(await registry.syncs()) == 1, "what was refused left nothing behind"


async def test_schemas_of_one_name_get_suffixes(world: World) -> None:
    await world.ask("CREATE SCHEMA hubspot_a")
    schemas = [(await create(world.registry, name)).schema_name for name in ("a", "a ", "A!")]
    assert schemas == ["hubspot_a_", "hubspot_a_2", "hubspot_a_3"]


async def test_other_processes_learn_of_changes(registry: Registry) -> None:
    assert await registry.changed_since(0) == ([], [], 0)
    one, two = await create(registry, "one"), await create(registry, "two")
    changed, deleted, cursor = await registry.changed_since(0)
    assert (changed, deleted) == ([one, two], [])
    await registry.delete_sync(one, drop_tables=True)
    changed, deleted, later = await registry.changed_since(cursor)
    assert (changed, deleted) == ([], [one.id])
    assert await registry.changed_since(later) == ([], [], later)


async def test_no_change_is_missed_by_a_poll_that_runs_beside_it(database_dsn: str) -> None:
    async with Database(database_dsn, connections=8) as database:
        registry = Registry(database, Vault(KEY))
        seen: list[str] = []
        cursor = 0

        async def poll() -> None:
            nonlocal cursor
            while len(set(seen)) < 12:
                changed, _, cursor = await registry.changed_since(cursor)
                seen.extend(sync.id for sync in changed)

        async def make() -> list[str]:
            made = await asyncio.gather(*(create(registry, f"sync {n}") for n in range(12)))
            return [sync.id for sync in made]

        async with asyncio.timeout(60):
            made, _ = await asyncio.gather(make(), poll())
    # Some are told of again: they are of one account, which has another token each time.
    assert sorted(set(seen)) == sorted(made)


async def test_a_deleted_sync_leaves_its_tables_if_they_are_wanted(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(name="a"), image("rec2", name="b"))
    await world.registry.mark_dirty(world.sync, [Dirty(TASKS.id, ("rec1",), "why")])
    await world.registry.delete_sync(world.sync, drop_tables=False)
    assert set(await world.rows()) == {"rec1", "rec2"}
    for table in ("meta", "event", "dirty", "collection", "field", "credential"):
        assert await world.ask(f"SELECT FROM httpproxy.{table}") == [], table


async def test_a_deleted_sync_waits_for_the_commit_that_is_under_way(
    world: World, committer: Committer
) -> None:
    await world.apply(committer, image(name="a"))
    async with world.database.transaction() as connection:
        await connection.execute(f"INSERT INTO {world.table} (id) VALUES ('rec2')")
        await connection.execute(
            "INSERT INTO httpproxy.meta (collection, record_id, end_seq, deleted, partial)"
            " VALUES (%s, 'rec2', 1, false, false)",
            [world.tables.tables[TASKS.id].number],
        )
        deleting = asyncio.ensure_future(
            world.registry.delete_sync(world.sync, drop_tables=False)
        )
        await asyncio.sleep(0.2)
        assert not deleting.done()
        assert set(await world.rows()) == {"rec1"}  # who only reads does not wait
    await deleting
    assert await world.ask("SELECT FROM httpproxy.meta") == []
    assert set(await world.rows()) == {"rec1", "rec2"}


@pytest.mark.parametrize("drop_tables", [False, True])
async def test_a_sync_that_is_deleted_under_load_leaves_nothing(
    world: World, committer: Committer, drop_tables: bool
) -> None:
    async def write(n: int) -> None:
        for record in range(30):
            dirty = (Dirty(TASKS.id, ("rec1",), "why"),)
            commit = world.commit(image(f"rec{n}-{record}"), start=committer.clock())
            change = replace(commit.change, dirty=dirty)
            await committer.commit(replace(commit, change=change))

    async with asyncio.timeout(60):
        writers = asyncio.gather(*(write(n) for n in range(8)), return_exceptions=True)
        await world.apply(committer, image("rec0"))
        await world.registry.delete_sync(world.sync, drop_tables=drop_tables)
        ended = await writers
    assert any(isinstance(result, LookupError) for result in ended)
    for table in ("meta", "event", "dirty", "collection", "quarantine"):
        assert await world.ask(f"SELECT FROM httpproxy.{table}") == [], table


async def test_a_table_that_somebody_holds_is_not_waited_for_without_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("httpproxy.store.layouts.layout.LOCK_TIMEOUT", "50ms")
    async with world.database.transaction() as connection:
        await connection.execute(f"LOCK TABLE {world.table} IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(Unavailable, match="locked by another session"):
            await world.registry.delete_sync(world.sync, drop_tables=False)
    await world.registry.delete_sync(world.sync, drop_tables=False)
    assert await world.registry.syncs() == []


async def test_a_sync_whose_table_the_user_dropped_can_be_deleted(world: World) -> None:
    await world.ask(f"DROP TABLE {world.table}")
    await world.registry.delete_sync(world.sync, drop_tables=False)
    assert await world.registry.syncs() == []


async def test_a_deleted_sync_takes_its_tables_along(world: World) -> None:
    await world.registry.delete_sync(world.sync, drop_tables=True)
    await world.registry.delete_sync(world.sync, drop_tables=True)
    found = await world.ask(
        "SELECT FROM pg_namespace WHERE nspname = %s", world.sync.schema_name
    )
    assert found == []


async def test_what_the_user_built_on_a_table_is_not_dropped(world: World) -> None:
    await world.ask(f"CREATE VIEW public.mine AS SELECT id FROM {world.table}")
    with pytest.raises(InUse, match="mine"):
        await world.registry.delete_sync(world.sync, drop_tables=True)
    assert await world.rows() == {}
    assert await world.registry.syncs() == [world.sync]
    await world.ask("DROP VIEW public.mine")
    await world.ask(f'CREATE TABLE "{world.sync.schema_name}".notes ()')
    await world.registry.delete_sync(world.sync, drop_tables=True)
    assert await world.ask(f'SELECT FROM "{world.sync.schema_name}".notes') == []


async def test_a_commit_for_a_deleted_sync_harms_no_other(
    world: World, committer: Committer
) -> None:
    other = await make_sync(world.registry, "other")
    theirs = replace(world, sync=other, tables=await world.registry.tables(other))
    await world.registry.delete_sync(world.sync, drop_tables=True)
    lost, kept = await asyncio.gather(
        world.apply(committer, image(name="a")),
        theirs.apply(committer, image(name="b")),
        return_exceptions=True,
    )
    assert isinstance(lost, LookupError)
    assert kept.rows == 1
    assert await theirs.names() == {"rec1": "b"}
    assert await world.ask("SELECT FROM httpproxy.quarantine") == []


async def test_marks_are_one_per_record(world: World) -> None:
    marks = [
        Dirty(TASKS.id, ("rec1",), "first"),
        Dirty(TASKS.id, ("rec1",), "second"),
        Dirty(TASKS.id, None, "all"),
        Dirty("tblUnknown", ("rec1",), "never"),
    ]
    await world.registry.mark_dirty(world.sync, marks)
    await world.registry.mark_dirty(world.sync, marks[:1])
    found = await world.ask("SELECT record_id, reason FROM httpproxy.dirty ORDER BY 1")
    assert [tuple(row.values()) for row in found] == [("", "all"), ("rec1", "first")]


async def test_another_key_does_not_open_the_credential(world: World) -> None:
    stranger = Registry(world.database, Vault(KEY + "x"))
    with pytest.raises(KeyMismatch):
        await secret_of(stranger, world.sync)
    assert await stranger.syncs() == [world.sync]


async def test_syncs_do_not_meet_in_one_batch(world: World, committer: Committer) -> None:
    other = await make_sync(world.registry, "other")
    theirs = replace(world, sync=other, tables=await world.registry.tables(other))
    await asyncio.gather(
        world.apply(committer, image(name="ours")),
        theirs.apply(committer, image(name="theirs")),
    )
    await asyncio.gather(
        world.apply(committer, deletion()), theirs.apply(committer, image(name="still"))
    )
    assert await world.names() == {}
    assert await theirs.names() == {"rec1": "still"}
    events = await world.ask("SELECT sync_id, event FROM httpproxy.event ORDER BY 1, 2")
    assert {(e["sync_id"], e["event"]) for e in events} == {
        (world.sync.id, "created"),
        (world.sync.id, "deleted"),
        (other.id, "created"),
        (other.id, "updated"),
    }
