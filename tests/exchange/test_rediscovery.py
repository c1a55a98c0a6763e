"""Fields that turn up one after the other each become a column."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from neighbours.airtable_house import open_airtable
from neighbours.rows import columns

from httpproxy.exchange import settle


async def test_a_field_that_turns_up_while_discovery_rests_is_discovered_afterwards(
    database_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile the poll of the registry sees the first change and forgets the tables."""
    monkeypatch.setattr(settle, "REDISCOVERY_SECONDS", 2.0)
    async with open_airtable(database_dsn, tmp_path) as house:
        for name in ("First", "Second"):
            house.add_field(name, "singleLineText", {})
            await asyncio.to_thread(house.table().create, {name: "x"})
            await asyncio.sleep(0.2)
        for _ in range(60):
            if "second" in columns(house.dsn, house.schema, house.table_name):
                break
            await asyncio.sleep(0.1)
        assert {"first", "second"} <= set(columns(house.dsn, house.schema, house.table_name))
        await asyncio.to_thread(house.table().create, {"Second": "still served"})
