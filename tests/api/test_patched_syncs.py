"""Syncs that are changed over HTTP, by merge patches: what they name, all of it or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from desk import PRIVATE, Desk, open_desk
from made_syncs import CRM, made
from neighbours.rows import columns

from httpproxy.store.errors import Stale
from httpproxy.store.roster import Roster


@pytest.fixture
async def desk(database_dsn: str, tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(database_dsn, tmp_path) as desk:
        yield desk


async def test_a_patch_changes_what_it_names(desk: Desk) -> None:
    sync = await made(desk, metadata={"a": 1, "b": {"c": 2}}, external_id="x")
    limit = {"allowed_requests": 2, "interval": 1.0}
    changed = (
        await desk.patch(
            f"/v1/syncs/{sync['id']}",
            {
                "name": "renamed",
                "status": "paused",
                "metadata": {"a": None, "b": {"d": 3}},
                "rate_limit": limit,
                "external_id": None,
            },
        )
    ).body
    assert (changed["name"], changed["status"], changed["external_id"]) == (
        "renamed",
        "paused",
        None,
    )
    assert changed["metadata"] == {"b": {"c": 2, "d": 3}}
    assert changed["rate_limit"] == {**limit, "max_concurrent_requests": 0}
    assert changed["rate_limits"]["standard"]["source"] == "set"
    assert changed["updated_at"] > sync["updated_at"]
    same = {"id", "api_root", "collection_ids", "created_at", "credential_id", "schema"}
    assert {n: changed[n] for n in same} == {n: sync[n] for n in same}
    back = (await desk.patch("/v1/syncs/renamed", {"rate_limit": None, "status": None})).body
    assert back["rate_limits"]["standard"]["source"] == "default"
    assert back["status"] == "active"
    assert (await desk.get(f"/v1/syncs/{sync['id']}")).body == back


async def test_a_patch_goes_over_what_was_read_or_not_at_all(desk: Desk) -> None:
    sync = await made(desk)
    path = f"/v1/syncs/{sync['id']}"
    read = (await desk.get(path)).headers["ETag"]
    first = await desk.patch(path, {"name": "one"}, If_Match=read)
    assert first.status == 200
    assert first.headers["ETag"] == (await desk.get(path)).headers["ETag"] != read
    late = await desk.patch(path, {"name": "two"}, If_Match=read)
    assert late.wrong == (412, "changed_meanwhile", "If-Match")
    assert (await desk.get(path)).body["name"] == "one"


WRONG_PATCHES: list[tuple[dict[str, Any], tuple[Any, ...]]] = [
    ({"name": None}, (400, "bad_body", "name")),
    ({"id": "x"}, (400, "bad_body", "id")),
    ({"provider": "hubspot"}, (400, "bad_body", "provider")),
    ({"credential_id": "cred_none"}, (400, "bad_body", "credential_id")),
    ({"credential_id": None}, (400, "bad_body", "credential_id")),
    ({"collection_ids": ["Taks"]}, (400, "unknown_collection", "collection_ids")),
    ({"collection_ids": []}, (400, "bad_body", "collection_ids")),
    (
        {"rate_limit": None, "rate_limits": {"standard": None}},
        (400, "bad_body", "rate_limit"),
    ),
    (
        {"rate_limits": {"sloth": {"allowed_requests": 1, "interval": 1}}},
        (400, "bad_body", "rate_limits.sloth"),
    ),
]


async def test_a_patch_that_cannot_be_changes_nothing(desk: Desk) -> None:
    sync = await made(desk)
    path = f"/v1/syncs/{sync['id']}"
    for patch, wrong in WRONG_PATCHES:
        said = await desk.patch(path, {"status": "paused", **patch})
        assert said.wrong == wrong, said.body
        assert (await desk.get(path)).body == sync


async def test_a_credential_of_another_account_is_refused(desk: Desk) -> None:
    sync = await made(desk)
    other = (await desk.post("/v1/credentials", PRIVATE)).body["id"]
    said = await desk.patch(f"/v1/syncs/{sync['id']}", {"credential_id": other})
    assert said.wrong == (422, "other_account", "credential_id")


async def test_collections_come_and_go_by_a_patch(desk: Desk, database_dsn: str) -> None:
    sync = await made(desk)
    path, (tasks,) = f"/v1/syncs/{sync['id']}", sync["collection_ids"]

    async def tables(ids: list[str] | None) -> list[str]:
        said = await desk.patch(path, {"collection_ids": ids})
        assert said.status == 200, said.body
        assert sorted(said.body["collection_ids"]) == sorted(
            each["collection_id"] for each in said.body["connection"]["tables"]
        )
        return sorted(each["table"] for each in said.body["connection"]["tables"])

    assert await tables([tasks, "Projects"]) == ["projects", "tasks"]
    assert "name" in columns(database_dsn, sync["schema"], "projects")
    assert await tables(["airtable:Projects"]) == ["projects"]
    assert columns(database_dsn, sync["schema"], "tasks"), "its table stays"
    assert await tables([tasks]) == ["tasks"]
    assert await tables(None) == ["projects", "tasks"]
    assert (await desk.get(path)).body["covers_all"]


async def test_pairs_follow_their_types(desk: Desk) -> None:
    sync = await made(desk, CRM)
    path = f"/v1/syncs/{sync['id']}"
    alone = sync["collection_ids"]
    assert alone == ["hubspot:contact", "hubspot:associations_contact_contact"]
    both = {"collection_ids": ["hubspot:contact", "hubspot:company"]}
    ids = (await desk.patch(path, both)).body["collection_ids"]
    assert "hubspot:associations_company_contact" in ids
    again = (await desk.patch(path, {"collection_ids": ids})).body
    assert sorted(again["collection_ids"]) == sorted(ids), "what is told can be said again"
    back = (await desk.patch(path, {"collection_ids": ["contact"]})).body
    assert back["collection_ids"] == alone


async def test_what_is_gone_upstream_stays_for_its_rows_until_it_is_left_out(
    desk: Desk,
) -> None:
    sync = await made(desk, collection_ids=["Tasks", "Projects"])
    path, ids = f"/v1/syncs/{sync['id']}", sync["collection_ids"]
    gone = ids[1].removeprefix("airtable:")
    await desk.registry.following.follow(sync["id"], [], gone=[gone])
    kept = (await desk.patch(path, {"collection_ids": ids})).body
    assert kept["collection_ids"] == ids
    assert kept["health"]["collections"][1]["phase"] == "removed"
    left = (await desk.patch(path, {"collection_ids": ids[:1]})).body
    assert left["collection_ids"] == ids[:1]


# --- the end ----------------------------------------------------------------------------


async def test_changes_at_the_same_moment_are_both_made(desk: Desk) -> None:
    sync = await made(desk)
    path = f"/v1/syncs/{sync['id']}"
    patches = [{"metadata": {f"m{n}": n}} for n in range(3)]
    said = await asyncio.gather(*(desk.patch(path, patch) for patch in patches))
    assert {each.status for each in said} == {200}
    assert (await desk.get(path)).body["metadata"] == {"m0": 0, "m1": 1, "m2": 2}


async def test_who_is_always_overtaken_is_told_so(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = await made(desk)

    async def overtaken(*_: Any) -> None:
        raise Stale("somebody was quicker")

    monkeypatch.setattr(Roster, "change", overtaken)
    said = await desk.patch(f"/v1/syncs/{sync['id']}", {"name": "x"})
    assert said.wrong == (412, "changed_meanwhile", None)
