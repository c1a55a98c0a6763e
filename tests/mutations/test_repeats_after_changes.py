"""A mutation repeated with its key, when what it names is called otherwise by then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import requests
from mutations.mutating_api import Airtable, airtable
from neighbours.airtable_house import API, PROVIDER

from httpproxy.exchange.directory.syncs import tables_of
from httpproxy.management.problems import Declined
from httpproxy.mutations.documents import RecordsToChange
from httpproxy.mutations.repeating import Key, before, mark_of
from httpproxy.store.intents.claims import Claims
from providers.record import Collection, Schema


@pytest.fixture
async def here(database_dsn: str, tmp_path: Path) -> AsyncIterator[Airtable]:
    async with airtable(database_dsn, tmp_path) as opened:
        yield opened


async def renamed(here: Airtable, path: str, name: str) -> None:
    """Renames a field or the table as an application does, through the gateway."""
    root = here.at.house.door(here.at.sync).url(API)
    url = f"{root}/v0/meta/bases/{here.at.sync.account}/tables/{here.at.table_id}{path}"
    headers = {"Authorization": f"Bearer {here.at.token}"}
    answer = await asyncio.to_thread(
        requests.patch, url, json={"name": name}, headers=headers, timeout=10
    )
    assert answer.status_code == 200, answer.text
    async with asyncio.timeout(60):
        while name not in {(table := await known(here)).name, *table.by_name}:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def known(here: Airtable) -> Collection:
    """The table as the service knows it."""
    live = here.at.house.service.directory.of(here.at.sync.id)
    assert live is not None
    tables = await tables_of(live, here.at.house.service.office.registry)
    return tables.tables[here.at.table_id].collection


async def ordered(here: Airtable, **fault: Any) -> None:
    of = {"host": PROVIDER.hosts[0], "path": here.at.table_id, "method": "PATCH"}
    await asyncio.to_thread(here.at.apis.order, {**of, **fault})


async def test_it_is_told_its_first_outcome_and_goes_on_whatever_the_schema_says_now(
    here: Airtable,
):
    told = await here.client.run("create", {"Name": "known"}, "made")
    ids = told.each("upstream_id")
    data: list[dict[str, Any]] = [{"Name": f"n {at}", "Amount": at} for at in range(12)]
    data[3]["Name"] = "known"
    hold = here.at.apis.hold("PATCH", here.at.table_id)
    running = asyncio.ensure_future(here.client.run("upsert", data, "key", match=["Name"]))
    await hold.reached()
    await ordered(here, kind="status", status=401)  # of the second call
    hold.let_go()
    first = await running
    assert first.each("status") == ["applied"] * 10 + ["failed"] * 2, first.body
    assert first.each("upstream_id")[3] == ids[0]
    await renamed(here, f"/fields/{(await known(here)).by_name['Name'].id}", "Title")
    await renamed(here, "", "Renamed")
    # Without the key it is what it always was: such a field there is not.
    assert (await here.client.run("upsert", data, match=["Name"])).status == 400
    again = await here.client.run("upsert", data, "key", match=["Name"])
    assert again.each("upstream_id")[:10] == first.each("upstream_id")[:10]
    assert again.each("status") == ["applied"] * 12, again.body
    assert again.results[0]["data"]["Title"] == "n 0"
    assert len(here.at.truths()) == 12
    made = await here.client.run("create", {"Name": "known"}, "made")
    assert made.each("upstream_id") == ids
    assert len(here.at.truths()) == 12
    # Another body, in whatever words, is another mutation still.
    other = [{**each, "Amount": 7} for each in data]
    told = await here.client.run("upsert", other, "key", match=["Name"])
    assert (told.status, told.body["code"]) == (422, "idempotency_key_reused")


async def test_what_was_refused_as_a_whole_has_claimed_nothing(here: Airtable):
    assert (await here.client.run("create", {"Nam": "x"}, "key")).status == 400
    assert (await here.client.run("create", {"Name": "x"}, "key")).status == 200


async def test_of_a_collection_that_has_left_the_sync_nothing_is_told(here: Airtable):
    asked = RecordsToChange(**here.client.named, data=[{"Name": "x"}])
    assert (await here.client.run("create", asked.data, "key")).status == 200
    claims = Claims(here.at.house.service.office.database)
    key = Key(here.at.sync.id, "key", mark_of(asked, "create"))
    aim, (record,) = await before(claims, key, Schema((await known(here),))) or (None, ())
    assert aim is not None
    assert record.values == {aim.collection.by_name["Name"].id: "x"}
    with pytest.raises(Declined, match="no longer in the sync"):
        await before(claims, key, Schema(()))
