"""What changes upstream is discovered: new fields, renamed tables, tables that are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
import requests
from neighbours.airtable_house import AirtableHouse, open_airtable
from neighbours.drifting import Base
from neighbours.house import BASE, add_sync, open_house
from neighbours.hubspot_house import HubSpotHouse, open_hubspot
from neighbours.recorder import Recorder, http
from neighbours.rows import columns

from httpproxy.exchange.directory.allotment import Allotment
from httpproxy.exchange.directory.syncs import Live, tables_of
from httpproxy.exchange.schema import rediscovery
from httpproxy.exchange.schema.rediscovery import Hint, Rediscovery
from httpproxy.upstream.limiter import Limiter
from providers.http import Response
from providers.spec import Refused, UnknownCollection


async def test_a_field_that_turns_up_while_discovery_rests_is_discovered_afterwards(
    database_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile the poll of the registry sees the first change and forgets the tables."""
    monkeypatch.setattr(rediscovery, "REDISCOVERY_SECONDS", 2.0)
    async with open_airtable(database_dsn, tmp_path) as house:
        for name in ("First", "Second"):
            house.add_field(name, "singleLineText", {})
            await asyncio.to_thread(house.table().create, {name: "x"})
            await asyncio.sleep(0.2)
        await there(house, "second")
        assert {"first", "second"} <= set(columns(house.dsn, house.schema, house.table_name))
        await asyncio.to_thread(house.table().create, {"Second": "still served"})


async def there(house: AirtableHouse, column: str) -> None:
    """Returns once the table has the column."""
    async with asyncio.timeout(60):
        while column not in columns(house.dsn, house.schema, house.table_name):  # noqa: ASYNC110
            await asyncio.sleep(0.1)


def filled(house: AirtableHouse) -> bool:
    """Whether the value of the late field is in its column."""
    return [row["late"] for row in house.rows().values()] == ["x"]


async def test_a_table_that_was_renamed_is_found_again_under_its_new_name(
    database_dsn: str, tmp_path: Path
) -> None:
    """What was written under that name before is read again with the whole table."""
    async with open_airtable(database_dsn, tmp_path) as house:
        house.rename_table("New name")
        table = house.table("New name")
        await asyncio.to_thread(table.create, {"Name": "not known yet"})
        async with asyncio.timeout(60):
            while not await asyncio.to_thread(house.rows):
                await asyncio.to_thread(table.create, {"Name": "seen"})
                await asyncio.sleep(0.1)
        assert {row["name"] for row in house.rows().values()} == {"seen"}
        assert dirty(house.dsn) == {("", "it was renamed from Büro / Lager & Co")}


async def test_a_table_that_is_gone_does_not_keep_the_others_from_following(
    database_dsn: str, tmp_path: Path
) -> None:
    async with open_airtable(database_dsn, tmp_path, tables=("Projects",)) as house:
        house.forget_table("Projects")
        house.add_field("Late", "singleLineText", {})
        await asyncio.to_thread(house.table().create, {"Late": "x"})
        await there(house, "late")
        async with asyncio.timeout(60):  # the column is there before what is in it
            # In a thread: the table is changed in this loop.
            while not (await asyncio.to_thread(filled, house)):  # noqa: ASYNC110
                await asyncio.sleep(0.1)


def rediscovery_of(house: AirtableHouse | HubSpotHouse) -> tuple[Rediscovery, Live]:
    """The service's own calls, and the sync as it knows it."""
    office = house.house.service.office
    live = house.house.service.directory.known(house.sync.unique_id)
    assert live is not None
    return Rediscovery(office.conversations, office.registry), live


async def test_a_look_tells_whether_anything_changed(database_dsn: str, tmp_path: Path) -> None:
    async with open_airtable(database_dsn, tmp_path) as house:
        await house.house.service.directory.refresh()
        looking, live = rediscovery_of(house)
        assert not await looking.look(live)
        house.add_field("Late", "singleLineText", {})
        assert await looking.look(live)
        assert "late" in columns(house.dsn, house.schema, house.table_name)
        assert live.tables is not None
        assert live.tables.schema.find(house.table_id) is not None
        assert not await looking.look(live)


@pytest.mark.parametrize("covers_all", [True, False])
async def test_a_new_table_joins_only_a_sync_that_covers_all(
    database_dsn: str, tmp_path: Path, covers_all: bool
) -> None:
    async with open_airtable(database_dsn, tmp_path) as house:
        query = "UPDATE httpproxy.sync SET covers_all = %s, revision = revision + 1"
        with psycopg.connect(house.dsn) as connection:
            connection.execute(query, [covers_all])
        await house.house.service.directory.refresh()
        looking, live = rediscovery_of(house)
        Base(house.apis).add_table("Brand new")
        assert bool(await looking.look(live)) is covers_all
        there = "SELECT to_regclass(%s) IS NOT NULL"
        with psycopg.connect(house.dsn) as connection:
            row = connection.execute(there, [f"{house.schema}.brand_new"]).fetchone()
        assert row == (covers_all,)


async def test_what_a_token_may_not_see_is_asked_for_once_a_day(
    database_dsn: str, tmp_path: Path
) -> None:
    """A sync that covers all takes in what joins; what is refused costs no call a look."""
    asked: list[tuple[str, ...]] = []

    def described(_account: str, wanted: tuple[str, ...] | None) -> Iterator[Any]:
        asked.append(wanted or ())
        if wanted == ("Secret",):
            raise Refused(Response(403), "no", "ask for the scope")
        if wanted == ("",):
            raise UnknownCollection("", ["Büro / Lager & Co", "Secret"])
        return known
        yield

    async with open_airtable(database_dsn, tmp_path) as house:
        await house.house.service.directory.refresh()
        looking, live = rediscovery_of(house)
        tables = await tables_of(live, house.house.service.office.registry)
        known = tables.schema.collections
        provider = replace(live.provider, discover=described)
        allotment = Allotment(replace(live.api, provider=provider), "", Limiter())
        own = Live(replace(live.sync, covers_all=True), allotment)
        for _ in range(3):
            assert not await looking.look(own)
        assert asked.count(("Secret",)) == 1
        assert asked.count(("",)) == 3


async def test_a_call_is_committed_while_its_fields_type_waits(
    database_dsn: str, tmp_path: Path
) -> None:
    async with open_airtable(database_dsn, tmp_path) as house:
        await house.house.service.directory.refresh()
        looking, live = rediscovery_of(house)
        base = Base(house.apis)
        base.retype(house.table_id, "Notes", "number", lambda text: None, precision=1)
        base.retype(house.table_id, "Day", "checkbox", lambda day: True)
        assert await looking.look(live)
        written = {"Name": "n", "Notes": 12.5, "Day": True}
        await asyncio.to_thread(house.table().create, written)
        (row,) = house.rows().values()
        assert (row["name"], row["notes"], row["day"]) == ("n", "12.5", None)
        assert row["_extra"] == {"Day": True}


async def test_a_type_that_hubspot_refuses_is_told_and_the_others_follow(
    database_dsn: str, tmp_path: Path
) -> None:
    async with open_hubspot(database_dsn, tmp_path) as house:
        await house.house.service.directory.refresh()
        looking, live = rediscovery_of(house)
        house.add_property("late_one", "string", "text")
        refused = {"kind": "status", "status": 403, "path": "properties/0-2", "count": None}
        await asyncio.to_thread(house.apis.order, refused)
        looked = await looking.look(live)
        assert looked.changed
        assert [(name, no.response.status) for name, no in looked.refused.items()] == [
            ("0-2", 403)
        ]
        assert looked.gone == (), "nothing is gone that is only refused"
        contact = columns(house.house.dsn, house.sync.schema_name, "contact")
        assert "late_one" in contact


async def test_a_hint_counts_when_the_tables_have_just_been_forgotten(
    database_dsn: str, tmp_path: Path
) -> None:
    """They are, whenever the registry has changed; the next write loads them."""
    async with open_airtable(database_dsn, tmp_path) as house:
        await house.house.service.directory.refresh()
        looking, live = rediscovery_of(house)
        house.add_field("Late", "singleLineText", {})
        live.tables, live.ended = None, True
        await looking.follow(live, Hint.TOLD)
        here = columns(house.dsn, house.schema, house.table_name)
        assert "late" not in here, "a sync that is deleted or changed is nobody's to follow"
        live.ended = False
        await looking.follow(live, Hint.TOLD)
        assert "late" in columns(house.dsn, house.schema, house.table_name)


async def test_a_look_that_is_refused_says_so(database_dsn: str, tmp_path: Path) -> None:
    async with open_airtable(database_dsn, tmp_path) as house:
        await house.house.service.directory.refresh()
        looking, live = rediscovery_of(house)
        fault = {"kind": "status", "status": 403, "path": "/meta/", "count": None}
        await asyncio.to_thread(house.apis.order, fault)
        with pytest.raises(Refused) as refused:
            await looking.look(live)
        assert "schema.bases:read" in refused.value.remedy


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("Tasks", {"id": "recA", "createdTime": "2026-11-21T12:00:00Z", "fields": {"Odd": 1}}),
        ("Covered by nobody", {"id": "recA", "fields": {}}),
    ],
)
async def test_what_no_discovery_explains_is_looked_up_only_once_in_a_while(
    database_dsn: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    answer: dict[str, Any],
) -> None:
    """Some APIs answer with fields that they do not list; not every write may ask again."""
    monkeypatch.setattr(rediscovery, "REDISCOVERY_SECONDS", 0.05)
    name = {"id": "fldName0000000001", "name": "Name", "type": "singleLineText"}
    table = {"id": "tblTasks000000001", "name": "Tasks", "fields": [name]}
    meta = f"/v0/meta/bases/{BASE}/tables"
    async with (
        Recorder() as upstream,
        open_house(database_dsn, tmp_path, upstream.url) as house,
    ):
        upstream.by_target[meta] = http(body=orjson.dumps({"tables": [table]}))
        upstream.usual = http(body=orjson.dumps(answer))
        url = house.door(await add_sync(house, "airtable")).url("api.airtable.com")

        def looked() -> int:
            return sum(seen.method == "GET" for seen in upstream.seen)

        async def write(target: str) -> None:
            made = await asyncio.to_thread(requests.post, url + target, json={}, timeout=60)
            assert made.ok

        for _ in range(8):
            await write(f"/v0/{BASE}/{path}")
            await asyncio.sleep(0.1)
        assert 1 <= looked() <= 3
        for _ in range(8):  # definitions were written: nothing to guess
            before = looked()
            await write(meta)
            async with asyncio.timeout(60):
                while looked() == before:  # noqa: ASYNC110 - a task's own time
                    await asyncio.sleep(0.02)


def dirty(dsn: str) -> set[tuple[str, str]]:
    """What is to be read again, and why: ("", reason) for a whole table."""
    with psycopg.connect(dsn) as connection:
        query = "SELECT record_id, reason FROM httpproxy.dirty"
        return {(str(r), str(why)) for r, why in connection.execute(query)}
