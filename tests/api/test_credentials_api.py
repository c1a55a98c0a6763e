"""Credentials over HTTP: stored once for an account, masked, changed, checked, deleted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from api.desk import AIRTABLE, HUBSPOT, PAT, PRIVATE, Desk, open_desk
from neighbours.syncs import secret_of

from httpproxy.management.credentials.entering import FLAT, masked
from httpproxy.store.credentials.values import NewTokens, TokenPair
from httpproxy.store.registry import Registry
from providers.catalog import PROVIDERS
from providers.hubspot.sandbox.kit import OTHER_TOKEN

AT = "/v1/credentials"
# As the seed has it.
SEEDED = {
    "kind": "stripe_oauth2",
    "access_token": "sk_live_7eC39HqLyjWDarjtT1zdp7dc",
    "oauth_app_id": "8ff58ef0-d376-4ae8-b2e2-9f0206aa65b8",
    "metadata": {"custom_property": 42},
}


@pytest.fixture
async def desk(database_dsn: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(database_dsn, tmp_path) as opened:
        yield opened


def properties(body: dict[str, Any]) -> dict[str, Any]:
    """A flat body in the other form."""
    kept = {name: body[name] for name in body.keys() & {"kind", "name", "metadata"}}
    return {**kept, "properties": {n: v for n, v in body.items() if n not in kept}}


def add_base(desk: Desk) -> None:
    """Gives the token another base, as its owner would."""
    state: Any = desk.apis.simulators.dump()
    airtable = state["airtable"]
    base = airtable["bases"][AIRTABLE.account]
    airtable["bases"]["appOther000000000"] = {
        **base,
        "id": "appOther000000000",
        "name": "Other",
    }
    airtable["tokens"][AIRTABLE.token]["bases"]["appOther000000000"] = "create"
    desk.apis.simulators.load(state)


def leave_scopes(desk: Desk, *scopes: str) -> None:
    """Takes all scopes but these from the private app, as its owner would."""
    state: Any = desk.apis.simulators.dump()
    state["hubspot"]["tokens"][HUBSPOT.token]["scopes"] = [*scopes]
    desk.apis.simulators.load(state)


@pytest.mark.parametrize("body", [PAT, properties(PAT), PRIVATE, properties(PRIVATE)])
async def test_a_credential_is_stored_flat_or_as_properties(desk: Desk, body: Any) -> None:
    made = await desk.post(AT, {**body, "metadata": {"customer": 42}})
    assert made.status == 201, made.body
    told = made.body
    assert made.headers["Location"] == f"{AT}/{told['id']}"
    assert told["id"].startswith("cred_")
    assert told["kind"] == body["kind"]
    assert told["metadata"] == {"customer": 42}
    assert told["check"]["ok"]
    assert not told["implicit"]
    token = (AIRTABLE if told["provider"] == "airtable" else HUBSPOT).token
    assert told["properties"]["access_token"] == f"{token[:4]}…{token[-2:]}"
    again = await desk.get(f"{AT}/{told['id']}")
    told.pop("check")
    assert again.body == told
    assert again.headers["ETag"] == made.headers["ETag"]
    found = await desk.registry.credentials.get(told["id"])
    assert found is not None
    assert desk.registry.credentials.open(found) == TokenPair(token)


async def test_an_account_has_one_credential_and_keeps_its_id(desk: Desk) -> None:
    first = await desk.post(AT, {**PRIVATE, "name": "acme", "metadata": {"a": 1}})
    second = await desk.post(AT, properties({**PRIVATE}))
    assert (first.status, second.status) == (201, 200)
    assert second.body["id"] == first.body["id"]
    assert (second.body["name"], second.body["metadata"]) == ("acme", {"a": 1}), "they stay"
    assert second.body["created_at"] == first.body["created_at"]
    assert len((await desk.get(AT)).body) == 1


async def test_a_kind_that_is_not_built_is_declined_with_those_that_are(desk: Desk) -> None:
    for body in (SEEDED, {**SEEDED, "provider": "airtable"}):
        said = await desk.post(AT, body)
        assert said.wrong == (400, "unknown_kind", "kind")
        assert "airtable_token" in said.body["detail"]
        assert "airtable_oauth2" in said.body["kinds"]
        assert said.body["providers"] == ["airtable", "hubspot"]
    other = await desk.post(AT, {**SEEDED, "provider": "stripe"})
    assert other.wrong == (400, "unknown_provider", "provider")
    assert other.body["providers"] == ["airtable", "hubspot"]
    assert SEEDED["access_token"] not in str([said.body, other.body])


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"kind": "airtable_token"}, "access_token", "airtable.com/create/tokens"),
    ({**PAT, "access_token": "two words"}, "access_token", "spaces or odd"),
    ({**PAT, "access_token": "pat…mo"}, "access_token", "spaces or odd"),
    ({**PAT, "access_token": ""}, "access_token", "access_token"),
    ({**PAT, "portal_id": 1}, "portal_id", "base_id"),
    ({**PAT, "properties": {"portal_id": 1}}, "properties.portal_id", "base_id"),
    ({**PAT, "properties": {"base_id": "appX"}}, "properties.base_id", "twice"),
    ({**PAT, "refresh_token": "r"}, "refresh_token", "has no"),
    ({**PAT, "base_id": 7}, "base_id", "text"),
    ({**PAT, "provider": "hubspot"}, "kind", "hubspot_private_app"),
    ({**PAT, "acess_token": "x"}, "acess_token", "no such member"),
    ({**PAT, "metadata": []}, "metadata", "object"),
    ({**PAT, "name": "a\nb"}, "name", "control"),
    (
        {"kind": "airtable_oauth2", "access_token": "a", "refresh_token": "b"},
        "oauth_app_id",
        "POST /v1/oauth-apps",
    ),
    (
        {"kind": "hubspot_oauth2", "access_token": "a", "oauth_app_id": "app_nowhere"},
        "oauth_app_id",
        "GET /v1/oauth-apps",
    ),
]


async def test_what_is_wrong_is_named_with_the_remedy(desk: Desk) -> None:
    for body, member, words in WRONG:
        said = await desk.post(AT, body)
        assert said.status == 400, said.body
        assert said.body["member"] == member
        assert words in str(said.body)
    assert (await desk.get(AT)).body == []


async def test_a_token_that_the_api_does_not_know_is_not_stored(desk: Desk) -> None:
    for body in (PAT, PRIVATE):
        said = await desk.post(AT, {**body, "access_token": "pat-nobody-knows-this-one"})
        assert said.wrong == (422, "credential_refused", "access_token")
        assert "nobody-knows" not in str(said.body)
    assert (await desk.get(AT)).body == []


async def test_the_base_is_told_if_the_token_reaches_several(desk: Desk) -> None:
    bare = {name: value for name, value in PAT.items() if name != "base_id"}
    alone = await desk.post(AT, bare)
    assert (alone.status, alone.body["account"]) == (201, AIRTABLE.account)
    add_base(desk)
    several = await desk.post(AT, bare)
    assert several.wrong == (400, "account_missing", "base_id")
    assert {"id": "appOther000000000", "name": "Other"} in several.body["accounts"]
    chosen = await desk.post(AT, {**bare, "base_id": "appOther000000000"})
    assert (chosen.status, chosen.body["account"]) == (201, "appOther000000000")
    elsewhere = await desk.post(AT, {**bare, "base_id": "appNowhere0000000"})
    assert elsewhere.wrong == (422, "other_account", "base_id")
    assert len(elsewhere.body["accounts"]) == 2


async def test_a_portal_that_is_named_has_to_be_the_tokens_own(desk: Desk) -> None:
    right = await desk.post(AT, {**PRIVATE, "portal_id": int(HUBSPOT.account)})
    assert right.body["properties"]["portal_id"] == HUBSPOT.account
    wrong = await desk.post(AT, {**PRIVATE, "portal_id": "1"})
    assert wrong.wrong == (422, "other_account", "portal_id")
    assert HUBSPOT.account in wrong.body["detail"]


async def test_credentials_are_listed_in_pages_and_filtered(desk: Desk) -> None:
    first = (await desk.post(AT, {**PAT, "metadata": {"customer": 1, "plan": "a"}})).body
    second = (await desk.post(AT, {**PRIVATE, "name": "b", "metadata": {"customer": 2}})).body
    page = await desk.get(f"{AT}?limit=1")
    assert [each["id"] for each in page.body] == [first["id"]]
    link = page.headers["Link"]
    assert link.endswith('>; rel="next"')
    rest = await desk.get(link[1:].partition(">")[0])
    assert [each["id"] for each in rest.body] == [second["id"]]
    assert "Link" not in rest.headers
    for query, ids in (
        ("provider=hubspot", [second["id"]]),
        ("kind=airtable_token", [first["id"]]),
        (f"account={HUBSPOT.account}", [second["id"]]),
        ('metadata={"customer":1}', [first["id"]]),
        ('metadata={"customer":3}', []),
        ("oauth_app_id=app_x", []),
    ):
        found = await desk.get(f"{AT}?{query}")
        assert [each["id"] for each in found.body] == ids, query
    by_name = await desk.get(f"{AT}/b")
    assert by_name.body["id"] == second["id"]
    for query, member in (
        ("limit=0", "limit"),
        ("cursor=abc", "cursor"),
        ("cursor=WyJ4IiwieSJd", "cursor"),
        ("metadata=7", "metadata"),
        ("colour=red", "colour"),
        ("provider=%00", "provider"),
    ):
        assert (await desk.get(f"{AT}?{query}")).wrong == (400, "bad_parameter", member), query


async def test_what_is_not_there_is_a_404(desk: Desk) -> None:
    for there in ("cred_nowhere", "a%00b", "x" * 2000, "%ED%A0%80"):
        assert (await desk.get(f"{AT}/{there}")).status == 404
    for method, path in (("PATCH", ""), ("DELETE", ""), ("POST", "/check")):
        body = {} if method == "PATCH" else None
        said = await desk.ask(method, f"{AT}/cred_nowhere{path}", body)
        assert (said.status, said.body["code"]) == (404, "unknown_credential")
        assert "GET /v1/credentials" in said.body["detail"]


async def test_a_merge_patch_changes_what_it_names(desk: Desk) -> None:
    made = (await desk.post(AT, {**PAT, "name": "acme", "metadata": {"a": 1, "b": 2}})).body
    at = f"{AT}/{made['id']}"
    changed = await desk.patch(at, {"metadata": {"a": None, "c": {"d": 3}}})
    assert changed.status == 200, changed.body
    assert changed.body["metadata"] == {"b": 2, "c": {"d": 3}}
    assert changed.body["name"] == "acme"
    nameless = await desk.patch(at, {"name": None, "metadata": None})
    assert (nameless.body["name"], nameless.body["metadata"]) == (None, {})
    assert nameless.body["properties"] == made["properties"]
    assert (await desk.patch(at, {"metadata": {"long": "x" * 9000}})).status == 200
    together = await desk.patch(at, {"metadata": {"too": "x" * 9000}})
    assert together.wrong == (400, "bad_body", "metadata")
    for body, member in (
        ({"kind": "airtable_oauth2"}, "kind"),
        ({"access_token": None}, "access_token"),
        ({"base_id": "appOther000000000"}, "base_id"),
        ({"oauth_app_id": "app_x"}, "oauth_app_id"),
    ):
        said = await desk.patch(at, body)
        assert said.status in (400, 422), said.body
        assert said.body["member"] == member


async def test_if_match_keeps_what_others_changed(desk: Desk) -> None:
    made = await desk.post(AT, PAT)
    at, tag = f"{AT}/{made.body['id']}", made.headers["ETag"]
    first = await desk.patch(at, {"name": "one"}, If_Match=tag)
    assert first.status == 200
    late = await desk.patch(at, {"name": "two"}, If_Match=tag)
    assert (late.status, late.body["code"]) == (412, "changed_meanwhile")
    assert (await desk.patch(at, {"name": "two"}, If_Match=first.headers["ETag"])).status == 200


async def test_changes_at_once_are_all_there(desk: Desk) -> None:
    made = (await desk.post(AT, PAT)).body
    at = f"{AT}/{made['id']}"
    said = await asyncio.gather(
        *(desk.patch(at, {"metadata": {f"n{n}": n}}) for n in (1, 2, 3))
    )
    assert [each.status for each in said] == [200] * 3
    assert (await desk.get(at)).body["metadata"] == {"n1": 1, "n2": 2, "n3": 3}


async def test_another_token_has_to_open_the_same_account(desk: Desk) -> None:
    made = (await desk.post(AT, PRIVATE)).body
    at = f"{AT}/{made['id']}"
    other = await desk.patch(at, {"access_token": OTHER_TOKEN})
    assert other.status == 422, other.body
    assert other.body["code"] == "other_account"
    unknown = await desk.patch(at, {"access_token": "pat-of-nobody-whom-we-know"})
    assert unknown.wrong == (422, "credential_refused", "access_token")
    before = (await desk.get(at)).headers["ETag"]
    assert (await desk.patch(at, {})).headers["ETag"] == before, "nothing was changed"
    kept = await desk.registry.credentials.get(made["id"])
    assert kept is not None
    assert desk.registry.credentials.open(kept).access_token == HUBSPOT.token


async def test_other_tokens_reach_the_processes_that_serve_the_syncs(desk: Desk) -> None:
    made = (await desk.post(AT, PAT)).body
    sync = await desk.sync(credential=made["id"])
    _, _, before = await desk.registry.changed_since(0)
    assert (await desk.patch(f"{AT}/{made['id']}", {"metadata": {"a": 1}})).status == 200
    assert await desk.registry.changed_since(before) == ([], [], before)
    assert (await desk.patch(f"{AT}/{made['id']}", {"expires_in": 60})).status == 200
    changed, _, _ = await desk.registry.changed_since(before)
    assert [each.id for each in changed] == [sync.id]


async def test_a_refresh_in_between_is_not_undone_by_a_patch(desk: Desk) -> None:
    """Whoever patches one token must not bring back the other one of before."""
    made = (await desk.post(AT, PAT)).body
    store = desk.registry.credentials
    read = await store.get(made["id"])
    assert read is not None
    with psycopg.connect(desk.office.dsn) as connection:
        connection.execute("UPDATE httpproxy.credential SET generation = generation + 1")
    with pytest.raises(Exception, match="changed meanwhile"):
        await store.change(read, NewTokens(TokenPair("x")))
    assert await store.change(read, None), "what is no token may change all the same"


async def test_a_name_is_of_one_credential(desk: Desk) -> None:
    await desk.post(AT, {**PAT, "name": "acme"})
    taken = await desk.post(AT, {**PRIVATE, "name": "acme"})
    assert taken.wrong == (409, "name_taken", "name")
    other = (await desk.post(AT, PRIVATE)).body
    said = await desk.patch(f"{AT}/{other['id']}", {"name": "acme"})
    assert said.wrong == (409, "name_taken", "name")


async def test_a_credential_that_syncs_use_is_not_deleted(desk: Desk) -> None:
    made = (await desk.post(AT, PAT)).body
    sync = await desk.sync(credential=made["id"])
    said = await desk.delete(f"{AT}/{made['id']}")
    assert (said.status, said.body["code"]) == (409, "in_use")
    assert said.body["syncs"] == [{"id": sync.id, "name": "tasks"}]
    await desk.registry.delete_sync(sync, drop_tables=True)
    assert (await desk.get(f"{AT}/{made['id']}")).status == 200, "it was made on purpose"
    assert (await desk.delete(f"{AT}/{made['id']}")).status == 204
    assert (await desk.get(f"{AT}/{made['id']}")).status == 404


async def test_a_credential_made_with_a_sync_goes_with_it_unless_it_was_stored(
    desk: Desk,
) -> None:
    sync = await desk.sync()
    assert (await desk.get(f"{AT}/{sync.credential_id}")).body["implicit"]
    await desk.registry.delete_sync(sync, drop_tables=True)
    assert (await desk.get(f"{AT}/{sync.credential_id}")).status == 404
    again = await desk.sync()
    stored = await desk.post(AT, PAT)
    assert (stored.status, stored.body["id"]) == (200, again.credential_id)
    await desk.registry.delete_sync(again, drop_tables=True)
    assert (await desk.get(f"{AT}/{stored.body['id']}")).status == 200


async def test_a_check_says_what_the_token_may_and_what_is_missing(desk: Desk) -> None:
    made = (await desk.post(AT, PRIVATE)).body
    at = f"{AT}/{made['id']}/check"
    good = await desk.post(at)
    assert (good.status, good.body["ok"], good.body["trouble"]) == (200, True, None)
    leave_scopes(desk, "crm.objects.contacts.read")
    lacking = (await desk.post(at)).body
    assert not lacking["ok"]
    assert "crm.schemas.contacts.read" in lacking["trouble"]
    assert [(each["scope"], each["required"]) for each in lacking["missing"]] == [
        ("crm.schemas.contacts.read", True),
        ("crm.objects.contacts.write", False),
    ]
    assert "properties of contacts" in lacking["missing"][0]["needed_for"]


async def test_a_token_that_may_not_tell_its_base_is_declined_by_the_scope(desk: Desk) -> None:
    state: Any = desk.apis.simulators.dump()
    state["airtable"]["tokens"][AIRTABLE.token]["scopes"] = ["data.records:read"]
    desk.apis.simulators.load(state)
    said = await desk.post(AT, PAT)
    assert said.wrong == (422, "scope_missing", "access_token")
    assert "schema.bases:read" in said.body["detail"]
    assert "schema.bases:read" in [each["scope"] for each in said.body["missing"]]


async def test_a_check_of_a_token_that_was_revoked_is_an_answer_too(desk: Desk) -> None:
    made = (await desk.post(AT, PAT)).body
    store = desk.registry.credentials
    found = await store.get(made["id"])
    assert found is not None
    await store.change(found, NewTokens(TokenPair("pat-that-was-revoked-since")))
    desk.office.tokens.forget(made["id"])
    said = await desk.post(f"{AT}/{made['id']}/check")
    assert (said.status, said.body["ok"]) == (200, False)
    assert "does not know the token" in said.body["trouble"]
    assert "revoked-since" not in str(said.body)


async def test_a_secret_that_cannot_be_opened_is_listed_without_its_mask(desk: Desk) -> None:
    made = (await desk.post(AT, PRIVATE)).body
    with psycopg.connect(desk.office.dsn) as connection:
        connection.execute("UPDATE httpproxy.credential SET secret = '\\x00'")
    (told,) = (await desk.get(AT)).body
    assert told["properties"]["access_token"] is None
    said = await desk.patch(f"{AT}/{made['id']}", {"name": "x"})
    assert (said.status, said.body["code"]) == (500, "secret_unreadable")
    again = await desk.post(AT, PRIVATE)
    assert again.status == 200, "storing it again mends it"


async def test_keys_open_what_they_may_and_no_more(desk: Desk) -> None:
    made = (await desk.post(AT, PAT)).body
    sync = await desk.sync(credential=made["id"])
    read, write = await desk.door.key("read"), await desk.door.key("write")
    of_sync = await desk.door.key("admin", sync_id=sync.id)
    for key, status in (("hpk_nonsense", 401), (read, 200), (write, 200), (of_sync, 403)):
        assert (await desk.ask("GET", AT, key=key)).status == status
        one = await desk.ask("GET", f"{AT}/{made['id']}", key=key)
        assert one.status == status
    for key in (read, write, of_sync):
        for method, path, body in (
            ("POST", AT, PAT),
            ("PATCH", f"{AT}/{made['id']}", {}),
            ("DELETE", f"{AT}/{made['id']}", None),
        ):
            said = await desk.ask(method, path, body, key=key)
            assert (said.status, said.body["code"]) == (403, "key_not_allowed")
    assert (await desk.ask("GET", "/v1/providers", key=of_sync)).status == 200


async def test_no_answer_and_no_error_tells_a_secret(desk: Desk) -> None:
    made = await desk.post(AT, PAT)
    said = [
        made,
        await desk.get(AT),
        await desk.get(f"{AT}/{made.body['id']}"),
        await desk.patch(f"{AT}/{made.body['id']}", {"access_token": AIRTABLE.token}),
        await desk.post(AT, {**PAT, "access_token": AIRTABLE.token + " x"}),
        await desk.post(AT, {**PAT, "refresh_token": AIRTABLE.token}),
        await desk.post(AT, {**PAT, "properties": {AIRTABLE.token: "x"}}),
    ]
    assert all(AIRTABLE.token not in str(each.body) for each in said[:-1])
    assert "hpk_" not in str([each.body for each in said])


async def test_providers_tell_what_their_credentials_are_made_of(desk: Desk) -> None:
    said = (await desk.get("/v1/providers")).body
    assert [each["name"] for each in said] == list(PROVIDERS)
    kinds = {kind["name"]: kind for each in said for kind in each["credential_kinds"]}
    assert kinds["airtable_oauth2"]["refreshed"]
    assert not kinds["airtable_token"]["refreshed"]
    (token,) = [p for p in kinds["airtable_token"]["properties"] if p["secret"]]
    assert (token["name"], token["required"]) == ("access_token", True)
    assert said[0]["rate_limits"]["standard"]["allowed_requests"] == 3


def test_every_property_of_every_kind_can_be_given_flat() -> None:
    named = {
        property_.name
        for provider in PROVIDERS.values()
        for kind in provider.credential_kinds
        for property_ in kind.properties
    }
    assert named == FLAT


def test_a_mask_gives_nothing_of_short_tokens_away() -> None:
    assert masked("short") == "…"
    assert masked("a" * 19) == "…"
    assert masked("patABCDEFGHIJKLMNOPQ") == "patA…PQ"


async def test_a_registry_of_another_process_uses_what_was_stored(desk: Desk) -> None:
    made = (await desk.post(AT, PAT)).body
    sync = await desk.sync(credential=made["id"])
    other = Registry(desk.office.database, desk.office.vault)
    assert await secret_of(other, sync) == AIRTABLE.token
