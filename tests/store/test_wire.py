"""The wire on its own: what it keeps prepared, and what stands after an error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import psycopg
import pytest
import uvloop

from httpproxy.store import wire as wires
from httpproxy.store.wire import Statement, Wire, open_wire

PREPARED = Statement(b"SELECT count(*) FROM pg_prepared_statements")
KEPT = Statement(b"SELECT * FROM kept")
OPEN = Statement(b"SELECT pg_current_xact_id_if_assigned() IS NULL")


@pytest.fixture
async def wire(empty_database_dsn: str) -> AsyncIterator[Wire]:
    wire = await open_wire(empty_database_dsn, "SELECT", "SELECT")
    await wire.run([Statement(b"CREATE TABLE kept (n integer UNIQUE DEFERRABLE)")])
    yield wire
    await wire.close()


def kept(n: int) -> Statement:
    return Statement(b"INSERT INTO kept VALUES ($1)", [b"%d" % n])


async def test_statements_are_prepared_once_and_the_oldest_are_let_go(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wires, "PREPARED", 4)
    different = [Statement(b"SELECT %d" % n) for n in range(6)]
    for _ in range(3):
        assert await wire.run(different) == [[(b"%d" % n,)] for n in range(6)]
        assert await wire.run([PREPARED]) == [[(b"4",)]]
    again = [kept(1), kept(2), kept(3), PREPARED]
    assert (await wire.run(again))[-1] == [(b"4",)], "one statement, three parameters"
    assert await wire.run([KEPT]) == [[(b"1",), (b"2",), (b"3",)]]


async def test_after_an_error_nothing_is_done_and_nothing_left(wire: Wire) -> None:
    broken = Statement(b"SELECT 1 / $1::integer", [b"0"])
    for begun in ([], [Statement(b"BEGIN")]):
        with pytest.raises(psycopg.errors.DivisionByZero):
            await wire.run([*begun, kept(1), broken, kept(2)])
        assert await wire.run([OPEN, KEPT, PREPARED]) == [[(b"t",)], [], [(b"3",)]]
    await wire.run([kept(7)])
    assert await wire.run([KEPT]) == [[(b"7",)]]


async def test_an_error_that_comes_with_the_end_is_one(wire: Wire) -> None:
    later = Statement(b"SET CONSTRAINTS ALL DEFERRED")
    for ending in ([], [Statement(b"COMMIT")]):
        begun = [Statement(b"BEGIN")] if ending else []
        async with asyncio.timeout(60):
            with pytest.raises(psycopg.errors.UniqueViolation):
                await wire.run([*begun, later, kept(1), kept(1), *ending])
        assert await wire.run([OPEN, KEPT]) == [[(b"t",)], []]


async def test_a_statement_meets_its_table_as_it_is_now(wire: Wire) -> None:
    assert await wire.run([kept(1), KEPT]) == [[], [(b"1",)]]
    await wire.run([Statement(b"ALTER TABLE kept ADD m text DEFAULT 'x'")])
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        await wire.run([KEPT])  # prepared for other columns
    assert await wire.run([KEPT]) == [[(b"1", b"x")]]


async def test_a_wire_that_was_given_up_says_so(wire: Wire) -> None:
    running = asyncio.ensure_future(wire.run([Statement(b"SELECT pg_sleep(60)")]))
    await asyncio.sleep(0)
    wire.give_up()
    for _ in range(2):
        async with asyncio.timeout(60):
            with pytest.raises(psycopg.OperationalError):
                await running
        running = asyncio.ensure_future(wire.run([KEPT]))
    with pytest.raises(psycopg.OperationalError):
        await running


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_connection_that_is_reset_behind_a_last_word_is_lost(
    empty_database_dsn: str, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """What the server leaves unread makes a reset of its end, and it says why it goes: both
    are there when the loop looks, and uvloop calls its reader once."""
    sleeping = (
        "SELECT pid FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event = 'PgSleep'"
    )
    unread = Statement(b"SELECT length($1)", [b"x" * 100_000])

    async def lose() -> None:
        wire = await open_wire(empty_database_dsn, "SELECT", "SELECT")
        running = asyncio.ensure_future(wire.run([Statement(b"SELECT pg_sleep(600)"), unread]))
        with psycopg.connect(empty_database_dsn, autocommit=True) as other:
            await asyncio.sleep(0)  # it is sent
            while (found := other.execute(sleeping).fetchone()) is None:
                pass
            other.execute("SELECT pg_terminate_backend(%s, 60000)", found)
        async with asyncio.timeout(60):
            with pytest.raises(psycopg.OperationalError):
                await running
        await wire.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(lose())


class Unsent:
    """A connection that breaks while what it was given is sent."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def flush(self) -> int:
        raise psycopg.OperationalError("flushing failed")


async def test_a_connection_that_breaks_while_it_is_sent_to_says_so(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "_pgconn", Unsent(wire._pgconn))
    with pytest.raises(psycopg.OperationalError, match="flushing failed"):
        await wire.run([KEPT])
