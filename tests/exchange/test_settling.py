"""What an answer leaves open: writes that overlap, a database that is slow or refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from neighbours.airtable_house import AirtableHouse, open_airtable
from psycopg.sql import SQL, Identifier

from httpproxy.exchange.directory import syncs
from httpproxy.store.registry import Registry
from httpproxy.upstream.lane import Priority


@pytest.fixture
async def base(database_dsn: str, tmp_path: Path) -> AsyncIterator[AirtableHouse]:
    async with open_airtable(database_dsn, tmp_path, commit_timeout=30.0) as house:
        yield house


@pytest.fixture
async def hasty(database_dsn: str, tmp_path: Path) -> AsyncIterator[AirtableHouse]:
    """A house whose answers wait for no commit that takes long."""
    async with open_airtable(database_dsn, tmp_path, commit_timeout=0.5) as house:
        yield house


async def call(
    base: AirtableHouse, method: str, path: str = "", fields: dict[str, Any] | None = None
) -> requests.Response:
    return await asyncio.to_thread(
        requests.request,
        method,
        base.table_url() + path,
        json=None if fields is None else {"fields": fields},
        headers={"Authorization": f"Bearer {base.token}"},
        timeout=60,
    )


def intents(base: AirtableHouse) -> int:
    with psycopg.connect(base.dsn) as connection:
        found = connection.execute("SELECT count(*) FROM httpproxy.intent").fetchone()
    return 0 if found is None else int(found[0])


def receipt(answer: requests.Response) -> str:
    return answer.headers["Httpproxy-Commit"].partition(";")[0]


async def test_of_two_writes_whose_answers_cross_the_row_shows_what_the_api_has(base):
    made = (await call(base, "POST", fields={"Name": "old", "Amount": 1})).json()["id"]
    slow = base.apis.hold("PATCH")
    early = asyncio.ensure_future(call(base, "PATCH", f"/{made}", {"Name": "first"}))
    await slow.reached()
    late = await call(base, "PATCH", f"/{made}", {"Amount": 2})
    assert receipt(late) == "applied"
    slow.let_go()
    crossed = await early
    # The first answer says Amount 1, but it came when Amount 2 was committed.
    assert crossed.json()["fields"] == {"Name": "first", "Amount": 1}
    assert receipt(crossed) == "applied"
    row = base.rows()[made]
    assert (row["name"], row["amount"]) == ("first", 2)
    grants = base.house.service.office.limiter.total.grants
    # A stream of other writes may not starve the read that this one's answer waits for.
    assert (grants[Priority.WRITE], grants[Priority.REREAD]) == (4, 0)


async def test_a_record_that_many_write_at_once_ends_as_the_api_has_it(base):
    made = (await call(base, "POST", fields={"Name": "x"})).json()["id"]

    async def write(writer: int) -> set[str]:
        return {
            receipt(await call(base, "PATCH", f"/{made}", {"Amount": writer * 100 + n}))
            for n in range(8)
        }

    receipts = await asyncio.gather(*(write(writer) for writer in range(8)))
    assert set().union(*receipts) <= {"applied", "deferred"}
    async with asyncio.timeout(60):
        while base.rows()[made]["amount"] != base.truth(made)["fields"]["Amount"]:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    assert base.rows()[made]["amount"] == base.truth(made)["fields"]["Amount"]


async def test_a_read_back_that_the_api_refuses_is_made_up_for_later(base):
    made = (await call(base, "POST", fields={"Name": "old", "Amount": 1})).json()["id"]
    slow = base.apis.hold("PATCH")
    early = asyncio.ensure_future(call(base, "PATCH", f"/{made}", {"Name": "first"}))
    await slow.reached()
    # The read-back is refused for good, so the answer cannot wait for it.
    refusal = {"kind": "status", "status": 403, "path": "listRecords|filterByFormula"}
    await asyncio.to_thread(base.apis.order, refusal)
    assert receipt(await call(base, "PATCH", f"/{made}", {"Amount": 2})) == "applied"
    slow.let_go()
    assert receipt(await early) == "deferred"
    async with asyncio.timeout(60):
        while base.rows()[made]["name"] != "first":  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert base.rows()[made]["amount"] == 2
    async with asyncio.timeout(60):  # until somebody has read again what was left open
        while intents(base):  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def test_marks_that_cannot_be_made_stop_neither_the_settling_nor_the_service(
    base, monkeypatch
):
    async def refuse(*_: object) -> None:
        raise LookupError("no marks today")

    monkeypatch.setattr(Registry, "mark_dirty", refuse)
    made = (await call(base, "POST", fields={"Name": "old", "Amount": 1})).json()["id"]
    slow = base.apis.hold("PATCH")
    early = asyncio.ensure_future(call(base, "PATCH", f"/{made}", {"Name": "first"}))
    await slow.reached()
    refusal = {"kind": "status", "status": 403, "path": "listRecords|filterByFormula"}
    await asyncio.to_thread(base.apis.order, refusal)
    await call(base, "PATCH", f"/{made}", {"Amount": 2})
    slow.let_go()
    assert receipt(await early) == "deferred"
    async with asyncio.timeout(60):
        while base.rows()[made]["name"] != "first":  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert receipt(await call(base, "PATCH", f"/{made}", {"Amount": 3})) == "applied"


async def test_a_stale_answer_cannot_bring_a_deleted_record_back(base):
    made = (await call(base, "POST", fields={"Name": "x"})).json()["id"]
    slow = base.apis.hold("PATCH")
    early = asyncio.ensure_future(call(base, "PATCH", f"/{made}", {"Name": "y"}))
    await slow.reached()
    assert receipt(await call(base, "DELETE", f"/{made}")) == "applied"
    slow.let_go()
    assert (await early).status_code == 200
    assert made not in base.rows()


async def test_a_commit_that_takes_too_long_is_deferred_and_made_when_it_can_be(hasty):
    base = hasty
    made = (await call(base, "POST", fields={"Name": "x"})).json()["id"]
    with psycopg.connect(base.dsn) as other:
        other.execute(
            SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(
                Identifier(base.schema, base.table_name)
            )
        )
        answer = await call(base, "PATCH", f"/{made}", {"Name": "y"})
        assert (answer.status_code, receipt(answer)) == (200, "deferred")
        assert answer.json()["fields"] == {"Name": "y"}
        assert "commit-deferred" in answer.headers["Proxy-Status"]
    await _named(base, made, "y")


async def test_a_lost_database_connection_is_made_anew_and_nothing_is_lost(base):
    made = (await call(base, "POST", fields={"Name": "x"})).json()["id"]
    with psycopg.connect(base.dsn, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    answer = await call(base, "PATCH", f"/{made}", {"Name": "y"})
    if answer.status_code == 502:  # seen before anything was sent: nothing may have changed
        assert answer.json()["sent"] == "no"
        assert base.truth(made)["fields"] == {"Name": "x"}
        answer = await call(base, "PATCH", f"/{made}", {"Name": "y"})
    assert answer.status_code == 200
    await _named(base, made, "y")


async def _named(base: AirtableHouse, made: str, name: str) -> None:
    """Returns once the row of the record has this name."""
    async with asyncio.timeout(60):
        while base.rows()[made]["name"] != name:  # noqa: ASYNC110 - another's commit
            await asyncio.sleep(0.1)


async def test_a_write_that_the_api_refuses_changes_no_row(base):
    made = (await call(base, "POST", fields={"Name": "x"})).json()["id"]
    before = base.rows()
    refused = await call(base, "PATCH", f"/{made}", {"No such field": 1})
    assert (refused.status_code, receipt(refused)) == (422, "none")
    assert base.rows() == before


async def test_a_call_under_way_when_its_sync_is_deleted_gets_its_answer(base):
    await call(base, "POST", fields={"Name": "x"})
    slow = base.apis.hold("POST")
    under_way = asyncio.ensure_future(call(base, "POST", fields={"Name": "y"}))
    await slow.reached()
    await base.house.service.office.registry.delete_sync(base.sync, drop_tables=True)
    slow.let_go()
    answer = await under_way
    assert (answer.status_code, receipt(answer)) == (200, "unmapped")


async def test_a_poll_of_the_registry_that_is_cancelled_ends_nothing(base, monkeypatch):
    polls = []

    async def cancelled(*_: object) -> None:
        polls.append(1)
        raise psycopg.errors.QueryCanceled("canceling statement due to user request")

    monkeypatch.setattr(syncs, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(Registry, "changed_since", cancelled)
    async with asyncio.timeout(60):
        while len(polls) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert receipt(await call(base, "POST", fields={"Name": "x"})) == "applied"
