"""What strangers and keys of one sync meet: numbers, tags and cursors at the edge, and
credentials that are none of their business."""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
import pytest
import requests
from api.desk import HUBSPOT, PAT, PRIVATE, Desk, open_desk

NUMBERS = ["1e308", "1e30", "123456789012345678901234567890", "-9223372036854775808"]
STALE = '"of-before"'


@pytest.fixture
async def desk(database_dsn: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(database_dsn, tmp_path) as desk:
        yield desk


async def patched(desk: Desk, metadata: str) -> tuple[int, Any]:
    """The answer to a patch that no JSON writer would write."""
    answer = await asyncio.to_thread(
        requests.patch,
        f"{desk.door.url}/v1/syncs/tasks",
        headers={"Authorization": f"Bearer {desk.key}", "Content-Type": "application/json"},
        data=f'{{"metadata": {metadata}}}',
        timeout=60,
    )
    return answer.status_code, answer.json()


@pytest.mark.parametrize("number", NUMBERS)
async def test_numbers_that_would_come_back_as_others_are_refused_in_metadata(
    desk: Desk, number: str
) -> None:
    await desk.sync()
    metadata = f'{{"a": [{{"b": {number}}}]}}'
    status, said = await patched(desk, metadata)
    assert (status, said["member"]) == (400, "metadata"), said
    assert "64 bits" in said["detail"]
    found = (await desk.get("/v1/syncs")).body
    assert found[0]["metadata"] == {}


async def test_numbers_that_come_back_as_they_are_are_kept(desk: Desk) -> None:
    await desk.sync()
    whole = '{"a": 9223372036854775807, "b": -9223372036854775807, "c": 1e-300, "d": 0.1}'
    assert (await patched(desk, whole))[0] == 200
    assert (await desk.get("/v1/syncs/tasks")).body["metadata"] == orjson.loads(whole)


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999", "1e30"])
@pytest.mark.parametrize("things", ["syncs", "credentials"])
async def test_a_filter_by_what_is_no_number_is_a_wrong_parameter(
    desk: Desk, things: str, number: str
) -> None:
    asked = quote(f'{{"a": {number}}}')
    said = await desk.get(f"/v1/{things}?metadata={asked}")
    assert said.wrong == (400, "bad_parameter", "metadata")


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
async def test_a_cursor_of_a_moment_that_there_is_not_is_no_cursor_of_ours(
    desk: Desk, moment: str
) -> None:
    cursor = urlsafe_b64encode(orjson.dumps([moment, "a"])).decode().rstrip("=")
    said = await desk.get(f"/v1/syncs?cursor={cursor}")
    assert said.wrong == (400, "bad_parameter", "cursor")


async def test_a_cursor_of_another_zone_is_a_moment_all_the_same(desk: Desk) -> None:
    cursor = urlsafe_b64encode(orjson.dumps(["2026-01-01T00:00:00+23:59", "a"])).decode()
    assert (await desk.get(f"/v1/syncs?cursor={cursor.rstrip('=')}")).body == []


async def test_what_is_deleted_has_to_be_what_if_match_names(desk: Desk) -> None:
    sync = await desk.sync()
    other = (await desk.post("/v1/credentials", PRIVATE)).body["id"]
    app = {"provider": "airtable", "client_id": "ours"}
    places = [
        f"/v1/syncs/{sync.id}",
        f"/v1/credentials/{other}",
        f"/v1/oauth-apps/{(await desk.post('/v1/oauth-apps', app)).body['id']}",
    ]
    for place in places:
        tag = (await desk.get(place)).headers["ETag"]
        said = await desk.ask("DELETE", place, If_Match=STALE)
        assert said.wrong == (412, "changed_meanwhile", "If-Match")
        assert (await desk.ask("DELETE", place, If_Match=f"{STALE}, {tag}")).status == 204
        assert (await desk.get(place)).status == 404


async def test_a_key_of_one_sync_learns_of_no_credential_but_its_syncs(desk: Desk) -> None:
    sync = await desk.sync()
    other = (await desk.post("/v1/credentials", PRIVATE)).body["id"]
    wanted = {"name": "theirs", "scopes": ["admin"], "sync_id": sync.id}
    key = (await desk.post("/v1/keys", wanted)).body["key"]
    said = []
    for credential in (other, "cred_of-nobody"):
        patch = {"credential_id": credential}
        said.append(await desk.ask("PATCH", f"/v1/syncs/{sync.id}", patch, key=key))
        assert said[-1].wrong == (403, "key_not_allowed", "credential_id")
        assert HUBSPOT.account not in str(said[-1].body)
    assert len({each.body["detail"] for each in said}) == 1
    own = {"credential_id": sync.credential_id}
    assert (await desk.ask("PATCH", f"/v1/syncs/{sync.id}", own, key=key)).status == 200


async def test_intents_of_a_sync_that_there_is_not_are_not_found(desk: Desk) -> None:
    assert (await desk.get("/v1/intents?sync_id=nowhere")).wrong[:2] == (404, "unknown_sync")


async def test_a_second_field_of_if_match_counts_as_the_first_does(desk: Desk) -> None:
    assert (await desk.post("/v1/credentials", PAT)).status == 201
    found = (await desk.get("/v1/credentials")).body[0]["id"]
    tag = (await desk.get(f"/v1/credentials/{found}")).headers["ETag"]
    assert await asyncio.to_thread(deleted, desk, f"/v1/credentials/{found}", tag) == 204


def deleted(desk: Desk, path: str, tag: str) -> int:
    """The status of a deletion whose tags come in two fields."""
    connection = HTTPConnection(desk.door.url.removeprefix("http://"), timeout=60)
    connection.putrequest("DELETE", path)
    fields = [("Authorization", f"Bearer {desk.key}"), ("If-Match", STALE), ("If-Match", tag)]
    for field in fields:
        connection.putheader(*field)
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    return status


async def test_a_patch_of_a_rate_limit_leaves_what_it_does_not_name(desk: Desk) -> None:
    await desk.sync()
    steps: list[tuple[dict[str, Any] | None, tuple[int, float, int]]] = [
        ({"interval": 2}, (5, 2.0, 0)),  # the rest is the default's
        ({"max_concurrent_requests": 3}, (5, 2.0, 3)),
        ({"allowed_requests": 1}, (1, 2.0, 3)),
        ({"max_concurrent_requests": None}, (1, 2.0, 0)),
        (None, (5, 1.0, 0)),
    ]
    before = (await desk.get("/v1/syncs/tasks")).body["rate_limit"]
    for patch, (requests_, interval, at_once) in steps:
        said = await desk.patch("/v1/syncs/tasks", {"rate_limit": patch})
        assert said.body["rate_limit"] == {
            "allowed_requests": before["allowed_requests"] if requests_ == 5 else requests_,
            "interval": interval,
            "max_concurrent_requests": at_once,
        }
    wrong = await desk.patch("/v1/syncs/tasks", {"rate_limit": {"interval": None}})
    assert wrong.wrong == (400, "bad_body", "rate_limit.interval")


async def test_a_body_in_a_coding_is_of_another_type(desk: Desk) -> None:
    said = await desk.ask("POST", "/v1/keys", {"name": "x"}, Content_Encoding="gzip")
    assert said.wrong == (415, "unsupported_media_type", "Content-Encoding")
    same = await desk.ask("POST", "/v1/keys", {"name": "x"}, Content_Encoding="identity")
    assert same.status == 201


async def test_a_schema_whose_name_is_too_long_is_told_how_long_it_may_be(desk: Desk) -> None:
    body = {"provider": "airtable", "credential": PAT, "schema": "x" * 64}
    said = await desk.post("/v1/syncs", {**body, "collection_ids": ["Tasks"]})
    assert said.wrong == (409, "name_taken", "schema")
    assert "63 bytes" in said.body["detail"]


@pytest.mark.parametrize("things", ["syncs", "credentials", "oauth-apps"])
async def test_a_filter_by_a_mistyped_provider_lists_those_that_there_are(
    desk: Desk, things: str
) -> None:
    said = await desk.get(f"/v1/{things}?provider=airtabel")
    assert said.wrong == (400, "unknown_provider", "provider")
    assert said.body["providers"] == ["airtable", "hubspot"]
    assert (await desk.get(f"/v1/{things}?provider=hubspot")).body == []


async def test_a_filter_by_a_kind_that_there_is_not_lists_those_that_there_are(
    desk: Desk,
) -> None:
    for query in ("kind=stripe_oauth2", "provider=hubspot&kind=airtable_token"):
        said = await desk.get(f"/v1/credentials?{query}")
        assert said.wrong == (400, "unknown_kind", "kind")
        assert "hubspot_oauth2" in said.body["kinds"]
