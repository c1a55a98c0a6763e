"""What the sync asks for when nothing happens, and what it leaves behind when it ends."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import requests
from neighbours.airtable_house import API as AIRTABLE
from neighbours.airtable_house import AirtableHouse, open_airtable
from neighbours.hubspot_house import HubSpotHouse, open_hubspot
from waiting import QUICK, until_listed

from httpproxy.management.services import make_services

PASSES, INTERVAL, QUIET = 8, 0.4, 1.5
SLOW = {**QUICK, "sync_interval": INTERVAL}


def webhooks(house: AirtableHouse) -> list[Any]:
    path = f"/v0/bases/{house.sync.account}/webhooks"
    found: list[Any] = house.apis.ask(AIRTABLE, house.token, "GET", path)["webhooks"]
    return found


async def calls_in(
    house: AirtableHouse | HubSpotHouse, seconds: float
) -> tuple[list[str], int]:
    """The calls that an API sees in this time, and how many passes may begin in it: the
    machine may have made it longer."""

    def seen() -> list[str]:
        entries = requests.get(f"{house.apis.origin}/_sandbox/requests", timeout=60).json()
        return [f"{each['method']} {each['target']}" for each in entries["requests"]]

    clock = asyncio.get_running_loop().time
    began = clock()
    before = len(await asyncio.to_thread(seen))
    await asyncio.sleep(seconds)
    calls = (await asyncio.to_thread(seen))[before:]
    return calls, int((clock() - began) / INTERVAL) + 1


@pytest.mark.parametrize("allowed", [True, False])
async def test_a_base_where_nothing_happens_costs_a_call_a_pass(
    database_dsn: str, tmp_path: Path, allowed: bool
) -> None:
    """One for all tables by a webhook; without, one for each table: here there is one."""
    async with open_airtable(database_dsn, tmp_path, **SLOW) as house:
        house.apis.simulators.switch({"airtable": {"webhooks_allowed": allowed}})
        await until_listed(house, house.table_id)
        calls, passes = await calls_in(house, PASSES * INTERVAL)
        assert 2 <= len(calls) <= passes, calls


async def test_a_portal_where_nothing_happens_costs_a_search_a_pass_and_type(
    database_dsn: str, tmp_path: Path
) -> None:
    async with open_hubspot(database_dsn, tmp_path, **SLOW) as house:
        for collection in ("0-1", "0-2", "associations_company_contact"):
            await until_listed(house, collection)
        calls, passes = await calls_in(house, PASSES * INTERVAL)
        assert all(call.endswith("/search") for call in calls), calls
        assert 2 <= len(calls) <= 2 * passes, calls


async def test_a_sync_that_is_deleted_takes_its_webhook_with_it(
    database_dsn: str, tmp_path: Path
) -> None:
    async with open_airtable(database_dsn, tmp_path, **QUICK) as house:
        await until_listed(house, house.table_id)
        assert len(webhooks(house)) == 1
        services = make_services(house.house.service.office)
        await services.syncs.delete(house.sync, drop_tables=True)
        # A pass that has just begun may open one anew; it closes what it has opened.
        async with asyncio.timeout(60):
            quiet = 0.0
            while quiet < QUIET:
                quiet = 0.0 if webhooks(house) else quiet + 0.05
                await asyncio.sleep(0.05)


async def test_a_webhook_that_is_being_opened_while_its_sync_ends_is_closed_again(
    database_dsn: str, tmp_path: Path
) -> None:
    """Whoever ends the sync does not know of it: the process that opened it does."""
    async with open_airtable(database_dsn, tmp_path, **QUICK) as house:
        opening = house.apis.hold("POST", "/webhooks$")
        await opening.reached()  # the API has it; its answer waits
        services = make_services(house.house.service.office)
        await services.syncs.delete(house.sync, drop_tables=True)
        assert webhooks(house) != []
        opening.let_go()
        async with asyncio.timeout(60):
            while webhooks(house):  # noqa: ASYNC110 - what the API has cannot be waited for
                await asyncio.sleep(0.05)
