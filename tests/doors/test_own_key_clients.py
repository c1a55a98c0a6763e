"""The APIs' own clients, whose only token is one of our API keys."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from string import Template

import pyairtable
import pytest
import requests
from cli.pasting import curl
from hubspot.crm.contacts import ApiException, SimplePublicObjectInputForCreate
from neighbours.airtable_house import API, TABLE, open_airtable
from neighbours.hubspot_house import open_hubspot
from neighbours.keyring import new_key

PAGE = (Path(__file__).parents[2] / "docs" / "gateway.md").read_text()


async def test_pyairtable_works_with_a_key_and_shows_why_one_is_refused(
    database_dsn: str, tmp_path: Path
) -> None:
    async with open_airtable(database_dsn, tmp_path) as airtable:
        key = await new_key(airtable.house, "write", sync_id=airtable.sync.id)
        reader = await new_key(airtable.house, "read")
        url = airtable.house.door(airtable.sync).url(API)

        def scenario() -> None:
            table = pyairtable.Api(key, endpoint_url=url).table(airtable.sync.account, TABLE)
            record = table.create({"Name": "by key", "Amount": 2.5})
            assert airtable.rows()[record["id"]]["name"] == "by key"
            assert table.get(record["id"])["fields"] == airtable.truth(record["id"])["fields"]
            table.update(record["id"], {"Name": "again"})
            assert airtable.rows()[record["id"]]["name"] == "again"
            table.delete(record["id"])
            assert record["id"] not in airtable.rows()
            table = pyairtable.Api(reader, endpoint_url=url).table(airtable.sync.account, TABLE)
            assert table.all() == []
            with pytest.raises(requests.HTTPError, match="the scope write"):
                table.create({"Name": "x"})
            section = PAGE.split("\n## An API key instead of a token\n")[1].split("\n## ")[0]
            (line,) = re.findall(r"^(curl .*)$", section, re.MULTILINE)
            base = airtable.sync.account
            shown = curl(Template(line).substitute(ROOT=url, BASE=base, KEY=reader)).json()
            assert "Plan the launch" in [
                each["fields"].get("Name") for each in shown["records"]
            ]

        await asyncio.to_thread(scenario)


async def test_the_hubspot_client_works_with_a_key_and_shows_why_one_is_refused(
    database_dsn: str, tmp_path: Path
) -> None:
    async with open_hubspot(database_dsn, tmp_path) as hubspot:
        key = await new_key(hubspot.house, "write")
        reader = await new_key(hubspot.house, "read", sync_id=hubspot.sync.id)

        def scenario() -> None:
            contacts = hubspot.client(key).crm.contacts.basic_api
            new = SimplePublicObjectInputForCreate(
                properties={"email": "k@example.com"}, associations=[]
            )
            contact = contacts.create(simple_public_object_input_for_create=new)
            assert hubspot.rows("contact")[contact.id]["email"] == "k@example.com"
            contacts.archive(contact.id)
            assert hubspot.rows("contact")[contact.id]["archived"] is True
            contacts = hubspot.client(reader).crm.contacts.basic_api
            contacts.get_page()
            with pytest.raises(ApiException, match="the scope write"):
                contacts.archive(contact.id)

        await asyncio.to_thread(scenario)
