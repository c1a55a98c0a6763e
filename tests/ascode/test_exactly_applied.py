"""What is applied is what the file says, exactly: nulls, collections that come with their
columns, and whatever a killed process has left."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest
from ascode.site import OAUTH, THERE, Site, told

from httpproxy.management.syncs.documents import SyncPatch
from httpproxy.management.syncs.service import Syncs

PROGRAM = Path(__file__).with_name("applying_process.py")
TASKS = """
[syncs.tasks]
provider = "airtable"
credential = "granted"
collection_ids = ["Tasks"]
"""
COLUMNS = """
[syncs.tasks.columns.Tasks]
Name = { name = "title" }
Amount = { selected = false }
"""
TABLE, SELECTED = "airtable:tblTasks000000000", "Amount00000000.selected"
METADATA = (
    """metadata = '{"customer": 42, "since": null, "plan": {"seats": 3, "ends": null}}'\n"""
)


async def test_metadata_becomes_what_the_file_says_nulls_and_all(site: Site) -> None:
    plain = 'metadata = { customer = 42, plan = { ends = "never" }, old = true }\n'
    await site.apply(OAUTH + plain + TASKS + plain)
    text = OAUTH + METADATA + TASKS + METADATA
    assert told(await site.plan(text)) == {
        "change granted": ["metadata"],
        "change tasks": ["metadata"],
    }
    await site.apply(text)
    credential, _ = await site.services.credentials.get("granted")
    exactly = {"customer": 42, "since": None, "plan": {"seats": 3, "ends": None}}
    assert credential.metadata == (await site.sync("tasks")).metadata == exactly
    assert (await site.plan(text)).steps == []
    assert (await site.plan(await site.export(), {})).steps == []


async def test_a_collection_comes_with_its_columns_chosen(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not selected is not read for a moment, though the sync is at work already."""
    await site.apply(OAUTH + TASKS)
    changed: list[tuple[str, bool]] = []
    change = Syncs.change

    async def watched(self: Syncs, sync_id: str, patch: SyncPatch, **more: Any) -> Any:
        changed.append((str(patch.status), patch.collection_ids is not None))
        return await change(self, sync_id, patch, **more)

    monkeypatch.setattr(Syncs, "change", watched)
    text = (OAUTH + TASKS).replace('["Tasks"]', '["Tasks", "Projects"]') + (
        "[syncs.tasks.columns.Projects]\nName = { selected = false }\n"
    )
    assert told(await site.plan(text)) == {
        "change tasks": ["collection_ids", "columns.airtable:Projects.Name.selected"]
    }
    await site.apply(text)
    assert changed == [("paused", True), ("active", False)]
    assert (await site.sync("tasks")).status == "active"
    sync = await site.desk.registry.sync("tasks")
    assert sync is not None
    column = await site.services.columns.get(sync, "Projects", "Name")
    assert not column.selected
    assert (await site.plan(text)).steps == []


async def test_what_a_killed_process_leaves_the_next_one_finishes(
    site: Site, database_dsn: str, tmp_path: Path
) -> None:
    """Processes are killed -9 after the first change that each of them makes."""
    portal = (
        '[credentials.portal]\nkind = "hubspot_private_app"\naccess_token = "env:HUBSPOT"\n'
    )
    crm = (
        '[syncs.crm]\nprovider = "hubspot"\ncredential = "portal"\ncollection_ids = ["contact"]'
    )
    await site.apply(portal + crm)
    text = OAUTH + METADATA + TASKS + COLUMNS
    settings = {"database_url": database_dsn, "data_dir": str(tmp_path)}
    given = {
        "settings": {**settings, "upstreams": dict(site.desk.apis.upstreams)},
        "secrets": dict(THERE),
    }
    (tmp_path / "syncs.toml").write_text(text)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(PROGRAM), str(tmp_path / "syncs.toml")), stdin=PIPE, stdout=PIPE
    )
    out, _ = await process.communicate(json.dumps(given).encode())
    plans = [json.loads(line) for line in out.splitlines()]
    assert process.returncode == 0, plans
    name, amount = (f"columns.{TABLE}.fld{each}" for each in ("Name0000000000.name", SELECTED))
    tasks, gone = {"create tasks": []}, {"delete crm": [], "delete portal": []}
    assert plans == [
        {"create product": [], "create granted": [], **tasks, **gone},
        {"create granted": [], **tasks, **gone},
        {**tasks, **gone},
        {"change tasks": ["status", name, amount], **gone},
        {"change tasks": ["status", amount], **gone},
        {"change tasks": ["status"], **gone},
        gone,
        {"delete portal": []},
        {},
    ]
    assert (await site.plan(text, prune=True)).steps == []
    assert (await site.sync("tasks")).status == "active"
