"""pyairtable, with its base URL changed and nothing else, and the rows after each answer.

What is compared: the record as the sandbox holds it, against the row that a fresh
connection reads the moment pyairtable returns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
import requests
from neighbours.airtable_house import AirtableHouse
from neighbours.rows import columns

pytestmark = pytest.mark.asyncio(loop_scope="module")

FULL = {
    "Name": "Ünïcode ☃ 'quoted' \\ \"x\"",
    "Notes": "a\nb",
    "Amount": 12.5,
    "Price": 9007199254740993,
    "Stars": 3,
    "Done": True,
    "Day": "2026-02-28",
    "Moment": "2026-02-28T23:59:59.000Z",
    "Choice": "Red",
    "Tags": ["b", "a, b", '"'],
    "Code": {"text": "123"},
}

TYPED: dict[str, Callable[[Any], Any]] = {
    "Amount": lambda v: Decimal(str(v)),
    "Price": Decimal,
    "Stars": Decimal,
    "Day": date.fromisoformat,
    "Moment": datetime.fromisoformat,
}


def typed(name: str, fields: dict[str, Any]) -> Any:
    """What the column of field `name` must hold for this record."""
    value = fields.get(name)
    if name == "Done":
        return value is True
    return value if value is None else TYPED.get(name, lambda v: v)(value)


def assert_equal(house: AirtableHouse, *record_ids: str) -> None:
    """Each of these rows says what the sandbox's record says; no other rows exist."""
    found = house.rows()
    for record_id in record_ids:
        record, row = house.truth(record_id), found[record_id]
        assert row["created_time"] == datetime.fromisoformat(record["createdTime"])
        expected = {n: typed(n, record["fields"]) for n in FULL}
        assert {n: row[n.lower()] for n in FULL} == expected
        assert row["_extra"] in (None, {})
    assert set(found) == set(house.truths())


async def test_columns_have_real_types(airtable: AirtableHouse) -> None:
    types = columns(airtable.dsn, airtable.schema, airtable.table_name)
    assert {n: types[n.lower()] for n in FULL} == {
        "Name": "text",
        "Notes": "text",
        "Amount": "numeric",
        "Price": "numeric",
        "Stars": "numeric",
        "Done": "boolean",
        "Day": "date",
        "Moment": "timestamp with time zone",
        "Choice": "text",
        "Tags": "text[]",
        "Code": "jsonb",
    }


async def test_create_update_empty_replace_and_delete(airtable: AirtableHouse) -> None:
    def scenario() -> None:
        table = airtable.table()
        created = table.create(FULL)
        assert created["fields"] == FULL
        assert_equal(airtable, created["id"])
        table.update(created["id"], {"Amount": 7, "Done": False})
        assert_equal(airtable, created["id"])
        assert airtable.rows()[created["id"]]["amount"] == 7
        table.update(created["id"], {"Notes": "", "Tags": [], "Day": None, "Code": None})
        row = airtable.rows()[created["id"]]
        assert (row["notes"], row["tags"], row["day"], row["code"]) == (None,) * 4
        assert (row["name"], row["done"]) == (FULL["Name"], False)
        assert_equal(airtable, created["id"])
        table.update(created["id"], {"Name": "alone"}, replace=True)
        assert airtable.rows()[created["id"]]["price"] is None
        assert_equal(airtable, created["id"])
        assert table.delete(created["id"])["deleted"]
        assert created["id"] not in airtable.rows()

    await asyncio.to_thread(scenario)


async def test_batches(airtable: AirtableHouse) -> None:
    def scenario() -> None:
        table = airtable.table()
        made = table.batch_create([{**FULL, "Name": f"n{i}"} for i in range(23)])
        ids = [record["id"] for record in made]
        assert_equal(airtable, *ids)
        table.batch_update([{"id": i, "fields": {"Stars": 5, "Notes": None}} for i in ids])
        assert_equal(airtable, *ids)
        table.batch_update([{"id": i, "fields": {"Name": "r"}} for i in ids[:3]], replace=True)
        assert_equal(airtable, *ids)
        assert airtable.rows()[ids[0]]["stars"] is None
        assert airtable.rows()[ids[5]]["stars"] == 5
        table.batch_delete(ids[:12])
        assert set(airtable.rows()) & set(ids) == set(ids[12:])
        table.batch_delete(ids[12:])
        assert not set(airtable.rows()) & set(ids)

    await asyncio.to_thread(scenario)


async def test_upsert_creates_and_updates(airtable: AirtableHouse) -> None:
    def scenario() -> None:
        table = airtable.table()
        known = table.create({"Name": "known", "Amount": 1})
        result = table.batch_upsert(
            [
                {"fields": {"Name": "known", "Amount": 2}},
                {"fields": {"Name": "new", "Amount": 3}},
            ],
            key_fields=["Name"],
        )
        assert result["updatedRecords"] == [known["id"]]
        ids = [known["id"], *result["createdRecords"]]
        assert_equal(airtable, *ids)
        assert {airtable.rows()[i]["amount"] for i in ids} == {2, 3}
        table.batch_delete(ids)

    await asyncio.to_thread(scenario)


async def test_answers_keyed_by_field_id_reach_the_same_columns(
    airtable: AirtableHouse,
) -> None:
    def scenario() -> None:
        table = airtable.table()
        created = table.create(FULL, use_field_ids=True)
        assert all(name.startswith("fld") for name in created["fields"])
        assert_equal(airtable, created["id"])
        table.update(created["id"], {"Name": "other"}, use_field_ids=True)
        assert_equal(airtable, created["id"])
        table.delete(created["id"])

    await asyncio.to_thread(scenario)


async def test_an_upload_to_the_other_host_changes_one_field_and_no_other(
    airtable: AirtableHouse,
) -> None:
    def scenario() -> None:
        created = airtable.table().create({"Name": "with a file", "Amount": 4})
        root = airtable.house.door(airtable.sync).url("content.airtable.com")
        answer = requests.post(
            f"{root}/v0/{airtable.sync.account}/{created['id']}/Pics/uploadAttachment",
            json={"contentType": "text/plain", "file": "aGVsbG8=", "filename": "a.txt"},
            headers={"Authorization": f"Bearer {airtable.token}"},
            timeout=60,
        )
        assert answer.status_code == 200
        assert answer.headers["Httpproxy-Commit"].startswith("applied; rows=1; ")
        row = airtable.rows()[created["id"]]
        assert (row["name"], row["amount"]) == ("with a file", 4)
        assert [attachment["filename"] for attachment in row["pics"]] == ["a.txt"]
        airtable.table().delete(created["id"])

    await asyncio.to_thread(scenario)


async def test_a_table_may_be_named_by_its_id(airtable: AirtableHouse) -> None:
    def scenario() -> None:
        created = airtable.table(airtable.table_id).create({"Name": "by id"})
        assert_equal(airtable, created["id"])
        airtable.table().delete(created["id"])

    await asyncio.to_thread(scenario)


@pytest.mark.parametrize("text", ["\U0001f600", "x" * 100_000, "'; DROP TABLE x --", "\u202e"])
async def test_odd_text_arrives_as_it_is(text: str, airtable: AirtableHouse) -> None:
    def scenario() -> None:
        table = airtable.table()
        created = table.create({"Name": text})
        assert created["fields"]["Name"] == text
        assert airtable.rows()[created["id"]]["name"] == text
        table.delete(created["id"])

    await asyncio.to_thread(scenario)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate"])
async def test_compressed_answers_are_committed(coding: str, airtable: AirtableHouse) -> None:
    def scenario() -> None:
        airtable.order_fault("compress", coding=coding)
        answer = requests.post(
            airtable.table_url(),
            json={"fields": FULL},
            headers={"Authorization": f"Bearer {airtable.token}"},
            stream=True,
            timeout=60,
        )
        assert answer.status_code == 200
        assert answer.headers["Content-Encoding"] == coding
        assert answer.headers["Httpproxy-Commit"].startswith("applied; rows=1; ")
        answer.close()
        newest = max(airtable.truths().values(), key=lambda r: r["createdTime"])
        assert_equal(airtable, newest["id"])
        airtable.table().delete(newest["id"])

    await asyncio.to_thread(scenario)


async def test_what_the_api_refuses_changes_nothing_and_reads_as_its_own_words(
    airtable: AirtableHouse,
) -> None:
    def scenario() -> None:
        before = airtable.rows()
        with pytest.raises(requests.HTTPError) as failed:
            airtable.table().create({"No such field": 1})
        assert failed.value.response.status_code == 422
        assert "UNKNOWN_FIELD_NAME" in str(failed.value)
        assert failed.value.response.headers["Httpproxy-Commit"].startswith("none; ")
        assert airtable.rows() == before

    await asyncio.to_thread(scenario)


async def test_our_own_refusal_is_readable(airtable: AirtableHouse) -> None:
    def scenario() -> None:
        with pytest.raises(requests.HTTPError) as failed:
            airtable.api().table("appOther000000001", "Tasks").create({"Name": "x"})
        assert failed.value.response.status_code == 403
        assert "httpproxy: path_of_another_account" in str(failed.value)
        # airtable.js reads error.type and error.message, and nothing else.
        error = failed.value.response.json()["error"]
        assert error["type"]
        assert "Use that one's own API root" in error["message"]

    await asyncio.to_thread(scenario)


async def test_an_unknown_field_is_kept_and_becomes_a_column(airtable: AirtableHouse) -> None:
    def create() -> dict[str, Any]:
        airtable.add_field("Later Added", "number", {"precision": 1})
        return dict(airtable.table().create({"Name": "x", "Later Added": 1.5}))

    def column() -> Any:
        return airtable.rows()[created["id"]].get("later_added", "absent")

    created = await asyncio.to_thread(create)
    row = (await asyncio.to_thread(airtable.rows))[created["id"]]
    assert row.get("later_added", (row["_extra"] or {}).get("Later Added")) == Decimal("1.5")
    async with asyncio.timeout(60):
        while await asyncio.to_thread(column) != Decimal("1.5"):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    row = (await asyncio.to_thread(airtable.rows))[created["id"]]
    assert "Later Added" not in (row["_extra"] or {})
    await asyncio.to_thread(airtable.table().delete, created["id"])
