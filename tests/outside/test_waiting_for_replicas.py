"""Read-your-writes elsewhere: after `/v1/wait` a replica shows what the token stands for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from neighbours.deadends import refusing
from neighbours.rounds import until
from outside.opened import open_door
from outside.standing_by import replay_paused, standby_of

from httpproxy.api.resources import waiting
from httpproxy.store.errors import Unavailable
from httpproxy.store.replicas import Replicas, position
from httpproxy.store.secrets.keys import Keys


@pytest.fixture(scope="module")
def standby(postgres_dsn: str) -> Iterator[str]:
    with standby_of(postgres_dsn) as dsn:
        yield dsn


@pytest.fixture
def standby_dsn(standby: str, database_dsn: str) -> str:
    """The test's own database, on the standby, once it is there."""
    dsn = f"{standby.rsplit('/', 1)[0]}{urlsplit(database_dsn).path}"
    with psycopg.connect(database_dsn) as connection:  # a commit that is waited for
        connection.execute("SET synchronous_commit = on")
        connection.execute("CREATE TABLE there ()")
    until = time.monotonic() + 60.0
    while time.monotonic() < until:
        with suppress(psycopg.OperationalError):
            psycopg.connect(dsn).close()
            return dsn
    raise AssertionError("the standby does not follow")


def write(dsn: str) -> tuple[int, str]:
    """Commits a row; its value, and the token that a receipt would carry."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = on")  # off for the sake of other tests
        connection.execute("CREATE TABLE IF NOT EXISTS told (said bigint)")
        said = time.monotonic_ns()
        connection.execute("INSERT INTO told VALUES (%s)", [said])
        row = connection.execute("SELECT pg_current_wal_lsn()::text").fetchone()
    assert row is not None
    return said, row[0]


def seen(dsn: str, said: int) -> bool:
    with psycopg.connect(dsn) as connection:
        return connection.execute("SELECT FROM told WHERE said = %s", [said]).rowcount == 1


async def test_after_the_wait_the_replica_shows_the_row(
    database_dsn: str, standby_dsn: str, tmp_path: Path
):
    async with open_door(database_dsn, tmp_path, replicas={"eu": standby_dsn}) as opened:
        key = f"Bearer {await opened.key('read')}"
        for _ in range(20):
            said, token = await asyncio.to_thread(write, database_dsn)
            answer = await opened.ask(f"/v1/wait?token={token}&replica=eu", Authorization=key)
            assert await asyncio.to_thread(seen, standby_dsn, said)
            assert answer.status_code == 200
            told = answer.json()
            assert (told["reached"], told["replica"], told["token"]) == (True, "eu", token)
            assert position(told["at"]) >= position(token)


async def test_while_replay_stands_still_the_wait_does_not_end_before_its_time(
    database_dsn: str, standby: str, standby_dsn: str, tmp_path: Path
):
    async with open_door(database_dsn, tmp_path, replicas={"eu": standby_dsn}) as opened:
        key = f"Bearer {await opened.key('read')}"
        said, first = await asyncio.to_thread(write, database_dsn)
        await opened.ask(f"/v1/wait?token={first}&replica=eu", Authorization=key)
        with replay_paused(standby):
            said, token = await asyncio.to_thread(write, database_dsn)
            path = f"/v1/wait?token={token}&replica=eu"
            short = await opened.ask(f"{path}&timeout=2", Authorization=key)
            assert (short.status_code, short.json()["reached"]) == (200, False)
            assert 0 < position(short.json()["at"]) < position(token)
            assert not seen(standby_dsn, said)
            waits = [
                asyncio.ensure_future(opened.ask(f"{path}&timeout=30", Authorization=key))
                for _ in range(4)
            ]
            four = 'httpproxy_replica_waiters{replica="eu",worker="0"} 4.0'

            async def all_wait() -> bool:
                return four in (await opened.ask("/metrics")).text

            await until(all_wait)
            assert not any(wait.done() for wait in waits)
        assert [wait.json()["reached"] for wait in await asyncio.gather(*waits)] == [True] * 4
        assert seen(standby_dsn, said)


async def test_many_who_wait_for_one_replica_share_one_connection(standby_dsn: str):
    async with Replicas({"eu": standby_dsn}) as replicas:
        replica = replicas.get("eu")
        assert replica is not None
        far = position("FFFFFFFF/0")
        waits = [asyncio.ensure_future(replica.reaches(far, 600.0)) for _ in range(50)]

        async def connected() -> bool:
            return len(await asyncio.to_thread(connections, standby_dsn)) > 0

        await until(connected)
        assert replica.waiting == 50
        assert len(await asyncio.to_thread(connections, standby_dsn)) == 1
        for wait in waits[:49]:
            wait.cancel()
        await asyncio.gather(*waits[:49], return_exceptions=True)
        assert replica.waiting == 1
        assert not (await replica.reaches(far, 0.1)).reached
        waits[49].cancel()
        await asyncio.gather(waits[49], return_exceptions=True)
        assert replica.waiting == 0
        await asyncio.sleep(0.2)  # the last look may still have been under way
        before = await asyncio.to_thread(connections, standby_dsn)
        await asyncio.sleep(0.2)  # nobody waits: nothing is asked
        assert await asyncio.to_thread(connections, standby_dsn) == before
        assert "waiting=0" in repr(replica)


def connections(dsn: str) -> list[tuple]:
    """Our connections to this database, and when each last asked something."""
    with psycopg.connect(dsn, application_name="test") as connection:
        return connection.execute(
            "SELECT pid, query_start FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'httpproxy'"
        ).fetchall()


async def test_a_connection_that_nobody_needs_is_closed(standby_dsn: str, monkeypatch):
    monkeypatch.setattr("httpproxy.store.replicas.IDLE", 0.1)
    async with Replicas({"eu": standby_dsn}) as replicas:
        replica = replicas.get("eu")
        assert replica is not None
        assert (await replica.reaches(0, 60.0)).reached

        async def closed() -> bool:
            return await asyncio.to_thread(connections, standby_dsn) == []

        await until(closed)
        assert (await replica.reaches(0, 60.0)).reached  # and comes again


async def test_the_primary_itself_has_whatever_it_committed(database_dsn, tmp_path):
    async with open_door(database_dsn, tmp_path, replicas={"main": database_dsn}) as opened:
        key = f"Bearer {await opened.key('read')}"
        _, token = await asyncio.to_thread(write, database_dsn)
        path = f"/v1/wait?token={token}&replica=main&timeout=30"
        assert (await opened.ask(path, Authorization=key)).json()["reached"]


async def test_a_replica_that_is_away_is_waited_for_in_vain_and_its_password_kept(
    database_dsn, tmp_path
):
    with refusing() as nobody:
        dsn = f"postgresql://reader:hunter2@{nobody.removeprefix('http://')}/x"
        async with open_door(database_dsn, tmp_path, replicas={"eu": dsn}) as opened:
            key = f"Bearer {await opened.key('read')}"
            path = "/v1/wait?token=0/1&replica=eu&timeout=2"
            answer = await opened.ask(path, Authorization=key)
    told = answer.json()
    assert (answer.status_code, told["reached"], told["at"]) == (200, False, None)
    assert "refused" in told["why"]
    assert "hunter2" not in answer.text


@pytest.mark.parametrize(
    ("query", "status", "code", "member"),
    [
        ("replica=eu", 400, "bad_parameter", "token"),
        ("token=&replica=eu", 400, "bad_parameter", "token"),
        ("token=16B3748&replica=eu", 400, "bad_parameter", "token"),
        ("token=0/123456789&replica=eu", 400, "bad_parameter", "token"),
        ("token=0/1", 400, "bad_parameter", "replica"),
        ("token=0/1&replica=us", 404, "unknown_replica", "replica"),
        ("token=0/1&consumer=kafka", 404, "unknown_consumer", "consumer"),
        ("token=0/1&replica=eu&timeout=0", 400, "bad_parameter", "timeout"),
        ("token=0/1&replica=eu&timeout=31", 400, "bad_parameter", "timeout"),
        ("token=0/1&replica=eu&timeout=nan", 400, "bad_parameter", "timeout"),
        ("token=0/1&replica=eu&timeout=soon", 400, "bad_parameter", "timeout"),
        ("token=0/1&replica=eu&tiemout=1", 400, "bad_parameter", "tiemout"),
    ],
)
async def test_what_cannot_be_waited_for_is_said_by_its_parameter(
    door, query: str, status: int, code: str, member: str
):
    opened, key = door
    answer = await opened.ask(f"/v1/wait?{query}", Authorization=key)
    said = answer.json()
    assert (answer.status_code, said["code"], said["member"]) == (status, code, member)
    if code == "unknown_replica":
        assert said["replicas"] == ["eu", "main"]
        assert "eu, main" in said["detail"]


async def test_a_declined_wait_is_a_problem_that_names_its_member(door):
    opened, key = door
    answer = await opened.ask("/v1/wait?token=x&replica=eu", Authorization=key)
    said = answer.json()
    assert (answer.status_code, said["code"], said["member"]) == (400, "bad_parameter", "token")
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.fixture
async def door(database_dsn: str, tmp_path: Path):
    both = {"eu": database_dsn, "main": database_dsn}
    async with open_door(database_dsn, tmp_path, replicas=both) as opened:
        yield opened, f"Bearer {await opened.key('read')}"


async def test_only_a_key_with_the_scope_opens_it(door):
    opened, read = door
    path = "/v1/wait?token=0/1&replica=eu"
    for without in ({}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer hpk_x"}):
        answer = await opened.ask(path, **without)
        assert (answer.status_code, answer.json()["code"]) == (401, "key_required")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert (await opened.ask(path, Authorization=read)).status_code == 200
    admin = f"bearer {await opened.key('admin')}"
    assert (await opened.ask(path, Authorization=admin)).status_code == 200


async def test_a_key_without_the_scope_is_told_which_it_lacks(
    database_dsn: str, tmp_path: Path, monkeypatch
):
    route = replace(waiting.OPERATIONS[0], scope="admin")
    monkeypatch.setattr("httpproxy.api.server.OPERATIONS", (route,))
    async with open_door(database_dsn, tmp_path, replicas={"eu": database_dsn}) as opened:
        key = f"Bearer {await opened.key('read')}"
        answer = await opened.ask("/v1/wait?token=0/1&replica=eu", Authorization=key)
    assert (answer.status_code, answer.json()["code"]) == (403, "key_not_allowed")
    assert "admin" in answer.json()["detail"]


async def test_without_its_database_the_door_says_so(database_dsn, tmp_path, monkeypatch):
    async with open_door(database_dsn, tmp_path, replicas={"eu": database_dsn}) as opened:
        text = await opened.key("read")

        async def away(self: object, text: str) -> None:
            raise Unavailable("away")

        monkeypatch.setattr(Keys, "verify", away)
        path = "/v1/wait?token=0/1&replica=eu"
        answer = await opened.ask(path, Authorization=f"Bearer {text}")
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
