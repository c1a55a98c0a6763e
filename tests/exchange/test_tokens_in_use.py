"""Calls that go on over the end of a token, and a sync whose credential is at its end."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import requests
from granted import Granted, granted, until
from neighbours.house import House
from neighbours.keyring import new_key

from httpproxy.cli.doctor.findings import _syncs
from httpproxy.exchange.directory.syncs import Live
from httpproxy.exchange.tokens import access as tokens_module
from httpproxy.exchange.tokens.lifetimes import refresh_in
from httpproxy.store.credentials.values import TokenPair
from httpproxy.store.registry import Sync
from httpproxy.sync.health import health
from providers.http import Request, Response
from providers.spec import Conversation

LIFE = 2.5  # seconds that an access token is good for
RUN = 4.2
COLLECTIONS = {"airtable": "Projects", "hubspot": "companies"}
READS = {"airtable": "/v0/{account}/Projects", "hubspot": "/crm/v3/objects/companies"}
WRITES: dict[str, tuple[str, Any]] = {
    "airtable": ("/v0/{account}/Projects", {"fields": {"Name": "Mercury"}}),
    "hubspot": ("/crm/v3/objects/companies", {"properties": {"name": "Mercury"}}),
}


def reading(world: Granted) -> Conversation[int]:
    """One read of the account; its status."""
    target = READS[world.provider.name].format(account=world.provider.sandbox.account)
    response: Response = yield Request("GET", world.provider.hosts[0], target)
    return response.status


async def keep_reading(world: Granted, house: House, sync: Sync, enough: Event) -> set[int]:
    """The sync's own calls, one after the other; the statuses that came back."""
    live = house.service.directory.of(sync.id)
    assert isinstance(live, Live)
    seen = set()
    while not enough.is_set():
        seen.add(await house.service.office.conversations.converse(live, reading(world)))
        await asyncio.sleep(0.01)
    return seen


def keep_writing(world: Granted, house: House, sync: Sync, key: str, enough: Event) -> set[int]:
    """Proxied calls with an API key, in a thread; the statuses that came back."""
    target, body = WRITES[world.provider.name]
    target = target.format(account=world.provider.sandbox.account)
    url = house.door(sync).url(world.provider.hosts[0]) + target
    seen = set()
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {key}"
        while not enough.is_set():
            seen.add(session.post(url, json=body, timeout=60).status_code)
            seen.add(session.get(url, timeout=60).status_code)
            time.sleep(0.01)
    return seen


@pytest.mark.parametrize("provider", ["airtable", "hubspot"])
async def test_nobody_sees_a_token_end(database_dsn: str, tmp_path: Path, provider: str):
    async with granted(database_dsn, tmp_path, provider, houses=2) as world:
        world.switch(access_lifetime=LIFE)
        await world.store(expires_in=LIFE, refresh_in=refresh_in(LIFE))
        sync, _ = await world.sync(COLLECTIONS[provider])
        key = await new_key(world.house, "read", "write")
        enough = Event()
        working = asyncio.gather(
            *(keep_reading(world, house, sync, enough) for house in world.houses),
            *(
                asyncio.to_thread(keep_writing, world, house, sync, key, enough)
                for house in world.houses
            ),
        )
        await asyncio.sleep(RUN)
        await until(lambda: world.row()["generation"] >= 3)  # a token each 1.25 to 2.5 seconds
        enough.set()
        assert set.union(*await working) <= {200, 201}
        # One may be under way still, and is stored in a moment.
        await until(lambda: world.given() == world.row()["generation"] - 1)


async def test_calls_with_an_api_key_and_doctor_say_that_the_credential_is_at_its_end(
    database_dsn: str, tmp_path: Path
):
    async with granted(database_dsn, tmp_path) as world:
        gone = TokenPair("gone", "pl4nted-refresh-token")
        await world.store(expires_in=0.0, refresh_in=0.0, tokens=gone)
        sync, _ = await world.sync("Projects")
        key = await new_key(world.house, "read")
        url = world.house.door(sync).url(world.provider.hosts[0]) + "/v0/meta/whoami"
        fields = {"Authorization": f"Bearer {key}"}
        answer = await asyncio.to_thread(requests.get, url, headers=fields, timeout=60)
        assert answer.status_code == 409
        problem = answer.json()
        assert (problem["code"], problem["sent"]) == ("credential_unusable", "no")
        assert "authorise the app again" in problem["detail"]
        found = [finding async for finding in _syncs(world.house.service.office)]
        told = [each for each in found if "invalid_grant" in each.said]
        assert any(each.about.endswith(": credential") for each in told)
        assert {each.remedy for each in told} == {
            f"Store new tokens in the credential {world.id}."
        }


async def test_the_health_of_a_sync_says_that_its_credential_is_at_its_end(
    database_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tokens_module, "KEEP_SECONDS", 0.1)
    roles = ("gateway", "sync")
    async with granted(database_dsn, tmp_path, roles=roles, sync_interval=0.2) as world:
        gone = TokenPair("gone", "pl4nted-refresh-token")
        await world.store(expires_in=0.0, refresh_in=0.0, tokens=gone)
        sync, _ = await world.sync("Projects")
        progress = world.house.service.office.progress

        async def failing() -> Any:
            async with asyncio.timeout(60):
                while True:
                    (state,) = await progress.states(sync.id)
                    found = health(state, sync.name, sync.status, time.time_ns() / 1e9)
                    if found.error:
                        return found
                    await asyncio.sleep(0.05)

        found = await failing()
        assert "invalid_grant" in found.error
        assert found.remedy == f"Store new tokens in the credential {world.id}."
        given = world.provider.sandbox.grant.tokens
        pair = TokenPair(given.access_token, given.refresh_token)
        await world.store(expires_in=None, refresh_in=0.0, tokens=pair)
        await world.house.service.office.registry.touch(sync)
        await until(lambda: world.row()["generation"] >= 3)
        assert world.row()["trouble"] is None
