"""Calls whose outcome nobody knows: their records are read again until it is known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
import requests
from neighbours.airtable_house import API, AirtableHouse, open_airtable
from neighbours.deadends import refusing
from neighbours.house import open_house
from psycopg.rows import dict_row

from httpproxy.exchange.settling import doubts
from httpproxy.sharing.presence import Presence
from httpproxy.store.intents.book import Intents
from httpproxy.store.intents.values import Intent
from providers.http import NO_HEADERS, Request


@pytest.fixture
async def base(database_dsn: str, tmp_path: Path) -> AsyncIterator[AirtableHouse]:
    async with open_airtable(database_dsn, tmp_path, upstream_timeout=3.0) as house:
        yield house


async def call(
    base: AirtableHouse,
    method: str,
    path: str = "",
    fields: dict[str, Any] | None = None,
    **headers: str,
) -> requests.Response:
    return await asyncio.to_thread(
        requests.request,
        method,
        base.table_url() + path,
        json=None if fields is None else {"fields": fields},
        headers={"Authorization": f"Bearer {base.token}", **headers},
        timeout=60,
    )


def intents(base: AirtableHouse) -> list[dict[str, Any]]:
    with psycopg.connect(base.dsn, row_factory=dict_row) as connection:
        return connection.execute("SELECT * FROM httpproxy.intent").fetchall()


async def until(happens: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not happens():  # noqa: ASYNC110 - another process changes it
            await asyncio.sleep(0.05)


async def fault(base: AirtableHouse, **order: Any) -> None:
    await asyncio.to_thread(base.apis.order, order)


async def test_an_answered_call_leaves_no_intent(base):
    made = await call(base, "POST", fields={"Name": "a"})
    record = made.json()["id"]
    await call(base, "PATCH", f"/{record}", {"Name": "b"})
    assert intents(base) == []
    refused = await call(base, "PATCH", f"/{record}", {"No such field": 1})
    assert refused.status_code == 422
    await until(lambda: intents(base) == [])


async def test_a_create_whose_answer_was_lost_is_found_and_committed(base):
    await fault(base, kind="drop", when="after", method="POST")
    lost = await call(base, "POST", fields={"Name": "lost and found", "Amount": 3})
    assert (lost.status_code, lost.json()["sent"]) == (502, "unknown")
    await until(lambda: bool(base.rows()))
    (row,) = base.rows().values()
    assert (row["name"], row["amount"]) == ("lost and found", 3)
    await until(lambda: intents(base) == [])


async def test_an_update_whose_answer_was_lost_is_read_again(base):
    record = (await call(base, "POST", fields={"Name": "old"})).json()["id"]
    await fault(base, kind="drop", when="after", method="PATCH")
    lost = await call(base, "PATCH", f"/{record}", {"Name": "new"})
    assert lost.status_code == 502
    await until(lambda: base.rows()[record]["name"] == "new")
    await until(lambda: intents(base) == [])


async def test_a_delete_that_ended_in_a_server_error_is_looked_after(base):
    record = (await call(base, "POST", fields={"Name": "old"})).json()["id"]
    await fault(base, kind="status", status=503, when="after", method="DELETE")
    failed = await call(base, "DELETE", f"/{record}")
    assert failed.status_code == 503  # the API's own words, unchanged
    assert failed.headers["Httpproxy-Commit"].startswith("none")
    await until(lambda: record not in base.rows())
    await until(lambda: intents(base) == [])


async def test_an_answer_that_breaks_off_leaves_the_outcome_open(base):
    await fault(base, kind="truncate", method="POST")
    lost = await call(base, "POST", fields={"Name": "cut short"})
    assert lost.status_code == 502
    await until(lambda: [row["name"] for row in base.rows().values()] == ["cut short"])


async def test_what_the_api_applies_late_is_found_by_a_later_look(base, monkeypatch):
    monkeypatch.setattr(doubts, "LOOKS", (0.0, 0.5, 4.0, 8.0, 16.0, 60.0))
    await fault(base, kind="delay_before", seconds=4.5, method="POST")
    lost = await call(base, "POST", fields={"Name": "late"})
    assert (lost.status_code, lost.json()["sent"]) == (504, "unknown")
    await asyncio.sleep(0.3)
    assert base.rows() == {}
    await until(lambda: [row["name"] for row in base.rows().values()] == ["late"])


async def test_a_call_that_never_left_leaves_nothing_to_look_after(base, tmp_path):
    with refusing() as nobody:
        async with open_house(base.dsn, tmp_path, nobody) as other:
            door = other.door(base.sync).url("api.airtable.com")
            refused = await asyncio.to_thread(
                requests.post,
                door + base.table_url().partition("/api.airtable.com")[2],
                json={"fields": {"Name": "never"}},
                headers={"Authorization": f"Bearer {base.token}"},
                timeout=60,
            )
            assert (refused.status_code, refused.json()["sent"]) == (502, "no")
            await until(lambda: intents(base) == [])


async def test_the_intents_of_a_process_that_is_gone_are_taken_over(base):
    record = (await call(base, "POST", fields={"Name": "old"})).json()["id"]
    # As a killed process leaves it: the call is applied, its answer came to nobody.
    target, changed = f"/v0/{base.sync.account}/{base.table_id}/{record}", {"Name": "new"}
    args = (API, base.token, "PATCH", target, {"fields": changed})
    await asyncio.to_thread(base.apis.ask, *args)
    assert base.rows()[record]["name"] == "old"
    request = Request("PATCH", API, target, NO_HEADERS, orjson.dumps({"fields": changed}))
    async with Intents(base.dsn, lambda: 999_999) as of_the_dead:
        await of_the_dead.begin(Intent(base.sync.id, request, 0, "gone-1"))
    await until(lambda: base.rows()[record]["name"] == "new")
    await until(lambda: intents(base) == [])


async def test_the_intent_of_a_sync_that_is_gone_ends(base):
    """One that was written by a process that had not heard yet that its sync was deleted."""
    request = Request("POST", API, "/v0/app/Tasks", NO_HEADERS, b"{}")
    async with Intents(base.dsn, lambda: 999_999) as of_the_dead:
        await of_the_dead.begin(Intent("sync_deleted", request, 0, "gone-2"))
    await until(lambda: intents(base) == [])


async def test_what_cannot_be_read_is_marked_for_the_sync_at_the_last_look(base, monkeypatch):
    monkeypatch.setattr(doubts, "LOOKS", (0.0, 0.2))
    record = (await call(base, "POST", fields={"Name": "old"})).json()["id"]
    await fault(base, kind="drop", when="after", method="PATCH")
    await fault(base, kind="status", status=403, path="listRecords", count=None)
    await call(base, "PATCH", f"/{record}", {"Name": "new"})
    await until(lambda: intents(base) == [])
    with psycopg.connect(base.dsn) as connection:
        marks = connection.execute("SELECT record_id FROM httpproxy.dirty").fetchall()
    assert marks == [(record,)]


async def test_what_a_call_in_doubt_may_have_changed_without_naming_it_is_marked_at_once(base):
    """A call that brings in a file of rows: the whole table may have changed."""
    path = f"/v0/{base.sync.account}/{base.table_id}/sync/endpoint"
    await fault(base, kind="status", status=503, when="before", method="POST")
    answer = await asyncio.to_thread(
        requests.post,
        base.house.door(base.sync).url(API) + path,
        data="Name\nfrom a file\n",
        headers={"Authorization": f"Bearer {base.token}", "Content-Type": "text/csv"},
        timeout=60,
    )
    assert answer.status_code == 503

    def marked() -> bool:
        with psycopg.connect(base.dsn) as connection:
            marks = connection.execute("SELECT record_id FROM httpproxy.dirty").fetchall()
        return marks == [("",)]

    await until(marked)


async def test_who_stood_still_too_long_sends_nothing(base, monkeypatch):
    """Others may have its permits, and have taken its intents up."""
    monkeypatch.setattr(Presence, "trusted", lambda _: True)
    await call(base, "POST", fields={"Name": "before"})

    async def stand_still(intents: Intents, intent: Intent) -> int:
        monkeypatch.setattr(Presence, "trusted", lambda _: False)
        return await begin(intents, intent)

    begin = Intents.begin
    monkeypatch.setattr(Intents, "begin", stand_still)
    refused = await call(base, "POST", fields={"Name": "too late"})
    assert (refused.status_code, refused.json()["code"]) == (502, "lease_lost")
    assert (refused.json()["sent"], refused.json()["retry_safe"]) == ("no", True)
    names = [record["fields"]["Name"] for record in base.truths().values()]
    assert names == ["before"]
    await until(lambda: intents(base) == [])
