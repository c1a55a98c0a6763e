"""docs/mutations.md, followed to the letter; its sentences about the settings hold."""

from __future__ import annotations

from pathlib import Path

from neighbours.airtable_house import open_airtable
from neighbours.keyring import new_key
from neighbours.walkthrough import Walk, steps

from httpproxy.mutations.carrying import MOST_REPEATS
from httpproxy.mutations.documents import LONGEST_WAIT, WAIT, Mutation
from httpproxy.mutations.sending import MOST_DIVISIONS

PAGE = Path(__file__).parents[2] / "docs" / "mutations.md"


async def test_the_page_runs_from_top_to_bottom(database_dsn: str, tmp_path: Path):
    roles = ("gateway", "api")
    async with open_airtable(database_dsn, tmp_path, tables=("Tasks",), roles=roles) as at:
        await at.house.service.directory.refresh()
        variables = {
            "API": at.house.service.api_url or "",
            "KEY": await new_key(at.house, "write"),
            "SYNC": at.sync.name,
        }
        folder = tmp_path / "walk"
        folder.mkdir()
        told = await Walk(folder, variables).follow(PAGE)
    assert len(told) == len(steps(PAGE)) > 3


def test_every_member_is_on_the_page():
    page = PAGE.read_text(encoding="utf-8")
    assert {name for name in Mutation.model_fields if f"| `{name}` |" not in page} == set()
    assert f"seconds, {WAIT:g} by default, {LONGEST_WAIT:g} at most" in page
    assert (MOST_DIVISIONS, MOST_REPEATS) == (100, 2)
