"""Bodies of which syncs are made over HTTP, and those syncs."""

from __future__ import annotations

from typing import Any

from desk import PAT, PRIVATE, Desk

TASKS = "Tasks"
OF_HUBSPOT = {"provider": "hubspot", "credential": PRIVATE}
CRM: dict[str, Any] = {**OF_HUBSPOT, "name": "crm", "collection_ids": ["hubspot:contact"]}
BASE: dict[str, Any] = {
    "provider": "airtable",
    "name": "base",
    "collection_ids": [TASKS],
    "credential": PAT,
}


async def made(desk: Desk, body: dict[str, Any] = BASE, **more: Any) -> dict[str, Any]:
    said = await desk.post("/v1/syncs", {**body, **more})
    assert said.status == 201, said.body
    assert said.headers["Location"] == f"/v1/syncs/{said.body['id']}"
    found: dict[str, Any] = said.body
    return found
