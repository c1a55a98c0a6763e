"""A process that logs all it can, in the worst of its moments, tells no secret.

The watch (neighbours.logwatch) reads what it says; here is what it is given to say: planted
tokens, cookies, queries, bodies and values, a planted database password and secret key, and
each kind of trouble. That the watch sees it, test_logwatch shows.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
import requests
from neighbours.house import BASE, add_sync, open_house
from neighbours.logwatch import WATCH, planted
from neighbours.recorder import DROP, Recorder, http, raw
from psycopg.sql import SQL, Identifier, Literal

API = "api.airtable.com"
ROOT = Path(__file__).parents[2]
PATIENCE = 60.0


@pytest.fixture
def role_dsn(database_dsn: str) -> Iterator[str]:
    """The database as a superuser whose password is planted."""
    password, name = planted("a database password"), "planted_role"
    with psycopg.connect(database_dsn, autocommit=True) as owner:
        owner.execute(
            SQL("CREATE ROLE {} SUPERUSER LOGIN PASSWORD {}").format(
                Identifier(name), Literal(password)
            )
        )
        at = urlsplit(database_dsn)
        where = f"{name}:{password}@{at.hostname}:{at.port}"
        yield urlunsplit(at._replace(netloc=where))
        owner.execute(SQL("DROP OWNED BY {}").format(Identifier(name)))
        owner.execute(SQL("DROP ROLE {}").format(Identifier(name)))


def answers(value: str, number: int = 0) -> list[object]:
    """What an API may answer, with the value in each."""
    record = {"id": f"rec000000000000{number}", "createdTime": "2026-11-21T00:00:00.000Z"}
    good = json.dumps({**record, "fields": {"Name": value, value: value}}).encode()
    kind = ("Content-Type", "application/json")
    return [
        http(200, kind, ("Set-Cookie", f"s={value}"), ("X-Token", value), body=good),
        http(200, kind, body=good.replace(b'"Name"', b'"Name\\ud800"')),
        http(200, kind, body=value.encode()),
        http(500, kind, body=value.encode()),
        http(422, kind, body=json.dumps({"error": {"type": value, "message": value}}).encode()),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\nX: " + value.encode() + b"\r\n\r\n"),
        DROP,
    ]


def hurt(door_url: str, unique_id: str, value: str) -> None:
    """Calls that go well, go wrong, and are none."""
    fields = {
        "Authorization": f"Bearer {planted('a token')}",
        "Cookie": f"session={planted('a cookie')}",
        "X-Api-Key": planted("another key"),
        "Idempotency-Key": planted("an idempotency key"),
        "Content-Type": "application/json",
    }
    body = {"fields": {"Name": value}}
    target = f"{door_url}/{unique_id}/{API}/v0/{BASE}/Tasks?filterByFormula={value}"
    for _ in range(len(answers(value))):
        fields["Idempotency-Key"] = planted("an idempotency key")
        requests.post(target, json=body, headers=fields, timeout=60)
    for wrong in (f"/{unique_id}/evil.example/{value}", f"/{value}/x", f"/{unique_id}/%zz"):
        requests.get(door_url + wrong, headers=fields, timeout=60)
    at = urlsplit(door_url)
    for noise in (f"GET /{unique_id}/{value}\r\n", f"POST /{value} HTTP/9.9\r\nX: {value}\r\n"):
        with socket.create_connection((at.hostname, at.port), timeout=60) as client:
            client.sendall(noise.encode() + b"\r\n\r\n")
            client.recv(1000)


def in_the_way(dsn: str, schema: str) -> None:
    """A constraint of the user's that refuses the planted values: Postgres quotes the row."""
    with psycopg.connect(dsn, autocommit=True) as owner:
        table = Identifier(schema, "tasks")
        owner.execute(
            SQL("ALTER TABLE {} ADD CHECK (name NOT LIKE 'pl4%%') NOT VALID").format(table)
        )


async def test_nothing_that_is_logged_at_debug_tells_a_secret(
    role_dsn: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In this process, where every record passes the watch, with a user's constraint too."""
    caplog.set_level(logging.DEBUG)
    value = planted("a value")
    async with Recorder() as upstream, open_house(role_dsn, tmp_path, upstream.url) as house:
        sync = await add_sync(house, "airtable")
        for refusing in (False, True):
            if refusing:
                await asyncio.to_thread(in_the_way, role_dsn, sync.schema_name)
            upstream.replies.extend(answers(value, int(refusing)))
            url = house.service.gateway_url
            await asyncio.to_thread(hurt, url, sync.unique_id, value)
        assert repr(house.service.office.database) == "Database()"
    assert any("set aside" in record.getMessage() for record in caplog.records)
    assert [leak for leak in WATCH.leaks if "pl4" in leak or "<SECRET>" in leak] == []


@pytest.mark.parametrize("style", ["text", "json"])
def test_nothing_that_a_serving_process_says_tells_a_secret(
    style: str, role_dsn: str, tmp_path: Path
) -> None:
    """As it is started, with asyncio's own debugging on, and killed connections."""
    environment = {
        "PATH": os.environ["PATH"],  # noqa: TID251  a process of its own
        "DATABASE_URL": role_dsn,
        "HTTPPROXY_SECRET_KEY": planted("a secret key of thirty two signs at the least"),
        "HTTPPROXY_FORMER_SECRET_KEYS": planted("another key of thirty two signs at least"),
        "HTTPPROXY_LOG_LEVEL": "debug",
        "HTTPPROXY_LOG_FORMAT": style,
        "HTTPPROXY_ACCESS_LOG": "true",
        "HTTPPROXY_GATEWAY_PORT": "0",
        "HTTPPROXY_API_PORT": "0",
        "PYTHONASYNCIODEBUG": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": str(ROOT),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "httpproxy", "serve"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().split()[-1]
            _trouble(role_dsn, url)
        finally:
            process.terminate()
            out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, out
    assert "unknown_address" in err or "debug" in err.lower()
    assert "pl4" not in err
    assert [leak for leak in WATCH.leaks if "<SECRET>" in leak] == []


def _trouble(dsn: str, url: str) -> None:
    for _ in range(2):
        hurt(url, planted("a unique id"), planted("a value"))
        with psycopg.connect(dsn, autocommit=True) as owner:
            owner.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'httpproxy'"
            )
        time.sleep(0.3)
