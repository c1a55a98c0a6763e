"""The API's schema changes while the sync is at work, and nothing is lost on the way."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from neighbours.airtable_house import API, AirtableHouse, open_airtable
from neighbours.drifting import Base
from neighbours.rows import columns, rows
from waiting import QUICK, until, until_listed, until_state

DRIFTING: dict[str, Any] = {**QUICK, "discovery_interval": 1.0}


def told(house: AirtableHouse, names: dict[str, str]) -> bool:
    """Whether each row's columns hold what the API says under the fields' names."""
    truths, found = house.truths(), house.rows()
    return truths.keys() == found.keys() and all(
        found[i][column] == truth["fields"].get(name)
        for i, truth in truths.items()
        for name, column in names.items()
    )


async def test_what_was_written_while_two_fields_swapped_names_is_put_right(
    database_dsn: str, tmp_path: Path
) -> None:
    """Answers name fields by their names: until the swap is known, a value goes to the
    column of the other one."""
    async with open_airtable(database_dsn, tmp_path, **DRIFTING) as house:
        base = Base(house.apis)
        first = await asyncio.to_thread(house.table().create, {"Name": "n", "Notes": "o"})
        await until_listed(house, house.table_id)
        base.rename(house.table_id, {"Name": "Notes", "Notes": "Name"})
        written = {"Name": "says name", "Notes": "says notes"}
        await asyncio.to_thread(house.table().update, first["id"], written)
        names = {"Name": "name", "Notes": "notes"}
        await until(lambda: told(house, names), "the columns are the fields'")
        (row,) = house.rows().values()
        assert (row["name"], row["notes"]) == ("says name", "says notes")


async def test_fields_of_another_type_in_the_middle_of_a_backfill_lose_nothing(
    database_dsn: str, tmp_path: Path
) -> None:
    async with open_airtable(database_dsn, tmp_path, **DRIFTING) as house:
        base = Base(house.apis)
        for at in range(0, 250, 10):
            made = [
                {"Name": str(n), "Amount": n, "Day": "2026-11-21"} for n in range(at, at + 10)
            ]
            base.create(house.table_id, *made)
        slow = {"kind": "delay_before", "host": API, "path": "listRecords", "seconds": 1.0}
        await asyncio.to_thread(house.apis.order, {**slow, "count": 6})
        await until_state(house, house.table_id, lambda s: s.run is not None)
        base.retype(house.table_id, "Amount", "singleLineText", str)
        base.retype(house.table_id, "Name", "number", float, precision=0)
        await until_listed(house, house.table_id)
        await until_state(house, house.table_id, lambda s: not s.wants_thorough)
        await until(lambda: len(house.rows()) == 250, "all are there")
        types = columns(house.dsn, house.schema, house.table_name)
        assert (types["amount"], types["name"]) == ("text", "text"), "the second one waits"
        truths = house.truths()
        for record, row in house.rows().items():
            fields = truths[record]["fields"]
            assert row["amount"] == fields["Amount"]
            assert float(row["name"]) == fields["Name"]
            assert str(row["day"]) == fields["Day"]
            assert row["_extra"] == {}


async def test_a_table_that_is_gone_ends_no_sync_and_comes_back(
    database_dsn: str, tmp_path: Path
) -> None:
    tables = ("Projects",)
    async with open_airtable(database_dsn, tmp_path, tables=tables, **DRIFTING) as house:
        base = Base(house.apis)
        await until_listed(house, "Projects")
        before = rows(house.dsn, house.schema, "projects")
        gone = base.delete_table("Projects")
        await until_state(house, "Projects", lambda s: s.removed)
        (made,) = base.create(house.table_id, {"Name": "the others go on"})
        await until(lambda: made in house.rows(), "the other table is synced")
        assert rows(house.dsn, house.schema, "projects").keys() == before.keys()
        base.restore_table(gone)
        await until_state(house, "Projects", lambda s: not s.removed and not s.wants_thorough)
        assert rows(house.dsn, house.schema, "projects").keys() == before.keys()
