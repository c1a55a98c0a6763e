"""Columns over HTTP: listed, deselected, selected, named; what is wrong is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from neighbours.rows import columns
from outside.opened import Opened, open_door

from httpproxy.management.paging import write_cursor
from httpproxy.store.registry import Registry, Sync
from tests.store.world import FIELDS, PAIRS, TASKS, make_sync

TASKS_ID = "airtable:tblTasks"


@dataclass
class Desk:
    """A sync, the door, and whoever sits before it."""

    door: Opened
    dsn: str
    sync: Sync
    key: str

    async def ask(
        self, method: str, path: str, body: Any = None, **headers: str
    ) -> requests.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await asyncio.to_thread(
            requests.request,
            method,
            f"{self.door.url}/v1/syncs/{self.sync.id}/columns{path}",
            headers={"Authorization": f"Bearer {self.key}", **named},
            json=body,
            timeout=60,
        )

    async def patch(self, field: str, collection: str = TASKS_ID, **body: Any) -> Any:
        answer = await self.ask("PATCH", f"/{collection}/{field}", body)
        return answer.status_code, answer.json()

    async def refused(self, field: str, **body: Any) -> tuple[int, str | None, str]:
        status, said = await self.patch(field, **body)
        return status, said.get("member"), said["detail"]

    @property
    def registry(self) -> Registry:
        return self.door.inside.office.registry

    def columns(self) -> dict[str, str]:
        return columns(self.dsn, self.sync.schema_name, "tasks")

    def sql(self, statement: str) -> None:
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(statement.encode())


@pytest.fixture
async def desk(database_dsn: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_door(database_dsn, tmp_path) as door:
        sync = await make_sync(door.inside.office.registry)
        yield Desk(door, database_dsn, sync, await door.key("admin", "read"))


async def test_columns_are_told_with_all_that_there_is_to_know(desk: Desk) -> None:
    answer = await desk.ask("GET", "/tblTasks/Due Date")
    assert answer.json() == {
        "collection_id": TASKS_ID,
        "table": "tasks",
        "field_id": "f_due",
        "field_name": "Due Date",
        "type": "date",
        "name": "due_date",
        "own_name": False,
        "column_type": "date",
        "pending_type": None,
        "selected": True,
        "locked": False,
        "writable": True,
        "key": False,
        "system": False,
        "removed": False,
    }
    told = (await desk.ask("GET", f"/{TASKS_ID}/id")).json()
    assert (told["key"], told["system"], told["name"]) == (True, True, "id")
    for spelling in ("f_due", "Due%20Date", "due_date"):
        assert (await desk.ask("GET", f"/Tasks/{spelling}")).json() == answer.json()


async def test_columns_are_listed_in_their_order_page_by_page(desk: Desk) -> None:
    first = await desk.ask("GET", "?limit=7")
    following = first.links["next"]["url"].removeprefix(f"/v1/syncs/{desk.sync.id}/columns")
    second = await desk.ask("GET", following)
    told = [(c["table"], c["field_id"]) for c in (*first.json(), *second.json())]
    assert told == [
        *(("tasks", field.id) for field in FIELDS),
        *(("associations_a_b", field.id) for field in PAIRS.fields),
    ]
    assert "next" not in second.links
    of_one = await desk.ask("GET", "?collection_id=associations_a_b")
    assert [c["name"] for c in of_one.json()] == ["a_id", "b_id", "labels"]


async def test_a_cursor_that_is_not_ours_or_leads_nowhere_is_told(desk: Desk) -> None:
    for cursor in ("x", write_cursor("airtable:tblTasks", "f_gone")):
        answer = await desk.ask("GET", f"?cursor={cursor}")
        assert (answer.status_code, answer.json()["member"]) == (400, "cursor")


async def test_a_field_is_deselected_and_selected_again(desk: Desk) -> None:
    status, told = await desk.patch("f_blob", selected=False)
    assert (status, told["selected"], told["name"]) == (200, False, None)
    assert "blob" not in desk.columns()
    status, told = await desk.patch("Blob", selected=True)
    assert (status, told["selected"], told["name"]) == (200, True, "blob")
    assert "blob" in desk.columns()


async def test_a_column_gets_a_name_and_null_takes_it_away(desk: Desk) -> None:
    status, told = await desk.patch("f_name", name="headline")
    assert (status, told["name"], told["own_name"], told["locked"]) == (
        200,
        "headline",
        True,
        True,
    )
    assert "headline" in desk.columns()
    status, told = await desk.patch("headline", name=None)
    assert (status, told["name"], told["own_name"], told["locked"]) == (
        200,
        "name",
        False,
        False,
    )


async def test_a_document_that_is_sent_back_changes_nothing(desk: Desk) -> None:
    await desk.patch("f_done", name="finished", selected=False)
    await desk.patch("f_due", locked=True)
    for field in ("f_name", "f_done", "f_due", "$id"):
        told = (await desk.ask("GET", f"/Tasks/{field}")).json()
        settable = {name: told[name] for name in ("name", "locked", "selected")}
        assert await desk.patch(field, **settable) == (200, told)


async def test_a_name_that_no_column_can_have_is_refused_by_its_member(desk: Desk) -> None:
    wrong = ("Due Date", "1st", "_extra", "größe", "", "xmin", "x" * 64, "a;b", "A", 5, [])
    for name in wrong:
        status, member, detail = await desk.refused("f_name", name=name)
        assert (status, member) == (400, "name"), name
        assert "name must" in detail


async def test_a_name_that_is_taken_is_refused_by_its_member(desk: Desk) -> None:
    desk.sql(f"ALTER TABLE {desk.sync.schema_name}.tasks ADD COLUMN mine int")
    await desk.patch("f_done", name="reserved", selected=False)
    before = desk.columns()
    for name in ("amount", "id", "mine", "reserved"):
        status, member, detail = await desk.refused("f_name", name=name)
        assert (status, member) == (400, "name"), name
        assert repr(name) in detail
    assert desk.columns() == before


async def test_keys_and_system_fields_stay(desk: Desk) -> None:
    for field in ("$id", "$archived"):
        status, member, detail = await desk.refused(field, selected=False)
        assert (status, member) == (400, "selected")
        assert "cannot be left out" in detail


async def test_what_contradicts_itself_or_is_unknown_is_refused_by_its_member(
    desk: Desk,
) -> None:
    assert (await desk.refused("f_name", name="a", locked=False))[:2] == (400, "locked")
    assert (await desk.refused("f_name", name=None, locked=True))[:2] == (400, "locked")
    assert (await desk.refused("f_name", select=False))[:2] == (400, "select")
    assert (await desk.refused("f_name", selected=None))[:2] == (400, "selected")
    status, said = await desk.patch("f_none", selected=False)
    assert (status, said["code"]) == (404, "unknown_column")
    assert "Due Date" in said["detail"]
    status, said = await desk.patch("f_name", "tblNone", selected=False)
    assert (status, said["code"], said["member"]) == (
        400,
        "unknown_collection",
        "collection_id",
    )


async def test_what_a_view_shows_is_in_use(desk: Desk) -> None:
    table = f"{desk.sync.schema_name}.tasks"
    desk.sql(f"CREATE VIEW mine AS SELECT blob FROM {table}")
    status, said = await desk.patch("f_blob", selected=False)
    assert (status, said["code"]) == (409, "in_use")
    assert "view mine" in said["detail"]
    assert "blob" in desk.columns()


async def test_nobody_changes_a_column_over_the_head_of_another(desk: Desk) -> None:
    tag = (await desk.ask("GET", "/Tasks/f_name")).headers["ETag"]
    done = await desk.ask("PATCH", "/Tasks/f_name", {"name": "mine"}, If_Match=tag)
    assert (done.status_code, done.headers["ETag"] != tag) == (200, True)
    late = await desk.ask("PATCH", "/Tasks/f_name", {"name": "yours"}, If_Match=tag)
    assert (late.status_code, late.json()["code"]) == (412, "changed_meanwhile")
    assert "mine" in desk.columns()


async def test_all_names_of_a_table_are_locked_and_unlocked(desk: Desk) -> None:
    await desk.patch("f_done", name="finished")
    told = (await desk.ask("PATCH", "/Tasks", {"locked": True})).json()
    assert all(column["locked"] for column in told)
    assert len(told) == len(FIELDS)
    for body in ({"locked": False}, {"name": None}):
        status, member, detail = await desk.refused("f_name", **body)
        assert (status, member) == (400, next(iter(body)))
        assert "unlock the table" in detail
    told = (await desk.ask("PATCH", "/Tasks", {"locked": False})).json()
    assert {c["name"] for c in told if c["locked"]} == {"finished"}


async def test_choices_are_the_administrators_and_a_sync_keeps_to_itself(desk: Desk) -> None:
    other = await make_sync(desk.registry, "other")
    for key, allowed in (
        (await desk.door.key("write"), False),
        (await desk.door.key("admin", sync_id=other.id), False),
        (await desk.door.key("admin", sync_id=desk.sync.id), True),
    ):
        desk.key = key
        status, said = await desk.patch("f_blob", selected=False)
        assert status == (200 if allowed else 403), said
    assert TASKS.id in {c["collection_id"].partition(":")[2] for c in await listed(desk)}


async def listed(desk: Desk) -> list[dict[str, Any]]:
    desk.key = await desk.door.key("read")
    return list((await desk.ask("GET", "")).json())
