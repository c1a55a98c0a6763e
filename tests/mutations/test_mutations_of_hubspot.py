"""Mutations through /v1 at a sandboxed HubSpot: 207, unique values, associations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from mutations.mutating_api import HubSpot, hubspot
from psycopg.sql import SQL, Identifier

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


async def test_a_new_record_is_associated_at_once_or_not_made(here: HubSpot):
    data: list[dict[str, Any]] = [
        {"firstname": "one", "associations": {"company": [COMPANY, int(OTHER)]}},
        {"firstname": "two", "associations": {"hubspot:company": "1"}},
        {"firstname": "three"},
    ]
    told = await here.client.run("create", data, "key")
    assert told.status == 207, told.body
    assert told.each("status") == ["applied", "failed", "applied"]
    one, _, three = told.each("upstream_id")
    assert {pair for pair in here.at.pairs() if pair[1] in (one, three)} == {
        (COMPANY, one),
        (OTHER, one),
    }
    assert (await here.client.run("create", data, "key")).results == told.results
    assert (
        "firstname"
        in (await here.client.run("create", data, dry_run=True)).body["preview"]["changes"][0][
            "new"
        ]
    )


async def test_associations_that_cannot_be_are_told_before_anything_is_sent(here: HubSpot):
    for given, said in (
        ({"deal": ["1"]}, 'no "deal"; there are: "company"'),
        ({"company": [True]}, "ids of their records"),
        ({"company": ["1", "acme"]}, "ids of their records"),
        (["17"], "collections and ids"),
    ):
        told = await here.client.run("create", {"firstname": "x", "associations": given})
        assert (told.status, told.body["member"]) == (400, "data[0].associations")
        assert said in told.body["detail"]
    told = await here.client.run("update", {"id": MARY, "associations": {"company": "1"}})
    assert "for records that are created" in told.body["detail"]
    told = await here.client.run("create", {"firstname": "x"}, typecast=True)
    assert (told.status, told.body["member"]) == (400, "typecast")


async def test_labels_are_written_by_their_names_and_kept_beside_those_there_are(here: HubSpot):
    pairs = replace(here.client, collection="associations_company_contact")
    key = f"{COMPANY}:{MARY}"
    given = [{"id": key, "labels": ["Billing"]}, {"company_id": OTHER, "contact_id": GRACE}]
    told = await pairs.run("create", given)
    assert 'no "Billing"; there are: "Advised by", "Primary"' in told.body["detail"]
    label = {"name": "billing", "label": "Billing", "inverseLabel": "Billed by"}
    path = "/crm/v4/associations/company/contact/labels"
    assert (await asyncio.to_thread(here.at.post, path, label)).ok
    async with asyncio.timeout(60):
        while (told := await pairs.run("create", given)).status == 400:  # noqa: ASYNC110
            await asyncio.sleep(0.05)  # until the new label is known
    assert told.status == 200, told.body
    assert told.results[0]["data"]["labels"] == ["Billing"]
    assert told.results[1]["data"] == {"id": f"{OTHER}:{GRACE}", **given[1]}
    assert labels_of(here)[COMPANY, MARY] == ["Billing"]
    told = await pairs.run("upsert", {"id": key, "labels": ["Primary"]})
    assert told.status == 200, told.body
    assert told.results[0]["data"]["labels"] == ["Primary"]
    token, path = (
        HUBSPOT.sandbox.token,
        f"/crm/v4/objects/company/{COMPANY}/associations/contact",
    )
    (types,) = (
        each["associationTypes"]
        for each in here.at.apis.ask(HUBSPOT.hosts[0], token, "GET", path)["results"]
        if str(each["toObjectId"]) == MARY
    )
    assert {each["label"] for each in types} == {None, "Billing", "Primary"}
    for wrong in (["Billed by"], "Billing", [1]):
        told = await pairs.run("create", {"id": key, "labels": wrong})
        assert (told.status, told.body["member"]) == (400, "data[0].labels")
    assert (await pairs.run("delete", [key])).status == 200
    assert (COMPANY, MARY) not in here.at.pairs()


def labels_of(here: HubSpot) -> dict[tuple[str, str], list[str]]:
    """The labels of each association, in its row."""
    query = SQL("SELECT company_id, contact_id, labels FROM {}").format(
        Identifier(here.at.sync.schema_name, "associations_company_contact")
    )
    with psycopg.connect(here.at.house.dsn) as connection:
        return {(row[0], row[1]): row[2] for row in connection.execute(query)}
