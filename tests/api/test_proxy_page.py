"""docs/proxy-api.md is followed from top to bottom."""

from __future__ import annotations

from pathlib import Path

from neighbours.airtable_house import open_airtable
from neighbours.keyring import new_key
from neighbours.rows import rows
from neighbours.walkthrough import Walk

PAGE = Path(__file__).parents[2] / "docs" / "proxy-api.md"


async def test_the_page_works_as_it_says_and_its_writes_are_in_the_table(
    database_dsn: str, tmp_path: Path
) -> None:
    folder = tmp_path / "walk"
    folder.mkdir()
    roles = ("gateway", "api")
    async with open_airtable(database_dsn, tmp_path, tables=("Tasks",), roles=roles) as base:
        walk = Walk(
            folder,
            {
                "API": base.house.service.api_url or "",
                "KEY": await new_key(base.house, "write"),
                "SYNC": base.sync.name,
                "CREDENTIAL": base.sync.credential_id or "",
                "BASE": base.sync.account,
            },
        )
        outputs = await walk.follow(PAGE)
        assert "applied; rows=1" in outputs[2]
        names = {row["name"] for row in rows(base.dsn, base.schema, "tasks").values()}
        assert names == {"By the Proxy API", "From Python", "From pyairtable"}
