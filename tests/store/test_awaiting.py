"""A service waits for a database that does not answer yet, and for none that says no."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import psycopg
import pytest
from neighbours.cable import Cable
from neighbours.rows import dsn_of

from httpproxy.store import awaiting
from httpproxy.store.awaiting import until_there

STARTING = ("57P03", "the database system is starting up")
TOO_LONG = 3600.0


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(awaiting, "LOOK_AGAIN", 0.02)


# A server of its own process, for libpq asks it while it holds this one.
REFUSING = """
import socket, struct, sys
code, words = sys.argv[1:]
said = f"SFATAL\\0VFATAL\\0C{code}\\0M{words}\\0\\0".encode()
door = socket.create_server(("127.0.0.1", 0))
print(door.getsockname()[1], flush=True)
while True:
    caller, _ = door.accept()
    with caller:
        caller.recv(8192)
        caller.sendall(b"E" + struct.pack("!I", len(said) + 4) + said)
"""


@asynccontextmanager
async def saying(code: str, words: str) -> AsyncIterator[str]:
    """A server that says no to everybody, in Postgres' protocol; its DSN."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-S", "-c", REFUSING, code, words), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    port = int(await process.stdout.readline())
    try:
        yield f"postgresql://u:p@127.0.0.1:{port}/d?sslmode=disable&gssencmode=disable"
    finally:
        process.kill()
        await process.wait()


async def until_said(caplog: pytest.LogCaptureFixture, words: str) -> None:
    async with asyncio.timeout(60):
        while words not in caplog.text:  # noqa: ASYNC110  # a log has no event
            await asyncio.sleep(0.01)


async def test_one_that_comes_up_is_waited_for_and_the_log_says_so(
    database_dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    at = urlsplit(database_dsn)
    assert at.port is not None
    async with Cable(str(at.hostname), at.port) as cable, asyncio.TaskGroup() as tasks:
        cable.cut()
        through = database_dsn.replace(f":{at.port}/", f":{cable.port}/")
        waiting = tasks.create_task(until_there(through, TOO_LONG))
        await until_said(caplog, "waiting for the database, for 3600 seconds at most: ")
        assert not waiting.done()
        cable.mend()
        await asyncio.wait_for(waiting, 60)
    assert caplog.messages[-1].startswith("the database is there, after ")


async def test_one_that_says_it_is_starting_is_waited_for_as_long_as_that_may_take(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks, look = 0, awaiting._why_away

    async def counted(dsn: str) -> psycopg.Error | None:
        nonlocal looks
        looks += 1
        return await look(dsn)

    monkeypatch.setattr(awaiting, "_why_away", counted)
    monkeypatch.setattr(awaiting, "SAY_AGAIN", TOO_LONG)
    async with saying(*STARTING) as dsn, asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(until_there(dsn, TOO_LONG))
        while looks < 3:  # noqa: ASYNC110  # it has no event
            await asyncio.sleep(0.01)
        assert not waiting.done()
        waiting.cancel()
        assert len(caplog.messages) == 1, "the same is not said at every look"
        assert caplog.messages[0].endswith("the database system is starting up")
        await until_there(dsn, 0.0)  # nor is anybody waited for any longer


async def test_one_that_is_there_holds_nobody_up(
    database_dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    await until_there(database_dsn, TOO_LONG)
    assert caplog.messages == []


async def test_one_that_says_no_is_not_waited_for(
    database_dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = urlsplit(database_dsn)
    password = database_dsn.replace(f":{wrong.password}@", ":another@")
    unknown = dsn_of(database_dsn, "nowhere")
    for dsn in (password, unknown):
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(dsn)
        async with asyncio.timeout(60):
            await until_there(dsn, TOO_LONG)
    async with saying("28P01", "password authentication failed") as dsn, asyncio.timeout(60):
        await until_there(dsn, TOO_LONG)
    assert caplog.messages == []
