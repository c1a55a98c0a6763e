"""What stands around every operation: keys, parameters, bodies, answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests
from neighbours.syncs import new_sync
from outside.opened import Opened, open_door
from pydantic import Field

from httpproxy.api.openapi import openapi
from httpproxy.api.operations import Answer, Ask, Listing, Operation
from httpproxy.api.problems import declined
from httpproxy.exchange.problems import Rejected
from httpproxy.management.models import Metadata, Model, Name, RateLimit
from httpproxy.management.paging import Page, read_cursor, write_cursor
from httpproxy.management.patching import etag_of, merge_patch, require_match
from httpproxy.management.problems import Declined


class Part(Model):
    size: int = Field(ge=1)


class Thing(Model):
    """What the operations of these tests are about."""

    name: Name
    parts: list[Part] = Field(default_factory=list)
    rate_limit: RateLimit | None = None
    metadata: Metadata = Field(default_factory=dict)


class Loose(Model):
    size: int = 1


class Things(Listing):
    colour: str | None = None
    tags: list[str] = Field(default_factory=list)


async def make(ask: Ask) -> Answer:
    return Answer(ask.body, etag=etag_of(ask.body))


async def listed(ask: Ask) -> Answer:
    asked: Things = ask.query
    first = read_cursor(asked.cursor, int)[0] if asked.cursor else 0
    assert isinstance(first, int)
    things = [Thing(name=f"{asked.colour} {n} {asked.tags}") for n in range(first, 25)]
    more = len(things) > asked.limit
    after = write_cursor(first + asked.limit) if more else None
    return Answer.of_page(Page(things[: asked.limit], after))


async def of_a_sync(ask: Ask) -> Answer:
    await ask.sync(ask.path["sync"])
    return Answer()


async def fails(ask: Ask) -> Answer:
    raise RuntimeError("hunter2")


MAKE = Operation(
    "POST", "/v1/things", "write", make, "Make", "t", body=Thing, answer=Thing, status=201
)
LIST = Operation(
    "GET", "/v1/things", "read", listed, "List", "t", query=Things, answer=list[Thing]
)
OF_A_SYNC = Operation(
    "GET", "/v1/syncs/{sync}/x", "read", of_a_sync, "X", "t", status=204, reach="sync"
)
ADJUST = Operation("POST", "/v1/parts", "write", make, "Adjust", "t", body=Loose, answer=Loose)
FAIL = Operation("POST", "/v1/fails", "read", fails, "Fail", "t")
OPERATIONS = (MAKE, LIST, OF_A_SYNC, ADJUST, FAIL)


@pytest.fixture
async def door(database_dsn: str, tmp_path: Path, monkeypatch) -> AsyncIterator[Opened]:
    monkeypatch.setattr("httpproxy.api.server.OPERATIONS", OPERATIONS)
    async with open_door(database_dsn, tmp_path) as opened:
        yield opened


_KEYS: dict[str, str] = {}  # by door; a new key is not known everywhere at once


async def sent(door: Opened, method: str, path: str, key: str = "", **more: Any) -> Any:
    """Status, headers and JSON of an answer to a request with a key."""
    if not key:
        key = _KEYS[door.url] = _KEYS.get(door.url) or await door.key("write")
    headers = {"Authorization": f"Bearer {key}", **more.pop("headers", {})}
    answer = await asyncio.to_thread(
        requests.request, method, f"{door.url}{path}", headers=headers, timeout=60, **more
    )
    return answer.status_code, answer.headers, answer.json() if answer.content else None


async def test_a_body_comes_back_as_the_model_has_it_with_its_tag(door: Opened):
    status, headers, told = await sent(
        door, "POST", "/v1/things", json={"name": "a", "metadata": {"x": [1, None]}}
    )
    assert status == 201
    assert told == {"name": "a", "parts": [], "rate_limit": None, "metadata": {"x": [1, None]}}
    assert headers["ETag"] == etag_of(Thing(name="a", metadata={"x": [1, None]}))
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Request-Id"]


WRONG_BODIES: tuple[tuple[dict[str, Any], set[str]], ...] = (
    ({"nmae": "a"}, {"name", "nmae"}),
    ({"name": ""}, {"name"}),
    ({"name": 5}, {"name"}),
    ({"name": "a\0"}, {"name"}),
    ({"name": "a", "parts": [{"size": 1}, {"size": 0}]}, {"parts[1].size"}),
    ({"name": "a", "parts": [{"size": "1"}]}, {"parts[0].size"}),
    (
        {"name": "a", "rate_limit": {"allowed_requests": 0}},
        {"rate_limit.allowed_requests", "rate_limit.interval"},
    ),
    ({"name": "a", "metadata": {"x": "\0"}}, {"metadata"}),
    ({"name": "a", "metadata": {"x": "y" * 20_000}}, {"metadata"}),
)
NO_OBJECTS = (
    (b"{", "application/json", 400, "bad_body"),
    (b"[]", "application/json", 400, "bad_body"),
    (b'{"name":"a"}', "text/plain", 415, "unsupported_media_type"),
    (b"", "application/json", 400, "bad_body"),
    (b'{"name": NaN}', "application/json", 400, "bad_body"),
    (b'{"name":"\\ud800"}', "application/json", 400, "bad_body"),
)
WRONG_QUERIES = (
    ("limit=0", "limit"),
    ("limit=1001", "limit"),
    ("limit=ten", "limit"),
    ("limit=1&limit=2", "limit"),
    ("color=red", "color"),
    ("cursor=xyz", "cursor"),
    ("cursor=%C3%A4", "cursor"),
    ("cursor=WyJhIl0", "cursor"),
)


async def test_every_wrong_member_is_named_and_nothing_is_echoed(door: Opened):
    for body, members in WRONG_BODIES:
        status, headers, told = await sent(door, "POST", "/v1/things", json=body)
        assert (status, told["code"]) == (400, "bad_body"), body
        assert headers["Content-Type"] == "application/problem+json"
        assert {each["member"] for each in told["errors"]} == members
        assert told["member"] in members
        assert "yyyy" not in str(told)


async def test_lengths_are_told_in_plain_words(door: Opened):
    for name, said in (("", "must not be empty"), ("a" * 201, "a length of at most 200")):
        _, _, told = await sent(door, "POST", "/v1/things", json={"name": name})
        assert said in told["errors"][0]["detail"]
        assert f"name {told['errors'][0]['detail']}" in told["detail"]


async def test_what_is_no_json_object_is_refused(door: Opened):
    for data, type_, status, code in NO_OBJECTS:
        said, _, told = await sent(
            door, "POST", "/v1/things", data=data, headers={"Content-Type": type_}
        )
        assert (said, told["code"]) == (status, code), data


async def test_a_wrong_parameter_is_named(door: Opened):
    for query, member in WRONG_QUERIES:
        status, _, told = await sent(door, "GET", f"/v1/things?{query}")
        assert (status, told["code"], told["member"]) == (400, "bad_parameter", member)


async def test_where_nothing_has_to_be_said_no_body_will_do(door: Opened):
    assert (await sent(door, "POST", "/v1/parts"))[2] == {"size": 1}
    assert (await sent(door, "POST", "/v1/parts", json={"size": 2}))[2] == {"size": 2}
    assert (await sent(door, "POST", "/v1/parts", data=b"x"))[0] == 415
    assert (await sent(door, "POST", "/v1/things"))[0] == 415


async def test_a_list_is_an_array_and_links_to_its_next_page(door: Opened):
    seen, path = [], "/v1/things?colour=red&limit=10&tags=a&tags=b"
    while path:
        status, headers, told = await sent(door, "GET", path)
        assert status == 200
        seen += told
        link = headers.get("Link", "")
        path = link[1:].split(">")[0] if link else ""
        assert not path or 'rel="next"' in link
    assert [each["name"] for each in seen] == [f"red {n} ['a', 'b']" for n in range(25)]


async def test_the_key_is_asked_for_before_anything_else(door: Opened):
    answer = await asyncio.to_thread(requests.post, f"{door.url}/v1/things", data=b"{")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    read = await door.key("read")
    status, _, told = await sent(door, "POST", "/v1/things", read, data=b"{")
    assert (status, told["code"]) == (403, "key_not_allowed")
    assert "write" in told["detail"]


async def test_a_key_of_one_sync_opens_that_one_alone(door: Opened):
    office = door.inside.office
    mine = await new_sync(office.registry, "airtable", "mine", "appMine0000000001")
    await new_sync(office.registry, "airtable", "other", "appOther000000001")
    key = await door.key("admin", sync_id=mine.id)
    statuses = {
        path: (await sent(door, "GET", path, key))[0]
        for path in ("/v1/syncs/mine/x", f"/v1/syncs/{mine.id}/x", "/v1/syncs/other/x")
    }
    assert list(statuses.values()) == [204, 204, 403]
    # Whether there is such a sync is not told to who may not know of it.
    assert (await sent(door, "GET", "/v1/syncs/none/x", key))[0] == 403
    assert (await sent(door, "GET", "/v1/syncs/none/x"))[0] == 404
    status, _, told = await sent(door, "GET", "/v1/things", key)
    assert (status, told["code"]) == (403, "key_not_allowed")


async def test_a_name_in_a_path_may_hold_whatever_names_may(door: Opened):
    for name in ("a {b}", "50% off?", "a/b#c", "{sync}"):
        status, _, told = await sent(door, "GET", f"/v1/syncs/{quote(name, safe='')}/x")
        assert (status, told["code"]) == (404, "unknown_sync")
        assert repr(name) in told["detail"]


async def test_what_nobody_foresaw_is_a_500_that_tells_nothing(door: Opened):
    status, headers, told = await sent(door, "POST", "/v1/fails")
    assert (status, told["code"]) == (500, "internal_error")
    assert "hunter2" not in str(told)
    assert headers["X-Request-Id"] in told["detail"]
    assert (await sent(door, "POST", "/v1/fails", json={}))[2]["code"] == "bad_body"


async def test_what_was_answered_is_counted_by_operation(door: Opened):
    await sent(door, "POST", "/v1/things", json={"name": "a"})
    await sent(door, "POST", "/v1/things", json={})
    told = (await door.ask("/metrics")).text
    for status, count in (("2xx", 1), ("4xx", 1)):
        labels = f'operation="post_things",status="{status}",worker="0"'
        assert f"httpproxy_api_requests_total{{{labels}}} {count}.0" in told
    seconds = 'httpproxy_api_request_seconds_count{operation="post_things",worker="0"} 2.0'
    assert seconds in told


async def test_a_body_beyond_the_limit_is_413(database_dsn, tmp_path, monkeypatch):
    monkeypatch.setattr("httpproxy.api.server.OPERATIONS", OPERATIONS)
    async with open_door(database_dsn, tmp_path, max_request_bytes=1000) as door:
        status, _, told = await sent(door, "POST", "/v1/things", json={"name": "a" * 2000})
    assert (status, told["code"]) == (413, "body_too_large")


async def test_what_there_is_not_is_said_so(door: Opened):
    assert (await sent(door, "GET", "/v1/nothing"))[2]["code"] == "not_found"
    status, headers, told = await sent(door, "DELETE", "/v1/things")
    assert (status, told["code"], headers["Allow"]) == (
        405,
        "method_not_allowed",
        "GET, HEAD, POST",
    )


def test_a_call_that_comes_to_nothing_keeps_its_own_word():
    for code, status in (
        ("permit_timeout", 504),
        ("upstream_timeout", 504),
        ("credential_missing", 409),
        ("database_unavailable", 503),
        ("upstream_failed", 502),
        ("account_unknown", 502),
    ):
        found = declined(Rejected(code, "It did not go."))
        assert found is not None
        assert (found.kind.status, found.members["cause"]) == (status, code)
        assert ("Retry-After" in found.headers) == (status != 409)


def test_a_merge_patch_does_what_the_rfc_says():
    # The examples of RFC 7396, appendix A, that are of objects.
    for target, patch, result in (
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ("foo", {"a": "b"}, {"a": "b"}),
        ({"a": "foo"}, "bar", "bar"),
    ):
        assert merge_patch(target, patch) == result


def test_a_tag_that_does_not_match_is_declined():
    tag = etag_of(Thing(name="a"))
    assert tag == etag_of(Thing(name="a"))
    assert tag != etag_of(Thing(name="b"))
    for fits in (None, "*", tag, f'"x", {tag}'):
        require_match(tag, fits)
    with pytest.raises(Declined) as declined:
        require_match(tag, '"x"')
    assert declined.value.kind.status == 412


def test_the_document_describes_what_the_operations_take_and_give():
    told = openapi(OPERATIONS, "1.2.3")
    made = told["paths"]["/v1/things"]["post"]
    schema = made["requestBody"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/Thing"}
    assert told["components"]["schemas"]["Thing"]["required"] == ["name"]
    assert told["components"]["schemas"]["Thing"]["additionalProperties"] is False
    assert set(made["responses"]) == {"201", "400", "401", "403", "413", "415", "500", "503"}
    listed = told["paths"]["/v1/things"]["get"]
    assert {p["name"] for p in listed["parameters"]} == {"limit", "cursor", "colour", "tags"}
    content = listed["responses"]["200"]["content"]["application/json"]
    assert content["schema"]["items"] == {"$ref": "#/components/schemas/Thing"}
    assert listed["operationId"] == "get_things"
