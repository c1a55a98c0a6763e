"""Intents: begun, ended, doubted, looked at, adopted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from httpproxy.store.intents import pen
from httpproxy.store.intents.book import Intents
from httpproxy.store.intents.ledger import CLAIM_SECONDS, Ledger
from tests.store.intending import REQUEST, SYNC, ask, call, live, settled, states, until
from tests.store.world import World

NAME = "substring(call FROM 'Request-Id: ([a-z0-9 ]+)') AS name"


@pytest.fixture
async def intents(database_dsn: str) -> AsyncIterator[Intents]:
    await live(database_dsn, 7)
    async with Intents(database_dsn, lambda: 7) as intents:
        yield intents


async def test_an_intent_stands_when_begin_returns(intents: Intents, database_dsn: str) -> None:
    begun = await intents.begin(call("r1", start=99))
    assert begun >> 32 == 7
    rows = await ask(database_dsn, "SELECT * FROM httpproxy.intent")
    assert [(row["id"], row["process"], row["state"]) for row in rows] == [(begun, 7, "sent")]
    assert rows[0]["call"].startswith(
        f"PATCH https://{REQUEST.host}{REQUEST.target}\nClock: 99\n"
    )
    assert "planted" not in str(rows), "a credential is never kept"


async def test_a_doubt_tells_the_request_as_it_was(intents: Intents) -> None:
    begun = await intents.begin(call("r1", start=99))
    assert await intents.due() == [], "nobody doubts it"
    intents.doubt(begun, "no answer \0\udce9")
    await settled(intents._pen._dsn, {begun: "uncertain"})
    (doubt,) = await intents.due()
    assert (doubt.id, doubt.sync_id, doubt.start, doubt.request_id) == (begun, SYNC, 99, "r1")
    assert (doubt.looks, doubt.keyed, doubt.why) == (0, False, "no answer \\x00\\udce9")
    told = doubt.request
    assert (told.method, told.host, told.target) == ("PATCH", REQUEST.host, REQUEST.target)
    assert told.body == REQUEST.body
    assert list(told.headers.items()) == [
        ("Content-Type", "application/json; charset=utf-8"),
        ("Content-Encoding", "gzip"),
    ]
    moment = await ask(intents._pen._dsn, "SELECT extract(epoch FROM now())::float8 AS now")
    assert 0 <= moment[0]["now"] - doubt.began_at < 60


async def test_an_intent_that_ends_is_gone(intents: Intents, database_dsn: str) -> None:
    first, second = await intents.begin(call("r1")), await intents.begin(call("r2"))
    intents.end(first)
    await settled(database_dsn, {second: "sent"})


async def test_begins_at_once_share_transactions_and_each_has_its_own_id(
    intents: Intents, database_dsn: str
) -> None:
    begun = await asyncio.gather(*(intents.begin(call(f"r{n}")) for n in range(300)))
    rows = await ask(database_dsn, f"SELECT id, {NAME}, xmin::text FROM httpproxy.intent")
    assert {row["name"]: row["id"] for row in rows} == {
        f"r{n}": each for n, each in enumerate(begun)
    }
    assert len({row["xmin"] for row in rows}) < 20


async def test_a_large_group_is_sent_and_taken_in_by_parts(
    intents: Intents, database_dsn: str
) -> None:
    big = call("big")
    large = type(big)(SYNC, type(REQUEST)("POST", "h", "/", body=b"x" * 3_000_000), 1, "r")
    begun = await asyncio.gather(*(intents.begin(large) for _ in range(5)))
    rows = await ask(database_dsn, "SELECT id, length(body) AS size FROM httpproxy.intent")
    assert {row["id"]: row["size"] for row in rows} == dict.fromkeys(begun, 3_000_000)


async def test_an_intent_is_handed_out_once_and_again_when_its_time_has_come(
    intents: Intents, database_dsn: str
) -> None:
    begun = await intents.begin(call())
    intents.doubt(begun, "5xx")
    await settled(database_dsn, {begun: "uncertain"})
    assert [doubt.id for doubt in await intents.due()] == [begun]
    assert await intents.due() == [], "it is being looked at"
    await intents.looked(begun, "not there yet", 0.0)
    (doubt,) = await intents.due()
    assert (doubt.looks, doubt.why) == (1, "not there yet")
    await intents.looked(begun, "not there yet", 60.0)
    assert await intents.due() == []
    (listed,) = await intents.open()
    assert listed.due_in is not None
    assert 50 < listed.due_in < 61
    await intents.looked(begun, "found", None, outcome="applied", records=["rec1"])
    assert await states(database_dsn) == {}


async def test_what_nobody_finishes_looking_at_is_handed_out_again(
    intents: Intents, database_dsn: str
) -> None:
    begun = await intents.begin(call())
    intents.doubt(begun, "5xx")
    await settled(database_dsn, {begun: "uncertain"})
    assert len(await intents.due()) == 1
    lapsed = f"UPDATE httpproxy.intent SET due_at = due_at - interval '{CLAIM_SECONDS} s'"
    await ask(database_dsn, lapsed)
    assert len(await intents.due()) == 1


async def test_two_processes_adopt_each_intent_of_a_dead_one_exactly_once(
    database_dsn: str,
) -> None:
    await live(database_dsn, 4, 6)
    async with Intents(database_dsn, lambda: 5) as dead:
        sent = [await dead.begin(call(f"r{n}")) for n in range(30)]
        doubted = [await dead.begin(call(f"d{n}")) for n in range(10)]
        for each in doubted:
            dead.doubt(each, "5xx")
    async with Intents(database_dsn, lambda: 6) as other:
        alive = await other.begin(call("alive"))

    async def adopt(number: int) -> list[int]:
        found: list[int] = []
        async with Ledger(database_dsn) as ledger:
            while taken := await ledger.due(number, 3):
                found += [doubt.id for doubt in taken]
        return found

    first, second = await asyncio.gather(adopt(4), adopt(6))
    assert sorted(first + second) == sorted(sent + doubted), "each once, and not the living"
    assert first
    assert second
    rows = await ask(database_dsn, "SELECT id, process, state, why FROM httpproxy.intent")
    owners = {row["id"]: (row["process"], row["state"]) for row in rows}
    assert owners.pop(alive) == (6, "sent")
    assert owners == dict.fromkeys(first, (4, "uncertain")) | dict.fromkeys(
        second, (6, "uncertain")
    )
    whys = {row["id"]: row["why"] for row in rows}
    assert {whys[each] for each in sent} == {"the process that sent it is gone"}
    assert {whys[each] for each in doubted} == {"5xx"}


async def test_what_somebody_else_holds_keeps_nobody_waiting(database_dsn: str) -> None:
    await live(database_dsn, 5)
    async with Intents(database_dsn, lambda: 4) as dead:
        begun = [await dead.begin(call(f"r{n}")) for n in range(4)]
        for each in begun[:2]:
            dead.doubt(each, "5xx")
    async with (
        await psycopg.AsyncConnection.connect(database_dsn) as holder,
        Ledger(database_dsn) as ledger,
    ):
        held = [begun[0], begun[2]]
        await holder.execute(
            "SELECT FROM httpproxy.intent WHERE id = ANY(%s) FOR UPDATE", [held]
        )
        assert {doubt.id for doubt in await ledger.due(5, 20)} == {begun[1], begun[3]}


async def test_intents_before_and_after_all_living_numbers_are_adopted(
    database_dsn: str,
) -> None:
    await live(database_dsn, 5)
    begun = []
    for number in (1, 4, 5, 6, 2**31 - 1):
        async with Intents(database_dsn, lambda number=number: number) as intents:
            begun.append(await intents.begin(call(f"of {number}")))
    async with Ledger(database_dsn) as ledger:
        taken = {doubt.id for doubt in await ledger.due(5, 20)}
    assert taken == {begun[0], begun[1], begun[3], begun[4]}


async def test_an_adopted_intent_keeps_the_time_of_its_next_look(database_dsn: str) -> None:
    await live(database_dsn, 5)
    async with Intents(database_dsn, lambda: 4) as dead:
        begun = await dead.begin(call())
        dead.doubt(begun, "5xx")
        await settled(database_dsn, {begun: "uncertain"})
        await dead.looked(begun, "not there", 300.0)
    async with Ledger(database_dsn) as ledger:
        assert await ledger.due(5, 20) == []
        await ask(database_dsn, "UPDATE httpproxy.intent SET due_at = now()")
        assert [(doubt.id, doubt.looks) for doubt in await ledger.due(5, 20)] == [(begun, 1)]


async def test_what_this_process_has_forgotten_for_an_hour_is_looked_at(
    intents: Intents, database_dsn: str
) -> None:
    old, young = await intents.begin(call("old")), await intents.begin(call("young"))
    await live(database_dsn, 8)
    async with Intents(database_dsn, lambda: 8) as other:
        theirs = await other.begin(call("theirs"))
    older = "UPDATE httpproxy.intent SET began_at = began_at - %s::interval WHERE id = %s"
    await ask(database_dsn, older, "61 min", old)
    await ask(database_dsn, older, "59 min", young)
    await ask(database_dsn, older, "61 min", theirs)
    assert [doubt.id for doubt in await intents.due()] == [old]


async def test_a_process_that_has_another_number_begins_under_it_and_ends_the_old(
    database_dsn: str,
) -> None:
    number = 7
    async with Intents(database_dsn, lambda: number) as intents:
        before = await intents.begin(call("before"))
        number = 9
        after = await intents.begin(call("after"))
        assert (before >> 32, after >> 32) == (7, 9)
        intents.end(before)
        await settled(database_dsn, {after: "sent"})


async def test_a_doubt_about_what_another_has_adopted_leaves_it_there(
    intents: Intents, database_dsn: str
) -> None:
    begun = await intents.begin(call())
    await ask(database_dsn, "DELETE FROM httpproxy.process")
    await live(database_dsn, 8)
    async with Ledger(database_dsn) as other:
        assert len(await other.due(8, 20)) == 1
    intents.doubt(begun, "timeout")
    intents.end(await intents.begin(call("later")))
    await settled(database_dsn, {begun: "uncertain"})
    assert await intents.due() == []
    (listed,) = await intents.open()
    assert (listed.process, listed.why) == (8, "the process that sent it is gone")


async def test_intents_are_listed_and_counted(intents: Intents, database_dsn: str) -> None:
    assert await intents.count() == {"open": 0, "uncertain": 0, "oldest_seconds": 0.0}
    first = await intents.begin(call("r1"))
    await ask(database_dsn, "UPDATE httpproxy.intent SET began_at = now() - interval '90 s'")
    second = await intents.begin(call("r2", sync_id="sync_other"))
    intents.doubt(second, "503")
    await settled(database_dsn, {first: "sent", second: "uncertain"})
    counted = await intents.count()
    assert (counted["open"], counted["uncertain"]) == (2, 1)
    assert 89 < counted["oldest_seconds"] < 120
    one, two = await intents.open()
    assert (one.id, one.method, one.path) == (first, "PATCH", "/v0/appX/Tasks/rec1")
    assert (one.state, one.due_in, one.request_id) == ("sent", None, "r1")
    assert (two.id, two.state, two.why, two.sync_id) == (
        second,
        "uncertain",
        "503",
        "sync_other",
    )
    assert [each.id for each in await intents.open(limit=1)] == [first]
    async with Ledger(database_dsn) as ledger:
        assert [each.id for each in await ledger.open(sync_id="sync_other")] == [second]


async def test_a_deleted_sync_takes_its_intents_and_keys_with_it(world: World) -> None:
    async with Intents(world.dsn, lambda: 7) as intents:
        await intents.begin(call("r1", "key", sync_id=world.sync.id))
        other = await intents.begin(call("r2", "key", sync_id="sync_other"))
        await world.registry.delete_sync(world.sync, drop_tables=True)
        assert await states(world.dsn) == {other: "sent"}
        assert await intents.kept(world.sync.id, "key") is None
        assert await intents.kept("sync_other", "key") is not None


SEEN = f"""
    CREATE TABLE public.seen (name text);
    CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO public.seen SELECT {NAME} FROM (SELECT new.*) AS n; RETURN new; END $$;
    CREATE TRIGGER note AFTER INSERT ON httpproxy.intent
        FOR EACH ROW EXECUTE FUNCTION public.note()
"""


async def test_a_caller_that_gives_up_leaves_no_intent(
    intents: Intents, database_dsn: str
) -> None:
    await ask(database_dsn, SEEN)
    async with await psycopg.AsyncConnection.connect(database_dsn) as holder:
        await holder.execute("LOCK TABLE public.seen")
        sent = asyncio.ensure_future(intents.begin(call("sent")))

        async def waits() -> object:
            return await ask(database_dsn, "SELECT FROM pg_locks WHERE NOT granted")

        await until(waits)
        queued = asyncio.ensure_future(intents.begin(call("queued")))
        await asyncio.sleep(0.05)
        sent.cancel()
        queued.cancel()
    await asyncio.wait([sent, queued])
    kept = await intents.begin(call("kept"))
    await settled(database_dsn, {kept: "sent"})
    rows = await ask(database_dsn, "SELECT name FROM public.seen ORDER BY 1")
    assert [row["name"] for row in rows] == ["kept", "sent"], (
        "one that had left is ended, one that had not is never written"
    )


async def test_a_caller_cancelled_as_its_intent_is_written_leaves_none(
    intents: Intents, database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell = pen._tell

    def tell_and_cancel(*arguments: object) -> bool:
        told = tell(*arguments)
        task.cancel()
        return told

    monkeypatch.setattr(pen, "_tell", tell_and_cancel)
    task = asyncio.ensure_future(intents.begin(call()))
    await asyncio.wait([task])
    assert task.cancelled()
    monkeypatch.undo()
    kept = await intents.begin(call("kept"))
    await settled(database_dsn, {kept: "sent"})
