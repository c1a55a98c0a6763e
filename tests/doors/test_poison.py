"""Answers that a database cannot hold, or nobody read: the client gets them all the same.

Whatever is in a 2xx, its bytes go out as they came, and the next write works.
"""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest
from cases import AIRTABLE, JSON_TYPE, PAYLOAD, TASKS
from neighbours.door import Door
from neighbours.house import House
from neighbours.rawclient import Answer, connect, request_bytes
from neighbours.recorder import Recorder, http
from neighbours.rows import rows

from httpproxy.exchange.forwarding import intake
from providers.body import MAX_DECODED

pytestmark = pytest.mark.asyncio(loop_scope="module")

RECORD_ID = "rec00000000000001"


def record(
    name: bytes, *, more: bytes = b"", created: bytes = b"2026-01-02T03:04:05Z"
) -> bytes:
    return (
        b'{"id":"rec00000000000001","createdTime":"' + created + b'","fields":'
        b'{"Name":' + name + more + b"}}"
    )


# The answer's body, and what the row's name must be: None where it must be as before.
POISON: dict[str, tuple[bytes, str | None]] = {
    "NUL in a value": (record(b'"a\\u0000b"'), "a\ufffdb"),
    "NUL in a key": (record(b'"k"', more=b',"x\\u0000y":1'), "k"),
    "a lone surrogate": (record(b'"\\ud800!"'), "\ufffd!"),
    "a lone surrogate in a key": (record(b'"s"', more=b',"\\udfff":1'), "s"),
    "NaN": (record(b'"n"', more=b',"x":NaN'), None),
    "Infinity": (record(b'"i"', more=b',"x":-Infinity'), None),
    "a number beyond doubles": (record(b'"e"', more=b',"x":1e400'), "e"),
    "an integer beyond everything": (record(b'"b"', more=b',"x":' + b"9" * 400), "b"),
    "arrays within arrays": (record(b'"d"', more=b',"x":' + b"[" * 99_999), None),
    "deep but whole": (record(b'"w"', more=b',"x":' + b"[" * 5_000 + b"]" * 5_000), None),
    "a name that comes twice": (record(b'"one"', more=b',"Name":"two"'), "two"),
    "a value of another type": (record(b'{"specialValue":"NaN"}'), None),
    "bytes that are not UTF-8": (record(b'"\xff\xfe"'), None),
    "a moment that is none": (record(b'"m"', created=b"yesterday"), "m"),
    "a year that Postgres lacks": (record(b'"y"', created=b"0000-00-00T00:00:00Z"), "y"),
    "an id of nothing": (record(b'"x"').replace(b'"rec00000000000001"', b'""'), None),
    "an id that is a number": (record(b'"x"').replace(b'"rec00000000000001"', b"17"), None),
    "no object": (b"[]", None),
    "records of nothing": (b'{"records":[null,1,{"id":null},{}]}', None),
    "an HTML page": (b"<html>502</html>", None),
    "no bytes": (b"", None),
    "a very long name": (record(b'"l"', more=b',"' + b"n" * 5_000 + b'":1'), "l"),
}


async def write(door: Door) -> Answer:
    async with connect(door.host, door.port) as client:
        return await client.exchange(
            request_bytes("POST", door.root(AIRTABLE) + TASKS, [JSON_TYPE], PAYLOAD)
        )


def found(dsn: str) -> dict[Any, dict[str, Any]]:
    return rows(dsn, "airtable_house", "tasks")


@pytest.mark.parametrize("name", POISON)
async def test_the_answer_goes_out_and_the_next_write_works(
    name: str, house: House, door: Door, upstream: Recorder
) -> None:
    body, kept = POISON[name]
    upstream.usual = http(200, JSON_TYPE, body=record(b'"before"'))
    assert (await write(door)).get("Httpproxy-Commit").startswith("applied; ")
    upstream.usual = http(200, JSON_TYPE, body=body)
    answer = await write(door)
    assert (answer.status, answer.body) == (200, body)
    now = await asyncio.to_thread(found, house.dsn)
    if kept is not None:
        assert answer.get("Httpproxy-Commit").startswith("applied; rows=1; ")
        assert now[RECORD_ID]["name"] == kept
    elif name != "a value of another type":
        assert now[RECORD_ID]["name"] == "before"
    assert set(now) == {RECORD_ID}
    upstream.usual = http(200, JSON_TYPE, body=record(b'"after"'))
    assert (await write(door)).get("Httpproxy-Commit").startswith("applied; rows=1; ")
    assert (await asyncio.to_thread(found, house.dsn))[RECORD_ID]["name"] == "after"


async def test_a_value_that_does_not_fit_is_set_aside(
    house: House, door: Door, upstream: Recorder
) -> None:
    upstream.usual = http(200, JSON_TYPE, body=record(b'{"specialValue":"NaN"}'))
    assert (await write(door)).get("Httpproxy-Commit").startswith("applied; rows=1; ")
    row = (await asyncio.to_thread(found, house.dsn))[RECORD_ID]
    assert row["name"] is None
    assert row["_extra"]["Name"] == {"specialValue": "NaN"}


async def test_a_small_answer_that_unfolds_into_a_huge_one_is_not_unfolded(
    door: Door, upstream: Recorder
) -> None:
    bomb = gzip.compress(record(b'"' + b"a" * (MAX_DECODED + 1) + b'"'), 1)
    assert len(bomb) < MAX_DECODED / 100
    upstream.usual = http(200, JSON_TYPE, ("Content-Encoding", "gzip"), body=bomb)
    answer = await write(door)
    assert (answer.status, answer.body) == (200, bomb)
    assert answer.get("Httpproxy-Commit").startswith("none; ")


async def test_a_fault_of_our_own_after_the_answer_does_not_become_the_answer(
    door: Door, upstream: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(*_: object) -> None:
        raise ZeroDivisionError

    upstream.usual = http(201, JSON_TYPE, body=record(b'"x"'))
    monkeypatch.setattr(intake, "_meaning", faulty)
    answer = await write(door)
    assert (answer.status, answer.body) == (201, record(b'"x"'))
    assert answer.get("Httpproxy-Commit").startswith("deferred; ")
