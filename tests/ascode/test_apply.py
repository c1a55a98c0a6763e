"""Files are applied: what is made, changed, left alone and deleted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from api.desk import AIRTABLE, HUBSPOT
from ascode.site import (
    CREDENTIALS,
    FILE,
    GRANT,
    OAUTH,
    SYNCS,
    THERE,
    Current,
    Site,
    open_site,
    told,
)

from httpproxy.management.ascode.exporting import exported
from httpproxy.management.columns import ColumnPatch
from httpproxy.management.syncs.documents import NewSync
from httpproxy.management.syncs.service import Syncs


async def test_an_empty_database_becomes_what_the_file_says(site: Site) -> None:
    assert await site.apply(FILE) == [
        "create credentials base",
        "create credentials portal",
        "create syncs crm",
        "create syncs Tasks of Acme",
    ]
    crm, tasks = await site.sync("crm"), await site.sync("Tasks of Acme")
    assert crm.external_id == "crm-1"
    assert crm.status == "active"
    assert (crm.rate_limit.allowed_requests, crm.rate_limit.interval) == (50, 10)
    assert {"hubspot:contact", "hubspot:company"} <= set(crm.collection_ids)
    assert (tasks.schema_, tasks.status, tasks.metadata) == ("acme", "paused", {"tier": "gold"})
    sync = await site.desk.registry.sync("Tasks of Acme")
    assert sync is not None
    table = next(iter((await site.desk.registry.tables(sync)).tables.values()))
    names = {column.name for column in table.columns}
    assert "title" in names
    assert not {"name", "amount"} & names
    credential, _ = await site.services.credentials.get("base")
    assert credential.metadata == {"customer": 42, "plan": {"seats": 3}}


async def test_columns_are_chosen_before_a_new_sync_begins(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not selected is never read into a table."""
    began: dict[str, str] = {}
    create = Syncs.create

    async def watched(self: Syncs, new: NewSync, *more: Any) -> Any:
        began[str(new.name)] = new.status
        return await create(self, new, *more)

    monkeypatch.setattr(Syncs, "create", watched)
    await site.apply(FILE.replace('status = "paused"', ""))
    assert began == {"crm": "active", "Tasks of Acme": "paused"}
    assert (await site.sync("Tasks of Acme")).status == "active"


async def test_a_file_that_is_applied_is_applied(site: Site) -> None:
    await site.apply(FILE)
    again = await site.plan(FILE)
    assert (again.steps, again.unchanged, again.missing, again.notes) == ([], 4, [], [])
    assert await site.apply(FILE) == []


async def test_what_is_exported_is_what_there_is_here_and_elsewhere(
    site: Site, empty_database_dsn: str, tmp_path: Path
) -> None:
    await site.apply(FILE)
    text = await site.export()
    for token in (AIRTABLE.token, HUBSPOT.token):
        assert token not in text
    there = {"env:BASE_ACCESS_TOKEN": AIRTABLE.token, "env:PORTAL_ACCESS_TOKEN": HUBSPOT.token}
    found = await site.plan(text, there, prune=True)
    assert (found.steps, found.unchanged) == ([], 4)
    without = await site.plan(text, {}, prune=True)
    assert (without.steps, len(without.notes)) == ([], 2), "stored secrets stay"
    async with open_site(empty_database_dsn, tmp_path / "elsewhere") as elsewhere:
        await elsewhere.apply(text, there)
        assert await elsewhere.export() == text


async def test_a_sync_that_was_made_by_hand_is_exported_too(site: Site) -> None:
    """Its credential has no name: its id stands for it."""
    made = await site.desk.post(
        "/v1/syncs",
        {
            "provider": "airtable",
            "name": "by hand",
            "credential": {
                "kind": "airtable_token",
                "access_token": AIRTABLE.token,
                "base_id": AIRTABLE.account,
            },
            "metadata": {"quote": 'a "b"\n\u2603', "null": None, "x.y": [1, 2.5, True]},
        },
    )
    assert made.status == 201
    text = await site.export()
    found = await site.plan(text, {}, prune=True)
    assert (found.steps, found.unchanged) == ([], 2)
    variable = f"env:{made.body['credential_id'].upper()}_ACCESS_TOKEN"
    assert f'"{variable}"' in text
    assert (await site.plan(text, {variable: AIRTABLE.token})).notes == []


async def test_only_what_differs_is_changed(site: Site) -> None:
    await site.apply(FILE)
    text = (
        FILE.replace('status = "paused"', "")
        .replace('"hubspot:contact", "company"', '"contact"')
        .replace('external_id = "crm-1"\n', "")
        .replace("allowed_requests = 50", "allowed_requests = 40")
        .replace("customer = 42, plan = { seats = 3 }", "plan = { seats = 4 }")
        .replace('tier = "gold"', "")
        .replace('name = "title"', 'name = "headline"')
        .replace("selected = false", "selected = true")
    )
    columns = (await site.sync("Tasks of Acme")).collection_ids[0]
    assert told(await site.plan(text)) == {
        "change base": ["metadata"],
        "change crm": ["external_id", "rate_limits", "collection_ids"],
        "change Tasks of Acme": [
            "status",
            "metadata",
            f"columns.{columns}.fldName0000000000.name",
            f"columns.{columns}.fldAmount00000000.selected",
        ],
    }
    await site.apply(text)
    assert (await site.plan(text)).steps == []
    crm, tasks = await site.sync("crm"), await site.sync("Tasks of Acme")
    assert (crm.external_id, crm.rate_limit.allowed_requests) == (None, 40)
    assert "hubspot:company" not in crm.collection_ids
    assert (tasks.status, tasks.metadata) == ("active", {})
    credential, _ = await site.services.credentials.get("base")
    assert credential.metadata == {"plan": {"seats": 4}}


async def test_a_credential_gets_the_token_that_the_reference_stands_for_now(
    site: Site,
) -> None:
    await site.apply(FILE)
    made = await site.desk.post("/v1/credentials", {
        "kind": "airtable_oauth2", "access_token": GRANT.tokens.access_token,
        "base_id": AIRTABLE.account,
    })  # fmt: skip
    assert made.status == 200, "the same account, and so the same credential"
    found = await site.plan(FILE)
    assert told(found) == {"change base": ["kind", "access_token"]}
    (token,) = (c for c in found.steps[0].changes if c.member == "access_token")
    assert "…" in str(token.before)
    assert AIRTABLE.token not in found.model_dump_json()
    await site.apply(FILE)
    assert (await site.plan(FILE)).steps == []
    stored = (await site.current()).credential("base")
    assert stored is not None
    assert stored.tokens is not None
    assert stored.tokens.access_token == AIRTABLE.token
    spent = {**THERE, "env:AIRTABLE": GRANT.tokens.access_token}
    assert told(await site.plan(FILE, spent)) == {"change base": ["access_token"]}
    await site.apply(FILE, spent)
    assert (await site.plan(FILE, spent)).steps == []


async def test_tokens_that_are_refreshed_are_the_files_for_once(site: Site) -> None:
    assert await site.apply(OAUTH) == [
        "create oauth_apps product",
        "create credentials granted",
    ]
    id_ = (await site.services.credentials.found("granted")).id
    tokens = site.desk.office.tokens
    now = await tokens.replaced(id_, await tokens.current(id_))
    assert now not in (None, GRANT.tokens.access_token)
    found = await site.plan(OAUTH)
    assert (found.steps, found.notes) == ([], [])
    other = OAUTH.replace("[oauth_apps.product]", "[oauth_apps.ours]").replace(
        'oauth_app = "product"', 'oauth_app = "ours"'
    )
    assert told(await site.plan(other)) == {"change ours": ["name"]}
    changed = other.replace("env:APP", "env:NEW").replace("expires_in = 3600\n", "")
    assert await site.apply(changed, {**THERE, "env:NEW": "another"}) == [
        "change oauth_apps ours"
    ]
    text = await site.export()
    assert (await site.plan(text, {}, prune=True)).steps == []


async def test_a_credential_is_known_again_by_its_account(site: Site) -> None:
    await site.apply(FILE)
    other = FILE.replace("[credentials.base]", "[credentials.renamed]").replace(
        'credential = "base"', 'credential = "renamed"'
    )
    assert told(await site.plan(other, prune=True)) == {"change renamed": ["name"]}
    await site.apply(other, prune=True)
    assert (await site.plan(other, prune=True)).steps == []


async def test_a_credential_that_is_stored_need_not_be_in_the_file(site: Site) -> None:
    await site.apply(CREDENTIALS)
    assert len(await site.apply(SYNCS)) == 2
    assert (await site.plan(SYNCS, prune=True)).steps == []
    unnamed = SYNCS.replace('credential = "base"\n', "")
    assert (await site.plan(unnamed)).steps == []


ONE_BASE = """
[syncs.crm]
provider = "airtable"
credential = "base"
collection_ids = ["Tasks", "Projects"]

[syncs.acme]
provider = "airtable"
credential = "base"
schema = "acme"
collection_ids = ["Tasks"]
"""


async def test_nothing_is_deleted_unless_it_is_asked_for(site: Site) -> None:
    await site.apply(OAUTH.replace("granted", "base") + ONE_BASE)
    assert (await site.plan("")).steps == []
    some = ONE_BASE.split("[syncs.acme]", maxsplit=1)[0].replace('credential = "base"', "")
    assert told(await site.plan(some, prune=True)) == {"delete acme": []}
    assert await site.apply("", prune=True) == [
        "delete syncs crm",
        "delete syncs acme",
        "delete credentials base",
        "delete oauth_apps product",
    ]
    assert (await site.current()) == Current()
    async with site.desk.office.database.connection() as connection:
        asked = await connection.execute(
            "SELECT to_regclass('acme.tasks') IS NOT NULL AS there"
        )
        row = await asked.fetchone()
    assert row == {"there": True}, "the tables of a deleted sync stay"


async def test_what_comes_with_a_sync_goes_with_it(site: Site) -> None:
    body = {"kind": "hubspot_private_app", "access_token": HUBSPOT.token}
    made = await site.desk.post(
        "/v1/syncs",
        {"provider": "hubspot", "collection_ids": ["contact"], "credential": body},
    )
    assert made.status == 201
    name = made.body["name"]
    assert await site.apply("", prune=True) == [f"delete syncs {name}"]
    assert (await site.current()) == Current()


async def test_a_sync_without_a_word_on_its_collections_takes_in_all(site: Site) -> None:
    text = FILE.replace('collection_ids = ["Tasks"]\n', "")
    await site.apply(text)
    assert (await site.sync("Tasks of Acme")).covers_all
    assert (await site.plan(text)).steps == []
    assert "covers_all" not in await site.export()
    assert told(await site.plan(FILE)) == {"change Tasks of Acme": ["collection_ids"]}


async def test_locks_are_exported_and_applied(site: Site) -> None:
    await site.apply(FILE)
    sync = await site.desk.registry.sync("Tasks of Acme")
    assert sync is not None
    wish = ColumnPatch.model_validate({"locked": True})
    await site.services.columns.change(sync, "Tasks", "Done", wish)
    text = await site.export()
    assert "locked = true" in text
    assert (await site.plan(text, {}, prune=True)).steps == []
    unlocked = text.replace("locked = true", "locked = false")
    (members,) = told(await site.plan(unlocked, {})).values()
    assert [member.partition(".fld")[2] for member in members] == ["Done0000000000.locked"]
    await site.apply(unlocked, {})
    assert "locked" not in await site.export()


def test_nothing_is_exported_as_nothing() -> None:
    assert exported(Current()).startswith("# What `httpproxy export` found.")
