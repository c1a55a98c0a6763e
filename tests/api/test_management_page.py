"""docs/management.md, followed to the letter from an empty database on."""

from __future__ import annotations

import socket
from pathlib import Path

import psycopg
from desk import AIRTABLE, HUBSPOT
from neighbours.rates import unhurried
from neighbours.sandboxes import Sandboxes, sandboxes
from neighbours.walkthrough import Walk
from pydantic import SecretStr

from httpproxy.service import open_service
from httpproxy.settings.reading import Settings
from httpproxy.sync.health import Phase

PAGE = Path(__file__).resolve().parents[2] / "docs" / "management.md"


def settings_of(dsn: str, folder: Path, apis: Sandboxes) -> Settings:
    """API roots name the gateway's port, so it is chosen here."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    return Settings(
        database_url=SecretStr(dsn),
        data_dir=folder,
        gateway_port=port,
        api_port=0,
        upstreams=dict(apis.upstreams),
        roles=("gateway", "api"),
    )


async def test_the_page_leads_from_an_empty_database_to_a_row_and_back(
    empty_database_dsn: str, tmp_path: Path
) -> None:
    folder = tmp_path / "walk"
    folder.mkdir()
    with unhurried():
        async with (
            sandboxes() as apis,
            open_service(settings_of(empty_database_dsn, tmp_path, apis)) as service,
        ):
            variables = {
                "API": service.api_url or "",
                "DATABASE_URL": empty_database_dsn,
                "AIRTABLE_TOKEN": AIRTABLE.token,
                "HUBSPOT_TOKEN": HUBSPOT.token,
            }
            said = "".join(await Walk(folder, variables).follow(PAGE))
    assert "Httpproxy-Commit: applied; rows=1" in said
    assert not {AIRTABLE.token, HUBSPOT.token} & set(said.split('"'))
    with psycopg.connect(empty_database_dsn) as connection:
        left = "SELECT nspname FROM pg_namespace WHERE nspname ~ '^(airtable|hubspot)'"
        assert connection.execute(left).fetchall() == []


def test_the_page_names_every_phase() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [phase for phase in Phase if f"`{phase.value}`" not in page] == []
