"""The rows of serving processes: registered, renewed, declared gone, left."""

from __future__ import annotations

import psycopg
import pytest

from httpproxy.store.database import Database
from httpproxy.store.errors import Fenced
from httpproxy.store.sharing.processes import Processes


def _rows(dsn: str) -> list[int]:
    with psycopg.connect(dsn) as connection:
        found = connection.execute("SELECT number FROM httpproxy.process ORDER BY number")
        return [row[0] for row in found.fetchall()]


def _execute(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement)


async def test_processes_see_one_another_and_a_clean_end_leaves_no_row(database_dsn):
    async with Database(database_dsn) as database:
        processes = Processes(database)
        first = await processes.register("one", ["gateway", "sync"])
        assert (await processes.beat(first)).others == 0
        second = await Processes(database).register("two", ["sync"])
        assert second > first
        assert (await processes.beat(first)).others == 1
        await processes.leave(first)
        assert _rows(database_dsn) == [second]


async def test_who_is_declared_gone_is_told_at_the_next_beat(database_dsn):
    async with Database(database_dsn) as database:
        processes = Processes(database)
        number = await processes.register("one", ["gateway"])
        _execute(database_dsn, "DELETE FROM httpproxy.process")
        with pytest.raises(Fenced):
            await processes.beat(number)
        again = await processes.register("one", ["gateway"])
        assert again != number
        assert (await processes.beat(again)).others == 0


async def test_the_number_of_another_is_not_beaten_for_after_the_database_was_put_back(
    database_dsn,
):
    """A lagging standby may give a number once more: its row is another process's."""
    async with Database(database_dsn) as database:
        mine, other = Processes(database), Processes(database)
        number = await mine.register("one", ["gateway"])
        _execute(database_dsn, "DELETE FROM httpproxy.process")
        _execute(database_dsn, f"SELECT setval('httpproxy.process_number', {number}, false)")
        assert await other.register("two", ["gateway"]) == number
        with pytest.raises(Fenced):
            await mine.beat(number)
        await mine.leave(number)
        assert _rows(database_dsn) == [number]
