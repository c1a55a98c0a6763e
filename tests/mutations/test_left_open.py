"""What is not sent again, and what goes on all the same, when an outcome stays open."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from mutations.mutating_api import airtable, hubspot
from neighbours.airtable_house import PROVIDER

UNCLEAR = "UPDATE httpproxy.idempotency SET state = 'unclear' WHERE intent <> 0"


def named(count: int) -> list[dict[str, Any]]:
    return [{"Name": f"n {at}"} for at in range(count)]


async def test_what_cannot_be_told_stays_unknown_and_the_rest_goes_on(
    database_dsn: str, tmp_path: Path
):
    async with airtable(database_dsn, tmp_path) as here:
        fault = {"host": PROVIDER.hosts[0], "path": here.at.table_id, "method": "POST"}
        await asyncio.to_thread(here.at.apis.order, {**fault, "kind": "drop", "when": "before"})
        first = await here.client.run("create", named(12), "key")
        assert first.each("status") == ["unknown"] * 10 + ["not_sent"] * 2
        with psycopg.connect(database_dsn) as connection:
            connection.execute("DELETE FROM httpproxy.intent")
            connection.execute(UNCLEAR)
        again = await here.client.run("create", named(12), "key")
        assert again.status == 207
        assert again.each("status") == ["unknown"] * 10 + ["applied"] * 2
        assert again.results[0]["error"]["code"] == "outcome_unclear"
        assert sorted(row["name"] for row in here.at.rows().values()) == ["n 10", "n 11"]


@pytest.mark.parametrize("status", [302, 304])
async def test_a_batch_that_is_answered_with_neither_yes_nor_no_is_not_divided(
    database_dsn: str, tmp_path: Path, status: int
):
    async with hubspot(database_dsn, tmp_path) as here:
        fault = {"path": "/batch/create", "kind": "status", "status": status, "count": 9}
        await asyncio.to_thread(here.at.apis.order, fault)
        people = [{"email": f"n{at}@example.org"} for at in range(101)]
        told = await here.client.run("create", people)
        assert told.each("status") == ["failed"] * 100 + ["not_sent"]


async def test_who_goes_away_in_the_middle_is_told_by_the_repeat(
    database_dsn: str, tmp_path: Path
):
    async with airtable(database_dsn, tmp_path) as here:
        hold = here.at.apis.hold("POST", here.at.table_id, after=1)
        body = json.dumps({**here.client.named, "kind": "create", "data": named(25)}).encode()
        at = urlsplit(here.at.house.service.api_url or "")
        _, writer = await asyncio.open_connection(at.hostname, at.port)
        head = (
            "POST /v1/mutations/run HTTP/1.1\r\nHost: here\r\nIdempotency-Key: gone\r\n"
            f"Authorization: Bearer {here.client.key}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await hold.reached()
        writer.transport.abort()
        meanwhile = await here.client.run("create", named(25), "gone")
        assert (meanwhile.status, meanwhile.body["code"]) == (409, "idempotency_in_flight")
        hold.let_go()
        async with asyncio.timeout(60):
            while len(here.at.rows()) < 25:  # noqa: ASYNC110 - nobody is told of the end
                await asyncio.sleep(0.02)
        told = await here.client.run("create", named(25), "gone")
        assert told.each("status") == ["applied"] * 25
        assert (await here.calls(), len(here.at.truths())) == (3, 25)
