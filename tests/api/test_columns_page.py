"""docs/columns.md, followed to the letter."""

from __future__ import annotations

import re
from pathlib import Path

from neighbours.airtable_house import open_airtable
from neighbours.keyring import new_key
from neighbours.rows import columns
from neighbours.walkthrough import Walk

from httpproxy.management.columns import ColumnDocument

PAGE = Path(__file__).resolve().parents[2] / "docs" / "columns.md"


async def test_the_page_on_columns_is_followed(database_dsn: str, tmp_path: Path) -> None:
    roles = ("gateway", "api")
    async with open_airtable(database_dsn, tmp_path, tables=("Tasks",), roles=roles) as house:
        variables = {
            "API": house.house.service.api_url or "",
            "KEY": await new_key(house.house, "admin"),
            "SYNC": house.sync.name,
            "DATABASE_URL": database_dsn,
            "HTTPPROXY_DATA_DIR": str(tmp_path),
        }
        (tmp_path / "walk").mkdir()
        await Walk(tmp_path / "walk", variables).follow(PAGE)
        there = columns(database_dsn, house.schema, "tasks")
        assert {"phone", "address", "notes", "homepage"} <= set(there)


def test_the_page_names_every_member_of_a_column() -> None:
    page = PAGE.read_text(encoding="utf-8")
    (example,) = re.findall(r"```json\n(\[.*?\])\n```", page, re.DOTALL)
    assert set(re.findall(r'"(\w+)":', example)) == set(ColumnDocument.model_fields)
