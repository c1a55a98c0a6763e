"""Pages that are loaded mean what they mean when they are committed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from neighbours.syncs import followed

from httpproxy.store.commits.bulk import Loader
from httpproxy.store.commits.commit import Applied, Commit, Committer
from httpproxy.store.errors import SetAside, Unavailable
from providers.record import JSON, Change, ColumnType, Dirty, Field, Image, ImageKind
from tests.store.world import FIELDS, PAIRS, TASKS, World, deletion, image

MERGE, ARCHIVE = ImageKind.MERGE, ImageKind.ARCHIVE
OLD, NEW = "2024-05-01T10:00:00.000Z", "2024-05-01T10:00:00.001Z"
KILL = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'httpproxy' AND pid <> pg_backend_pid()
        AND datname = current_database()
"""


@pytest.fixture
async def loader(world: World, committer: Committer) -> AsyncIterator[Loader]:
    async with Loader(world.dsn, committer) as loader:
        yield loader


def page(*records: str, **values: JSON) -> list[Image]:
    return [image(record, **{"name": record, **values}) for record in records]


def numbered(first: int, last: int, **values: JSON) -> list[Image]:
    return page(*(f"rec{n:04}" for n in range(first, last)), **values)


async def load(world: World, loader: Loader, *images: Image, start: int = 0) -> Applied:
    return await loader.load(world.commit(*images, start=start, origin="sync"))


def alone(committer: Committer, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the committer may not be asked."""

    async def refuse(_: Commit) -> Applied:
        raise AssertionError("the committer was asked")

    monkeypatch.setattr(committer, "commit", refuse)


# What a page does ---------------------------------------------------------------------


async def test_a_page_of_new_records_is_one_transaction_without_the_committer(
    world: World, committer: Committer, loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone(committer, monkeypatch)
    pairs = [Image(PAIRS.id, (f"{n}", "7"), ImageKind.REPLACE, {}) for n in range(5)]
    whole = image(
        "rec9",
        archived=None,
        name="Größe ✓",
        amount="12345678901234567890.123",
        done=True,
        due="2024-02-29",
        seen="2024-05-01T10:00:00.123+02:00",
        tags=["a", "b,c", ""],
        blob={"nested": [1, None]},
        updated_at=OLD,
    )
    applied = await load(world, loader, *numbered(0, 50), whole, *pairs)
    assert applied == Applied(56)
    row = (await world.rows())["rec9"]
    assert (row["name"], row["tags"], row["blob"]) == (
        "Größe ✓",
        ["a", "b,c", ""],
        {"nested": [1, None]},
    )
    assert row["_extra"] == {}
    assert len(await world.rows()) == 51
    told = await world.ask(
        "SELECT count(*), count(DISTINCT transaction) AS n FROM httpproxy.event"
    )
    assert told == [{"count": 56, "n": 1}]


async def test_the_clock_of_the_process_sees_what_was_loaded(
    world: World, committer: Committer, loader: Loader
) -> None:
    await load(world, loader, *numbered(0, 20))
    ends = await world.ask("SELECT DISTINCT end_seq FROM httpproxy.meta")
    assert committer.clock() == ends[0]["end_seq"]
    edited = await world.apply(committer, image("rec0003", name="edited"))
    assert edited.overlaps == ()


async def test_marks_are_made_with_the_page(
    world: World, committer: Committer, loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    dirty = (
        Dirty(TASKS.id, ("rec1",), "a cell is loading"),
        Dirty(TASKS.id, None, "linked"),
        Dirty("tblOther", None, "not ours"),
    )
    change = Change(tuple(numbered(0, 10)), dirty)
    with monkeypatch.context() as patch:
        alone(committer, patch)
        await loader.load(Commit(world.tables, change, 0, world.sync.id, "sync", "r"))
    marks = await world.ask("SELECT record_id, reason FROM httpproxy.dirty ORDER BY 1")
    assert marks == [
        {"record_id": "", "reason": "linked"},
        {"record_id": "rec1", "reason": "a cell is loading"},
    ]
    nothing = Change(dirty=(Dirty(TASKS.id, ("rec2",), "again"),))
    await loader.load(Commit(world.tables, nothing, 0, world.sync.id, "sync", "r"))
    assert len(await world.ask("SELECT FROM httpproxy.dirty")) == 3


async def test_a_page_with_an_unknown_collection_is_refused_whole(
    world: World, loader: Loader
) -> None:
    for kind in (ImageKind.REPLACE, ImageKind.DELETE):
        with pytest.raises(LookupError, match="tblOther"):
            await load(world, loader, *numbered(0, 3), Image("tblOther", ("rec1",), kind))
    assert await world.rows() == {}


# The interval rule --------------------------------------------------------------------


async def test_a_record_that_was_written_while_the_page_was_read_is_left_as_it_is(
    world: World, committer: Committer, loader: Loader
) -> None:
    start = committer.clock()
    await world.apply(committer, image("rec0003", name="written"), deletion("rec0004"))
    applied = await load(world, loader, *numbered(0, 10), start=start)
    assert applied.rows == 8
    assert {i.record_id for i in applied.overlaps} == {"rec0003", "rec0004"}
    names = await world.names()
    assert names["rec0003"] == "written"
    assert "rec0004" not in names, "a stale page revives nothing"
    assert len(names) == 9


async def test_a_page_that_began_later_brings_known_records_up_to_date(
    world: World, committer: Committer, loader: Loader
) -> None:
    await load(world, loader, *numbered(0, 10))
    await world.apply(committer, deletion("rec0004"))
    seen = committer.clock()
    changed = numbered(0, 12)
    changed[3] = image("rec0003", name="edited elsewhere")
    assert (await load(world, loader, *changed, start=seen)).rows == 12
    assert (await world.names())["rec0003"] == "edited elsewhere"
    later = [e for e in (await world.events())[11:] if e[0] != "rec0003"]
    assert later == [(f"rec{n:04}", "created") for n in (10, 11)] + [("rec0004", "created")]


async def test_a_newer_version_is_taken_and_an_older_one_is_not(
    world: World, committer: Committer, loader: Loader
) -> None:
    start = committer.clock()
    await world.apply(
        committer,
        image("rec1", name="old", updated_at=OLD),
        image("rec2", name="new", updated_at=NEW),
    )
    newer = image("rec1", name="newer", updated_at=NEW)
    older = image("rec2", name="older", updated_at=OLD)
    assert await load(world, loader, newer, older, start=start) == Applied(2)
    assert await world.names() == {"rec1": "newer", "rec2": "new"}


async def test_pages_and_writes_at_once_never_put_an_older_image_over_a_newer_one(
    world: World, committer: Committer, loader: Loader
) -> None:
    """An upstream that counts; pages are read while its records are written."""
    upstream = {f"rec{n}": 0 for n in range(40)}

    async def settle(commit: Any, seen: list[Image], start: int) -> None:
        applied = await commit(world.commit(*seen, start=start))
        while applied.overlaps:
            start = committer.clock()
            again = [
                image(i.record_id, name=f"{upstream[i.record_id]:04}") for i in applied.overlaps
            ]
            applied = await committer.commit(world.commit(*again, start=start))

    async def write(record: str) -> None:
        start = committer.clock()
        await asyncio.sleep(0)
        upstream[record] += 1
        seen = image(record, name=f"{upstream[record]:04}")
        await asyncio.sleep(0.001)
        await settle(committer.commit, [seen], start)

    async def read_pages(offset: int) -> None:
        for turn in range(8):
            start = committer.clock()
            first = (offset + turn * 7) % 30
            seen = [
                image(f"rec{n}", name=f"{upstream[f'rec{n}']:04}")
                for n in range(first, first + 10)
            ]
            await asyncio.sleep(0.001 * (turn % 3))
            await settle(loader.load, seen, start)

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        for n in range(120):
            tasks.create_task(write(f"rec{n * 7 % 40}"))
        for n in range(4):
            tasks.create_task(read_pages(n * 8))
    assert await world.names() == {record: f"{n:04}" for record, n in upstream.items()}
    told = await world.ask(
        "SELECT upstream_id, data->>'name' AS name FROM httpproxy.event ORDER BY seq"
    )
    for record in upstream:
        history = [row["name"] for row in told if row["upstream_id"] == record]
        assert history == sorted(set(history)), "a row went back, or an event was told twice"


async def test_pages_of_the_same_records_at_once_do_not_deadlock(
    world: World, loader: Loader, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "httpproxy.store.commits.bulk")
    for turn in range(4):
        up = numbered(turn * 1000, turn * 1000 + 400)
        async with asyncio.timeout(60):
            applied = await asyncio.gather(
                load(world, loader, *up), load(world, loader, *reversed(up))
            )
        assert [one.rows + len(one.overlaps) for one in applied] == [400, 400]
    assert len(await world.events()) == len(await world.rows()) == 1600
    assert "with care" not in caplog.text, "they wait for each other in one order"


# What Postgres does not take -----------------------------------------------------------


async def test_one_value_that_does_not_fit_costs_the_page_nothing_else(
    world: World, committer: Committer, loader: Loader
) -> None:
    images = numbered(0, 20, due="2024-01-01")
    images[7] = image("rec0007", name="a", due="2024-13-01")
    assert await load(world, loader, *images) == Applied(20)
    undated = {r["id"]: r["_extra"] for r in (await world.rows()).values() if not r["due_date"]}
    assert undated == {"rec0007": {"Due Date": "2024-13-01"}}
    assert committer.misfits == 1


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"], ids=["NUL", "lone surrogate"])
async def test_text_that_postgres_cannot_hold_is_repaired(
    text: str, world: World, loader: Loader
) -> None:
    images = [*numbered(0, 10), image("rec5x", name=text, blob={text: 1})]
    assert await load(world, loader, *images) == Applied(11)
    row = (await world.rows())["rec5x"]
    assert (row["name"], row["blob"]) == ("a\ufffdb", {"a\ufffdb": 1})


async def test_huge_values_are_kept(world: World, loader: Loader) -> None:
    text = "x" * 5_000_000
    deep: JSON = "core"
    for _ in range(1000):
        deep = [deep]
    images = [*numbered(0, 5), image("big", name=text), image("long", amount=10**500)]
    assert await load(world, loader, *images, image("deep", blob=deep)) == Applied(8)
    rows = await world.rows()
    assert rows["big"]["name"] == text
    assert rows["long"]["amount"] == 10**500
    assert "core" in str(rows["deep"]["blob"])


@pytest.mark.parametrize(
    "rule", ["CHECK (name <> 'rec0005')", "UNIQUE (amount) DEFERRABLE INITIALLY DEFERRED"]
)
async def test_what_the_users_rules_refuse_is_set_aside_alone(
    rule: str, world: World, loader: Loader
) -> None:
    await world.ask(f"ALTER TABLE {world.table} ADD {rule}")
    images = numbered(0, 20)
    images[4:6] = page("rec0004", "rec0005", amount=5)
    with pytest.raises(SetAside):
        await load(world, loader, *images)
    kept = await world.ask("SELECT record_id FROM httpproxy.quarantine")
    assert kept == [{"record_id": "rec0005"}]
    assert len(await world.rows()) == len(await world.events()) == 19
    assert (await load(world, loader, *numbered(20, 40))).rows == 20


async def test_a_row_without_a_meta_row_is_brought_up_to_date(
    world: World, loader: Loader
) -> None:
    await load(world, loader, *numbered(0, 10))
    await world.ask("DELETE FROM httpproxy.meta")
    changed = [*numbered(0, 9), image("rec0009", name="edited")]
    assert await load(world, loader, *changed) == Applied(10)
    assert (await world.events())[10:] == [("rec0009", "updated")]


# Tables that are not as they were ---------------------------------------------------------


async def test_fields_that_swapped_their_names_meanwhile_keep_their_values(
    world: World, loader: Loader
) -> None:
    note = Field("f_note", "Note", "string", ColumnType.TEXT)
    before = replace(TASKS, fields=(*FIELDS, note))
    world.tables = await followed(world.registry, world.sync, (before, PAIRS))
    swapped = {"f_name": "Note", "f_note": "Name"}
    after = tuple(replace(f, name=swapped.get(f.id, f.name)) for f in before.fields)
    await followed(world.registry, world.sync, (replace(before, fields=after), PAIRS))
    assert await load(world, loader, *page("rec1", name="n", note="b")) == Applied(1)
    row = await world.row()
    assert (row["note"], row["name"]) == ("n", "b")


async def test_a_value_that_was_read_by_a_name_of_later_fills_its_column(
    world: World, committer: Committer, loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone(committer, monkeypatch)
    early = image("rec1", name="a", extra={"Amount": 7, "Due Date": "soon", "Odd": 1})
    assert await load(world, loader, early) == Applied(1)
    row = await world.row()
    assert (row["amount"], row["_extra"]) == (7, {"Due Date": "soon", "Odd": 1})


async def test_a_field_without_a_column_is_kept_in_extra(
    world: World, committer: Committer, loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone(committer, monkeypatch)
    table = world.tables.tables[TASKS.id]
    narrow = replace(table, columns=tuple(c for c in table.columns if c.name != "blob"))
    world.tables = replace(world.tables, tables={TASKS.id: narrow})
    values: dict[str, JSON] = {**dict.fromkeys(f.id for f in FIELDS), "f_blob": [1]}
    one = replace(image("rec1"), values=values)
    other = replace(image("rec2"), values={k: v for k, v in values.items() if k != "$id"})
    assert await load(world, loader, one, other) == Applied(2)
    for row in (await world.rows()).values():
        assert (row["blob"], row["_extra"]) == (None, {"Blob": [1]})


async def test_a_table_or_column_that_the_user_dropped_is_made_again(
    world: World, loader: Loader
) -> None:
    await load(world, loader, *numbered(0, 10))
    await world.ask(f"ALTER TABLE {world.table} DROP COLUMN amount")
    assert await load(world, loader, *numbered(10, 20, amount=1)) == Applied(10)
    assert {r["amount"] for r in (await world.rows()).values()} == {None, 1}
    await world.ask(f"DROP TABLE {world.table}")
    assert await load(world, loader, *numbered(20, 30)) == Applied(10)
    assert len(await world.rows()) == 10
    assert await world.ask("SELECT record_id FROM httpproxy.dirty") == [{"record_id": ""}]


async def test_a_column_whose_type_the_user_changed_is_not_rounded_to_it(
    world: World, loader: Loader
) -> None:
    await world.ask(f"ALTER TABLE {world.table} ALTER amount TYPE integer")
    await world.ask(f"ALTER TABLE {world.table} ALTER seen_at TYPE text")
    moment = "2024-05-01T10:00:00+02:00"
    images = page("rec1", "rec2", amount=2.7, seen=moment)
    assert await load(world, loader, *images) == Applied(2)
    row = await world.row()
    assert (row["amount"], row["_extra"]) == (None, {"Amount": 2.7})
    assert row["seen_at"] == moment


async def test_a_locked_table_delays_its_page_only(
    world: World, committer: Committer, loader: Loader
) -> None:
    connection = await psycopg.AsyncConnection.connect(world.dsn)
    async with connection, asyncio.TaskGroup() as tasks:
        await connection.execute(f"LOCK TABLE {world.table}")
        held = tasks.create_task(load(world, loader, *numbered(0, 20)))
        pairs = [Image(PAIRS.id, (f"{n}", "7"), ImageKind.REPLACE, {}) for n in range(20)]
        await asyncio.sleep(0.05)
        async with asyncio.timeout(60):
            assert (await load(world, loader, *pairs)).rows == 20
        assert not held.done()
        await connection.rollback()
        async with asyncio.timeout(60):
            assert (await held).rows == 20


# A database that goes away -----------------------------------------------------------------


async def test_a_page_whose_connection_is_lost_is_reported_and_can_be_loaded_again(
    world: World, loader: Loader
) -> None:
    await load(world, loader, *numbered(0, 10))
    await world.ask(KILL)
    with pytest.raises(Unavailable):
        await load(world, loader, *numbered(10, 20))
    assert await load(world, loader, *numbered(10, 20)) == Applied(10)
    assert len(await world.events()) == len(await world.rows()) == 20


async def test_connections_that_die_in_the_middle_lose_and_repeat_nothing(
    world: World, loader: Loader
) -> None:
    async def kill() -> None:
        for _ in range(8):
            await asyncio.sleep(0.03)
            await world.ask(KILL)

    async def list_pages(first: int) -> None:
        for n in range(first, first + 400, 50):
            done = False
            while not done:
                try:
                    await load(world, loader, *numbered(n, n + 50))
                    done = True
                except Unavailable:
                    await asyncio.sleep(0.01)

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(kill())
        for n in range(4):
            tasks.create_task(list_pages(n * 400))
    assert len(await world.rows()) == 1600
    assert sorted(await world.events()) == [(f"rec{n:04}", "created") for n in range(1600)]


async def test_a_page_that_breaks_every_connection_is_set_aside_in_the_end(
    world: World, committer: Committer, loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("httpproxy.store.commits.commit.GIVE_UP", 4)
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
    for _ in range(3):
        with pytest.raises(Unavailable):
            await load(world, loader, image(name="bomb"))
    async with asyncio.timeout(60):
        with pytest.raises(SetAside):
            await load(world, loader, image(name="bomb"))
    assert await load(world, loader, *numbered(0, 10)) == Applied(10)


async def test_a_database_that_was_put_back_is_told_the_time(
    world: World, committer: Committer, loader: Loader
) -> None:
    for n in range(5):
        await load(world, loader, *numbered(n, n + 1))
    seen = committer.clock()
    await world.ask("SELECT setval('httpproxy.clock', 1)")
    await world.ask(KILL)
    with pytest.raises(Unavailable):
        await load(world, loader, *numbered(10, 20))
    # It was read while the database was of another history: it is to be read again.
    assert (await load(world, loader, *numbered(10, 20))).rows == 0
    began = committer.clock()
    assert began > seen
    assert await load(world, loader, *numbered(10, 20), start=began) == Applied(10)
    ends = await world.ask("SELECT end_seq FROM httpproxy.meta WHERE record_id = 'rec0010'")
    assert ends[0]["end_seq"] > seen


async def test_a_load_that_is_given_up_leaves_no_connection_in_an_unknown_state(
    world: World, loader: Loader
) -> None:
    await load(world, loader, *numbered(0, 10))
    connection = await psycopg.AsyncConnection.connect(world.dsn)
    async with connection:
        await connection.execute(f"LOCK TABLE {world.table}")
        for n in range(5):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await load(world, loader, *numbered(20 + n, 30 + n))
            assert repr(loader) == "Loader(idle=0)"
    async with asyncio.timeout(60):
        assert await load(world, loader, *numbered(40, 50)) == Applied(10)
    assert len(await world.rows()) == len(await world.events())


async def test_whoever_waits_for_commits_hears_of_groups_and_of_pages(
    world: World, committer: Committer, loader: Loader
) -> None:
    heard: list[str] = []
    committer.heard = lambda: heard.append("committed")
    await load(world, loader, image("a", name="1"))
    assert len(heard) == 1
    await world.apply(committer, image("a", name="2"))
    assert len(heard) == 2
