"""API keys over HTTP: none gives more than it has, and a revoked one opens nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from api.desk import Desk, open_desk

from httpproxy.management.keys import NewKey
from httpproxy.management.problems import Declined

AT = "/v1/keys"


@pytest.fixture
async def desk(database_dsn: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(database_dsn, tmp_path) as opened:
        yield opened


async def test_a_key_is_shown_once_works_and_is_revoked(desk: Desk) -> None:
    made = await desk.post(
        AT, {"name": "dashboard", "scopes": ["read"], "expires_in_days": 1.5}
    )
    assert made.status == 201, made.body
    told = made.body
    text = told.pop("key")
    assert text.startswith(f"hpk_{told['id']}_")
    assert (told["state"], told["scopes"], told["sync_id"]) == ("valid", ["read"], None)
    created, expires = (
        datetime.fromisoformat(told[name]) for name in ("created_at", "expires_at")
    )
    assert (expires - created).total_seconds() == 1.5 * 86_400
    assert (await desk.ask("GET", "/v1/credentials", key=text)).status == 200
    one = (await desk.get(f"{AT}/dashboard")).body
    assert {**one, "last_used_at": None} == told
    assert one["last_used_at"] is not None
    listed = await desk.get(f"{AT}?limit=1")
    rest = await desk.get(listed.headers["Link"][1:].partition(">")[0])
    assert [each["name"] for each in rest.body] == ["dashboard"]
    assert text.rpartition("_")[2] not in str([one, listed.body, rest.body])
    revoked = await desk.delete(f"{AT}/{told['id']}")
    assert (revoked.status, revoked.body["state"]) == (200, "revoked")
    assert (await desk.ask("GET", "/v1/credentials", key=text)).status == 401, "at once here"
    assert (await desk.get(f"{AT}/{told['id']}")).body["state"] == "revoked"
    assert (await desk.get(f"{AT}/dashboard")).status == 404, "the name is free again"


async def test_what_is_wrong_with_a_key_is_named(desk: Desk) -> None:
    await desk.post(AT, {"name": "taken"})
    for body, wrong in (
        ({}, (400, "bad_body", "name")),
        ({"name": ""}, (400, "bad_body", "name")),
        ({"name": "taken"}, (409, "name_taken", "name")),
        ({"name": "x", "scopes": []}, (400, "bad_body", "scopes")),
        ({"name": "x", "scopes": ["root"]}, (400, "bad_body", "scopes[0]")),
        ({"name": "x", "sync_id": "nowhere"}, (400, "bad_body", "sync_id")),
        ({"name": "x", "sync_id": "a\0b"}, (400, "bad_body", "sync_id")),
        ({"name": "x", "expires_in_days": 0}, (400, "bad_body", "expires_in_days")),
        ({"name": "x", "expires_in_days": 1e9}, (400, "bad_body", "expires_in_days")),
    ):
        assert (await desk.post(AT, body)).wrong == wrong, body
    for method in ("GET", "DELETE"):
        said = await desk.ask(method, f"{AT}/nobody")
        assert (said.status, said.body["code"]) == (404, "unknown_key")
    assert (await desk.get(f"{AT}/a%00b")).status == 404


async def test_only_admins_have_to_do_with_keys(desk: Desk) -> None:
    write = await desk.door.key("write")
    for method, path, body in (
        ("GET", AT, None),
        ("POST", AT, {"name": "x"}),
        ("GET", f"{AT}/x", None),
        ("DELETE", f"{AT}/x", None),
    ):
        said = await desk.ask(method, path, body, key=write)
        assert (said.status, said.body["code"]) == (403, "key_not_allowed")
        assert (await desk.ask(method, path, body, key="hpk_wrong")).status == 401


async def test_a_key_of_one_sync_gives_keys_of_that_sync_only(desk: Desk) -> None:
    own, other = await desk.sync("own"), await desk.sync("other")
    key = await desk.door.key("admin", sync_id=own.id)
    await desk.door.key("read", sync_id=other.id)

    async def give(**body: Any) -> Any:
        return await desk.ask("POST", AT, {"name": "given", **body}, key=key)

    for body in ({}, {"sync_id": "other"}, {"sync_id": "nowhere"}):
        said = await give(**body)
        assert said.wrong == (403, "key_not_allowed", "sync_id")
    made = await give(sync_id="own", scopes=["write"])
    assert (made.status, made.body["sync_id"]) == (201, own.id)
    listed = (await desk.ask("GET", AT, key=key)).body
    assert {each["sync_id"] for each in listed} == {own.id}
    everything = (await desk.get(AT)).body
    hidden = next(each["id"] for each in everything if each["sync_id"] != own.id)
    for method in ("GET", "DELETE"):
        said = await desk.ask(method, f"{AT}/{hidden}", key=key)
        assert (said.status, said.body["code"]) == (404, "unknown_key")


async def test_a_key_that_ends_gives_none_that_lives_longer(desk: Desk) -> None:
    short = (
        await desk.post(AT, {"name": "short", "scopes": ["admin"], "expires_in_days": 1})
    ).body
    for days, name in ((30, "long"), (None, "endless")):
        body = {"name": name, **({} if days is None else {"expires_in_days": days})}
        given = await desk.ask("POST", AT, body, key=short["key"])
        assert (given.status, given.body["expires_at"]) == (201, short["expires_at"])
    shorter = await desk.ask(
        "POST", AT, {"name": "s", "expires_in_days": 0.5}, key=short["key"]
    )
    assert shorter.body["expires_at"] < short["expires_at"]


async def test_a_key_without_a_scope_gives_none_that_has_it(desk: Desk) -> None:
    keys = desk.door.inside.keys
    giver, _ = await keys.create("writer", ["write"])
    service = desk.door.inside.house.services.keys
    for scope in ("read", "write"):
        assert (await service.create(NewKey(name=scope, scopes=[scope]), giver)).scopes == [
            scope
        ]
    with pytest.raises(Declined, match="lacks the scope admin"):
        await service.create(NewKey(name="admin", scopes=["read", "admin"]), giver)
