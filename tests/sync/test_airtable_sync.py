"""An Airtable base and its tables, kept equal by the background sync alone."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from neighbours.airtable_house import API, AirtableHouse, open_airtable
from waiting import QUICK, until, until_heard, until_listed, until_state

from httpproxy.store.sync.states import CollectionState


def ask(house: AirtableHouse, method: str, path: str, body: Any = None) -> Any:
    """A call of somebody who does not go through the proxy."""
    target = f"/v0/{house.sync.account}/{house.table_id}{path}"
    return house.apis.ask(API, house.token, method, target, body)


def make(house: AirtableHouse, count: int) -> list[str]:
    """Records made past the proxy."""
    made: list[str] = []
    for at in range(0, count, 10):
        records = [
            {"fields": {"Name": f"n{n}", "Amount": n}} for n in range(at, min(at + 10, count))
        ]
        made += [r["id"] for r in ask(house, "POST", "", {"records": records})["records"]]
    return made


def resynced(state: CollectionState) -> bool:
    """Whether a resync that was asked for is complete."""
    return state.run is None and not state.wants_thorough


def agree(house: AirtableHouse) -> bool:
    """Whether rows and records are the same, ids and values."""
    rows = house.rows()
    truths = house.truths()
    return rows.keys() == truths.keys() and all(
        rows[i]["name"] == t["fields"].get("Name")
        and rows[i]["amount"] == t["fields"].get("Amount")
        for i, t in truths.items()
    )


async def test_a_base_that_was_there_before_is_filled_in(
    database_dsn: str, tmp_path: Path
) -> None:
    async with open_airtable(database_dsn, tmp_path, **QUICK) as house:
        make(house, 250)
        await until_listed(house, house.table_id)
        await until(lambda: agree(house), "rows equal records")
        assert len(house.rows()) == 250


@pytest.mark.parametrize("webhooks", [True, False])
async def test_what_others_write_arrives(
    database_dsn: str, tmp_path: Path, webhooks: bool
) -> None:
    async with open_airtable(database_dsn, tmp_path, **QUICK) as house:
        house.apis.simulators.switch({"airtable": {"webhooks_allowed": webhooks}})
        first, second = make(house, 2)
        await until_listed(house, house.table_id)
        ask(house, "PATCH", f"/{first}", {"fields": {"Name": "edited", "Amount": None}})
        third = make(house, 1)[0]
        await until(lambda: agree(house), "the edit and the new record are there")
        assert house.rows()[first]["name"] == "edited"
        assert house.rows().keys() == {first, second, third}


async def test_what_others_delete_goes_at_once_where_a_webhook_tells(
    database_dsn: str, tmp_path: Path
) -> None:
    async with open_airtable(database_dsn, tmp_path, **QUICK) as house:
        first, second = make(house, 2)
        await until_listed(house, house.table_id)
        ask(house, "DELETE", f"/{first}")
        await until(lambda: house.rows().keys() == {second}, "the row is gone")


async def test_what_others_delete_goes_with_the_next_sweep_where_nothing_tells(
    database_dsn: str, tmp_path: Path
) -> None:
    async with open_airtable(database_dsn, tmp_path, **QUICK, sweep_interval=1.0) as house:
        house.apis.simulators.switch({"airtable": {"webhooks_allowed": False}})
        first, second = make(house, 2)
        await until_listed(house, house.table_id)
        ask(house, "DELETE", f"/{first}")
        await until(lambda: house.rows().keys() == {second}, "the row is gone")


async def test_a_page_that_was_read_before_a_write_does_not_undo_it(
    database_dsn: str, tmp_path: Path
) -> None:
    async with open_airtable(database_dsn, tmp_path, **QUICK) as house:
        first, second = make(house, 2)
        await until_listed(house, house.table_id)
        page = house.apis.hold("POST", "listRecords")
        office = house.house.service.office
        await office.progress.ask_resync(house.sync.id, [house.table_id])
        await page.reached()
        table = house.table()
        await asyncio.to_thread(table.update, first, {"Name": "through the proxy"})
        await asyncio.to_thread(table.delete, second)
        assert house.rows()[first]["name"] == "through the proxy"
        page.let_go()
        await until_state(
            house, house.table_id, lambda s: s.run is None and not s.wants_thorough
        )
        assert house.rows()[first]["name"] == "through the proxy"
        assert second not in house.rows()
        await until(lambda: agree(house), "rows equal records")


async def test_a_record_made_while_a_sweep_runs_is_not_swept_away(
    database_dsn: str, tmp_path: Path
) -> None:
    async with open_airtable(database_dsn, tmp_path, **QUICK) as house:
        make(house, 3)
        await until_listed(house, house.table_id)
        page = house.apis.hold("POST", "listRecords")
        office = house.house.service.office
        await office.progress.ask_resync(house.sync.id, [house.table_id])
        await page.reached()
        made = await asyncio.to_thread(house.table().create, {"Name": "new"})
        page.let_go()
        await until_state(
            house, house.table_id, lambda s: s.run is None and not s.wants_thorough
        )
        assert made["id"] in house.rows()


async def test_a_listing_that_lacks_most_rows_deletes_nothing_until_somebody_says_so(
    database_dsn: str, tmp_path: Path
) -> None:
    async with open_airtable(database_dsn, tmp_path, **QUICK, mass_delete_minimum=3) as house:
        house.apis.simulators.switch({"airtable": {"webhooks_allowed": False}})
        made = make(house, 30)
        await until_listed(house, house.table_id)
        for record in made[:20]:
            ask(house, "DELETE", f"/{record}")
        office = house.house.service.office
        await office.progress.ask_resync(house.sync.id, [house.table_id])
        state = await until_state(house, house.table_id, lambda s: s.held)
        assert state.held is not None
        assert (state.held.missing, state.held.rows) == (20, 30)
        assert len(house.rows()) == 30
        assert await office.progress.approve(house.sync.id, house.table_id)
        await until(lambda: house.rows().keys() == set(made[20:]), "the rows are gone")
        state = await until_state(house, house.table_id, lambda s: s.run is None)
        assert state.held is None


async def test_a_paused_sync_calls_nothing_and_writes_go_on(
    database_dsn: str, tmp_path: Path
) -> None:
    async with open_airtable(database_dsn, tmp_path, **QUICK) as house:
        make(house, 2)
        await until_listed(house, house.table_id)
        registry = house.house.service.office.registry
        await registry.set_status(house.sync, "paused")
        await until_heard(house, "paused")
        await asyncio.sleep(1.0)  # for what was under way
        other = make(house, 1)[0]
        made = await asyncio.to_thread(house.table().create, {"Name": "written"})
        await asyncio.sleep(1.0)
        assert house.rows()[made["id"]]["name"] == "written"
        assert other not in house.rows()
        await registry.set_status(house.sync, "active")
        await until(lambda: agree(house), "the sync goes on")


async def test_a_field_renamed_upstream_renames_its_column_and_keeps_the_values(
    database_dsn: str, tmp_path: Path
) -> None:
    async with open_airtable(database_dsn, tmp_path, **QUICK) as house:
        made = make(house, 3)
        await until_listed(house, house.table_id)
        base = f"/v0/meta/bases/{house.sync.account}/tables"
        tables = house.apis.ask(API, house.token, "GET", base)["tables"]
        table = next(t for t in tables if t["id"] == house.table_id)
        field = next(f for f in table["fields"] if f["name"] == "Amount")
        path = f"{base}/{house.table_id}/fields/{field['id']}"
        house.apis.ask(API, house.token, "PATCH", path, {"name": "Quantity"})
        await until(lambda: "quantity" in house.rows()[made[0]], "the column has the new name")
        assert [house.rows()[m]["quantity"] for m in made] == [0, 1, 2]
