"""What fails is not asked for without end, and goes on at once when it is put right."""

from __future__ import annotations

import asyncio
from pathlib import Path

import psycopg
import pytest
from neighbours.airtable_house import AirtableHouse, open_airtable
from psycopg.sql import SQL, Identifier
from test_airtable_sync import agree, ask, make
from waiting import QUICK, state_of, until, until_heard, until_listed, until_state

from httpproxy.store.sync.progress import Progress
from httpproxy.sync import listing, plan


async def requests(house: AirtableHouse, class_: str) -> int:
    """How many calls of a class the sync has made by now; they are noted every 5 s."""
    await asyncio.sleep(6.0)
    return (await state_of(house, house.table_id)).requests.get(class_, 0)


async def test_a_record_that_the_users_own_rule_refuses_is_not_read_again_at_once(
    database_dsn: str, tmp_path: Path
) -> None:
    async with open_airtable(database_dsn, tmp_path, **QUICK) as house:
        refused, other = make(house, 2)
        await until_listed(house, house.table_id)
        table = Identifier(house.schema, house.table_name)
        with psycopg.connect(house.dsn, autocommit=True) as connection:
            connection.execute(SQL("ALTER TABLE {} ADD CHECK (amount < 50)").format(table))
            ask(house, "PATCH", f"/{refused}", {"fields": {"Amount": 77}})
            await until_state(house, house.table_id, lambda s: s.dirty == 1)
            assert await requests(house, "reread") < 10
            ask(house, "PATCH", f"/{other}", {"fields": {"Amount": 7}})
            await until(lambda: house.rows()[other]["amount"] == 7, "the others go on")
            kept = connection.execute("SELECT record_id FROM httpproxy.quarantine").fetchall()
            assert kept == [(refused,)], "and it is kept once"
            ask(house, "PATCH", f"/{refused}", {"fields": {"Amount": 8}})
            await until(lambda: agree(house), "what is told of it again is read at once")
        await until_state(house, house.table_id, lambda s: s.dirty == 0)


async def test_marks_do_not_hurry_a_listing_that_fails(
    database_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "FIRST_FAILURE", 60.0)
    async with open_airtable(database_dsn, tmp_path, **QUICK) as house:
        make(house, 2)
        await until_listed(house, house.table_id)
        await asyncio.to_thread(
            house.order_fault, "status", status=403, path="listRecords", count=1000
        )
        await house.house.service.office.progress.ask_resync(house.sync.id, None)
        state = await until_state(house, house.table_id, lambda s: s.trouble)
        await asyncio.sleep(6.0)  # marks wake it every 5 s
        assert state.whole_mark is not None
        again = (await state_of(house, house.table_id)).trouble
        assert again is not None
        assert again.failures == 1


async def test_a_token_that_is_replaced_is_tried_at_once(
    database_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "FIRST_FAILURE", 600.0)
    async with open_airtable(database_dsn, tmp_path, **QUICK) as house:
        (record,) = make(house, 1)
        await until_listed(house, house.table_id)
        registry = house.house.service.office.registry
        await registry.replace_secret(house.sync, "pat-that-nobody-knows")
        state = await until_state(house, house.table_id, lambda s: s.trouble)
        assert state.trouble is not None
        assert state.trouble.error.startswith("401 ")
        await registry.replace_secret(house.sync, house.token)
        ask(house, "PATCH", f"/{record}", {"fields": {"Amount": 7}})
        await until(lambda: agree(house), "it goes on")
        await until_state(house, house.table_id, lambda s: s.trouble is None)


async def test_a_query_that_somebody_cancels_ends_nothing(
    database_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_airtable(database_dsn, tmp_path, **QUICK) as house:
        (record,) = make(house, 1)
        await until_listed(house, house.table_id)
        look, left = Progress.dirty_syncs, [True]

        async def cancelled_once(progress: Progress) -> object:
            if left:
                left.clear()
                raise psycopg.errors.QueryCanceled("by an administrator")
            return await look(progress)

        monkeypatch.setattr(Progress, "dirty_syncs", cancelled_once)
        await until(lambda: not left, "the query is cancelled")
        ask(house, "PATCH", f"/{record}", {"fields": {"Amount": 7}})
        await until(lambda: agree(house), "the sync goes on")


async def test_a_sync_that_is_paused_deletes_nothing_more(
    database_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "AT_ONCE", 1)
    async with open_airtable(database_dsn, tmp_path, **QUICK) as house:
        house.apis.simulators.switch({"airtable": {"webhooks_allowed": False}})
        made = make(house, 9)
        await until_listed(house, house.table_id)
        for record in made:
            ask(house, "DELETE", f"/{record}")
        await asyncio.to_thread(
            house.order_fault, "delay_after", seconds=0.7, path="listRecords", count=20
        )
        office = house.house.service.office
        await office.progress.ask_resync(house.sync.id, [house.table_id])
        await until(lambda: len(house.rows()) < len(made), "the first are gone")
        next_ = house.apis.hold("POST", "listRecords")
        await next_.reached()
        await office.registry.set_status(house.sync, "paused")
        await until_heard(house, "paused")
        await asyncio.sleep(1.5)  # and its jobs are told
        left = len(house.rows())
        next_.let_go()
        await asyncio.sleep(3.0)
        assert len(house.rows()) >= left - 1 > 0, "no more than the one that was under way"
        await office.registry.set_status(house.sync, "active")
        await until(lambda: not house.rows(), "it goes on where it was")
