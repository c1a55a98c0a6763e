"""A standby that lagged takes over: what clients were told is there again after a sweep."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from neighbours.airtable_house import open_airtable
from neighbours.standby import open_pair
from test_airtable_sync import agree, make
from waiting import QUICK, until, until_listed


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not pytest's own: the servers' user must be able to reach it under root.
    made = Path(tempfile.mkdtemp(prefix="httpproxy-pair-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


async def test_acknowledged_rows_that_the_standby_lacks_are_there_again_after_a_failover(
    tmp_path: Path, folder: Path
) -> None:
    with open_pair(folder) as pair:
        async with open_airtable(pair.dsn, tmp_path, **QUICK) as house:
            make(house, 2)
            await until_listed(house, house.table_id)
            table = house.table()
            kept = await asyncio.to_thread(table.create, {"Name": "kept", "Amount": 1})
            await asyncio.to_thread(pair.cut)
            lost = await asyncio.to_thread(table.create, {"Name": "lost", "Amount": 2})
            await asyncio.to_thread(table.update, kept["id"], {"Amount": 3})
            assert house.rows()[lost["id"]]["amount"] == 2
            assert house.rows()[kept["id"]]["amount"] == 3
            await asyncio.to_thread(pair.fail_over)
            assert lost["id"] not in house.rows(), "acknowledged, and gone"
            assert house.rows()[kept["id"]]["amount"] == 1
            await until(lambda: agree(house), "all is there again")
            with psycopg.connect(house.dsn) as connection:
                row = connection.execute("SELECT value, reason FROM httpproxy.epoch")
                assert row.fetchone() == (2, "timeline 2 follows on timeline 1")
            after = await asyncio.to_thread(table.create, {"Name": "after"})
            assert house.rows()[after["id"]]["name"] == "after"
