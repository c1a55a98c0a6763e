"""A process among others: its lease, what it may trust, and what it lets go of."""

from __future__ import annotations

import asyncio
import subprocess
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

import psycopg
import pytest

from httpproxy.sharing import machine
from httpproxy.sharing import presence as presences
from httpproxy.sharing.presence import Presence, awake_clock
from httpproxy.store.database import Database
from httpproxy.store.sharing.processes import LEASE, NOWHERE, Processes, Whereabouts
from httpproxy.tasks import Tasks


class _Clock:
    """A clock that a test moves: a process that is stopped does not see it move."""

    def __init__(self) -> None:
        self.begin, self.ahead = awake_clock(), 0.0

    def __call__(self) -> float:
        return self.begin + self.ahead


@asynccontextmanager
async def _beating(presence):
    async with Tasks() as tasks:
        tasks.start(presence.keep(), "presence")
        yield


async def _until(true) -> None:
    async with asyncio.timeout(60):
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


async def test_a_process_that_begins_waits_longer_for_the_database_than_for_a_beat(
    database_dsn, monkeypatch
):
    async with Database(database_dsn) as database:
        processes = Processes(database)
        register, beat = processes.register, processes.beat

        async def slowly(work, *given):
            await asyncio.sleep(0.05)
            return await work(*given)

        monkeypatch.setattr(processes, "register", lambda *given: slowly(register, *given))
        monkeypatch.setattr(processes, "beat", lambda *given: slowly(beat, *given))
        monkeypatch.setattr(presences, "PATIENCE", 0.001)
        async with Presence(processes, "one", ["gateway"]) as one:
            assert one.trusted()


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
        self._processes, self.away, self.missed = processes, False, 0
        self.register, self.leave = processes.register, processes.leave
        self.neighbours = processes.neighbours

    async def beat(self, number):
        if self.away:
            self.missed += 1
            raise ConnectionError("the database is away")
        return await self._processes.beat(number)


async def _misses(processes):
    """Returns once two more beats have failed; the second began after this was called."""
    wanted = processes.missed + 2
    await _until(lambda: processes.missed >= wanted)


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
                await _misses(processes)
                clock.ahead += LEASE / 10
            assert one.trusted() is alone
            clock.ahead += LEASE  # frozen meanwhile: somebody may have come and gone
            for _ in range(5):
                await _misses(processes)
                assert not one.trusted()
            processes.away = False
            await _until(one.trusted)


async def test_who_was_killed_on_this_machine_is_gone_at_once_and_who_lives_is_not(
    database_dsn,
):
    """A process that is started again does not wait for the lease of its former self."""
    async with Database(database_dsn) as database:
        processes = Processes(database)
        with asleep() as child:
            await processes.register("killed", ["gateway"], whereabouts_of(child))
            async with Presence(processes, "beside it", ["gateway"]) as beside:
                assert not beside.alone
            child.kill()  # not waited for yet: a zombie holds nothing either
            async with Presence(processes, "its successor", ["gateway"]) as successor:
                assert successor.alone


async def test_a_process_id_that_was_given_again_is_another_process(database_dsn):
    async with Database(database_dsn) as database:
        processes = Processes(database)
        with asleep() as child:
            earlier = replace(whereabouts_of(child), started=1)
            await processes.register("had this id before", ["gateway"], earlier)
            async with Presence(processes, "one", ["gateway"]) as one:
                assert one.alone


async def test_processes_of_other_machines_have_their_lease(database_dsn):
    async with Database(database_dsn) as database:
        processes = Processes(database)
        with asleep() as child:
            elsewhere = replace(whereabouts_of(child), machine="another boot")
            child.kill()
            child.wait()
            for at in (elsewhere, NOWHERE):
                await processes.register("far away", ["gateway"], at)
            async with Presence(processes, "one", ["gateway"]) as one:
                assert not one.alone


@contextmanager
def asleep():
    """A process that does nothing."""
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            yield child
        finally:
            child.kill()


def whereabouts_of(child: subprocess.Popen) -> Whereabouts:
    return machine.whereabouts(child.pid)
