"""The whole sync where its ground shakes: connections cut, another process, merges."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import psycopg
from neighbours.airtable_house import API, AirtableHouse, open_airtable
from neighbours.house import open_house
from neighbours.hubspot_house import API as HUBSPOT
from neighbours.hubspot_house import PROVIDER, open_hubspot
from pydantic import SecretStr
from waiting import QUICK, until, until_listed

KEY = SecretStr("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
RECORDS = 500


def ask(house: AirtableHouse, method: str, path: str, body: Any = None) -> Any:
    """A call of somebody who does not go through the proxy."""
    target = f"/v0/{house.sync.account}/{house.table_id}{path}"
    return house.apis.ask(API, house.token, method, target, body)


def fill(house: AirtableHouse) -> list[str]:
    made: list[str] = []
    for at in range(0, RECORDS, 10):
        records = [{"fields": {"Name": f"n{n}"}} for n in range(at, at + 10)]
        made += [r["id"] for r in ask(house, "POST", "", {"records": records})["records"]]
    return made


def agree(house: AirtableHouse) -> bool:
    rows, truths = house.rows(), house.truths()
    return rows.keys() == truths.keys() and all(
        rows[i]["name"] == t["fields"].get("Name") for i, t in truths.items()
    )


def cut(dsn: str) -> None:
    """Every other connection to the database ends now."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


async def test_a_backfill_whose_connections_are_cut_again_and_again_comes_to_its_end(
    database_dsn: str, tmp_path: Path
) -> None:
    async with open_airtable(database_dsn, tmp_path, **QUICK) as house:
        made = fill(house)
        for _ in range(6):
            await asyncio.sleep(0.3)
            await asyncio.to_thread(cut, database_dsn)
        ask(house, "DELETE", f"/{made[0]}")
        await until(lambda: agree(house), "rows equal records")
        await until_listed(house, house.table_id)
        assert len(house.rows()) == RECORDS - 1


async def test_two_processes_that_serve_one_sync_agree_with_the_api(
    database_dsn: str, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {**QUICK, "secret_key": KEY}
    async with (
        open_airtable(database_dsn, tmp_path / "one", **settings) as house,
        open_house(
            database_dsn,
            tmp_path / "two",
            house.apis.upstreams,
            **{**settings, "roles": ("sync",)},
        ),
    ):
        made = fill(house)
        table = house.table()
        await asyncio.to_thread(table.update, made[1], {"Name": "through the proxy"})
        ask(house, "PATCH", f"/{made[2]}", {"fields": {"Name": "by others"}})
        ask(house, "DELETE", f"/{made[3]}")
        await until(lambda: agree(house), "rows equal records")
        assert house.rows()[made[1]]["name"] == "through the proxy"
        assert house.rows()[made[2]]["name"] == "by others"
        hooks = house.apis.ask(
            API, house.token, "GET", f"/v0/bases/{house.sync.account}/webhooks"
        )
        assert len(hooks["webhooks"]) == 1, "the one that came second hung up again"


async def test_contacts_that_others_merge_become_one_row(
    database_dsn: str, tmp_path: Path
) -> None:
    async with open_hubspot(database_dsn, tmp_path, **QUICK, sweep_interval=1.0) as house:
        token, contacts = PROVIDER.sandbox.token, "/crm/v3/objects/contacts"
        inputs = [{"properties": {"lastname": name}} for name in ("one", "two")]
        made = house.apis.ask(
            HUBSPOT, token, "POST", f"{contacts}/batch/create", {"inputs": inputs}
        )
        kept, gone = (record["id"] for record in made["results"])
        await until(lambda: {kept, gone} <= house.rows("contact").keys(), "both are there")
        body = {"primaryObjectId": kept, "objectIdToMerge": gone}
        merged = house.apis.ask(HUBSPOT, token, "POST", f"{contacts}/merge", body)["id"]

        def live() -> set[str]:
            rows = house.rows("contact")
            return {i for i in (kept, gone, merged) if i in rows and not rows[i]["archived"]}

        await until(lambda: live() == {merged}, "only the merged one is left")
        assert house.rows("contact")[merged]["lastname"] == "one"
