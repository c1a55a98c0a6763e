"""What a call costs under the rate limit, and what the API's own refusals do to it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import requests
from neighbours.airtable_house import API, open_airtable
from neighbours.deadends import refusing
from neighbours.house import BASE, add_sync, open_house
from neighbours.hubspot_house import open_hubspot


async def post(url: str, token: str, body: dict[str, Any]) -> requests.Response:
    return await asyncio.to_thread(
        requests.post,
        url,
        json=body,
        headers={"Authorization": f"Bearer {token}"},
        timeout=60,
    )


async def test_the_apis_429_goes_to_the_client_and_silences_the_account_for_all(
    database_dsn: str, tmp_path: Path
):
    async with open_airtable(database_dsn, tmp_path, permit_timeout=5.0) as base:
        await asyncio.to_thread(base.order_fault, "status", status=429)
        refused = await post(base.table_url(), base.token, {"fields": {"Name": "x"}})
        assert (refused.status_code, "source" in refused.json()) == (429, False)
        waiting = await post(base.table_url(), base.token, {"fields": {"Name": "x"}})
        said = waiting.json()
        assert (waiting.status_code, said["code"], said["sent"]) == (
            504,
            "permit_timeout",
            "no",
        )
        assert 20 <= int(waiting.headers["Retry-After"]) <= 30
        assert base.rows() == {}


async def test_a_call_that_never_left_costs_nothing(database_dsn: str, tmp_path: Path):
    with refusing() as nowhere:
        async with open_house(database_dsn, tmp_path, nowhere, permit_timeout=20.0) as house:
            sync = await add_sync(house, "airtable", allowed_requests=1, interval=600.0)
            url = f"{house.door(sync).url(API)}/v0/{BASE}/Tasks"
            codes = [(await post(url, "pat", {})).json()["code"] for _ in range(3)]
            assert codes == ["upstream_failed"] * 3


async def test_every_attempt_of_a_read_of_ours_has_a_permit_of_its_own(
    database_dsn: str, tmp_path: Path
):
    async with open_hubspot(database_dsn, tmp_path) as hub:
        limiter = hub.house.service.office.limiter
        before = sum(limiter.total.grants.values())
        order = {"kind": "status", "status": 500, "count": 2, "path": "access-token-info"}
        await asyncio.to_thread(hub.apis.order, order)
        answer = await asyncio.to_thread(
            hub.post, "/crm/v3/objects/contacts", {"properties": {"firstname": "Ada"}}
        )
        assert answer.status_code == 201
        # Two attempts that failed, the one that told the account, and the write itself.
        assert sum(limiter.total.grants.values()) - before == 4


async def test_the_rate_of_a_discovery_does_not_outlive_it(database_dsn: str, tmp_path: Path):
    async with open_airtable(database_dsn, tmp_path) as base:  # discovers, then makes its sync
        created = await post(base.table_url(), base.token, {"fields": {"Name": "x"}})
        assert created.status_code == 200
        budgets = {
            state.key: state.budget.allowed_requests
            for state in base.house.service.office.limiter.states()
        }
        assert budgets["airtable", base.sync.account, "standard"] == 1_000_000
