"""Migrations: each once, whoever starts first, and never backwards."""

from __future__ import annotations

import subprocess
import sys

import psycopg
import pytest

from httpproxy.store.database import Database, migrate, migrations
from httpproxy.store.errors import NotMigratable
from httpproxy.store.streams.places import Wanted
from httpproxy.store.streams.retention import Retention
from httpproxy.store.streams.stream import EventStream
from tests.store.world import said

STREAMS = 9
NEW_EVENT = """
INSERT INTO httpproxy.event
    (sync_id, collection_id, upstream_id, event, origin, request_id, inserted_at)
VALUES ('s', 'c', %s, 'created', 'sync', 'q', now() - %s::interval)"""
MIGRATE = """
import asyncio, sys
from httpproxy.store.database import migrate
print(asyncio.run(migrate(sys.stdin.read())))
"""


def test_four_processes_that_start_at_once_migrate_once(empty_database_dsn: str) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", MIGRATE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:  # not as an argument, which everybody can read
        assert process.stdin is not None
        process.stdin.write(empty_database_dsn)
        process.stdin.close()
        process.stdin = None
    told = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, told
    applied = sorted(int(out) for out, _ in told)
    assert applied == [0, 0, 0, len(migrations())]


async def test_a_database_that_is_up_to_date_stays_as_it_is(database_dsn: str) -> None:
    assert await migrate(database_dsn) == 0


async def test_a_database_that_is_newer_is_refused_with_what_to_do(database_dsn: str) -> None:
    with psycopg.connect(database_dsn) as connection:
        connection.execute(
            "INSERT INTO httpproxy.migration (version, name) VALUES (9999, 'from_tomorrow')"
        )
    with pytest.raises(NotMigratable, match=r"9999 \(from_tomorrow\).*newer"):
        async with Database(database_dsn):
            pass


async def test_a_migration_that_fails_leaves_nothing_behind(
    empty_database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = migrations()
    broken = {**known, 9000: ("broken", "CREATE TABLE httpproxy.half (); SELECT 1 / 0")}
    monkeypatch.setattr("httpproxy.store.database.migrations", lambda: broken)
    with pytest.raises(psycopg.errors.DivisionByZero):
        await migrate(empty_database_dsn)
    with psycopg.connect(empty_database_dsn) as connection:
        row = connection.execute("SELECT to_regclass('httpproxy.half')").fetchone()
    assert row == (None,)
    monkeypatch.undo()
    assert await migrate(empty_database_dsn) == len(known)


async def test_the_events_of_before_are_told_first_when_they_get_an_order(
    empty_database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = migrations()
    before = {number: file for number, file in known.items() if number < STREAMS}
    monkeypatch.setattr("httpproxy.store.database.migrations", lambda: before)
    await migrate(empty_database_dsn)
    monkeypatch.undo()
    for record in ("a", "b"):
        with psycopg.connect(empty_database_dsn) as connection:
            connection.execute(NEW_EVENT, (record, "1 year" if record == "a" else "0"))
    async with Database(empty_database_dsn) as database:
        with psycopg.connect(empty_database_dsn) as connection:
            connection.execute(NEW_EVENT, ("c", "0"))
        page = await EventStream(database).after(None, Wanted(), 9)
        assert await Retention(database, 30).run()
        kept = await EventStream(database).after(None, Wanted(), 9)
    assert [(e.upstream_id, e.place.seq) for e in said(page)] == [("a", 1), ("b", 2), ("c", 3)]
    assert said(kept) == said(page), "they go with the youngest of them"


def test_migrations_are_numbered_without_gaps() -> None:
    assert sorted(migrations()) == list(range(1, len(migrations()) + 1))
