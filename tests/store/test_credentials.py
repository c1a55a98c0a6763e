"""Credentials in the store: one for an account, sealed, refreshed by one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import psycopg
import pytest

from httpproxy.store.credentials.apps import Apps
from httpproxy.store.credentials.book import Credentials
from httpproxy.store.credentials.refreshes import Lease, Refreshes
from httpproxy.store.credentials.values import (
    CredentialDraft,
    CredentialFilter,
    NewTokens,
    TokenPair,
)
from httpproxy.store.database import Database
from httpproxy.store.errors import Forgotten, InUse, KeyMismatch, NameTaken, Stale
from httpproxy.store.registry import Registry, SyncDraft
from httpproxy.store.secrets.sealing import Sealing
from httpproxy.store.secrets.vault import Vault
from providers.credentials import AppKeys, Grant
from tests.store.world import KEY

NEXT = "the key that comes next, of tests as well: 987654"
DRAFT = CredentialDraft("airtable", "appA", "airtable_token", TokenPair("patX.secret"))


@pytest.fixture
async def database(database_dsn: str) -> AsyncIterator[Database]:
    async with Database(database_dsn, connections=8) as opened:
        yield opened


@pytest.fixture
def credentials(database: Database) -> Credentials:
    return Credentials(database, Vault(KEY))


async def app_of(database: Database, vault: Vault | None = None) -> str:
    """An app of Airtable's."""
    keys = AppKeys("client", "patX.secret-of-the-app")
    return (await Apps(database, vault or Vault(KEY)).save("airtable", keys, None))[0].id


def granted(
    app_id: str, account: str, refresh: str = "r1", due: float = 0.0
) -> CredentialDraft:
    """A credential whose tokens are refreshed by an app; what is due now, if not said."""
    tokens = TokenPair(f"access-of-{account}", refresh)
    return CredentialDraft(
        "airtable", account, "airtable_oauth2", tokens, app_id=app_id, refresh_in=due
    )


def test_tokens_are_read_as_they_were_written() -> None:
    for pair in (TokenPair("bare"), TokenPair("a", "r")):
        assert TokenPair.read(pair.written()) == pair
    assert TokenPair("bare").written().reveal() == "bare", "as earlier versions wrote it"
    assert TokenPair("a").mark is None
    assert TokenPair("a", "r").mark == TokenPair("b", "r").mark
    assert "secret" not in repr(TokenPair("secret", "secret"))


async def test_no_repr_and_no_row_tells_a_secret(
    credentials: Credentials, database_dsn: str
) -> None:
    stored, made = await credentials.save(DRAFT)
    assert made
    assert "patX" not in repr(stored) + repr(DRAFT)
    with psycopg.connect(database_dsn) as connection:
        for table in ("credential", "oauth_app"):
            rows = connection.execute(f"SELECT x::text FROM httpproxy.{table} x").fetchall()
            assert "patX" not in str(rows)
            assert b"patX".hex() not in str(rows)


async def test_those_who_save_at_once_save_one_that_can_be_opened(
    credentials: Credentials,
) -> None:
    """What is sealed is bound to the id: who seals for another one seals in vain."""
    drafts = [replace(DRAFT, tokens=TokenPair(f"patX.secret{n}")) for n in range(8)]
    said = await asyncio.gather(*map(credentials.save, drafts))
    assert sorted(made for _, made in said) == [False] * 7 + [True]
    (found,) = await credentials.page(CredentialFilter(), None, 10)
    assert credentials.open(found).access_token.startswith("patX.secret")
    assert found.generation == 8


async def test_what_is_not_said_again_stays(credentials: Credentials) -> None:
    full = replace(DRAFT, name="acme", metadata={"a": 1}, properties={"region": "eu"})
    first, _ = await credentials.save(full)
    again, made = await credentials.save(replace(DRAFT, tokens=TokenPair("patX.newer")))
    assert not made
    assert again.id == first.id
    assert (again.name, again.metadata) == ("acme", {"a": 1})
    assert again.properties == {"region": "eu"}
    assert again.generation == first.generation + 1
    assert credentials.open(again) == TokenPair("patX.newer")
    assert await credentials.get("acme") == await credentials.get(first.id) == again


async def test_who_was_made_on_purpose_is_not_made_implicit_by_a_sync(
    credentials: Credentials,
) -> None:
    await credentials.save(DRAFT)
    again, _ = await credentials.save(replace(DRAFT, implicit=True))
    assert not again.implicit
    with_sync, _ = await credentials.save(replace(DRAFT, account="appB", implicit=True))
    assert with_sync.implicit
    stored, _ = await credentials.save(replace(DRAFT, account="appB"))
    assert not stored.implicit


async def test_a_change_is_of_what_was_read(credentials: Credentials) -> None:
    read, _ = await credentials.save(DRAFT)
    await credentials.change(replace(read, name="one"), None)
    with pytest.raises(Stale):
        await credentials.change(replace(read, name="two"), None)
    found = await credentials.get(read.id)
    assert found is not None
    assert found.name == "one"
    with pytest.raises(Forgotten):
        await credentials.change(replace(found, app_id="app_nowhere"), None)
    with pytest.raises(Forgotten):
        await credentials.save(replace(DRAFT, app_id="app_nowhere"))
    await credentials.save(replace(DRAFT, account="appB", name="taken"))
    with pytest.raises(NameTaken):
        await credentials.change(replace(found, name="taken"), None)


async def test_a_sync_that_begins_to_use_it_keeps_it(
    credentials: Credentials, registry: Registry
) -> None:
    stored, _ = await credentials.save(DRAFT)
    sync = await registry.create_sync(SyncDraft("airtable", "s", "appA", stored.id))
    assert not await credentials.delete(stored.id)
    assert await credentials.users(stored.id) == [(sync.id, "s")]
    with pytest.raises(Forgotten):
        await registry.create_sync(SyncDraft("airtable", "t", "appA", "cred_nowhere"))
    await registry.delete_sync(sync, drop_tables=True)
    assert await credentials.delete(stored.id)
    with pytest.raises(Forgotten):
        await credentials.keep_discovery(stored.id, [])


async def test_a_list_goes_on_where_it_was(credentials: Credentials) -> None:
    made = [await credentials.save(replace(DRAFT, account=f"app{n}")) for n in range(5)]
    ids = [each.id for each, _ in made]
    first = await credentials.page(CredentialFilter(), None, 2)
    assert [each.id for each in first] == ids[:2]
    place = (first[-1].created_at.isoformat(), first[-1].id)
    await credentials.delete(ids[1])
    rest = await credentials.page(CredentialFilter(), place, 10)
    assert [each.id for each in rest] == ids[2:]


async def test_one_refreshes_for_all_and_whoever_comes_late_sends_nothing(
    database: Database, credentials: Credentials
) -> None:
    app = await app_of(database)
    stored, _ = await credentials.save(granted(app, "appA"))
    refreshes = Refreshes(database, Vault(KEY))
    assert await refreshes.due(10) == [stored.id]
    leases = [Lease(stored.id, stored.generation, f"holder {n}") for n in range(8)]
    held = await asyncio.gather(*(refreshes.lease(lease, 30.0) for lease in leases))
    (n,) = [n for n, holding in enumerate(held) if holding is not None]
    assert await refreshes.due(10) == [], "somebody is at it"
    assert await refreshes.sent(leases[n])
    assert not await refreshes.sent(leases[n - 1])
    assert await refreshes.store(leases[n], Grant("access2", "r2", 3600.0), 3000.0)
    now = await refreshes.tokens_of(stored.id)
    assert now.tokens == TokenPair("access2", "r2")
    assert now.generation == stored.generation + 1
    assert now.remaining is not None
    assert now.due is not None
    assert (3500 < now.remaining <= 3600, 2900 < now.due <= 3000) == (True, True)
    assert await refreshes.lease(leases[n - 1], 30.0) is None, "the secret is another one"
    assert not await refreshes.store(leases[n], Grant("twice"), None)


async def test_credentials_of_one_grant_are_refreshed_together(
    database: Database, credentials: Credentials
) -> None:
    app = await app_of(database)
    first, _ = await credentials.save(granted(app, "appA"))
    second, _ = await credentials.save(granted(app, "appB"))
    alone, _ = await credentials.save(granted(app, "appC", "another"))
    refreshes = Refreshes(database, Vault(KEY))
    assert len(await refreshes.due(10)) == 2, "of a grant, one"
    lease = Lease(first.id, first.generation, "us")
    assert await refreshes.lease(lease, 30.0)
    sibling = Lease(second.id, second.generation, "others")
    assert await refreshes.lease(sibling, 30.0) is None
    late, _ = await credentials.save(granted(app, "appD"))
    assert await refreshes.store(lease, Grant("access2", "r2", 60.0), 40.0)
    for each in (first, second, late):
        holding = await refreshes.tokens_of(each.id)
        assert holding.tokens == TokenPair("access2", "r2")
    assert (await refreshes.tokens_of(alone.id)).refresh_token == "another"


async def test_a_refresh_whose_process_died_is_told_to_the_next(
    database: Database, credentials: Credentials, database_dsn: str
) -> None:
    app = await app_of(database)
    stored, _ = await credentials.save(granted(app, "appA"))
    refreshes = Refreshes(database, Vault(KEY))
    dead = Lease(stored.id, stored.generation, "dead")
    assert await refreshes.lease(dead, 30.0)
    assert await refreshes.sent(dead)
    with psycopg.connect(database_dsn) as connection:
        connection.execute("UPDATE httpproxy.credential SET refresh_until = now()")
    heir = Lease(stored.id, stored.generation, "heir")
    holding = await refreshes.lease(heir, 30.0)
    assert holding is not None
    assert holding.interrupted
    assert not await refreshes.sent(dead), "the lease is lost"
    assert await refreshes.fail(heir, "no more", spent=True, retry_in=None)
    found = await credentials.get(stored.id)
    assert found is not None
    assert found.trouble == "no more"
    assert await refreshes.due(10) == []
    with pytest.raises(LookupError):
        await refreshes.tokens_of("cred_nowhere")
    again = await credentials.change(found, NewTokens(TokenPair("a3", "r3"), 60.0, 0.0))
    assert again.trouble is None
    assert await refreshes.due(10) == [stored.id]


async def test_rotation_of_the_key_is_no_other_secret(
    database: Database, credentials: Credentials
) -> None:
    app = await app_of(database)
    stored, _ = await credentials.save(granted(app, "appA"))
    lease = Lease(stored.id, stored.generation, "us")
    assert await Refreshes(database, Vault(KEY)).lease(lease, 30.0)
    both = Vault(NEXT, [KEY])
    resealed = await Sealing(database, both).reseal()
    assert (resealed.secrets, resealed.left) == (2, ())
    new = Vault(NEXT)
    assert await Refreshes(database, new).store(lease, Grant("access2"), 10.0)
    assert (await Refreshes(database, new).tokens_of(stored.id)).refresh_token == "r1"
    assert (await Apps(database, new).keys(app)).client_secret == "patX.secret-of-the-app"
    assert await Sealing(database, new).census() == {new.key_id: 2}


async def test_the_secrets_of_apps_are_watched_like_those_of_credentials(
    database: Database,
) -> None:
    app = await app_of(database)
    await Apps(database, Vault(KEY)).save("airtable", AppKeys("public"), None)
    stranger = Sealing(database, Vault(NEXT))
    with pytest.raises(KeyMismatch, match="1 of 1"):
        await stranger.require_keys()
    ((used_by, why),) = await stranger.unreadable()
    assert used_by == "OAuth app client"
    assert "Set the key" in why
    left = await stranger.reseal()
    assert (left.secrets, len(left.left)) == (0, 1)
    with pytest.raises(KeyMismatch):
        await Apps(database, Vault(NEXT)).keys(app)


async def test_an_app_in_use_stays(database: Database, credentials: Credentials) -> None:
    app = await app_of(database)
    apps = Apps(database, Vault(KEY))
    stored, _ = await credentials.save(granted(app, "appA"))
    with pytest.raises(InUse):
        await apps.delete(app)
    assert await apps.users(app) == [stored.id]
    await credentials.delete(stored.id)
    assert await apps.delete(app)
    assert not await apps.delete(app)
    with pytest.raises(LookupError):
        await apps.keys(app)
