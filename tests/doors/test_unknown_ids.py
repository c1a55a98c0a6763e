"""Guessing unique ids: slow for who guesses, cheap for the database, harmless to others."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest
from cases import AIRTABLE, TASKS
from neighbours.door import Door
from neighbours.house import add_sync
from neighbours.problem import assert_problem
from neighbours.rawclient import Answer, RawClient, request_bytes
from neighbours.recorder import Recorder
from neighbours.rounds import least_time

from httpproxy.exchange.directory import syncs
from httpproxy.gateway.server import STRANGER_CALLS
from httpproxy.store.registry import Registry

NUMBERED = ("request_id", "correlationId", "instance")

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def ask(client: RawClient, root: str, caller: str = "192.0.2.1") -> Answer:
    """A read by a client for which the proxy in front of us says that it calls."""
    told = [("X-Forwarded-For", caller)]
    return await client.exchange(request_bytes("GET", root + TASKS, told))


async def guess(client: RawClient, times: int, caller: str = "192.0.2.1") -> list[int]:
    return [(await ask(client, f"/guess-{n}/{AIRTABLE}", caller)).status for n in range(times)]


async def test_who_guesses_is_slowed_down_and_nobody_else(
    open_door, upstream: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[bytes] = []
    really = Registry.sync_by_digest

    async def counting(self: Registry, digest: bytes):
        looked_up.append(digest)
        return await really(self, digest)

    monkeypatch.setattr(Registry, "sync_by_digest", counting)
    monkeypatch.setattr(syncs, "LOOKUPS_PER_SECOND", 1000)
    async with open_door(upstream.url) as door, door.connect() as client:
        assert (await ask(client, door.root(AIRTABLE))).status == 200
        statuses = await guess(client, STRANGER_CALLS + 60)
        assert set(statuses[: STRANGER_CALLS - 10]) == {404}
        assert statuses.count(429) >= 50
        assert len(looked_up) < STRANGER_CALLS + 10
        # Neither a known id for another host tells anything, nor does one that exists.
        refused = await ask(client, f"/{door.unique_id}/evil.example")
        assert assert_problem(refused)["code"] == "too_many_requests"
        assert 1 <= int(refused.get("Retry-After")) <= 60
        assert (await ask(client, door.root(AIRTABLE))).status == 200
        assert await guess(client, 1, "192.0.2.2") == [404]
        assert await guess(client, 1, "198.51.100.1, 192.0.2.1") == [429]
    assert len(upstream.seen) == 2


async def test_a_client_that_is_no_proxy_is_counted_by_its_own_address(
    open_door, upstream: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("httpproxy.gateway.server.STRANGER_CALLS", 5)
    async with open_door(upstream.url, trusted_proxies=()) as door, door.connect() as client:
        callers = [f"192.0.2.{n}" for n in range(8)]
        statuses = [(await guess(client, 1, caller))[0] for caller in callers]
    assert statuses == [404] * 5 + [429] * 3


async def test_an_unknown_id_and_an_unknown_host_get_the_same_answer(
    door: Door, upstream: Recorder
) -> None:
    async with door.connect() as client:
        told = [
            await ask(client, f"/{unique_id}/{host}")
            for unique_id in ("nobody", door.unique_id)
            for host in ("evil.example", "api.hubspot.com", "api.hubapi.com")
        ]
    without_ids = [
        {n: v for n, v in assert_problem(a).items() if n not in NUMBERED} for a in told
    ]
    assert without_ids[:3] == without_ids[3:]
    assert upstream.seen == []


async def test_a_new_sync_is_found_in_the_middle_of_a_flood(
    house, door: Door, upstream: Recorder
) -> None:
    async def flood(number: int) -> None:
        async with door.connect() as client:
            while not found.is_set():
                await guess(client, 20, f"198.51.{number}.1")

    found = asyncio.Event()
    floods = [asyncio.ensure_future(flood(number)) for number in range(6)]
    await asyncio.sleep(0.3)
    numbers = count()

    async def is_served() -> None:
        created = await add_sync(house, "airtable", name=f"flooded{next(numbers)}")
        async with door.connect() as client:
            root = f"/{created.unique_id}/{AIRTABLE}"
            while (await ask(client, root, "203.0.113.1")).status != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    took = await least_time(is_served, 2.5)
    found.set()
    await asyncio.gather(*floods)
    assert took < 2.5
