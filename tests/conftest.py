"""What every test may ask for: a Postgres of the test run's own, and fresh databases.

One server per test process (so xdist's workers do not meet), started by our own
launcher and stopped with it; one migrated template; one database per test that asks.
"""

from __future__ import annotations

import asyncio
import fcntl
import gc
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import psycopg
import pytest
from neighbours.rows import dsn_of

from httpproxy.gateway import draining
from httpproxy.store.database import migrate
from httpproxy.store.embedded.server import EmbeddedPostgres
from httpproxy.store.secrets import keys

# Reads every log of the suite; a test in which one tells a secret fails.
pytest_plugins = ("neighbours.logwatch", "neighbours.sparing", "neighbours.examples")

_NUMBERS = count()
_LEFT: list[str] = []  # databases of tests that have ended
_TEMPLATE = "template_migrated"
_FOLDER = "httpproxy-tests-"
_YOUNG = 60.0  # seconds: it may be made and not yet held
_ROOM = 8 << 30  # bytes: several test processes with a server each, and no harm to others


def pytest_collection_finish() -> None:
    """The tests themselves stay to the end: Python's collector is spared their million
    objects, which took it a tenth of the time of the tests."""
    gc.freeze()
    gc.set_threshold(700, 10, 50)


@pytest.fixture(scope="session", autouse=True)
def _impatience() -> Iterator[None]:
    """Hundreds of houses close while a client of theirs still keeps a connection, and open
    for a key that was made a moment ago."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(draining, "QUIET", 0.02)
        patch.setattr(keys, "GAP", 0.01)  # nearly every test of the API makes a key of its own
        yield


@pytest.fixture(scope="session")
def postgres_dsn() -> Iterator[str]:
    """The DSN of the run's server, not durable and therefore quick."""
    # Not pytest's own folder: the server's user must be able to reach it under root.
    folder = Path(tempfile.mkdtemp(prefix=_FOLDER, dir=_memory()))
    folder.chmod(0o755)
    quick = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    try:
        with EmbeddedPostgres(folder, settings=quick) as server:
            yield server.dsn
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _memory() -> Path | None:
    """Where files are only in memory, if there is room: a database per test is a thousand
    files to copy, which takes a third of the processor's time that it takes on a disk."""
    memory = Path("/dev/shm")
    if not (memory.is_dir() and os.access(memory, os.W_OK)):
        return None
    for lock in memory.glob(f"{_FOLDER}*/postgres.lock"):
        with suppress(OSError), lock.open() as held:  # of a run that was killed
            if time.time_ns() / 1e9 - lock.stat().st_mtime < _YOUNG:
                continue
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)
    return memory if shutil.disk_usage(memory).free > _ROOM else None


@pytest.fixture(scope="session")
def template_database(postgres_dsn: str) -> str:
    """The name of a database with all migrations."""
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {_TEMPLATE}")
    asyncio.run(migrate(dsn_of(postgres_dsn, _TEMPLATE)))
    return _TEMPLATE


@pytest.fixture
def empty_database_dsn(postgres_dsn: str) -> Iterator[str]:
    """A fresh database without anything in it."""
    yield from _database(postgres_dsn, "template1")


@pytest.fixture
def database_dsn(postgres_dsn: str, template_database: str) -> Iterator[str]:
    """A fresh database, migrated."""
    yield from _database(postgres_dsn, template_database)


def _database(server_dsn: str, template: str) -> Iterator[str]:
    """A database of a test's own. It is dropped a test later: Postgres waits a tenth of a
    second for connections that are just being closed."""
    name = f"test_{next(_NUMBERS)}"
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        while _LEFT:
            connection.execute(f"DROP DATABASE {_LEFT.pop()} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    yield dsn_of(server_dsn, name)
    _LEFT.append(name)
