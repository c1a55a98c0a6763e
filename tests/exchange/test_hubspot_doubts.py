"""Calls to HubSpot whose answer was lost: by id, by a unique value, in batches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from neighbours.hubspot_house import API, PROVIDER, HubSpotHouse, open_hubspot

from httpproxy.exchange.settling import doubts

CONTACTS = "/crm/v3/objects/contacts"


@pytest.fixture
async def portal(
    database_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[HubSpotHouse]:
    monkeypatch.setattr(doubts, "LOOKS", (0.0, 0.5, 1.5, 3.0, 6.0))
    async with open_hubspot(database_dsn, tmp_path) as house:
        yield house


async def call(portal: HubSpotHouse, method: str, path: str, body: Any) -> requests.Response:
    return await asyncio.to_thread(
        requests.request,
        method,
        portal.house.door(portal.sync).url(API) + path,
        json=body,
        headers={"Authorization": f"Bearer {PROVIDER.sandbox.token}"},
        timeout=60,
    )


async def lose(portal: HubSpotHouse, method: str, path: str, body: Any) -> None:
    """A call that is applied and whose answer comes to nobody."""
    named = path.partition("?")[0]
    order = {"kind": "drop", "when": "after", "method": method, "path": named}
    await asyncio.to_thread(portal.apis.order, order)
    assert (await call(portal, method, path, body)).status_code == 502


async def settled(portal: HubSpotHouse) -> None:
    def count() -> int:
        with psycopg.connect(portal.house.dsn) as connection:
            (found,) = connection.execute("SELECT count(*) FROM httpproxy.intent")
        return int(found[0])

    async with asyncio.timeout(60):
        while await asyncio.to_thread(count):  # noqa: ASYNC110 - another task's work
            await asyncio.sleep(0.1)


def emails(portal: HubSpotHouse) -> list[str]:
    return sorted(row["email"] for row in portal.rows("contact").values())


async def test_contacts_that_were_created_unheard_are_found_though_the_index_lags(portal):
    inputs = [{"properties": {"email": f"{n}@example.com"}} for n in ("one", "two")]
    await lose(portal, "POST", f"{CONTACTS}/batch/create", {"inputs": inputs})
    await settled(portal)
    assert emails(portal) == ["one@example.com", "two@example.com"]


async def test_an_update_by_email_is_found_by_the_row_that_has_it(portal):
    made = await call(portal, "POST", CONTACTS, {"properties": {"email": "a@example.com"}})
    by_email = f"{CONTACTS}/a@example.com?idProperty=email"
    await lose(portal, "PATCH", by_email, {"properties": {"firstname": "Ada"}})
    await settled(portal)
    assert portal.rows("contact")[made.json()["id"]]["firstname"] == "Ada"


async def test_an_upsert_is_settled_for_those_that_were_there_and_those_that_were_not(portal):
    await call(portal, "POST", CONTACTS, {"properties": {"email": "a@example.com"}})
    inputs = [
        {"idProperty": "email", "id": each, "properties": {"email": each, "lastname": "Seen"}}
        for each in ("a@example.com", "b@example.com")
    ]
    await lose(portal, "POST", f"{CONTACTS}/batch/upsert", {"inputs": inputs})
    await settled(portal)
    names = {row["email"]: row["lastname"] for row in portal.rows("contact").values()}
    assert names == {"a@example.com": "Seen", "b@example.com": "Seen"}


async def test_contacts_that_were_archived_unheard_are_archived_in_their_rows(portal):
    made = await call(portal, "POST", CONTACTS, {"properties": {"email": "a@example.com"}})
    record = made.json()["id"]
    await lose(portal, "POST", f"{CONTACTS}/batch/archive", {"inputs": [{"id": record}]})
    await settled(portal)
    assert portal.rows("contact")[record]["archived"] is True


async def test_a_merge_unheard_is_read_again_at_both_ends(portal):
    first, second = [
        (
            await call(portal, "POST", CONTACTS, {"properties": {"email": f"{n}@example.com"}})
        ).json()["id"]
        for n in "ab"
    ]
    body = {"primaryObjectId": first, "objectIdToMerge": second}
    await lose(portal, "POST", f"{CONTACTS}/merge", body)
    await settled(portal)
    assert first not in portal.rows("contact")
    assert second not in portal.rows("contact")
