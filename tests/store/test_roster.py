"""Lists of syncs with filters, what users change of a sync, and collections that leave it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from neighbours.syncs import new_sync

from httpproxy.store.commits.commit import Committer
from httpproxy.store.errors import Forgotten, NameTaken, Stale, Unavailable
from httpproxy.store.layouts import layout
from httpproxy.store.registry import Registry, Sync
from httpproxy.store.roster import Entry, Roster, SyncChange, SyncFilter
from httpproxy.store.sync.progress import Progress
from httpproxy.store.sync.states import Missing, RunKind
from httpproxy.sync.health import Phase, health, overall
from providers.record import Collection, Dirty, Image, ImageKind
from providers.spec import Budget
from tests.store.world import PAIRS, TASKS, World, image, make_sync


@pytest.fixture
def roster(world: World) -> Roster:
    return Roster(world.database)


async def entry_of(roster: Roster, sync: Sync) -> Entry:
    found = await roster.entry(sync.id)
    assert found is not None
    return found


def as_it_is(entry: Entry, **other: Any) -> SyncChange:
    sync = entry.sync
    same = SyncChange(
        sync.name,
        sync.status,
        entry.external_id,
        entry.metadata,
        sync.rates,
        sync.credential_id,
        sync.covers_all,
    )
    return replace(same, **other)


async def names(roster: Roster, **wanted: Any) -> list[str]:
    return [e.sync.name for e in await roster.page(SyncFilter(**wanted), None, 100)]


async def make(registry: Registry, name: str, **more: Any) -> Sync:
    given = {"provider": "hubspot", "account": name, "collections": (TASKS,)}
    return await new_sync(registry, name=name, **{**given, **more})


async def test_a_list_goes_on_where_a_page_ended(world: World, roster: Roster) -> None:
    for n in range(4):
        await make(world.registry, f"s{n}")
    seen: list[str] = []
    after = None
    while page := await roster.page(SyncFilter(), after, 2):
        seen += [each.sync.name for each in page]
        after = page[-1].place
    assert seen == ["tasks", "s0", "s1", "s2", "s3"]


async def test_every_filter_finds_its_own(world: World, roster: Roster) -> None:
    paid = {"customer": 42, "plan": {"name": "pro", "seats": [1, 2]}}
    mine = await make(world.registry, "mine", external_id="x-1", metadata=paid, status="paused")
    await make(world.registry, "other", metadata={"customer": 43})
    assert await names(roster) == ["tasks", "mine", "other"]
    assert await names(roster, provider="airtable") == ["tasks"]
    assert await names(roster, name="mine") == ["mine"]
    assert await names(roster, external_id="x-1") == ["mine"]
    assert await names(roster, status="paused") == ["mine"]
    assert await names(roster, id=mine.id) == ["mine"]
    assert await names(roster, credential_id=mine.credential_id) == ["mine"]
    assert await names(roster, metadata={"customer": 42}) == ["mine"]
    assert await names(roster, metadata={"plan": {"seats": [2]}}) == ["mine"]
    assert await names(roster, metadata={}) == ["tasks", "mine", "other"]
    assert await names(roster, provider="hubspot", metadata={"customer": 43}) == ["other"]
    assert await names(roster, provider="hubspot", name="tasks") == []


async def test_every_sync_is_among_the_candidates_of_its_phase(
    world: World, roster: Roster
) -> None:
    """One sync at each phase; what `sync.health` says of it finds it again."""
    progress = Progress(world.database)

    async def at(name: str, **more: Any) -> tuple[Sync, Any]:
        sync = await make(world.registry, name, **more)
        return sync, (await world.registry.tables(sync)).tables[TASKS.id]

    async def listed(table: Any, kind: RunKind, *, ended: bool = True) -> None:
        run = await progress.begin_run(table, kind, 1, thorough=False, mark=None)
        if ended:
            await progress.end_run(table, await progress.turn_page(table, run, [], None))

    for name in ("live", "sweep", "held", "removed", "paused"):
        sync, table = await at(name)
        await listed(table, RunKind.BACKFILL)
        if name in ("sweep", "held"):
            await listed(table, RunKind.SWEEP, ended=False)
        if name == "held":
            run = (await progress.states(sync.id))[0].run
            assert run is not None
            run = await progress.turn_page(table, run, [], None)
            await progress.hold(table, run, Missing(5, 9))
        if name == "removed":
            await world.registry.following.follow(sync.id, [], gone=[TASKS.id])
        if name == "paused":
            await world.registry.set_status(sync, "paused")
    _, table = await at("backfill")
    await listed(table, RunKind.BACKFILL, ended=False)
    sync, _ = await at("failing")
    await progress.failed(sync.id, [TASKS.id], "no", "do")
    await make(world.registry, "empty", collections=(), status="paused")

    entries = await roster.page(SyncFilter(), None, 100)
    states = await progress.all_states([e.sync.id for e in entries], counted=False)
    told = {
        e.sync.name: overall(
            health(state, e.sync.name, e.sync.status, 0.0) for state in states[e.sync.id]
        )
        for e in entries
    }
    assert told.pop("tasks") is Phase.WAITING
    assert told.pop("empty") is Phase.WAITING
    assert {name: phase.value for name, phase in told.items()} == {name: name for name in told}
    assert set(told.values()) == set(Phase) - {Phase.WAITING}
    for phase in Phase:
        there = await names(roster, phase=phase.value)
        assert {n for n, at_ in told.items() if at_ is phase} <= set(there)
    assert set(await names(roster, phase="waiting")) >= {"tasks", "empty"}
    assert await names(roster, phase="live") == ["live", "removed"], "few are looked at"


async def test_what_is_set_is_set_and_told(world: World, roster: Roster) -> None:
    entry = await entry_of(roster, world.sync)
    _, _, cursor = await world.registry.changed_since(0)
    to = as_it_is(
        entry,
        name="renamed",
        status="paused",
        external_id="x",
        metadata={"a": None},
        rates=(Budget("standard", 2, 1.0),),
        covers_all=True,
    )
    changed = await roster.change(entry, to)
    assert changed == await roster.entry("renamed")
    assert changed.updated_at > entry.updated_at
    assert (changed.external_id, changed.metadata) == ("x", {"a": None})
    (told,), _, _ = await world.registry.changed_since(cursor)
    assert (told.name, told.status, told.rates[0].allowed_requests) == ("renamed", "paused", 2)
    assert await roster.entry("tasks") is None


async def test_a_change_of_what_has_changed_meanwhile_is_none(
    world: World, roster: Roster
) -> None:
    entry = await entry_of(roster, world.sync)
    await roster.change(entry, as_it_is(entry, name="first"))
    with pytest.raises(Stale):
        await roster.change(entry, as_it_is(entry, name="second"))
    assert (await entry_of(roster, world.sync)).sync.name == "first"
    await world.registry.delete_sync(world.sync, drop_tables=True)
    with pytest.raises(Forgotten):
        await roster.change(entry, as_it_is(entry))


async def test_what_another_sync_has_is_named(world: World, roster: Roster) -> None:
    await make(world.registry, "other", external_id="x")
    entry = await entry_of(roster, world.sync)
    with pytest.raises(NameTaken) as taken:
        await roster.change(entry, as_it_is(entry, name="other"))
    assert taken.value.field == "name"
    with pytest.raises(NameTaken) as taken:
        await roster.change(entry, as_it_is(entry, external_id="x"))
    assert (taken.value.field, taken.value.value) == ("external_id", "x")
    with pytest.raises(NameTaken):
        await make(world.registry, "third", external_id="x")
    with pytest.raises(Forgotten, match="credential"):
        await roster.change(entry, as_it_is(entry, credential_id="cred_none"))


MORE = Collection("tblMore", "More", TASKS.fields)


async def test_collections_come_and_leave_in_one_change(
    world: World, roster: Roster, committer: Committer
) -> None:
    await world.apply(committer, image("rec1", name="a"))
    entry = await entry_of(roster, world.sync)
    progress = Progress(world.database)
    table = world.tables.tables[TASKS.id]
    await progress.begin_run(table, RunKind.BACKFILL, 1, thorough=True, mark=None)
    await world.registry.mark_dirty(world.sync, [Dirty(TASKS.id, ("rec1",), "why")])
    await progress.failed(world.sync.id, [TASKS.id], "no", "")
    await roster.change(entry, as_it_is(entry, coming=[MORE], leaving=[TASKS.id]))
    tables = await world.registry.tables(world.sync)
    assert set(tables.tables) == {PAIRS.id, MORE.id}
    assert await world.names() == {"rec1": "a"}, "the table stays"
    for name in ("run", "dirty"):
        assert await world.ask(f"SELECT FROM httpproxy.{name}") == [], name
    assert {state.collection for state in await progress.states(world.sync.id)} == set(
        tables.tables
    )
    assert await progress.ask_resync(world.sync.id, None) == 2


async def test_nothing_is_written_to_what_has_left(
    world: World, roster: Roster, committer: Committer
) -> None:
    await world.apply(committer, image("rec1", name="a"))
    entry = await entry_of(roster, world.sync)
    await roster.change(entry, as_it_is(entry, leaving=[TASKS.id]))
    with pytest.raises(Forgotten):  # a process that has not heard of it
        await world.apply(committer, image("rec1", name="b"), image("rec2", name="c"))
    assert await world.names() == {"rec1": "a"}
    await world.registry.mark_dirty(world.sync, [Dirty(TASKS.id, ("rec1",), "why")])
    assert await Progress(world.database).dirty_syncs() == {}


async def test_what_an_answer_says_beside_of_what_stays_is_committed(
    world: World, roster: Roster, committer: Committer
) -> None:
    entry = await entry_of(roster, world.sync)
    await roster.change(entry, as_it_is(entry, leaving=[TASKS.id]))
    pair = Image(PAIRS.id, ("1", "2"), ImageKind.REPLACE, {"$left": "1", "$right": "2"})
    await world.apply(committer, image("rec1", name="b"), pair)
    query = f'SELECT a_id FROM "{world.sync.schema_name}".associations_a_b'
    assert await world.ask(query) == [{"a_id": "1"}]
    assert await world.names() == {}


async def test_what_comes_back_has_its_table_and_is_read_anew(
    world: World, roster: Roster, committer: Committer
) -> None:
    await world.apply(committer, image("rec1", name="a"))
    entry = await entry_of(roster, world.sync)
    entry = await roster.change(entry, as_it_is(entry, leaving=[TASKS.id]))
    await roster.change(entry, as_it_is(entry, coming=[TASKS]))
    world.tables = await world.registry.tables(world.sync)
    assert world.tables.tables[TASKS.id].name == "tasks"
    states = await Progress(world.database).states(world.sync.id)
    assert {state.collection: state.wants_thorough for state in states} == {
        TASKS.id: True,
        PAIRS.id: False,
    }
    await world.apply(committer, image("rec1", name="b"))
    assert await world.names() == {"rec1": "b"}


async def test_discovery_brings_back_what_had_left_if_it_is_to_follow_it(
    world: World, roster: Roster
) -> None:
    entry = await entry_of(roster, world.sync)
    await roster.change(entry, as_it_is(entry, leaving=[TASKS.id]))
    followed = await world.registry.following.follow(world.sync.id, [TASKS])
    assert followed.changed
    assert TASKS.id in (await world.registry.tables(world.sync)).tables


async def test_the_tables_of_what_has_left_go_with_the_sync(
    world: World, roster: Roster
) -> None:
    entry = await entry_of(roster, world.sync)
    await roster.change(entry, as_it_is(entry, leaving=[TASKS.id]))
    await world.registry.delete_sync(world.sync, drop_tables=True)
    left = "SELECT FROM pg_namespace WHERE nspname = %s"
    assert await world.ask(left, world.sync.schema_name) == []


async def test_a_table_that_somebody_holds_keeps_its_collection_in_the_sync(
    world: World, roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "LOCK_TIMEOUT", "20ms")
    entry = await entry_of(roster, world.sync)
    async with world.database.transaction() as holder:
        await holder.execute(f"LOCK TABLE {world.table}".encode())
        with pytest.raises(Unavailable, match="locked"):
            await roster.change(entry, as_it_is(entry, name="x", leaving=[TASKS.id]))
    assert await entry_of(roster, world.sync) == entry


async def test_states_of_several_syncs_are_one_answer(world: World) -> None:
    other = await make_sync(world.registry, "other", (TASKS,))
    found = await Progress(world.database).all_states([world.sync.id, other.id])
    assert {i: [s.collection for s in states] for i, states in found.items()} == {
        world.sync.id: [TASKS.id, PAIRS.id],
        other.id: [TASKS.id],
    }
