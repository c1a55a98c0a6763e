"""An intent ends with the commit of its answer: both, or none."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace

import psycopg
import pytest

from httpproxy.store.commits.commit import Applied, Commit, Committer
from httpproxy.store.errors import Forgotten, SetAside
from httpproxy.store.intents.book import Intents
from httpproxy.store.intents.values import Kept
from providers.http import Response
from providers.record import Change, Dirty, Image
from tests.store.intending import ANSWER, KILL, call, states, until
from tests.store.world import TASKS, World, deletion, image


@pytest.fixture
async def intents(world: World) -> AsyncIterator[Intents]:
    async with Intents(world.dsn, lambda: 7) as intents:
        yield intents


def answered(
    world: World, images: tuple[Image, ...], start: int, intent: int, answer: Response | None
) -> Commit:
    return replace(world.commit(*images, start=start), intent=intent, answer=answer)


async def begin(world: World, intents: Intents, key: str | None = None) -> int:
    return await intents.begin(call("r1", key, sync_id=world.sync.id))


async def kept(world: World, intents: Intents) -> Kept:
    found = await intents.kept(world.sync.id, "key")
    assert found is not None
    return found


async def test_the_transaction_of_the_images_ends_the_intent_and_keeps_the_answer(
    world: World, committer: Committer, intents: Intents
) -> None:
    start, begun = committer.clock(), await begin(world, intents, "key")
    other = await begin(world, intents)
    applied = await committer.commit(
        answered(world, (image(name="a"), image("rec2", name="b")), start, begun, ANSWER)
    )
    assert applied == Applied(2)
    assert await states(world.dsn) == {other: "sent"}
    told = await kept(world, intents)
    assert (told.state, told.response) == ("answered", ANSWER)
    assert told.response is not None
    assert told.response.body == ANSWER.body
    rows = await world.ask(
        "SELECT m.xmin = k.xmin AS same FROM httpproxy.meta m, httpproxy.idempotency k"
    )
    assert [row["same"] for row in rows] == [True, True], "one transaction"


async def test_kills_at_any_moment_leave_the_intent_or_the_row_never_both_nor_none(
    world: World, committer: Committer, intents: Intents
) -> None:
    begun: dict[str, int] = {}
    looks = 0

    async def write(n: int) -> None:
        for turn in range(6):
            record = f"rec{n}t{turn}"
            start, intent = committer.clock(), await begin(world, intents)
            begun[record] = intent
            applied = await committer.commit(
                answered(world, (image(record, name="x"),), start, intent, None)
            )
            assert applied.rows == 1

    async def kill() -> None:
        for _ in range(10):
            await asyncio.sleep(0.03)
            await world.ask(KILL)

    async def look() -> None:
        nonlocal looks
        while writing:
            known = dict(begun)
            rows = await world.ask(
                f"SELECT id AS record, 0 AS intent FROM {world.table}"
                " UNION ALL SELECT NULL, id FROM httpproxy.intent"
            )
            records = {row["record"] for row in rows if row["record"]}
            open_ = {row["intent"] for row in rows if row["intent"]}
            for record, intent in known.items():
                assert (record in records) != (intent in open_), "one of them, in one glance"
            looks += 1

    writing = True
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(look())
        async with asyncio.TaskGroup() as writers:
            writers.create_task(kill())
            for n in range(20):
                writers.create_task(write(n))
        writing = False
    assert looks > 3
    assert len(await world.rows()) == 120
    assert await states(world.dsn) == {}


async def test_an_overlap_leaves_the_intent_and_the_read_back_ends_it(
    world: World, committer: Committer, intents: Intents
) -> None:
    start, begun = committer.clock(), await begin(world, intents, "key")
    await world.apply(committer, image("rec1", name="other"))
    both = (image("rec1", name="mine"), image("rec2", name="b"))
    applied = await committer.commit(answered(world, both, start, begun, ANSWER))
    assert [each.record_id for each in applied.overlaps] == ["rec1"]
    assert await states(world.dsn) == {begun: "sent"}
    assert (await kept(world, intents)).state == "in_flight"
    again = answered(world, (image("rec1", name="read"),), committer.clock(), begun, ANSWER)
    assert await committer.commit(again) == Applied(1)
    assert await states(world.dsn) == {}
    assert (await kept(world, intents)).response == ANSWER


async def test_an_overlap_beside_it_in_the_batch_keeps_no_intent_back(
    world: World, committer: Committer, intents: Intents
) -> None:
    start = committer.clock()
    one, two = await begin(world, intents, "key"), await begin(world, intents)
    await world.apply(committer, image("rec1", name="other"))
    overlapping, fine = await asyncio.gather(
        committer.commit(answered(world, (image("rec1", name="a"),), start, one, ANSWER)),
        committer.commit(answered(world, (image("rec2", name="b"),), start, two, None)),
    )
    assert overlapping.overlaps
    assert fine == Applied(1)
    assert await states(world.dsn) == {one: "sent"}
    assert (await kept(world, intents)).state == "in_flight"


async def test_a_refused_image_that_can_be_put_in_order_ends_the_intent(
    world: World, committer: Committer, intents: Intents
) -> None:
    start, begun = committer.clock(), await begin(world, intents, "key")
    await world.apply(committer, image(name="same"))
    again = answered(world, (image(name="same"),), start, begun, ANSWER)
    assert (await committer.commit(again)).overlaps == ()
    assert await states(world.dsn) == {}
    assert (await kept(world, intents)).response == ANSWER


async def test_an_overlap_that_nobody_waits_for_is_marked_and_then_the_intent_ends(
    world: World, committer: Committer, intents: Intents
) -> None:
    start, begun = committer.clock(), await begin(world, intents, "key")
    await world.apply(committer, image(name="other"))
    task = asyncio.ensure_future(
        committer.commit(answered(world, (image(name="mine"),), start, begun, ANSWER))
    )
    await asyncio.sleep(0)
    task.cancel()

    async def is_ended() -> bool:
        return await states(world.dsn) == {}

    await until(is_ended)
    marks = await world.ask("SELECT key, reason FROM httpproxy.dirty")
    assert marks == [{"key": ["rec1"], "reason": "overlapping answers"}]
    assert (await kept(world, intents)).response == ANSWER


async def test_marks_of_what_is_locked_wait_for_it(
    world: World, committer: Committer, intents: Intents
) -> None:
    start, begun = committer.clock(), await begin(world, intents)
    await world.apply(committer, image(name="other"))
    async with await psycopg.AsyncConnection.connect(world.dsn) as holder:
        await holder.execute("SELECT FROM httpproxy.collection FOR UPDATE")
        task = asyncio.ensure_future(
            committer.commit(answered(world, (image(name="mine"),), start, begun, None))
        )
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0.6)
        assert await states(world.dsn) == {begun: "sent"}
    await world.apply(committer, image("rec2", name="goes on"))

    async def is_ended() -> bool:
        return await states(world.dsn) == {}

    await until(is_ended)
    assert len(await world.ask("SELECT FROM httpproxy.dirty")) == 1


async def test_what_the_table_refuses_ends_the_intent_and_is_marked(
    world: World, committer: Committer, intents: Intents
) -> None:
    await world.ask(f"ALTER TABLE {world.table} ADD CHECK (name <> 'bad')")
    begun = await begin(world, intents, "key")
    with pytest.raises(SetAside):
        await committer.commit(
            answered(world, (image(name="bad"),), committer.clock(), begun, ANSWER)
        )
    assert await states(world.dsn) == {}
    assert (await kept(world, intents)).response == ANSWER
    assert len(await world.ask("SELECT FROM httpproxy.dirty")) == 1


async def test_an_answer_of_which_a_part_is_refused_ends_its_intent_with_the_last_part(
    world: World, committer: Committer, intents: Intents
) -> None:
    await world.ask(f"ALTER TABLE {world.table} ADD CHECK (name <> 'bad')")
    await world.ask("""
        CREATE TABLE public.ended (rows bigint);
        CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            INSERT INTO public.ended SELECT count(*) FROM httpproxy.quarantine;
            RETURN old;
        END $$;
        CREATE TRIGGER note AFTER DELETE ON httpproxy.intent
            FOR EACH ROW EXECUTE FUNCTION public.note()
    """)
    begun = await begin(world, intents, "key")
    images = (image("rec1", name="good"), image("rec2", name="bad"))
    with pytest.raises(SetAside):
        await committer.commit(answered(world, images, committer.clock(), begun, ANSWER))
    assert await states(world.dsn) == {}
    assert await world.ask("SELECT rows FROM public.ended") == [{"rows": 1}]
    assert (await kept(world, intents)).response == ANSWER


async def test_a_part_that_is_refused_beside_one_that_overlaps_loses_neither(
    world: World, committer: Committer, intents: Intents
) -> None:
    start, begun = committer.clock(), await begin(world, intents)
    await world.apply(committer, image("rec1", name="other"))
    await world.ask(f"ALTER TABLE {world.table} ADD CHECK (name <> 'bad')")
    images = (image("rec1", name="overlaps"), image("rec2", name="bad"))
    with pytest.raises(SetAside):
        await committer.commit(answered(world, images, start, begun, None))

    async def is_ended() -> bool:
        return await states(world.dsn) == {}

    await until(is_ended)
    marks = await world.ask("SELECT record_id, reason FROM httpproxy.dirty ORDER BY 1")
    assert [mark["record_id"] for mark in marks] == ["rec1", "rec2"]


async def test_a_commit_of_a_sync_that_was_deleted_meanwhile_ends_its_intent(
    world: World, committer: Committer, intents: Intents
) -> None:
    start = committer.clock()
    await world.registry.delete_sync(world.sync, drop_tables=True)
    begun = await begin(world, intents)
    with pytest.raises(Forgotten):
        await committer.commit(answered(world, (image(name="a"),), start, begun, None))
    assert await states(world.dsn) == {}


@pytest.mark.parametrize(
    "change", [Change(), Change(dirty=(Dirty(TASKS.id, None, "an effect"),))]
)
async def test_an_answer_without_images_ends_its_intent_and_makes_its_marks(
    world: World, committer: Committer, intents: Intents, change: Change
) -> None:
    begun = await begin(world, intents, "key")
    commit = answered(world, (), committer.clock(), begun, ANSWER)
    assert await committer.commit(replace(commit, change=change)) == Applied(0)
    assert await states(world.dsn) == {}
    assert (await kept(world, intents)).response == ANSWER
    assert len(await world.ask("SELECT FROM httpproxy.dirty")) == len(change.dirty)


async def test_a_record_named_by_an_unknown_value_ends_the_intent(
    world: World, committer: Committer, intents: Intents
) -> None:
    begun = await begin(world, intents)
    unknown = replace(image(name="x"), key=(), match=("f_name", "nobody"))
    applied = await committer.commit(
        answered(world, (unknown,), committer.clock(), begun, None)
    )
    assert applied.rows == 0
    assert await states(world.dsn) == {}
    assert len(await world.ask("SELECT FROM httpproxy.dirty")) == 1


async def test_a_locked_intent_holds_up_its_own_commit_only(
    world: World, committer: Committer, intents: Intents
) -> None:
    begun, other = await begin(world, intents), await begin(world, intents)
    async with await psycopg.AsyncConnection.connect(world.dsn) as holder:
        await holder.execute("SELECT FROM httpproxy.intent WHERE id = %s FOR UPDATE", [begun])
        held = asyncio.ensure_future(
            committer.commit(
                answered(world, (image("rec1", name="a"),), committer.clock(), begun, None)
            )
        )
        fine = committer.commit(
            answered(world, (deletion("rec2"),), committer.clock(), other, None)
        )
        async with asyncio.timeout(60):
            await fine
        assert not held.done()
    async with asyncio.timeout(60):
        assert await held == Applied(1)
    assert await states(world.dsn) == {}


async def test_a_commit_tells_how_far_the_log_has_come(
    world: World, committer: Committer
) -> None:
    before = await position(world)
    tokens = [(await world.apply(committer, image(name=f"{n}"))).token for n in range(3)]
    assert all(re.fullmatch("[0-9A-F]+/[0-9A-F]+", token) for token in tokens)
    after = await position(world)
    rows = await world.ask(
        "SELECT %s::pg_lsn < %s::pg_lsn AND %s::pg_lsn < %s::pg_lsn"
        " AND %s::pg_lsn <= %s::pg_lsn AS ordered",
        *(before, tokens[0], tokens[0], tokens[2], tokens[2], after),
    )
    assert rows == [{"ordered": True}]


async def position(world: World) -> str:
    rows = await world.ask("SELECT pg_current_wal_insert_lsn()::text AS lsn")
    return str(rows[0]["lsn"])
