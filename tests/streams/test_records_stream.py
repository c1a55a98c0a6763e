"""`/v1/records`: each record once, as its row is now, through a service with an API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from listening import listen
from neighbours.airtable_house import open_airtable
from neighbours.hubspot_house import open_hubspot
from neighbours.keyring import new_key
from staging import open_stage

from httpproxy.store.errors import Stale
from httpproxy.store.sync.rows import Rows


@dataclass
class Stage:
    airtable: Any
    url: str
    key: str

    async def ask(self, path: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.key}"}
        return await asyncio.to_thread(
            requests.get, f"{self.url}{path}", headers=headers, timeout=60
        )

    async def page(self, path: str) -> requests.Response:
        answer = await self.ask(path)
        assert answer.status_code == 200, answer.text
        return answer

    async def records(self, query: str = "") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.page(f"/v1/records{query}")).json()
        return found

    async def create(self, **fields: Any) -> str:
        made = await asyncio.to_thread(self.airtable.table().create, fields)
        return str(made["id"])

    async def update(self, record_id: str, **fields: Any) -> None:
        await asyncio.to_thread(self.airtable.table().update, record_id, fields)

    async def delete(self, record_id: str) -> None:
        await asyncio.to_thread(self.airtable.table().delete, record_id)


@pytest.fixture
async def stage(database_dsn: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_airtable(database_dsn, tmp_path, roles=("gateway", "api")) as airtable:
        url = airtable.house.service.api_url
        assert url is not None
        yield Stage(airtable, url, await new_key(airtable.house, "read"))


async def test_each_record_is_told_once_and_those_that_changed_last_come_last(stage: Stage):
    first, second, third = [await stage.create(Name=n) for n in "abc"]
    await stage.update(first, Name="changed", Amount=1.5, Done=True)
    await stage.delete(second)
    told = await stage.records()
    assert [each["upstream_id"] for each in told] == [third, first, second]
    assert [each["event"] for each in told] == ["created", "updated", "deleted"]
    assert [each["deleted"] for each in told] == [False, False, True]
    assert told[2]["data"] == {"id": second}
    assert told[1]["sync_id"] == stage.airtable.sync.id
    assert told[1]["collection_id"] == f"airtable:{stage.airtable.table_id}"
    assert told[1]["origin"] == "proxy"


async def test_a_record_says_what_its_newest_event_says(stage: Stage):
    await stage.create(
        Name="all",
        Amount=1.25,
        Price=3,
        Done=True,
        Day="2026-12-24",
        Moment="2026-12-24T18:30:00.000Z",
        Tags=["b", '"'],
        Code={"text": "4711"},
    )
    (record,) = await stage.records()
    (event,) = (await stage.page("/v1/events")).json()
    assert record["data"] == event["data"]
    assert record["data"]["Moment"] == "2026-12-24T18:30:00.000000Z"
    assert record["seq"] == event["seq"]
    truth = stage.airtable.truth(record["upstream_id"])["fields"]
    assert {n: record["data"][n] for n in ("Name", "Amount", "Tags", "Code")} == {
        n: truth[n] for n in ("Name", "Amount", "Tags", "Code")
    }


async def test_pages_of_records_go_on_where_they_ended(stage: Stage):
    made = [await stage.create(Name=str(n)) for n in range(5)]
    found: list[str] = []
    path, told = "/v1/records?limit=2", "more"
    while told == "more":
        page = await stage.page(path)
        found += [each["upstream_id"] for each in page.json()]
        path, told = page.links["next"]["url"], page.headers["Httpproxy-Stream"]
    assert found == made
    await stage.update(made[0], Name="again")
    (again,) = (await stage.page(path)).json()
    assert again["upstream_id"] == made[0]
    assert again["data"]["Name"] == "again"


async def test_records_are_filtered(stage: Stage):
    kept, gone = await stage.create(Name="a"), await stage.create(Name="b")
    await stage.delete(gone)
    assert [r["upstream_id"] for r in await stage.records("?event=deleted")] == [gone]
    assert [r["upstream_id"] for r in await stage.records("?event=created")] == [kept]
    assert await stage.records("?provider=hubspot") == []
    assert len(await stage.records(f"?collection_id=airtable:{stage.airtable.table_id}")) == 2


async def test_a_record_whose_row_is_gone_by_now_is_told_where_it_was_deleted(stage: Stage):
    record = await stage.create(Name="soon gone")
    await stage.records()  # it stands there as created
    with psycopg.connect(stage.airtable.dsn, autocommit=True) as connection:
        named = f'"{stage.airtable.schema}"."{stage.airtable.table_name}"'
        connection.execute(f"DELETE FROM {named} WHERE id = %s".encode(), [record])
        assert await stage.records() == []
        connection.execute(f"DROP TABLE {named}".encode())
        assert await stage.records() == [], "a table that its user dropped stops nothing"


async def test_a_table_that_gets_another_layout_meanwhile_is_read_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    await stage.create(Name="a")
    read, failures = Rows.of_keys, [Stale("it has another layout")] * 2

    async def stale(self: Rows, table: Any, keys: Any) -> Any:
        if failures:
            raise failures.pop()
        return await read(self, table, keys)

    monkeypatch.setattr(Rows, "of_keys", stale)
    assert len(await stage.records()) == 1
    failures += [Stale("it has another layout")] * 10
    answer = await stage.ask("/v1/records")
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")


async def test_records_are_told_live(stage: Stage):
    async with listen(stage.url, "/v1/records", stage.key) as listener:
        record = await stage.create(Name="a")
        (made,) = await listener.take(1)
        assert (made.event, made.data["data"]["Name"]) == ("created", "a")
        await stage.update(record, Name="b")
        (changed,) = await listener.take(1)
        assert (changed.event, changed.data["data"]["Name"]) == ("updated", "b")
        await stage.delete(record)
        (gone,) = await listener.take(1)
        assert (gone.event, gone.data["deleted"]) == ("deleted", True)


async def test_all_that_hubspot_has_is_told_associations_too(database_dsn: str, tmp_path: Path):
    roles = ("gateway", "api", "sync")
    async with open_hubspot(database_dsn, tmp_path, roles=roles) as hubspot:
        url = hubspot.house.service.api_url
        assert url is not None
        stage = Stage(hubspot, url, await new_key(hubspot.house, "read"))
        kinds = {f"hubspot:{n}" for n in ("contact", "company", "associations_company_contact")}
        told: dict[str, dict[str, Any]] = {}
        async with asyncio.timeout(60):
            while told.keys() < kinds:  # the backfill goes on by itself
                told = {each["collection_id"]: each for each in await stage.records()}
        events = (await stage.page("/v1/events?limit=1000&sync_id=hubspot")).json()
    pair = told["hubspot:associations_company_contact"]
    company, contact = pair["upstream_id"].split(":")
    assert pair["data"]["company_id"] == company
    assert pair["data"]["contact_id"] == contact
    assert isinstance(pair["data"]["labels"], list)
    (event,) = [each for each in events if each["upstream_id"] == pair["upstream_id"]]
    assert event["data"] == pair["data"]
    assert told["hubspot:contact"]["data"]["archived"] is False


async def test_a_key_of_one_sync_reads_that_sync_s_records_alone(
    database_dsn: str, tmp_path: Path
):
    async with open_stage(database_dsn, tmp_path) as staged:
        await staged.write(
            staged.event(event="deleted", upstream_id="mine"),
            staged.event(staged.other, event="deleted", upstream_id="theirs"),
        )
        key = await staged.door.key("read", sync_id=staged.base.id)
        told = (await staged.ask("/v1/records", key)).json()
        assert [each["upstream_id"] for each in told] == ["mine"]
        refused = await staged.ask("/v1/records?sync_id=other", key)
        assert (refused.status_code, refused.json()["code"]) == (403, "key_not_allowed")
        backwards = await staged.ask("/v1/records?before=now")
        assert (backwards.status_code, backwards.json()["member"]) == (400, "before")
        cursor = (await staged.ask("/v1/records?after=x")).json()
        assert (cursor["code"], cursor["member"]) == ("bad_parameter", "after")
