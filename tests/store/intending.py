"""What the tests of intents share: calls, processes that live, and how a database is hurt."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from httpproxy.store.intents.values import Claim, Intent
from providers.http import Request, Response, headers

SYNC = "sync_of_tests"
KILL = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'httpproxy' AND pid <> pg_backend_pid()
        AND datname = current_database()
"""
REQUEST = Request(
    "PATCH",
    "api.airtable.com",
    "/v0/appX/Tasks/rec1?a=%2F&b=",
    headers(
        ("Authorization", "Bearer patX.planted"),
        ("Content-Type", "application/json; charset=utf-8"),
        ("Content-Encoding", "gzip"),
        ("X-Other", "not kept"),
    ),
    bytes(range(256)),
)
ANSWER = Response(
    200,
    headers(
        ("Content-Type", "application/json"),
        ("Set-Cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("X-Raw", "caf\udce9: \t x"),
        ("X-Empty", ""),
    ),
    bytes(range(256)) + b'{"id": "rec1"}\r\n',
    "All Right: really",
)


def call(
    request_id: str = "r1", key: str | None = None, *, sync_id: str = SYNC, start: int = 7
) -> Intent:
    claim = (
        None
        if key is None
        else Claim(key, b"\x00print of " + key.encode("utf-8", "surrogateescape"))
    )
    return Intent(sync_id, REQUEST, start, request_id, claim)


async def ask(dsn: str, query: str, *parameters: Any) -> list[dict[str, Any]]:
    connection = await psycopg.AsyncConnection.connect(
        dsn, autocommit=True, row_factory=dict_row
    )
    async with connection:
        cursor = await connection.execute(query, parameters)
        return [] if cursor.description is None else await cursor.fetchall()


async def live(dsn: str, *numbers: int) -> None:
    """Processes of these numbers are there."""
    for number in numbers:
        await ask(
            dsn,
            "INSERT INTO httpproxy.process (number, name, roles, expires_at)"
            " VALUES (%s, 'of tests', '{gateway}', now() + interval '1 hour')",
            number,
        )


async def states(dsn: str) -> dict[int, str]:
    """The state of each intent that stands."""
    rows = await ask(dsn, "SELECT id, state FROM httpproxy.intent")
    return {row["id"]: row["state"] for row in rows}


async def until(true: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(60):
        while not await true():  # noqa: ASYNC110  # another's state
            await asyncio.sleep(0.01)


async def settled(dsn: str, expected: dict[int, str]) -> None:
    """Waits until these intents stand, and no others."""

    async def are_these() -> bool:
        return await states(dsn) == expected

    await until(are_these)
    assert await states(dsn) == expected


async def crash(dsn: str) -> None:
    """Kills a backend: Postgres ends all others at once and recovers from its log."""
    victim = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
    os.kill(victim.info.backend_pid, signal.SIGKILL)
    with pytest.raises(psycopg.OperationalError):
        await victim.execute("SELECT pg_sleep(5)")
    await victim.close()

    async def is_back() -> bool:
        try:
            return await ask(dsn, "SELECT 1 AS one") == [{"one": 1}]
        except psycopg.OperationalError:
            return False

    await until(is_back)
