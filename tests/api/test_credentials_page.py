"""docs/credentials.md, followed to the letter."""

from __future__ import annotations

from pathlib import Path

import pytest
from api.desk import AIRTABLE, HUBSPOT, open_desk
from neighbours.walkthrough import Walk

from providers.catalog import PROVIDERS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "credentials.md"


async def test_every_call_of_the_page_works(database_dsn: str, tmp_path: Path) -> None:
    grant = AIRTABLE.grant
    async with open_desk(database_dsn, tmp_path) as desk:
        folder = tmp_path / "walk"
        folder.mkdir()
        variables = {
            "API": desk.door.url,
            "KEY": desk.key,
            "AIRTABLE_TOKEN": AIRTABLE.token,
            "HUBSPOT_TOKEN": HUBSPOT.token,
            "CLIENT_ID": grant.app.client_id,
            "CLIENT_SECRET": grant.app.client_secret or "",
            "ACCESS_TOKEN": grant.tokens.access_token,
            "REFRESH_TOKEN": grant.tokens.refresh_token or "",
        }
        told = await Walk(folder, variables).follow(PAGE)
    said = "".join(told)
    shown = {desk.door.url, grant.app.client_id}
    assert [name for name, v in variables.items() if v in said and v not in shown] == []


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=lambda each: each.name)
def test_the_page_knows_every_kind_and_what_it_is_made_of(provider) -> None:
    page = PAGE.read_text(encoding="utf-8")
    for kind in provider.credential_kinds:
        members = ", ".join(f"`{each.name}`" for each in kind.properties)
        assert f"| `{kind.name}` | {members} |" in page
