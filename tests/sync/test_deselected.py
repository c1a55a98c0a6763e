"""A field that is not selected: written through the gateway, listed, and selected again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import psycopg
from hubspot.crm.contacts import SimplePublicObjectInput
from neighbours.airtable_house import API as AIRTABLE_API
from neighbours.airtable_house import AirtableHouse, open_airtable
from neighbours.hubspot_house import API as HUBSPOT_API
from neighbours.hubspot_house import PROVIDER, HubSpotHouse, open_hubspot
from psycopg.rows import dict_row
from waiting import QUICK, until, until_listed

from httpproxy.management.columns import ColumnPatch, Columns

SECRET = "nobody's business"


def events(dsn: str) -> list[dict[str, Any]]:
    with psycopg.connect(dsn, row_factory=dict_row) as connection:
        return connection.execute("SELECT * FROM httpproxy.event ORDER BY seq").fetchall()


def told(house: AirtableHouse | HubSpotHouse, rows: dict[str, Any], dsn: str) -> str:
    """All that the database says of the records."""
    return str([rows, events(dsn)])


async def choose(
    house: AirtableHouse | HubSpotHouse, collection: str, field: str, **wanted: Any
) -> None:
    columns = Columns(house.house.service.office)
    await columns.change(house.sync, collection, field, ColumnPatch(**wanted))


async def test_a_deselected_field_of_airtable_is_written_and_listed_and_not_kept(
    database_dsn: str, tmp_path: Path
) -> None:
    async with open_airtable(database_dsn, tmp_path, **QUICK) as house:
        await choose(house, house.table_id, "Notes", selected=False)
        fields = {"Name": "written", "Notes": SECRET}
        answered = await asyncio.to_thread(house.table().create, fields)
        assert answered["fields"]["Notes"] == SECRET, "the caller gets what the API said"
        assert house.rows()[answered["id"]]["name"] == "written"
        body = {"records": [{"fields": {"Name": "listed", "Notes": SECRET}}]}
        target = f"/v0/{house.sync.account}/{house.table_id}"
        made = house.apis.ask(AIRTABLE_API, house.token, "POST", target, body)
        listed = made["records"][0]["id"]
        await until_listed(house, house.table_id)
        await until(lambda: listed in house.rows(), "the record that others made")
        assert {answered["id"], listed} <= {e["upstream_id"] for e in events(database_dsn)}
        assert SECRET not in told(house, house.rows(), database_dsn)


async def test_a_field_of_airtable_that_is_selected_again_is_filled_in(
    database_dsn: str, tmp_path: Path
) -> None:
    async with open_airtable(database_dsn, tmp_path, **QUICK) as house:
        await choose(house, house.table_id, "Notes", selected=False)
        made = await asyncio.to_thread(house.table().create, {"Name": "a", "Notes": SECRET})
        await until_listed(house, house.table_id)
        assert "notes" not in house.rows()[made["id"]]
        await choose(house, house.table_id, "Notes", name="diary", selected=True)
        await until(
            lambda: house.rows()[made["id"]]["diary"] == SECRET, "the collection is read anew"
        )


async def test_a_deselected_field_of_hubspot_is_not_kept_and_filled_in_when_it_is_selected(
    database_dsn: str, tmp_path: Path
) -> None:
    async with open_hubspot(database_dsn, tmp_path, **QUICK) as house:
        await choose(house, "contact", "lastname", selected=False)
        properties = {"firstname": "written", "lastname": SECRET}
        wanted = SimplePublicObjectInput(properties=properties)
        contacts = house.client().crm.contacts.basic_api
        made = await asyncio.to_thread(contacts.create, wanted)
        assert made.properties["lastname"] == SECRET
        target = "/crm/v3/objects/contacts"
        others = {"properties": {**properties, "firstname": "listed"}}
        listed = house.apis.ask(HUBSPOT_API, PROVIDER.sandbox.token, "POST", target, others)
        await until_listed(house, "0-1")
        await until(lambda: listed["id"] in house.rows("contact"), "what others made")
        rows = house.rows("contact")
        assert rows[made.id]["firstname"] == "written"
        assert SECRET not in told(house, rows, database_dsn)
        await choose(house, "contact", "lastname", selected=True)
        await until(
            lambda: (
                {house.rows("contact")[i]["lastname"] for i in (made.id, listed["id"])}
                == {SECRET}
            ),
            "the contacts are read anew",
        )
