"""docs/streams.md, followed from top to bottom."""

from __future__ import annotations

import json
from pathlib import Path

from neighbours.airtable_house import API, open_airtable
from neighbours.keyring import new_key
from neighbours.walkthrough import Walk

PAGE = Path(__file__).parents[2] / "docs" / "streams.md"


async def test_the_page_is_followed(database_dsn: str, tmp_path: Path):
    async with open_airtable(
        database_dsn, tmp_path, tables=("Tasks",), roles=("gateway", "api")
    ) as airtable:
        url = airtable.house.service.api_url
        assert url is not None
        folder = tmp_path / "walk"
        folder.mkdir()
        variables = {
            "API": url,
            "KEY": await new_key(airtable.house, "read"),
            "SYNC": airtable.sync.id,
            "ROOT": airtable.house.door(airtable.sync).url(API),
            "BASE": airtable.sync.account,
            "TOKEN": airtable.token,
            "DATABASE_URL": database_dsn,
            "HTTPPROXY_DATA_DIR": str(tmp_path),
        }
        said = await Walk(folder, variables).follow(PAGE)
    written = json.loads(said[0])["id"]
    told = [said[1], *said[3:7], *said[7:]]
    assert all(written in each or "records" in each for each in told), said
    assert any(line.startswith("id: ") for each in said for line in each.splitlines())
