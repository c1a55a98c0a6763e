"""What a credential reaches, over HTTP: kept, told in pages, discovered anew."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from api.desk import AIRTABLE, PAT, PRIVATE, Desk, open_desk
from neighbours.rows import columns

from providers.catalog import PROVIDERS

API = "api.airtable.com"


@pytest.fixture
async def desk(database_dsn: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(database_dsn, tmp_path) as opened:
        yield opened


async def stored(desk: Desk, body: dict[str, Any]) -> str:
    made = await desk.post("/v1/credentials", body)
    assert made.status == 201, made.body
    return str(made.body["id"])


def calls(desk: Desk) -> int:
    """How many answers the APIs gave."""
    state: Any = desk.apis.simulators.dump()
    return int(state["hubspot"]["answered"])


def add_field(desk: Desk, name: str) -> None:
    """Adds a field to Tasks as a colleague would."""
    tables = f"/v0/meta/bases/{AIRTABLE.account}/tables"
    listed = desk.apis.ask(API, AIRTABLE.token, "GET", tables)["tables"]
    tasks = next(each["id"] for each in listed if each["name"] == "Tasks")
    body = {"name": name, "type": "singleLineText"}
    desk.apis.ask(API, AIRTABLE.token, "POST", f"{tables}/{tasks}/fields", body)


async def test_collections_tell_their_fields_and_are_asked_for_once(desk: Desk) -> None:
    at = f"/v1/collections/{await stored(desk, PRIVATE)}"
    first = await desk.get(at)
    assert first.status == 200, first.body
    asked = calls(desk)
    assert (await desk.get(at)).body == first.body
    assert calls(desk) == asked, "what was found is kept"
    ids = [each["id"] for each in first.body]
    assert "hubspot:contact" in ids
    assert len(ids) == len(set(ids))
    contacts = next(each for each in first.body if each["id"] == "hubspot:contact")
    assert contacts["primary_key"] == ["id"]
    fields = {each["name"]: each for each in contacts["fields"]}
    assert (fields["id"]["primary_key"], fields["id"]["writable"]) == (True, False)
    assert fields["email"]["writable"]
    assert fields["email"]["column_type"] == "text"
    assert any(each["options"] for each in contacts["fields"])
    pages, path = [], f"{at}?limit=7"
    while path:
        page = await desk.get(path)
        pages.append(len(page.body))
        path = page.headers.get("Link", "")[1:].partition(">")[0]
    assert sum(pages) == len(ids)
    assert set(pages[:-1]) == {7}


async def test_a_refresh_asks_anew_and_the_tables_follow(desk: Desk) -> None:
    credential = await stored(desk, PAT)
    at = f"/v1/collections/{credential}"
    before = {each["id"]: each for each in (await desk.get(at)).body}
    office = desk.office
    found = await office.conversations.discover(
        PROVIDERS["airtable"], AIRTABLE.account, AIRTABLE.token, ("Tasks",)
    )
    sync = await desk.sync("tasks", credential=credential, collections=found)
    add_field(desk, "Weight")
    assert (await desk.get(at)).body == list(before.values()), "nobody has asked"
    said = await desk.post(f"{at}/refresh")
    assert said.status == 200, said.body
    tasks = next(each for each in said.body if each["name"] == "Tasks")
    assert "Weight" in [each["name"] for each in tasks["fields"]]
    assert (await desk.get(at)).body == said.body
    assert "weight" in columns(office.dsn, sync.schema_name, "tasks")
    tables = await desk.registry.tables(sync)
    assert [each.name for each in tables.schema.collections] == ["Tasks"], "no others came"


async def test_a_sync_of_everything_covers_what_is_new(desk: Desk) -> None:
    credential = await stored(desk, PAT)
    sync = await desk.sync("all", credential=credential, covers_all=True)
    said = await desk.post(f"/v1/collections/{credential}/refresh")
    tables = await desk.registry.tables(sync)
    there = {each.name for each in tables.schema.collections}
    assert there == {each["name"] for each in said.body}


async def test_what_another_token_reaches_is_asked_anew(desk: Desk) -> None:
    at = f"/v1/collections/{await stored(desk, PAT)}"
    before = (await desk.get(at)).body
    add_field(desk, "Weight")
    assert (await desk.get(at)).body == before
    assert (await desk.post("/v1/credentials", PAT)).status == 200
    tasks = next(each for each in (await desk.get(at)).body if each["name"] == "Tasks")
    assert tasks["fields"][-1]["name"] == "Weight"


async def test_what_another_version_has_kept_is_discovered_anew(desk: Desk) -> None:
    at = f"/v1/collections/{await stored(desk, PAT)}"
    first = (await desk.get(at)).body
    with psycopg.connect(desk.office.dsn) as connection:
        connection.execute("UPDATE httpproxy.discovery SET collections = '[{\"name\": 1}]'")
    again = (await desk.get(at)).body
    assert [each["id"] for each in again] == [each["id"] for each in first]


async def test_keys_and_credentials_that_do_not_open_it(desk: Desk) -> None:
    credential = await stored(desk, PAT)
    at = f"/v1/collections/{credential}"
    unknown = await desk.get("/v1/collections/cred_nowhere")
    assert (unknown.status, unknown.body["code"]) == (404, "unknown_credential")
    assert (await desk.get(f"{at}?cursor=x")).wrong == (400, "bad_parameter", "cursor")
    read = await desk.door.key("read")
    assert (await desk.ask("GET", at, key=read)).status == 200
    assert (await desk.ask("POST", f"{at}/refresh", key=read)).status == 403
    assert (await desk.ask("GET", at, key="hpk_x")).status == 401
    state: Any = desk.apis.simulators.dump()
    del state["airtable"]["tokens"][AIRTABLE.token]
    desk.apis.simulators.load(state)
    assert (await desk.get(at)).status == 200, "it is kept"
    refused = await desk.post(f"{at}/refresh")
    assert (refused.status, refused.body["code"]) == (422, "credential_refused")
