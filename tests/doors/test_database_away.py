"""A database that goes away before or after the API has answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cases import AIRTABLE, JSON_TYPE, PAYLOAD, RECORD, TASKS
from neighbours.cable import Cable
from neighbours.door import Door
from neighbours.house import add_sync, open_house
from neighbours.problem import assert_problem
from neighbours.rawclient import Answer, connect, request_bytes
from neighbours.recorder import Recorder, Reply, http
from neighbours.rows import rows

RECORD_ID = "rec00000000000001"


@pytest.fixture
async def api() -> AsyncIterator[Recorder]:
    async with Recorder(usual=http(200, JSON_TYPE, body=RECORD)) as recorder:
        yield recorder


@pytest.fixture
async def cable(database_dsn: str) -> AsyncIterator[Cable]:
    at = urlsplit(database_dsn)
    async with Cable(at.hostname or "127.0.0.1", at.port or 5432) as cable:
        yield cable


@pytest.fixture
async def door(
    database_dsn: str, cable: Cable, api: Recorder, tmp_path: Path
) -> AsyncIterator[Door]:
    """A door whose database is at the other end of the cable."""
    at = urlsplit(database_dsn)
    through = at._replace(netloc=at.netloc.replace(f":{at.port}", f":{cable.port}")).geturl()
    assert through != database_dsn
    async with open_house(through, tmp_path, api.url, commit_timeout=3.0) as house:
        yield house.door(await add_sync(house, "airtable"))


async def ask(door: Door, method: str = "POST") -> Answer:
    body = PAYLOAD if method == "POST" else None
    async with connect(door.host, door.port) as client:
        return await client.exchange(
            request_bytes(method, door.root(AIRTABLE) + TASKS, [JSON_TYPE], body)
        )


def found(dsn: str) -> dict[Any, dict[str, Any]]:
    return rows(dsn, "airtable_house", "tasks")


async def test_a_write_is_not_sent_while_the_database_is_away_and_reads_go_on(
    door: Door, cable: Cable, api: Recorder
) -> None:
    assert (await ask(door)).get("Httpproxy-Commit").startswith("applied; rows=1; ")
    cable.cut()
    # Nobody has noticed yet, but no intent can be kept: not even the first write is sent.
    answer = await ask(door)
    assert answer.status == 502
    problem = assert_problem(answer)
    assert (problem["code"], problem["sent"]) == ("database_unavailable", "no")
    assert problem["retry_safe"] is True
    assert int(answer.get("Retry-After")) >= 1
    assert (await ask(door, "GET")).body == RECORD
    assert [seen.method for seen in api.seen] == ["POST", "GET"]
    cable.mend()
    async with asyncio.timeout(60):
        while (await ask(door)).status != 200:  # noqa: ASYNC110 - it comes back by itself
            await asyncio.sleep(0.1)
    assert (await ask(door)).get("Httpproxy-Commit").startswith("applied; rows=")


async def test_who_prefers_to_go_on_has_writes_sent_and_committed_later(
    database_dsn: str, cable: Cable, api: Recorder, tmp_path: Path
) -> None:
    at = urlsplit(database_dsn)
    through = at._replace(netloc=at.netloc.replace(f":{at.port}", f":{cable.port}")).geturl()
    forward = {"commit_timeout": 3.0, "on_database_down": "forward"}
    async with open_house(through, tmp_path, api.url, **forward) as house:
        door = house.door(await add_sync(house, "airtable"))
        assert (await ask(door)).get("Httpproxy-Commit").startswith("applied")
        cable.cut()
        changed = RECORD.replace(b'"x"', b'"sent blind"')
        api.replies.append(http(200, JSON_TYPE, body=changed))
        answer = await ask(door)
        assert (answer.status, answer.body) == (200, changed)
        assert answer.get("Httpproxy-Commit").startswith("deferred; ")
        key = ("Idempotency-Key", "only with an intent")
        keyed = request_bytes("POST", door.root(AIRTABLE) + TASKS, [JSON_TYPE, key], PAYLOAD)
        async with connect(door.host, door.port) as client:
            refused = await client.exchange(keyed)
        assert assert_problem(refused)["sent"] == "no"
        assert len(api.seen) == 2
        cable.mend()
        async with asyncio.timeout(60):
            while True:
                row = (await asyncio.to_thread(found, database_dsn))[RECORD_ID]
                if row["name"] == "sent blind":
                    break
                await asyncio.sleep(0.1)


async def test_who_prefers_to_go_on_waits_for_no_database_that_is_known_to_be_away(
    database_dsn: str, cable: Cable, api: Recorder, tmp_path: Path
) -> None:
    at = urlsplit(database_dsn)
    through = at._replace(netloc=at.netloc.replace(f":{at.port}", f":{cable.port}")).geturl()
    forward = {"commit_timeout": 60.0, "on_database_down": "forward"}
    async with open_house(through, tmp_path, api.url, **forward) as house:
        door = house.door(await add_sync(house, "airtable"))
        await ask(door)
        cable.cut()
        async with asyncio.timeout(60):
            while house.service.committer.available:  # noqa: ASYNC110 - a property
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.1)  # the intents' own connection was cut as well
        began = asyncio.get_running_loop().time()
        answer = await ask(door)
        assert answer.get("Httpproxy-Commit").startswith("deferred; ")
        assert asyncio.get_running_loop().time() - began < 30.0
        cable.mend()


async def test_what_the_api_accepted_is_answered_as_its_own_and_committed_later(
    door: Door, cable: Cable, api: Recorder, database_dsn: str
) -> None:
    await ask(door)  # the tables of the sync are known from here on
    changed = RECORD.replace(b'"x"', b'"after"')
    away = asyncio.Event()
    api.replies.append(Reply((away, *http(200, JSON_TYPE, body=changed).parts)))
    under_way = asyncio.ensure_future(ask(door))
    await api.has(seen=2)
    cable.cut()
    away.set()
    answer = await under_way
    assert (answer.status, answer.body) == (200, changed)
    assert answer.get("Httpproxy-Commit").startswith("deferred; ")
    assert 'details="commit-deferred"' in answer.get("Proxy-Status")
    assert (await asyncio.to_thread(found, database_dsn))[RECORD_ID]["name"] == "x"
    cable.mend()
    async with asyncio.timeout(60):
        while (await asyncio.to_thread(found, database_dsn))[RECORD_ID]["name"] != "after":  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert (await asyncio.to_thread(found, database_dsn))[RECORD_ID]["name"] == "after"
    assert len(api.seen) == 2, "nothing was sent again"
