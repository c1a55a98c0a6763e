"""Mutations through /v1 at a sandboxed HubSpot: 207, unique values, associations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mutations.mutating_api import HubSpot, hubspot

from providers.hubspot.provider import HUBSPOT

COMPANY, OTHER, CHARLES, GRACE, MARY = (f"5000000000{n}" for n in range(1, 6))


@pytest.fixture
async def here(database_dsn: str, tmp_path: Path) -> AsyncIterator[HubSpot]:
    async with hubspot(database_dsn, tmp_path) as opened:
        yield opened


async def test_values_of_every_type_are_rows_as_they_were_given(here: HubSpot):
    given: dict[str, Any] = {
        "email": "Ada@Example.com",
        "firstname": "Ada",
        "house_number": 12.5,
        "house_flag": True,
        "house_day": "2026-12-24",
        "house_moment": "2026-12-24T09:30:00+00:00",
        "house_kind": "red",
        "house_tags": ["a", "b"],
    }
    told = await here.client.run("create", given)
    assert told.status == 200, told.body
    (record,) = told.each("upstream_id")
    row = here.at.rows("contact")[record]
    assert {name: row[name] for name in ("house_number", "house_flag", "house_kind")} == {
        "house_number": 12.5,
        "house_flag": True,
        "house_kind": "red",
    }
    assert row["email"] == "ada@example.com"
    assert row["house_tags"] == ["a", "b"]
    assert told.results[0]["data"]["house_number"] == 12.5
    emptied = {name: None for name in given if name != "email"}
    assert (await here.client.run("update", {"id": record, **emptied})).status == 200
    row = here.at.rows("contact")[record]
    assert {row[name] for name in emptied if name != "house_tags"} == {None}


async def test_more_records_than_a_call_takes_with_bad_ones_among_them(here: HubSpot):
    data: list[dict[str, Any]] = [{"firstname": f"n {at}"} for at in range(250)]
    data[7]["house_number"] = "1"  # a number as text is a number
    data[120]["email"] = "no address"
    data[249]["house_kind"] = "no such option"
    told = await here.client.run("create", data)
    assert told.status == 207
    bad = [at for at, status in enumerate(told.each("status")) if status != "applied"]
    assert bad == [120, 249]
    assert "INVALID_EMAIL" in told.results[120]["error"]["message"]
    assert {told.results[at]["error"]["status"] for at in bad} == {400}
    rows = here.at.rows("contact")
    applied = [(at, i) for at, i in enumerate(told.each("upstream_id")) if at not in bad]
    assert all(rows[i]["firstname"] == f"n {at}" for at, i in applied)


async def test_a_batch_that_is_refused_whole_is_divided(here: HubSpot):
    data = [{"email": f"n{at}@example.com"} for at in range(6)]
    data[4]["email"] = "N1@example.com"
    told = await here.client.run("create", data, "twins")
    assert told.status == 207, told.body
    assert told.each("status") == ["applied"] * 4 + ["failed", "applied"]
    assert told.results[4]["error"]["status"] == 409
    again = await here.client.run("create", data, "twins")
    assert again.results == told.results


async def test_an_upsert_finds_by_one_unique_property(here: HubSpot):
    data = [{"email": "grace@compilers.example", "house_number": 1}, {"email": "new@b.co"}]
    told = await here.client.run("upsert", data, match=["email"])
    assert told.each("created") == [False, True]
    assert told.each("upstream_id")[0] == GRACE
    assert here.at.rows("contact")[GRACE]["house_number"] == 1
    told = await here.client.run("upsert", data, match=["email", "firstname"])
    assert (told.status, told.body["member"]) == (400, "match")


async def test_what_is_deleted_is_archived(here: HubSpot):
    told = await here.client.run("delete", [MARY, {"id": CHARLES}, "999"])
    assert told.status == 200, told.body
    rows = here.at.rows("contact")
    assert all(rows[i]["archived"] for i in (MARY, CHARLES) if i in rows)
    assert here.at.apis.ask(
        HUBSPOT.hosts[0],
        HUBSPOT.sandbox.token,
        "GET",
        f"/crm/v3/objects/contacts/{MARY}?archived=true",
    )["archived"]


async def test_associations_are_made_and_taken_away(here: HubSpot):
    pairs = replace(here.client, collection="associations_company_contact")
    given = [
        {"company_id": COMPANY, "contact_id": MARY},
        {"id": f"{OTHER}:{GRACE}"},
        {"company_id": "1", "contact_id": "2"},
    ]
    told = await pairs.run("create", given)
    assert told.status == 207
    assert told.each("status") == ["applied", "applied", "failed"]
    assert told.body["collection_id"] == "hubspot:associations_company_contact"
    assert {(COMPANY, MARY), (OTHER, GRACE)} <= here.at.pairs()
    assert told.results[0]["data"] == {"id": f"{COMPANY}:{MARY}", **given[0]}
    told = await pairs.run("delete", [f"{COMPANY}:{MARY}", given[1]])
    assert told.status == 200, told.body
    assert not {(COMPANY, MARY), (OTHER, GRACE)} & here.at.pairs()
    assert (await pairs.run("update", given[:1])).body["member"] == "kind"
