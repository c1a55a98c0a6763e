"""A stored token that somebody replaced while a call was on its way: nobody sees the 401."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pyairtable
import pytest
import requests
from neighbours.airtable_house import API, PROVIDER, TABLE, AirtableHouse, open_airtable
from neighbours.keyring import new_key

from httpproxy.exchange.tokens.access import Tokens
from httpproxy.exchange.tokens.refreshing import Refresher
from httpproxy.store.credentials.apps import Apps
from httpproxy.store.credentials.refreshes import Refreshes
from httpproxy.store.credentials.values import CredentialDraft, TokenPair

GRANT = PROVIDER.sandbox.grant


@dataclass(frozen=True)
class Granted:
    """A house whose credential is an OAuth grant, and a key for it."""

    base: AirtableHouse
    credential_id: str
    key: str

    async def refresh_elsewhere(self) -> None:
        """Another process replaces the token, which ends the one before."""
        office = self.base.house.service.office
        refreshes, apps = (
            Refreshes(office.database, office.vault),
            Apps(office.database, office.vault),
        )
        refresher = Refresher(refreshes, apps, office.client, "elsewhere", time.monotonic)
        tokens = Tokens(refresher, time.monotonic)
        ended = await tokens.current(self.credential_id)
        assert await tokens.replaced(self.credential_id, ended) not in (None, ended)

    def client(self) -> pyairtable.Api:
        url = self.base.house.door(self.base.sync).url(API)
        return pyairtable.Api(self.key, endpoint_url=url)


@pytest.fixture
async def granted(database_dsn: str, tmp_path: Path) -> AsyncIterator[Granted]:
    async with open_airtable(database_dsn, tmp_path, roles=("gateway", "api")) as base:
        office = base.house.service.office
        app, _ = await Apps(office.database, office.vault).save("airtable", GRANT.app, "app")
        draft = CredentialDraft(
            "airtable",
            base.sync.account,
            GRANT.kind,
            TokenPair(GRANT.tokens.access_token, GRANT.tokens.refresh_token),
            app_id=app.id,
            expires_in=3600.0,
            refresh_in=3000.0,
        )
        credential, made = await office.registry.credentials.save(draft)
        assert not made
        await base.house.service.directory.refresh()
        yield Granted(base, credential.id, await new_key(base.house, "write"))


async def test_a_call_at_the_gateway_leaves_again_with_the_token_that_is_good(
    granted: Granted,
) -> None:
    def create(name: str) -> str:
        table = granted.client().table(granted.base.sync.account, TABLE)
        return str(table.create({"Name": name})["id"])

    first = await asyncio.to_thread(create, "before")
    await granted.refresh_elsewhere()
    second = await asyncio.to_thread(create, "after")
    rows = await asyncio.to_thread(granted.base.rows)
    assert (rows[first]["name"], rows[second]["name"]) == ("before", "after")


async def test_a_call_by_proxy_and_one_under_a_key_leave_again_too(granted: Granted) -> None:
    base = granted.base
    url = f"{base.house.service.api_url}/v1/proxy/credential/{granted.credential_id}"

    def send(method: str, **headers: str) -> requests.Response:
        return requests.request(
            method,
            f"{url}/v0/{base.sync.account}/Tasks",
            json={"fields": {"Name": "x"}} if method == "POST" else None,
            headers={"Authorization": f"Bearer {granted.key}", **headers},
            timeout=60,
        )

    assert (await asyncio.to_thread(send, "GET")).status_code == 200
    await granted.refresh_elsewhere()
    assert (await asyncio.to_thread(send, "GET")).status_code == 200
    await granted.refresh_elsewhere()
    once = {"Idempotency-Key": "renewed"}
    answer = await asyncio.to_thread(lambda: send("POST", **once))
    assert answer.status_code == 200
    again = await asyncio.to_thread(lambda: send("POST", **once))
    assert (again.content, again.headers["Idempotency-Replayed"]) == (answer.content, "true")
    await base.house.service.office.registry.delete_sync(base.sync, drop_tables=False)
    await granted.refresh_elsewhere()
    unsynced = await asyncio.to_thread(send, "POST")
    assert unsynced.status_code == 200
    assert unsynced.headers["Httpproxy-Commit"].startswith("unmapped; ")


async def test_a_token_that_is_refused_and_has_no_successor_is_the_apis_own_401(
    granted: Granted,
) -> None:
    def refused() -> None:
        table = granted.client().table(granted.base.sync.account, TABLE)
        with pytest.raises(requests.HTTPError, match="401"):
            table.all()

    order = {"kind": "status", "status": 401, "host": API, "count": 10}
    await asyncio.to_thread(granted.base.apis.order, order)
    await asyncio.to_thread(refused)
