"""What a mutation waits for: a replica, a 429 that passes, its turn under the rate limit."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mutations.mutating_api import ROLES, Client, airtable
from neighbours.deadends import refusing
from neighbours.house import add_sync, open_house
from neighbours.keyring import new_key
from neighbours.recorder import Recorder, Reply, http
from neighbours.rounds import least_time

JSON_TYPE = ("Content-Type", "application/json")


@asynccontextmanager
async def recorded(
    dsn: str, folder: Path, allowed_requests: int = 1_000_000, **settings: Any
) -> AsyncIterator[tuple[Recorder, Client]]:
    """A sync of contacts whose API is a recorder."""
    async with (
        Recorder() as api,
        open_house(dsn, folder, api.url, roles=ROLES, **settings) as house,
    ):
        rate = {"allowed_requests": allowed_requests, "interval": 600.0}
        sync = await add_sync(house, "hubspot", **rate)
        api.usual = answer(200, {"results": []})
        yield api, Client(house, sync.id, "contact", await new_key(house, "write"))


def answer(status: int, body: Any) -> Reply:
    return http(status, JSON_TYPE, body=json.dumps(body).encode())


def posts(api: Recorder) -> int:
    return sum(seen.method == "POST" for seen in api.seen)


async def test_who_is_to_be_awaited_has_it_or_the_answer_says_no(
    database_dsn: str, tmp_path: Path
):
    with refusing() as nobody:
        replicas = {
            "near": database_dsn,
            "gone": database_dsn.replace(database_dsn.rpartition("@")[2], f"{nobody[7:]}/x"),
        }
        async with airtable(database_dsn, tmp_path, replicas=replicas) as here:
            wait = {"await_consumer_ids": ["replica:near"]}
            told = await here.client.run("create", {"Name": "x"}, **wait)
            assert (told.status, told.body["awaited"]) == (200, True), told.body
            wait = {"await_consumer_ids": ["replica:near", "replica:gone"]}

            async def in_vain() -> None:
                told = await here.client.run(
                    "create", {"Name": "y"}, **wait, await_consumers_timeout=0.3
                )
                assert (told.status, told.body["awaited"]) == (200, False)

            assert 0.3 <= await least_time(in_vain, 3.0) < 3.0
            assert {row["name"] for row in here.at.rows().values()} == {"x", "y"}
            told = await here.client.run("create", [], await_consumer_ids="replica:nope")
            assert told.body["code"] == "unknown_consumer"
            assert "replica:gone, replica:near" in told.body["detail"]


async def test_a_429_that_passes_is_waited_out_and_one_that_does_not_ends_it(
    database_dsn: str, tmp_path: Path
):
    # Nobody's turn is waited for as long as the pause is.
    async with recorded(database_dsn, tmp_path, permit_timeout=0.5) as (api, client):
        api.replies.append(answer(429, {"policyName": "SECONDLY", "message": "slow"}))
        api.replies.append(answer(201, {"results": [{"id": "7"}]}))
        began = time.monotonic()
        told = await client.run("create", {"Name": "late"}, "key")
        assert told.status == 200, told.body
        assert told.each("upstream_id") == ["7"]
        assert time.monotonic() - began >= 0.9
        assert posts(api) == 2
        api.replies.append(answer(429, {"policyName": "DAILY", "message": "enough"}))
        told = await client.run("create", [{"Name": "x"}] * 101)
        assert (told.status, posts(api)) == (422, 3)
        assert told.each("status") == ["failed"] * 100 + ["not_sent"]
        assert told.results[0]["error"]["message"] == "enough"
        # Ten seconds are no time for a process that is about to end.
        api.replies.append(answer(429, {"policyName": "TEN_SECONDLY_ROLLING", "message": "no"}))
        waiting = asyncio.ensure_future(client.run("create", [{"Name": "x"}] * 101))
        while posts(api) < 4:  # noqa: ASYNC110 - an API tells nobody
            await asyncio.sleep(0.01)
        await client.house.service.house.mutations.drain(60.0)
        assert (await waiting).each("status") == ["failed"] * 100 + ["not_sent"]
        assert posts(api) == 4


async def test_whose_turn_does_not_come_is_not_sent_and_goes_on_later(
    database_dsn: str, tmp_path: Path
):
    limits = {"allowed_requests": 1, "permit_timeout": 20.0}
    async with recorded(database_dsn, tmp_path, **limits) as (api, client):
        told = await client.run("create", [{"Name": "x"}] * 101, "key")
        assert told.status == 207
        assert told.each("status") == ["applied"] * 100 + ["not_sent"]
        assert told.results[100]["error"]["code"] == "permit_timeout"
        # Of the next one nothing can be sent at all: that is an error as a whole.
        told = await client.run("create", {"Name": "y"})
        assert (told.status, told.body["cause"]) == (504, "permit_timeout")
        assert posts(api) == 1
        # The repeat is told what was done, and comes no further yet.
        told = await client.run("create", [{"Name": "x"}] * 101, "key")
        assert told.each("status") == ["applied"] * 100 + ["not_sent"]
        assert posts(api) == 1


async def test_an_outage_in_between_is_told_of_the_records_that_it_met(
    database_dsn: str, tmp_path: Path
):
    async with recorded(database_dsn, tmp_path) as (api, client):
        api.replies += [answer(200, {"results": []}), answer(504, {"message": "gateway"})]
        told = await client.run("create", [{"Name": "x"}] * 201)
        assert told.each("status") == ["applied"] * 100 + ["unknown"] * 100 + ["not_sent"]
        assert told.results[100]["error"]["status"] == 504
        assert posts(api) == 2
