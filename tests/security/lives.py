"""The life of a sync in short: made, written to, listed, changed upstream, deleted.

Whoever restricts or endangers the database lets it run through this: it touches every
kind of statement that the store has.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from neighbours.airtable_house import PROVIDER, TABLE, open_airtable
from neighbours.drifting import Base
from neighbours.syncs import followed

PATIENCE = 60.0
QUICK: dict[str, Any] = {
    "roles": ("gateway", "sync"),
    "sync_interval": 0.2,
    "discovery_interval": 0.5,
    "verify_sample": 0,
}


async def live_through(dsn: str, folder: Path) -> None:
    """From the migration of an empty database to the end of its one sync."""
    async with open_airtable(dsn, folder, **QUICK) as house:
        office, table = house.house.service.office, house.table()
        made = await asyncio.to_thread(table.create, {"Name": "first", "Amount": 1.5})
        await asyncio.to_thread(table.create, {"Name": "second", "Tags": ["b"]})
        assert {row["name"] for row in house.rows().values()} == {"first", "second"}
        await asyncio.to_thread(table.update, made["id"], {"Amount": 2, "Done": True})
        assert house.rows()[made["id"]]["done"] is True
        Base(house.apis).create(house.table_id, {"Name": "third", "Notes": "elsewhere"})
        async with asyncio.timeout(PATIENCE):
            while len(house.rows()) < 3:  # noqa: ASYNC110  another process could write them
                await asyncio.sleep(0.1)
        Base(house.apis).rename(house.table_id, {"Notes": "Remarks"})
        Base(house.apis).retype(house.table_id, "Amount", "singleLineText", str)
        house.add_field("Later", "singleLineText", {})
        found = await office.conversations.discover(
            PROVIDER, house.sync.account, house.token, [house.table_id]
        )
        await followed(office.registry, house.sync, found)
        named = {"Name": "renamed", "Later": "new", "Amount": "text now"}
        await asyncio.to_thread(table.update, made["id"], named)
        row = house.rows()[made["id"]]
        assert (row["later"], row["amount"], "remarks" in row) == ("new", "text now", True)
        await asyncio.to_thread(table.delete, made["id"])
        assert made["id"] not in house.rows()
        assert await office.progress.states(house.sync.id)
        assert TABLE
        await office.registry.delete_sync(house.sync, drop_tables=True)
