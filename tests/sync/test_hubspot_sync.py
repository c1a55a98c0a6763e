"""A HubSpot portal and its tables, kept equal by the background sync alone."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from hubspot.crm.contacts import SimplePublicObjectInput
from neighbours.hubspot_house import API, PROVIDER, HubSpotHouse, open_hubspot
from waiting import QUICK, until, until_listed, until_state

CONTACTS, COMPANIES, PAIRS = "0-1", "0-2", "associations_company_contact"


def ask(house: HubSpotHouse, method: str, path: str, body: Any = None) -> Any:
    """A call of somebody who does not go through the proxy."""
    return house.apis.ask(API, PROVIDER.sandbox.token, method, f"/crm/{path}", body)


def make(house: HubSpotHouse, count: int, kind: str = "contacts") -> list[str]:
    """Records made past the proxy."""
    name = "lastname" if kind == "contacts" else "name"
    made: list[str] = []
    for at in range(0, count, 100):
        inputs = [{"properties": {name: f"n{n}"}} for n in range(at, min(at + 100, count))]
        answer = ask(house, "POST", f"v3/objects/{kind}/batch/create", {"inputs": inputs})
        made += [record["id"] for record in answer["results"]]
    return made


def link(house: HubSpotHouse, company: str, contact: str) -> None:
    path = f"v4/objects/companies/{company}/associations/default/contacts/{contact}"
    ask(house, "PUT", path)


async def test_a_portal_that_was_there_before_is_filled_in(
    database_dsn: str, tmp_path: Path
) -> None:
    async with open_hubspot(database_dsn, tmp_path, **QUICK) as house:
        contacts, companies = make(house, 230), make(house, 3, "companies")
        link(house, companies[0], contacts[0])
        link(house, companies[0], contacts[7])
        before = len(house.rows("contact"))
        for collection in (CONTACTS, COMPANIES, PAIRS):
            await until_listed(house, collection)
        rows = house.rows("contact")
        assert len(rows) >= 230 + before
        assert [rows[i]["lastname"] for i in contacts[:3]] == ["n0", "n1", "n2"]
        assert {(companies[0], contacts[0]), (companies[0], contacts[7])} <= house.pairs()


async def test_what_others_write_and_archive_arrives(database_dsn: str, tmp_path: Path) -> None:
    async with open_hubspot(database_dsn, tmp_path, **QUICK, sweep_interval=1.0) as house:
        first, second = make(house, 2)
        await until_listed(house, CONTACTS)
        ask(
            house,
            "PATCH",
            f"v3/objects/contacts/{first}",
            {"properties": {"lastname": "edited"}},
        )
        ask(house, "DELETE", f"v3/objects/contacts/{second}")
        await until(lambda: house.rows("contact")[first]["lastname"] == "edited", "the edit")
        await until(lambda: house.rows("contact")[second]["archived"], "the archived record")
        assert not house.rows("contact")[first]["archived"]


async def test_a_partial_answer_is_completed_by_a_second_look(
    database_dsn: str, tmp_path: Path
) -> None:
    async with open_hubspot(database_dsn, tmp_path, **QUICK) as house:
        await until_listed(house, CONTACTS)
        made = make(house, 1)[0]
        ask(
            house,
            "PATCH",
            f"v3/objects/contacts/{made}",
            {"properties": {"firstname": "before"}},
        )
        change = SimplePublicObjectInput(properties={"lastname": "written"})
        api = house.client().crm.contacts.basic_api
        await asyncio.to_thread(api.update, contact_id=made, simple_public_object_input=change)
        assert house.rows("contact")[made]["lastname"] == "written"
        await until(lambda: house.rows("contact")[made]["firstname"] == "before", "the rest")
        state = await until_state(house, CONTACTS, lambda s: s.dirty == 0)
        assert state.trouble is None


async def test_an_index_that_lags_loses_no_record_and_deletes_none(
    database_dsn: str, tmp_path: Path
) -> None:
    async with open_hubspot(database_dsn, tmp_path, **QUICK, sweep_interval=1.0) as house:
        house.apis.simulators.switch({"hubspot": {"search_lag": 2.0}})
        await until_listed(house, CONTACTS)
        made = make(house, 1)[0]
        await until(lambda: made in house.rows("contact"), "the record")
        await asyncio.sleep(1.5)
        assert not house.rows("contact")[made]["archived"]


async def test_a_token_that_may_not_read_one_type_stops_only_that(
    database_dsn: str, tmp_path: Path
) -> None:
    async with open_hubspot(database_dsn, tmp_path, **QUICK) as house:
        made = make(house, 1)[0]
        await asyncio.to_thread(
            house.apis.order,
            {
                "kind": "status", "status": 403, "host": API,
                "path": "objects/(0-2|companies)", "count": 100,
            },
        )  # fmt: skip
        state = await until_state(house, COMPANIES, lambda s: s.trouble)
        assert state.trouble is not None
        assert "403" in state.trouble.error
        assert state.trouble.remedy
        assert state.backfilled_at is None
        await until(lambda: made in house.rows("contact"), "the contact")
