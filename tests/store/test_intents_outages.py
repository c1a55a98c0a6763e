"""Intents when processes are killed, connections lost, and the database is away."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import psycopg
import pytest

from httpproxy.store.database import Database, settle
from httpproxy.store.embedded.server import EmbeddedPostgres
from httpproxy.store.errors import Unavailable
from httpproxy.store.intents import pen
from httpproxy.store.intents.book import Intents
from httpproxy.store.intents.ledger import Ledger
from httpproxy.store.wire import Statement, Wire, open_wire
from tests.store.intending import (
    ANSWER,
    KILL,
    ask,
    call,
    crash,
    live,
    settled,
    states,
    until,
)


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    folder = Path(tempfile.mkdtemp(prefix="httpproxy-intents-"))
    folder.chmod(0o755)
    with EmbeddedPostgres(folder) as server:
        yield server
    shutil.rmtree(folder)


NOTHING: Final = "SELECT"  # a statement that settles nothing

VICTIM = """
import asyncio, sys
from httpproxy.store.intents.book import Intents
from tests.store.intending import call

async def main(dsn):
    async with Intents(dsn, lambda: 3) as intents:
        for n in range(1000):
            print(await intents.begin(call(f"r{n}", f"key {n}")), flush=True)

asyncio.run(main(sys.stdin.readline().strip()))
"""


async def test_what_was_begun_survives_a_kill_of_us_and_a_crash_of_postgres_at_once(
    server: EmbeddedPostgres,
) -> None:
    async with Database(server.dsn):
        pass
    await live(server.dsn, 5)
    victim = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", VICTIM),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert victim.stdin is not None
    assert victim.stdout is not None
    victim.stdin.write(f"{server.dsn}\n".encode())
    told = [int(await victim.stdout.readline()) for _ in range(20)]
    victim.send_signal(signal.SIGKILL)
    await crash(server.dsn)
    told += [int(line) for line in (await victim.stdout.read()).splitlines()]
    await victim.wait()
    async with Ledger(server.dsn) as ledger:
        adopted = {doubt.id: doubt for doubt in await ledger.due(5, 5000)}
        assert adopted.keys() >= set(told)
        assert all(adopted[each].keyed for each in told)
        assert len(adopted) <= len(told) + 1, "at most the one that was not told yet"


async def test_begins_ends_and_answers_outlast_a_restart_of_the_database(
    server: EmbeddedPostgres,
) -> None:
    async with Database(server.dsn):
        pass
    async with Intents(server.dsn, lambda: 5) as intents:
        ended = await intents.begin(call("ended"))
        answered = await intents.begin(call("answered", "key"))
        doubted = await intents.begin(call("doubted"))
        assert intents.available
        await asyncio.to_thread(server.stop)

        async def is_away() -> bool:
            return not intents.available

        await until(is_away)
        with pytest.raises(Unavailable):
            await intents.due()
        intents.end(ended)
        intents.answer(answered, ANSWER)
        intents.doubt(doubted, "timeout")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await intents.begin(call("given up"))
        waiting = asyncio.ensure_future(intents.begin(call("waiting")))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(60):
            begun = await waiting
        assert intents.available
        await settled(server.dsn, {doubted: "uncertain", begun: "sent"})
        kept = await intents.kept(call().sync_id, "key")
        assert kept is not None
        assert kept.response == ANSWER


async def kill(dsn: str) -> None:
    for _ in range(12):
        await asyncio.sleep(0.03)
        await ask(dsn, KILL)


async def test_connections_that_die_again_and_again_lose_no_intent_and_leave_none(
    database_dsn: str,
) -> None:
    stands: set[int] = set()

    async def write(n: int) -> None:
        for turn in range(8):
            begun = await intents.begin(call(f"{n} {turn}"))
            if turn % 2:
                intents.end(begun)
            else:
                stands.add(begun)
            await asyncio.sleep(0.01)

    async def give_up(n: int) -> None:
        for turn in range(40):
            try:
                async with asyncio.timeout(0.001 * (turn % 8)):
                    intents.end(await intents.begin(call(f"given up {n} {turn}")))
            except TimeoutError:
                await asyncio.sleep(0.005)

    async with Intents(database_dsn, lambda: 7) as intents:
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            tasks.create_task(kill(database_dsn))
            for n in range(20):
                tasks.create_task(write(n))
            for n in range(10):
                tasks.create_task(give_up(n))
        assert len(stands) == 20 * 4
        await settled(database_dsn, dict.fromkeys(stands, "sent"))


def lose_answers(monkeypatch: pytest.MonkeyPatch, times: int) -> list[str]:
    """The connection is lost right after a group was written; nobody hears of it."""
    run, lost = Wire.run, []

    async def run_and_lose(self: Wire, statements: Sequence[Statement]) -> object:
        results = await run(self, statements)
        if any(b"httpproxy.intent (" in text for text, *_ in statements) and len(lost) < times:
            lost.append("begin")
            raise psycopg.OperationalError("lost")
        return results

    monkeypatch.setattr(Wire, "run", run_and_lose)
    return lost


@pytest.mark.parametrize("key", [None, "key"])
async def test_an_intent_whose_writing_nobody_heard_of_is_there_once_and_keeps_its_key(
    database_dsn: str, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    lost = lose_answers(monkeypatch, times=2)
    async with Intents(database_dsn, lambda: 7) as intents, asyncio.timeout(60):
        begun = await intents.begin(call("r1", key))
        assert len(lost) == 2
        assert await states(database_dsn) == {begun: "sent"}


async def test_a_caller_that_gives_up_while_nobody_knows_leaves_no_intent(
    database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = lose_answers(monkeypatch, times=1)
    async with Intents(database_dsn, lambda: 7) as intents:
        task = asyncio.ensure_future(intents.begin(call()))

        async def was_lost() -> object:
            return lost

        await until(was_lost)
        task.cancel()
        await asyncio.wait([task])
        assert len(await states(database_dsn)) == 1, "it was written"
        await settled(database_dsn, {})


async def test_a_full_queue_refuses_while_the_database_is_away(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Database(server.dsn):
        pass
    async with Intents(server.dsn, lambda: 5, queue_intents=3) as intents:
        await asyncio.to_thread(server.stop)
        waiting = [asyncio.ensure_future(intents.begin(call(f"r{n}"))) for n in range(3)]
        await asyncio.sleep(0.1)
        assert intents.waiting == 3
        with pytest.raises(Unavailable):
            async with asyncio.timeout(60):
                await intents.begin(call("one too many"))
        monkeypatch.setattr(pen, "QUEUE_BYTES", 700)
        waiting.pop().cancel()
        with pytest.raises(Unavailable):
            async with asyncio.timeout(60):
                await intents.begin(call("too large"))
        monkeypatch.setattr(pen, "DRAIN_SECONDS", 0.1)
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in told] == [Unavailable, Unavailable]
    with pytest.raises(Unavailable):
        await intents.begin(call("late"))


async def test_closing_writes_what_still_waits(database_dsn: str) -> None:
    async with Intents(database_dsn, lambda: 7) as intents:
        ended, stands = await intents.begin(call("r1")), await intents.begin(call("r2"))
        intents.end(ended)
        intents.doubt(stands, "we stop")
    assert await states(database_dsn) == {stands: "uncertain"}


async def test_what_the_database_refuses_harms_no_other(database_dsn: str) -> None:
    await ask(
        database_dsn,
        "ALTER TABLE httpproxy.intent ADD CHECK (call !~ ': bad')",
    )
    async with Intents(database_dsn, lambda: 7) as intents, asyncio.timeout(60):
        good, bad, fine = await asyncio.gather(
            *(intents.begin(call(name)) for name in ("good", "bad", "fine")),
            return_exceptions=True,
        )
        assert isinstance(bad, Unavailable)
        assert await states(database_dsn) == {good: "sent", fine: "sent"}
        await ask(database_dsn, "ALTER TABLE httpproxy.intent ADD CHECK (state <> 'uncertain')")
        intents.doubt(good, "it cannot even be doubted")
        intents.end(fine)
        await settled(database_dsn, {good: "sent"})


async def test_what_is_locked_is_tried_again_and_then_given_up(database_dsn: str) -> None:
    async with Intents(database_dsn, lambda: 7) as intents:
        begun = await intents.begin(call("r1"))
        async with await psycopg.AsyncConnection.connect(database_dsn) as holder:
            await holder.execute("LOCK TABLE httpproxy.intent")
            intents.end(begun)
            with pytest.raises(Unavailable, match="lock"):
                await intents.begin(call("r2"))
        await settled(database_dsn, {})


async def test_a_database_that_does_not_answer_is_left_for_a_new_connection(
    database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pen, "HANG_SECONDS", 2.5)
    monkeypatch.setattr(pen, "STALL_SECONDS", 0.05)
    await ask(
        database_dsn,
        """
        CREATE SEQUENCE public.turn;
        CREATE FUNCTION public.hang() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            PERFORM pg_sleep(5) WHERE nextval('public.turn') = 1;
            RETURN new;
        END $$;
        CREATE TRIGGER hang BEFORE INSERT ON httpproxy.intent
            FOR EACH ROW EXECUTE FUNCTION public.hang()
        """,
    )
    async with Intents(database_dsn, lambda: 7) as intents, asyncio.timeout(60):
        task = asyncio.ensure_future(intents.begin(call()))

        async def is_missed() -> bool:
            return not intents.available

        await until(is_missed)
        begun = await task
        (turn,) = await ask(database_dsn, "SELECT last_value FROM public.turn")
        assert turn["last_value"] >= 2

        async def has_ended() -> bool:  # the one that hung
            return not await ask(
                database_dsn, "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            )

        await until(has_ended)
        assert await states(database_dsn) == {begun: "sent"}


async def test_without_a_database_there_is_a_clear_error() -> None:
    nowhere = "postgresql://nobody:x@127.0.0.1:1/none"
    with pytest.raises(Unavailable):
        await Intents(nowhere, lambda: 7).__aenter__()
    async with Ledger(nowhere) as ledger:
        with pytest.raises(Unavailable):
            await ledger.count()


async def test_an_idle_connection_that_is_lost_is_noticed(
    database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pen, "PING_SECONDS", 0.05)
    async with Intents(database_dsn, lambda: 7) as intents:
        first = intents._pen._task
        await asyncio.sleep(0.2)
        assert intents.available
        await ask(database_dsn, KILL)

        async def was_lost() -> bool:
            return not intents.available

        await until(was_lost)
        begun = await intents.begin(call())
        assert await states(database_dsn) == {begun: "sent"}
        assert intents._pen._task is first


async def test_a_lost_connection_leaves_the_next_owner_of_its_descriptor_alone(
    database_dsn: str,
) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()
        await writer.wait_closed()
        ended.release()

    ended = asyncio.Semaphore(0)

    async with await asyncio.start_server(echo, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        wire = await open_wire(database_dsn, NOTHING, NOTHING)
        number = wire._pgconn.socket
        await ask(database_dsn, KILL)

        async def is_lost() -> bool:
            return wire._pgconn.status == psycopg.pq.ConnStatus.BAD

        await until(is_lost)
        streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(8)]
        numbers = [writer.get_extra_info("socket").fileno() for _, writer in streams]
        await wire.close()
        for reader, writer in streams:
            writer.write(b"still here")
            async with asyncio.timeout(60):
                assert await reader.read(100) == b"still here"
            writer.close()
            await writer.wait_closed()
            await ended.acquire()
        assert number in numbers, "libpq has given its descriptor back"


async def test_whatever_comes_out_of_the_wire_counts_as_a_lost_connection(
    database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush, broken = Wire._flush, []

    def break_once(self: Wire) -> None:
        if len(broken) < 3:
            broken.append(self)
            raise (RuntimeError("used by a transport"), OSError("bad descriptor"))[
                len(broken) % 2
            ]
        flush(self)

    async with Intents(database_dsn, lambda: 7) as intents, asyncio.timeout(60):
        monkeypatch.setattr(Wire, "_flush", break_once)
        begun = await intents.begin(call())
        assert len(broken) == 3
        assert await states(database_dsn) == {begun: "sent"}


async def test_behind_a_pooler_nothing_is_prepared_and_settings_go_with_each_group(
    database_dsn: str,
) -> None:
    connection = await psycopg.AsyncConnection.connect(database_dsn, autocommit=True)
    wire = Wire(connection, b"SELECT set_config('lock_timeout', '250ms', true)")
    shown = [
        Statement(b"SHOW lock_timeout"),
        Statement(b"SELECT name FROM pg_prepared_statements"),
    ]
    assert await wire.run(shown) == [[(b"250ms",)], []]
    await wire.close()
    connection = await psycopg.AsyncConnection.connect(database_dsn, autocommit=True)
    assert not await settle(connection, "SET lock_timeout = '250ms'"), "this one is direct"
    row = await (await connection.execute("SHOW lock_timeout")).fetchone()
    assert row == ("250ms",)
    await connection.close()
