"""What users say of a sync over HTTP: paused, resumed, read anew, compared; its schema."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from desk import PAT, Desk, open_desk
from neighbours.drifting import Base
from neighbours.rows import columns

from httpproxy.management.syncs.steering import _live
from httpproxy.store.sync.states import Missing, RunKind


@pytest.fixture
async def desk(database_dsn: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(database_dsn, tmp_path) as desk:
        body = {"provider": "airtable", "name": "base", "credential": PAT}
        said = await desk.post("/v1/syncs", {**body, "collection_ids": ["Tasks"]})
        assert said.status == 201, said.body
        yield desk


async def say(desk: Desk, word: str, body: dict[str, Any] | None = None) -> Any:
    said = await desk.post(f"/v1/syncs/base/{word}", body)
    assert said.status in (200, 202), said.body
    return said.body


async def hold(desk: Desk) -> None:
    """A sweep that has come to its end, and lacks too much."""
    sync = await desk.registry.sync("base")
    assert sync is not None
    (table,) = (await desk.registry.tables(sync)).tables.values()
    progress = desk.office.progress
    for kind in RunKind:
        run = await progress.begin_run(table, kind, 1, thorough=False, mark=None)
        run = await progress.turn_page(table, run, [], None)
        if kind is RunKind.BACKFILL:
            await progress.end_run(table, run)
        else:
            await progress.hold(table, run, Missing(4, 5))


async def test_a_sync_is_paused_and_goes_on(desk: Desk) -> None:
    for _ in range(2):  # to say it twice changes nothing
        assert (await say(desk, "pause"))["status"] == "paused"
        assert (await desk.get("/v1/syncs/base")).body["health"]["phase"] == "paused"
    for _ in range(2):
        assert (await say(desk, "resume"))["status"] == "active"


async def test_a_held_sweep_goes_on_by_the_user_s_word(desk: Desk) -> None:
    early = await desk.post("/v1/syncs/base/resume", {"delete_missing": True})
    assert early.wrong == (409, "nothing_held", "delete_missing")
    await hold(desk)
    told = (await say(desk, "resume"))["health"]
    assert (told["phase"], told["ok"]) == ("held", False)
    assert "lacks 4 of 5 rows" in told["error"]
    unknown = await desk.post("/v1/syncs/base/resume", {"delete_missing": ["contact"]})
    assert unknown.wrong == (400, "unknown_collection", "delete_missing")
    assert "tasks" in unknown.body["detail"]
    assert (await say(desk, "resume", {"delete_missing": ["Tasks"]}))["health"]["ok"]


async def test_records_are_read_anew_when_that_is_asked_for(desk: Desk) -> None:
    (asked,) = (await desk.get("/v1/syncs/base")).body["collection_ids"]
    for body in (None, {"collection_ids": ["tasks"]}, {"collection_ids": [asked]}):
        assert await say(desk, "resync", body) == {"collection_ids": [asked], "waits": False}
    sync = await desk.registry.sync("base")
    assert sync is not None
    assert [s.wants_thorough for s in await desk.office.progress.states(sync.id)] == [True]
    await say(desk, "pause")
    assert (await say(desk, "resync"))["waits"]
    unknown = await desk.post("/v1/syncs/base/resync", {"collection_ids": ["x" * 10_000]})
    assert unknown.wrong == (400, "unknown_collection", "collection_ids")
    assert len(unknown.body["detail"]) < 200


async def test_rows_are_compared_with_the_api_and_put_right(
    desk: Desk, database_dsn: str
) -> None:
    (found,) = await say(desk, "verify", {"all": True})
    assert found["collection_id"].startswith("airtable:tbl")
    assert (found["table"], found["checked"]) == ("tasks", found["absent_count"])
    assert len(found["absent"]) == found["absent_count"] > 0
    (mended,) = await say(desk, "verify", {"all": True, "repair": True})
    assert mended["repaired"] == found["absent_count"]
    with psycopg.connect(database_dsn, autocommit=True) as connection:
        changed = connection.execute(
            "UPDATE airtable_base.tasks SET name = 'wrong' WHERE id = %s", [found["absent"][0]]
        )
        assert changed.rowcount == 1
    (drifted,) = await say(desk, "verify", {"sample": 1000, "collection_ids": ["Tasks"]})
    assert drifted["drifted"] == [found["absent"][0]]
    assert drifted["same"] == drifted["checked"] - 1
    wrong = await desk.post("/v1/syncs/base/verify", {"sample": 0})
    assert wrong.wrong == (400, "bad_body", "sample")


async def test_a_comparison_takes_what_the_sync_may_or_its_share_of_it(desk: Desk) -> None:
    """A command does not know of a serving process's calls; the service does."""
    sync = await desk.registry.sync("base")
    assert sync is not None
    whole, fifth = (
        _live(desk.office, sync, share).allotment.rate("standard") for share in (1, 5)
    )
    a_second = [rate.allowed_requests / rate.interval for rate in (whole, fifth)]
    assert a_second[0] == pytest.approx(5 * a_second[1])


async def test_what_is_different_is_told_and_applied(desk: Desk, database_dsn: str) -> None:
    base = Base(desk.apis)
    await asyncio.to_thread(
        base.retype, "Tasks", "Notes", "number", lambda text: None, precision=0
    )
    await asyncio.to_thread(base.delete_field, "Tasks", "Phone")
    told = (await desk.get("/v1/syncs/base/schema")).body
    assert (told["sync"], told["schema"], told["open"]) == ("base", "airtable_base", True)
    assert told["not_synced"] == ["Projects"]
    by_column = {each["column"]: each for each in told["differences"]}
    notes = by_column["notes"]
    assert (notes["stage"], notes["was"], notes["becomes"]) == ("waiting", "text", "numeric")
    assert notes["collection_id"].startswith("airtable:tbl")
    assert by_column["phone"]["what"] == "field gone"
    for body, member in (
        ({"columns": ["tasks.name"]}, "columns[0]"),
        ({"drop": ["tasks.name"]}, "drop[0]"),
    ):
        wrong = await desk.post("/v1/syncs/base/schema/apply", body)
        assert wrong.wrong == (400, "bad_body", member)
    missing = await desk.post("/v1/syncs/base/schema/apply", {"add": ["Projcts"]})
    assert missing.wrong == (400, "unknown_collection", "add")
    wish = {"columns": ["tasks.notes"], "drop": ["tasks.phone"], "add": ["Projects"]}
    done = (await desk.post("/v1/syncs/base/schema/apply", wish)).body
    assert done["changed"]
    assert [each["column"] for each in done["accepted"]] == ["notes"]
    assert (done["dropped"], done["refused"]) == (["tasks.phone"], [])
    now = columns(database_dsn, "airtable_base", "tasks")
    assert now["notes"] == "numeric"
    assert "phone" not in now
    assert columns(database_dsn, "airtable_base", "projects")
    again = (await desk.post("/v1/syncs/base/schema/apply")).body
    assert again == {"changed": False, "accepted": [], "dropped": [], "refused": []}
