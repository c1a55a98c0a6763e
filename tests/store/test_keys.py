"""API keys: shown once, kept as a hash, and of no use soon after they are revoked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from itertools import count

import psycopg
import pytest
from neighbours.rounds import least_time

from httpproxy.store.database import Database
from httpproxy.store.errors import Forgotten, NameTaken
from httpproxy.store.secrets.keys import FRESH, GAP, Keys
from tests.store.world import World


@pytest.fixture
async def database(database_dsn: str) -> AsyncIterator[Database]:
    async with Database(database_dsn) as database:
        yield database


@pytest.fixture
def keys(database: Database) -> Keys:
    return Keys(database, time.monotonic)


async def test_a_key_opens_and_its_text_is_kept_nowhere(keys: Keys, database_dsn: str) -> None:
    key, token = await keys.create("console", ["write"])
    found = await keys.verify(token.reveal())
    assert found is not None
    assert (found.id, found.name, found.scopes) == (key.id, "console", {"write"})
    assert token.reveal().startswith(f"hpk_{key.id}_")
    with psycopg.connect(database_dsn) as connection:
        row = connection.execute("SELECT k::text FROM httpproxy.api_key k").fetchone()
    assert row is not None
    assert token.reveal().rpartition("_")[2] not in row[0]
    assert token.reveal() not in f"{key!r} {token!r} {found!r}"
    assert key.digest.hex() not in repr(key)


async def test_whatever_else_is_brought_opens_nothing(keys: Keys) -> None:
    _, token = await keys.create("console", ["admin"])
    _, other = await keys.create("other", ["read"])
    text = token.reveal()
    ours, theirs = text[:21], other.reveal()[:21]
    wrong = [
        "", "hpk_", text[:-1], text + "A", text.upper(), " " + text, text + "\n",
        theirs + text[21:], ours + other.reveal()[21:], text[:-1] + chr(ord(text[-1]) ^ 1),
        "hpk_" + "a" * 16 + "_" + "A" * 43, "\ud800", "pat-na1-x", "h" * 100_000,
    ]  # fmt: skip
    assert [await keys.verify(each) for each in wrong] == [None] * len(wrong)


async def test_a_key_that_another_process_has_made_opens_at_once(
    keys: Keys, database: Database
) -> None:
    _, first = await keys.create("first", ["read"])
    assert await keys.verify(first.reveal()) is not None
    others = Keys(database, time.monotonic)
    number = count(2)

    async def another_is_known() -> None:
        _, made = await others.create(f"number {next(number)}", ["read"])
        assert await keys.verify(made.reveal()) is not None

    assert await least_time(another_is_known, FRESH / 2) < FRESH / 2


async def test_guessing_costs_the_database_a_read_now_and_then(database: Database) -> None:
    reads = 0
    now = 100.0

    class Counting(Database):
        def connection(self):  # type: ignore[no-untyped-def]
            nonlocal reads
            reads += 1
            return database.connection()

    keys = Keys(Counting("unused"), lambda: now)
    await keys.verify("hpk_" + "a" * 16 + "_" + "A" * 43)
    guesses = [f"hpk_{'a' * 14}{c}{d}_{'A' * 43}" for c in "abcdefghij" for d in "abcdefghij"]
    now += GAP  # all of them come in the same moment
    assert set(await asyncio.gather(*map(keys.verify, guesses))) == {None}
    assert reads == 2


async def test_a_revoked_key_opens_nothing_after_two_seconds_in_any_process(
    database: Database,
) -> None:
    now = 100.0
    here, there = Keys(database, lambda: now), Keys(database, lambda: now)
    key, token = await here.create("console", ["read"])
    assert await there.verify(token.reveal()) is not None
    revoked = await here.revoke("console")
    assert revoked is not None
    assert (revoked.id, revoked.valid) == (key.id, False)
    assert await here.verify(token.reveal()) is None
    now += FRESH + 0.001
    assert await there.verify(token.reveal()) is None
    assert await here.revoke("console") is None, "its name names nothing any more"
    again = await here.revoke(key.id)
    assert again is not None
    assert again.revoked_at == revoked.revoked_at


async def test_a_key_ends_when_its_time_is_over(keys: Keys, database_dsn: str) -> None:
    key, token = await keys.create("brief", ["read"], expires_in=3600)
    assert key.expires_at is not None
    assert (key.expires_at - key.created_at).total_seconds() == 3600
    with psycopg.connect(database_dsn) as connection:
        connection.execute("UPDATE httpproxy.api_key SET expires_at = now()")
    assert await keys.verify(token.reveal()) is None
    assert [each.valid for each in await keys.page(None, None, None)] == [False]


async def test_last_use_is_noted_and_not_written_each_time(
    keys: Keys, database_dsn: str
) -> None:
    _, token = await keys.create("console", ["read"])
    assert [each.last_used_at for each in await keys.page(None, None, None)] == [None]
    for _ in range(5):
        await keys.verify(token.reveal())
    with psycopg.connect(database_dsn) as connection:
        row = connection.execute(
            "SELECT xmin::text, ctid::text, last_used_at FROM httpproxy.api_key"
        ).fetchone()
        await keys.verify(token.reveal())
        again = connection.execute(
            "SELECT xmin::text, ctid::text, last_used_at FROM httpproxy.api_key"
        ).fetchone()
    assert row is not None
    assert row[2] is not None
    assert row == again


async def test_wider_scopes_include_narrower_ones_and_a_bound_key_opens_one_sync(
    world: World,
) -> None:
    keys = Keys(world.database, time.monotonic)
    write, _ = await keys.create("writer", ["write"])
    bound, token = await keys.create("bound", ["admin"], sync_id=world.sync.id)
    assert write.allows("read")
    assert write.allows("write", "any")
    assert not write.allows("admin")
    assert bound.allows("admin", world.sync.id)
    assert not bound.allows("read", "another")
    assert not bound.allows("read")
    await world.registry.delete_sync(world.sync, drop_tables=True)
    assert await keys.verify(token.reveal()) is None, "it went with its sync"


async def test_a_name_is_taken_until_its_key_is_revoked(keys: Keys) -> None:
    await keys.create("console", ["read"])
    with pytest.raises(NameTaken):
        await keys.create("console", ["read"])
    await keys.revoke("console")
    key, _ = await keys.create("console", ["read"])
    assert key.valid
    with pytest.raises(Forgotten):
        await keys.create("lost", ["read"], sync_id="sync_nowhere")
