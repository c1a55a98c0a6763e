"""OAuth apps over HTTP, and the credentials that are refreshed by them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from api.desk import AIRTABLE, HUBSPOT, Desk, open_desk

from httpproxy.store.credentials.values import TokenPair

AT = "/v1/oauth-apps"


@pytest.fixture
async def desk(database_dsn: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(database_dsn, tmp_path) as opened:
        yield opened


def app_of(provider: str, **members: Any) -> dict[str, Any]:
    """The app of a provider's sandbox."""
    app = {"airtable": AIRTABLE, "hubspot": HUBSPOT}[provider].grant.app
    return {
        "provider": provider,
        "client_id": app.client_id,
        "client_secret": app.client_secret,
        **members,
    }


def credential_of(provider: str, app_id: str, **members: Any) -> dict[str, Any]:
    """What the sandbox gave to that app."""
    grant = {"airtable": AIRTABLE, "hubspot": HUBSPOT}[provider].grant
    return {
        "kind": grant.kind,
        "access_token": grant.tokens.access_token,
        "refresh_token": grant.tokens.refresh_token,
        "oauth_app_id": app_id,
        **members,
    }


async def test_an_app_is_stored_once_for_a_client_id(desk: Desk) -> None:
    made = await desk.post(AT, app_of("airtable", name="ours"))
    assert made.status == 201, made.body
    told = made.body
    assert made.headers["Location"] == f"{AT}/{told['id']}"
    assert (told["has_secret"], told["name"]) == (True, "ours")
    assert "client_secret" not in told
    again = await desk.post(AT, app_of("airtable", client_secret="another-one"))
    assert (again.status, again.body["id"], again.body["name"]) == (200, told["id"], "ours")
    keys = await desk.apps.keys(told["id"])
    assert keys.client_secret == "another-one"
    public = await desk.post(AT, {"provider": "airtable", "client_id": "public"})
    assert (public.status, public.body["has_secret"]) == (201, False)
    assert [each["id"] for each in (await desk.get(f"{AT}?limit=1")).body] == [told["id"]]
    page = await desk.get(f"{AT}?provider=airtable&limit=1")
    rest = await desk.get(page.headers["Link"][1:].partition(">")[0])
    assert [each["client_id"] for each in rest.body] == ["public"]
    assert (await desk.get(f"{AT}/ours")).body["id"] == told["id"]
    said = [made.body, again.body, page.body]
    assert "another-one" not in str(said)
    assert str(AIRTABLE.grant.app.client_secret) not in str(said)


async def test_an_app_is_changed_and_deleted(desk: Desk) -> None:
    made = await desk.post(AT, app_of("hubspot"))
    at, tag = f"{AT}/{made.body['id']}", made.headers["ETag"]
    changed = await desk.patch(at, {"name": "ours", "client_id": "other"}, If_Match=tag)
    assert (changed.body["name"], changed.body["client_id"]) == ("ours", "other")
    keys = await desk.apps.keys(made.body["id"])
    assert keys.client_secret == HUBSPOT.grant.app.client_secret, "it stays"
    late = await desk.patch(at, {"name": "late"}, If_Match=tag)
    assert (late.status, late.body["code"]) == (412, "changed_meanwhile")
    bare = await desk.patch(at, {"client_secret": None, "name": None})
    assert (bare.body["has_secret"], bare.body["name"]) == (False, None)
    assert (await desk.patch(at, {"name": None})).headers["ETag"] == bare.headers["ETag"]
    second = (await desk.post(AT, app_of("hubspot", name="second"))).body
    for body, wrong in (
        ({"name": "second"}, (409, "name_taken", "name")),
        ({"client_id": second["client_id"]}, (409, "name_taken", "client_id")),
        ({"client_id": None}, (400, "bad_body", "client_id")),
        ({"provider": "airtable"}, (400, "bad_body", "provider")),
    ):
        assert (await desk.patch(at, body)).wrong == wrong
    taken = await desk.post(AT, {"provider": "airtable", "client_id": "x", "name": "second"})
    assert taken.wrong == (409, "name_taken", "name")
    assert (await desk.delete(at)).status == 204
    for method, body in (("GET", None), ("DELETE", None), ("PATCH", {})):
        gone = await desk.ask(method, at, body)
        assert (gone.status, gone.body["code"]) == (404, "unknown_oauth_app")


async def test_what_is_no_app_is_declined(desk: Desk) -> None:
    for body, wrong in (
        ({**app_of("airtable"), "provider": "stripe"}, (400, "unknown_provider", "provider")),
        ({"provider": "airtable"}, (400, "bad_body", "client_id")),
        (app_of("airtable", client_secret=""), (400, "bad_body", "client_secret")),
        (app_of("airtable", secret="x"), (400, "bad_body", "secret")),
    ):
        assert (await desk.post(AT, body)).wrong == wrong
    assert (await desk.get(f"{AT}/a%00b")).status == 404


async def test_only_admins_make_apps(desk: Desk) -> None:
    write = await desk.door.key("write")
    assert (await desk.ask("GET", AT, key=write)).status == 200
    for method, path, body in (
        ("POST", AT, app_of("airtable")),
        ("PATCH", f"{AT}/x", {}),
        ("DELETE", f"{AT}/x", None),
    ):
        said = await desk.ask(method, path, body, key=write)
        assert (said.status, said.body["code"]) == (403, "key_not_allowed")
    assert (await desk.ask("GET", AT, key="hpk_no")).status == 401


async def test_a_credential_goes_with_its_app(desk: Desk) -> None:
    app = (await desk.post(AT, app_of("airtable"))).body["id"]
    body = credential_of("airtable", app, expires_in=3600)
    made = await desk.post("/v1/credentials", body)
    assert made.status == 201, made.body
    told = made.body
    assert told["oauth_app_id"] == app
    assert told["expires_at"] > told["created_at"]
    assert told["properties"]["refresh_token"][4] == "…"
    assert told["check"]["scopes"]
    for secret in ("access_token", "refresh_token"):
        assert body[secret] not in str(told)
    in_use = await desk.delete(f"{AT}/{app}")
    assert (in_use.status, in_use.body["credentials"]) == (409, [told["id"]])
    of_app = await desk.get(f"/v1/credentials?oauth_app_id={app}")
    assert [each["id"] for each in of_app.body] == [told["id"]]
    other = (await desk.post(AT, app_of("hubspot"))).body["id"]
    said = await desk.post("/v1/credentials", credential_of("airtable", other))
    assert said.wrong == (400, "bad_body", "oauth_app_id")
    at = f"/v1/credentials/{told['id']}"
    assert (await desk.patch(at, {"oauth_app_id": other})).status == 400
    alone = await desk.patch(at, {"oauth_app_id": None})
    assert alone.wrong == (400, "bad_body", "oauth_app_id"), "the refresh token needs it"
    token_alone = await desk.patch(at, {"oauth_app_id": None, "refresh_token": None})
    assert token_alone.status == 200, token_alone.body
    assert "refresh_token" not in token_alone.body["properties"]
    assert (await desk.delete(f"{AT}/{app}")).status == 204


async def test_tokens_of_unknown_life_are_refreshed_at_once_and_known_then(desk: Desk) -> None:
    app = (await desk.post(AT, app_of("hubspot"))).body["id"]
    made = (await desk.post("/v1/credentials", credential_of("hubspot", app))).body
    assert made["expires_at"] is None
    tokens = desk.office.tokens
    before = HUBSPOT.grant.tokens.access_token
    again = await tokens.replaced(made["id"], before)
    assert again not in (None, before)
    told = (await desk.get(f"/v1/credentials/{made['id']}")).body
    assert told["expires_at"] > told["refreshed_at"] > made["refreshed_at"]
    assert told["updated_at"] == made["updated_at"], "nobody has changed it"
    found = await desk.registry.credentials.get(made["id"])
    assert found is not None
    assert desk.registry.credentials.open(found) == TokenPair(
        again or "", HUBSPOT.grant.tokens.refresh_token
    )
    asked = await asyncio.gather(*(desk.get(f"/v1/credentials/{made['id']}") for _ in range(3)))
    assert len({each.headers["ETag"] for each in asked}) == 1


async def test_a_refresh_token_that_is_spent_is_told_with_what_to_do(desk: Desk) -> None:
    app = (await desk.post(AT, app_of("airtable"))).body["id"]
    body = credential_of("airtable", app, expires_in=0, refresh_token="oar-spent-long-ago")
    made = (await desk.post("/v1/credentials", body)).body
    checked = await desk.post(f"/v1/credentials/{made['id']}/check")
    assert (checked.status, checked.body["ok"]) == (200, False)
    assert "authorise the app again" in checked.body["trouble"]
    told = (await desk.get(f"/v1/credentials/{made['id']}")).body
    assert "authorise the app again" in told["trouble"]
    refused = await desk.get(f"/v1/collections/{made['id']}")
    assert (refused.status, refused.body["code"]) == (422, "credential_refused")
    assert "spent-long-ago" not in str([checked.body, told, refused.body])
    anew = await desk.patch(
        f"/v1/credentials/{made['id']}",
        {"refresh_token": AIRTABLE.grant.tokens.refresh_token, "expires_in": 3600},
    )
    assert (anew.status, anew.body["trouble"]) == (200, None)
    assert (await desk.post(f"/v1/credentials/{made['id']}/check")).body["ok"]
