"""GET /v1/intents: what is under way and in doubt, in pages, and each key its own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import requests
from neighbours.syncs import new_sync
from outside.opened import Opened, open_door
from store.intending import call

from httpproxy.store.intents.book import Intents


async def told(door: Opened, key: str, path: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {key}"}
    url = f"{door.url}{path}"
    return await asyncio.to_thread(requests.get, url, headers=headers, timeout=60)


async def test_intents_are_told_oldest_first_in_pages_and_by_sync(
    database_dsn: str, tmp_path: Path
):
    async with (
        open_door(database_dsn, tmp_path) as door,
        Intents(database_dsn, lambda: 7) as intents,
    ):
        registry = door.inside.office.registry
        sync = await new_sync(registry, "airtable", "crm", "appIntents0000001")
        ids = [
            str(await intents.begin(call(f"r{n}", sync_id=sync.id if n % 2 else "sync_gone")))
            for n in range(5)
        ]
        key = await door.key("read")
        seen: list[dict[str, Any]] = []
        path = "/v1/intents?limit=2"
        while path:
            answer = await told(door, key, path)
            assert answer.status_code == 200, answer.text
            seen += answer.json()
            path = answer.links.get("next", {}).get("url", "")
        assert [each["id"] for each in seen] == ids
        assert [each["sync"] for each in seen] == [None, "crm", None, "crm", None]
        assert seen[0]["state"] == "sent"
        assert seen[0]["method"] == "PATCH"
        one = await told(door, key, "/v1/intents?sync_id=crm")
        assert [each["id"] for each in one.json()] == ids[1::2]
        own = await told(door, await door.key("read", sync_id=sync.id), "/v1/intents")
        assert [each["id"] for each in own.json()] == ids[1::2]
        for wrong in ("WyJ4IiwieSJd", "x"):
            answer = await told(door, key, f"/v1/intents?cursor={wrong}")
            assert (answer.status_code, answer.json()["member"]) == (400, "cursor")
