"""A process among others: its lease, what it may trust, and what it lets go of."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import psycopg
import pytest

from httpproxy.sharing import presence as presences
from httpproxy.sharing.presence import Presence, awake_clock
from httpproxy.store.database import Database
from httpproxy.store.sharing.processes import LEASE, Processes
from httpproxy.tasks import Tasks


class _Clock:
    """A clock that a test moves: a process that is stopped does not see it move."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return awake_clock() + self.ahead


@asynccontextmanager
async def _beating(presence):
    async with Tasks() as tasks:
        tasks.start(presence.keep(), "presence")
        yield


async def _until(true) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - what others do, seen from outside
            await asyncio.sleep(0.01)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(presences, "BEAT", 0.05)


async def test_a_process_knows_whether_it_is_alone(database_dsn, quick):
    async with (
        Database(database_dsn) as database,
        Presence(Processes(database), "one", ["gateway"]) as one,
        _beating(one),
    ):
        assert one.alone
        assert one.trusted()
        async with Presence(Processes(database), "two", ["sync"]) as two:
            assert not two.alone
            assert two.number != one.number
            await _until(lambda: not one.alone)
        await _until(lambda: one.alone)


async def test_a_lease_is_not_trusted_for_all_of_its_time(database_dsn):
    clock = _Clock()
    async with Database(database_dsn) as database:
        async with Presence(Processes(database), "one", ["gateway"], clock) as one:
            clock.ahead = 0.89 * LEASE
            assert one.trusted()
            clock.ahead = 0.91 * LEASE  # frozen, and awake again: others may hold it all by now
            assert not one.trusted()
            clock.ahead = 0.0
        assert not one.trusted()


async def test_what_was_held_is_void_once_the_process_was_declared_gone(database_dsn, quick):
    async with (
        Database(database_dsn) as database,
        Presence(Processes(database), "one", ["gateway"]) as one,
    ):
        before, told = one.number, []
        one.when_lost(lambda: told.append(one.number))
        with psycopg.connect(database_dsn, autocommit=True) as connection:
            connection.execute("DELETE FROM httpproxy.process")
            async with _beating(one):
                await _until(lambda: told)
            row = connection.execute("SELECT number FROM httpproxy.process").fetchall()
        assert told == [one.number]
        assert one.number != before
        assert row == [(one.number,)]
        assert one.trusted()


class _Away:
    """A database that is cut off once it is told to be."""

    def __init__(self, processes) -> None:
        self._processes, self.away = processes, False
        self.register, self.leave = processes.register, processes.leave

    async def beat(self, number):
        if self.away:
            raise ConnectionError("the database is away")
        return await self._processes.beat(number)


@pytest.mark.parametrize("alone", [True, False])
async def test_while_the_database_is_away_only_who_was_alone_and_awake_goes_on(
    database_dsn, quick, alone
):
    clock = _Clock()
    async with Database(database_dsn) as database:
        if not alone:
            await Processes(database).register("other", ["gateway"])
        processes = _Away(Processes(database))
        async with Presence(processes, "one", ["gateway"], clock) as one, _beating(one):
            processes.away = True
            while clock.ahead < LEASE:
                await asyncio.sleep(0.1)
                clock.ahead += LEASE / 10
            assert one.trusted() is alone
            clock.ahead += LEASE  # frozen meanwhile: somebody may have come and gone
            for _ in range(5):
                await asyncio.sleep(0.1)
                assert not one.trusted()
            processes.away = False
            await _until(one.trusted)
