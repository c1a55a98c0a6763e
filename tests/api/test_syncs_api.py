"""Syncs over HTTP: made whole or not at all, listed, found, ended."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from desk import HUBSPOT, PAT, PRIVATE, Desk, open_desk
from made_syncs import BASE, CRM, TASKS, made
from neighbours.rows import columns


@pytest.fixture
async def desk(database_dsn: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(database_dsn, tmp_path) as desk:
        yield desk


async def nothing(desk: Desk) -> bool:
    """Whether there is neither a sync nor a credential."""
    both = [(await desk.get(f"/v1/{things}")).body for things in ("syncs", "credentials")]
    return both == [[], []]


async def test_a_sync_is_made_with_its_tables_and_tells_all_of_itself(
    desk: Desk, database_dsn: str
) -> None:
    limit = {"allowed_requests": 100, "interval": 60, "max_concurrent_requests": 0}
    sync = await made(
        desk,
        CRM,
        collection_ids=["hubspot:contact", "company"],
        rate_limit=limit,
        metadata={"custom_property": 42},
        external_id="choam-1",
    )
    pair = "hubspot:associations_company_contact"
    assert sync["collection_ids"][:2] == ["hubspot:contact", "hubspot:company"]
    assert pair in sync["collection_ids"]
    assert sync["id"].startswith("sync_")
    assert (sync["name"], sync["provider"], sync["account"]) == (
        "crm",
        "hubspot",
        HUBSPOT.account,
    )
    assert (sync["status"], sync["external_id"]) == ("active", "choam-1")
    assert sync["metadata"] == {"custom_property": 42}
    assert sync["rate_limit"] == {**limit, "interval": 60.0}
    assert {name: each["source"] for name, each in sync["rate_limits"].items()} == {
        "standard": "set",
        "search": "default",
    }
    assert sync["credential_id"].startswith("cred_")
    assert sync["api_root"].endswith("/api.hubapi.com")
    facts, told = sync["connection"], psycopg.conninfo.conninfo_to_dict(database_dsn)
    assert (facts["host"], facts["database"]) == (told["host"], told["dbname"])
    assert facts["schema"] == sync["schema"] == "hubspot_crm"
    tables = {each["collection_id"]: each["table"] for each in facts["tables"]}
    assert tables["hubspot:contact"] == "contact"
    assert "email" in columns(database_dsn, sync["schema"], "contact")
    assert (sync["health"]["phase"], sync["health"]["ok"]) == ("waiting", True)
    assert sync["health"]["collections"][0]["rows"] == 0
    assert sync["created_at"] == sync["updated_at"]
    assert sync["created_at"].endswith("Z")
    assert HUBSPOT.token not in json.dumps(sync)
    for name in (sync["id"], "crm"):
        assert (await desk.get(f"/v1/syncs/{name}")).body == sync


async def test_a_credential_that_is_stored_serves_as_well(desk: Desk) -> None:
    stored = (await desk.post("/v1/credentials", PAT)).body
    body = {k: v for k, v in BASE.items() if k != "credential"}
    sync = await made(desk, {**body, "credential_id": stored["id"]})
    assert sync["credential_id"] == stored["id"]
    wrong = await desk.post("/v1/syncs", {**CRM, "credential": None, "credential_id": "no"})
    assert wrong.wrong == (400, "bad_body", "credential_id")
    other = {**CRM, "credential": None, "credential_id": stored["id"]}
    assert (await desk.post("/v1/syncs", other)).wrong == (400, "bad_body", "credential_id")
    account = {**body, "name": "x", "credential_id": stored["id"], "account": "appOther"}
    assert (await desk.post("/v1/syncs", account)).wrong == (400, "bad_body", "account")
    # It was made on purpose, and so it stays.
    assert (await desk.delete(f"/v1/syncs/{sync['id']}")).status == 204
    assert (await desk.get(f"/v1/credentials/{stored['id']}")).status == 200


async def test_a_sync_without_collections_named_covers_all_that_there_are(desk: Desk) -> None:
    sync = await made(desk, collection_ids=None)
    assert sync["covers_all"]
    assert {each["table"] for each in sync["connection"]["tables"]} == {"tasks", "projects"}


WRONG_BODIES: list[tuple[dict[str, Any], tuple[Any, ...], str]] = [
    ({"provider": "stripe"}, (400, "unknown_provider", "provider"), "airtable, hubspot"),
    ({"collection_ids": ["Taks"]}, (400, "unknown_collection", "collection_ids"), TASKS),
    (
        {"collection_ids": [TASKS, "hubspot:contact"]},
        (400, "unknown_collection", "collection_ids[1]"),
        "airtable",
    ),
    ({"collection_ids": []}, (400, "bad_body", "collection_ids"), "empty"),
    ({"credential_id": "cred_x"}, (400, "bad_body", "credential_id"), "either"),
    ({"credential": None}, (400, "bad_body", "credential"), "credential_id of one"),
    ({"credential": {**PAT, "access_token": "patNobody"}},
     (422, "credential_refused", "credential.access_token"), "does not know"),
    (
        {"credential": {**PAT, "kind": "stripe_oauth2"}},
        (400, "unknown_kind", "credential.kind"),
        "airtable_token",
    ),
    ({"credential": {**PAT, "typo": 1}}, (400, "bad_body", "credential.typo"), "no such"),
    ({"credential": PRIVATE}, (400, "unknown_kind", "credential.kind"), "airtable_token"),
    ({"account": "appOther"}, (400, "bad_body", "credential.base_id"), "base_id"),
    ({"schema": "httpproxy"}, (409, "name_taken", "schema"), "reserved"),
    ({"typo": 1}, (400, "bad_body", "typo"), "no such member"),
    ({"rate_limits": {"sloth": {"allowed_requests": 1, "interval": 1}}},
     (400, "bad_body", "rate_limits.sloth"), "standard"),
    ({"rate_limit": {"allowed_requests": 0, "interval": 1}},
     (400, "bad_body", "rate_limit.allowed_requests"), "greater"),
    ({"metadata": {"a": "\u0000"}}, (400, "bad_body", "metadata"), "NUL"),
]  # fmt: skip


async def test_what_is_wrong_is_named_and_nothing_is_made(desk: Desk) -> None:
    for change, wrong, said in WRONG_BODIES:
        answer = await desk.post("/v1/syncs", {**BASE, **change})
        assert answer.wrong == wrong, answer.body
        assert said in answer.body["detail"]
        assert await nothing(desk)


async def test_a_token_that_the_api_does_not_know_leaves_nothing(desk: Desk) -> None:
    body = {**CRM, "credential": {**PRIVATE, "access_token": "pat-na1-not-known-to-anybody"}}
    assert (await desk.post("/v1/syncs", body)).status == 422
    assert await nothing(desk)


async def test_a_name_or_an_external_id_that_is_taken_is_told(desk: Desk) -> None:
    await made(desk, external_id="x")
    assert (await desk.post("/v1/syncs", BASE)).wrong == (409, "name_taken", "name")
    taken = await desk.post("/v1/syncs", {**BASE, "name": "y", "external_id": "x"})
    assert taken.wrong == (409, "name_taken", "external_id")


async def test_the_seed_s_body_for_a_provider_that_is_not_built_is_told_what_there_is(
    desk: Desk,
) -> None:
    body = {
        "provider": "stripe",
        "name": "Choam Corp - Stripe Production",
        "collection_ids": ["stripe:customer", "stripe:invoice"],
        "rate_limit": {"allowed_requests": 100, "interval": 60, "max_concurrent_requests": 0},
        "credential": {
            "provider": "stripe",
            "kind": "stripe_oauth2",
            "access_token": "sk_live_7eC39HqLyjWDarjtT1zdp7dc",
            "oauth_app_id": "8ff58ef0-d376-4ae8-b2e2-9f0206aa65b8",
            "metadata": {"custom_credential_property": 42},
        },
        "metadata": {"custom_property": 42},
    }
    refused = await desk.post("/v1/syncs", body)
    assert refused.wrong == (400, "unknown_provider", "provider")
    assert refused.body["providers"] == ["airtable", "hubspot"]


# --- lists ------------------------------------------------------------------------------


async def test_lists_are_paged_and_filtered(desk: Desk) -> None:
    stored = (await desk.post("/v1/credentials", PAT)).body
    base = {**BASE, "credential": None, "credential_id": stored["id"]}
    for n in range(3):
        more = {"metadata": {"customer": n, "plan": {"name": "pro"}}, "external_id": f"x{n}"}
        await made(desk, base, name=f"s{n}", **more)
    await made(desk, CRM, status="paused")

    async def names(**wanted: str) -> list[str]:
        query = "&".join(f"{name}={quote(value)}" for name, value in wanted.items())
        return [each["name"] for each in (await desk.get(f"/v1/syncs?{query}")).body]

    first = await desk.get("/v1/syncs?limit=3")
    assert [each["name"] for each in first.body] == ["s0", "s1", "s2"]
    assert first.body[0]["health"]["collections"][0]["rows"] is None
    link = first.headers["Link"]
    assert link.endswith('>; rel="next"')
    rest = await desk.get(link[1 : link.index(">")])
    assert [each["name"] for each in rest.body] == ["crm"]
    assert "Link" not in rest.headers
    assert await names(provider="hubspot") == ["crm"]
    assert await names(name="s1") == ["s1"]
    assert await names(external_id="x2") == ["s2"]
    assert await names(status="paused") == ["crm"]
    assert await names(credential_id=stored["id"]) == ["s0", "s1", "s2"]
    assert await names(metadata='{"customer":1}') == ["s1"]
    assert await names(metadata='{"plan":{"name":"pro"}}', external_id="x0") == ["s0"]
    assert await names(health="paused") == ["crm"]
    assert await names(health="waiting") == ["s0", "s1", "s2"]
    assert await names(health="live") == []
    page = await desk.get("/v1/syncs?health=waiting&limit=2")
    assert [each["name"] for each in page.body] == ["s0", "s1"]
    link = page.headers["Link"]
    rest = await desk.get(link[1 : link.index(">")])
    assert [each["name"] for each in rest.body] == ["s2"]
    for query, member in (
        ("health=ill", "health"),
        ("metadata=[]", "metadata"),
        ("cursor=x", "cursor"),
        ("limit=0", "limit"),
        ("typo=1", "typo"),
    ):
        wrong = await desk.get(f"/v1/syncs?{query}")
        assert wrong.wrong == (400, "bad_parameter", member)


async def test_candidates_that_are_at_another_phase_are_passed_over(desk: Desk) -> None:
    """They all wait, and one call of each has failed: what fails is more urgent."""
    stored = (await desk.post("/v1/credentials", PAT)).body
    base = {**BASE, "credential": None, "credential_id": stored["id"]}
    ids = [(await made(desk, base, name=f"s{n}"))["id"] for n in range(5)]
    tables = await desk.registry.following.layouts(ids[0])
    for sync_id in ids[:4]:
        await desk.office.progress.failed(sync_id, [tables[0].table.collection.id], "no", "do")
    waiting = await desk.get("/v1/syncs?health=waiting&limit=1")
    assert [each["id"] for each in waiting.body] == ids[4:]
    failing = await desk.get("/v1/syncs?health=failing&limit=4")
    assert [each["id"] for each in failing.body] == ids[:4]
    assert "Link" not in failing.headers
    health = failing.body[0]["health"]
    assert (health["ok"], health["error"], health["remedy"]) == (False, "no", "do")


async def test_a_key_of_one_sync_sees_and_changes_that_one_alone(desk: Desk) -> None:
    mine, other = await made(desk), await made(desk, CRM)
    key = await desk.door.key("admin", sync_id=mine["id"])
    listed = await desk.ask("GET", "/v1/syncs", key=key)
    assert [each["id"] for each in listed.body] == [mine["id"]]
    assert (await desk.ask("GET", f"/v1/syncs/{mine['id']}", key=key)).status == 200
    for method, path in (
        ("GET", f"/v1/syncs/{other['id']}"),
        ("GET", "/v1/syncs/nobody"),
        ("POST", f"/v1/syncs/{other['id']}/pause"),
        ("DELETE", f"/v1/syncs/{other['id']}"),
    ):
        assert (await desk.ask(method, path, key=key)).status == 403, path
    assert (await desk.ask("POST", "/v1/syncs", CRM, key=key)).status == 403
    writer = await desk.door.key("write")
    for method in ("DELETE", "PATCH"):
        said = await desk.ask(method, f"/v1/syncs/{mine['id']}", {}, key=writer)
        assert said.status == 403


# --- changes ----------------------------------------------------------------------------


async def test_a_deleted_sync_takes_the_credential_that_came_with_it(
    desk: Desk, database_dsn: str
) -> None:
    sync = await made(desk)
    assert (await desk.delete(f"/v1/syncs/{sync['id']}?drop_tables=true")).status == 204
    assert await nothing(desk)
    with pytest.raises(psycopg.errors.UndefinedTable):
        columns(database_dsn, sync["schema"], "tasks")
    gone = await desk.get(f"/v1/syncs/{sync['id']}")
    assert gone.wrong == (404, "unknown_sync", None)
    assert (await desk.delete(f"/v1/syncs/{sync['id']}")).status == 404


async def test_the_tables_of_a_deleted_sync_stay_unless_they_are_to_go(
    desk: Desk, database_dsn: str
) -> None:
    sync = await made(desk)
    with psycopg.connect(database_dsn, autocommit=True) as connection:
        connection.execute(
            f"CREATE VIEW mine AS SELECT id FROM {sync['schema']}.tasks".encode()
        )
    held = await desk.delete(f"/v1/syncs/{sync['id']}?drop_tables=true")
    assert held.wrong == (409, "in_use", None)
    assert (await desk.delete(f"/v1/syncs/{sync['id']}")).status == 204
    assert columns(database_dsn, sync["schema"], "tasks")


async def test_a_page_costs_the_same_few_statements_however_many_syncs_it_has(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = (await desk.post("/v1/credentials", PAT)).body
    base = {**BASE, "credential": None, "credential_id": stored["id"]}
    executed: list[str] = []
    execute = psycopg.AsyncConnection.execute

    async def counted(self: Any, query: Any, *more: Any, **how: Any) -> Any:
        executed.append(str(query))
        return await execute(self, query, *more, **how)

    monkeypatch.setattr(psycopg.AsyncConnection, "execute", counted)
    costs = []
    for n in range(4):
        await made(desk, base, name=f"s{n}")
        for query in ("", "?health=waiting"):
            await desk.get(
                f"/v1/syncs{query}"
            )  # the key and the place of the database are known
            executed.clear()
            assert len((await desk.get(f"/v1/syncs{query}")).body) == n + 1
            costs.append(len([each for each in executed if "httpproxy." in each]))
    assert max(costs) <= 4, executed


async def test_a_rate_that_is_said_twice_has_to_be_the_same(desk: Desk) -> None:
    limits = [{"allowed_requests": n, "interval": 1} for n in (2, 3)]
    body = {**BASE, "rate_limit": limits[0], "rate_limits": {"standard": limits[1]}}
    assert (await desk.post("/v1/syncs", body)).wrong == (400, "bad_body", "rate_limit")
    same = await made(desk, {**body, "rate_limits": {"standard": limits[0]}})
    assert same["rate_limit"]["allowed_requests"] == 2


async def test_a_sync_whose_credential_cannot_be_opened_can_be_ended(desk: Desk) -> None:
    sync = await made(desk)
    with psycopg.connect(desk.office.dsn, autocommit=True) as connection:
        connection.execute("UPDATE httpproxy.credential SET secret = 'spoilt'")
    desk.office.tokens.forget(sync["credential_id"])
    assert (await desk.delete(f"/v1/syncs/{sync['id']}")).status == 204


async def test_what_was_stored_by_other_rules_is_told_as_it_is(desk: Desk) -> None:
    """By an older version, or in the database itself."""
    sync = await made(desk)
    rates = (
        '[{"name":"standard","allowed_requests":5,"interval":1e9,"max_concurrent_requests":0}]'
    )
    with psycopg.connect(desk.office.dsn, autocommit=True) as connection:
        odd = "name = repeat('x', 300), rates = %s, metadata = '{\"a\": {\"b\": null}}'"
        connection.execute(f"UPDATE httpproxy.sync SET {odd}".encode(), [rates])
    path = f"/v1/syncs/{sync['id']}"
    told = (await desk.get(path)).body
    assert told["rate_limit"]["interval"] == 1e9
    assert len(told["name"]) == 300
    mended = await desk.patch(path, {"name": "base", "rate_limits": None})
    assert mended.status == 200, mended.body
    assert mended.body["metadata"] == {"a": {"b": None}}


async def test_what_nothing_can_be_called_is_not_there(desk: Desk) -> None:
    for odd in ("%00", "a%00b", "%ED%A0%80", "%FF"):
        assert (await desk.get(f"/v1/syncs/{odd}")).status in (400, 404), odd
