"""The whole house behind pgbouncer in transaction mode: two processes, writes, backfill."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
from neighbours.airtable_house import open_airtable
from neighbours.house import open_house
from neighbours.pooler import open_pooler
from test_airtable_sync import agree, make
from waiting import QUICK, until, until_listed

from httpproxy.store.commits.writer import open_writer


def _settings_of_all(dsn: str) -> set[tuple[str, ...]]:
    """What every connection of the pooler to the server is set to: all are taken at once."""
    shown = "SELECT current_setting('lock_timeout'), current_setting('enable_seqscan')"
    connections = [psycopg.connect(dsn) for _ in range(6)]
    try:
        return {tuple(c.execute(shown).fetchone() or ()) for c in connections}
    finally:
        for each in connections:
            each.close()


def _count(dsn: str, table: str) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(f"SELECT count(*) FROM httpproxy.{table}").fetchone()
    return 0 if row is None else int(row[0])


async def test_two_processes_behind_a_pooler(database_dsn: str, tmp_path: Path) -> None:
    with open_pooler(database_dsn) as dsn:
        async with (
            open_airtable(dsn, tmp_path, **QUICK) as house,
            open_house(dsn, tmp_path, house.apis.upstreams, **QUICK),
        ):
            make(house, 120)
            await until_listed(house, house.table_id)
            table = house.table()

            def write(n: int) -> str:
                made = table.create({"Name": f"w{n}", "Amount": n})
                table.update(made["id"], {"Amount": n + 1})
                assert house.rows()[made["id"]]["amount"] == n + 1, "read your writes"
                return str(made["id"])

            written = await asyncio.gather(*(asyncio.to_thread(write, n) for n in range(12)))
            assert len(set(written)) == 12
            await until(lambda: agree(house), "rows equal records")
            await until(lambda: _count(database_dsn, "intent") == 0, "no intent is left")
            assert _count(database_dsn, "process") == 2
            assert _count(database_dsn, "sync_owner") == 1
            found = await asyncio.to_thread(_settings_of_all, dsn)
            assert found == {("0", "on")}, "nothing of ours is left on a connection"


async def test_a_pooler_gives_itself_away(database_dsn: str) -> None:
    with open_pooler(database_dsn) as dsn:
        pooled, direct = await open_writer(dsn), await open_writer(database_dsn)
        assert pooled.pooled
        assert not direct.pooled
        await pooled.close()
        await direct.close()
