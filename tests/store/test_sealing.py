"""The key that seals the credentials is changed while processes run."""

from __future__ import annotations

import asyncio
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from neighbours.syncs import new_sync, secret_of

from httpproxy.cli.doctor.secrets import secrets_of as doctor
from httpproxy.cli.doctor.symptoms import Level
from httpproxy.store.database import Database
from httpproxy.store.errors import KeyMismatch
from httpproxy.store.registry import Registry
from httpproxy.store.secrets.sealing import Sealing
from httpproxy.store.secrets.vault import (
    KEY_FILE,
    Secret,
    Vault,
    add_key,
    open_vault,
    read_keys,
)
from tests.store.world import KEY, make_sync

NEXT = "the key that comes next, of tests as well: 987654"
PLACE = ("httpproxy.credential", "cred_1", "secret")


async def filled(database: Database, vault: Vault, number: int = 3) -> Registry:
    """A registry with so many syncs, each of an account and a credential of its own."""
    registry = Registry(database, vault)
    for n in range(number):
        await new_sync(registry, "airtable", f"s{n}", f"app{n}", f"patX.secret{n}")
    return registry


async def secrets_of(registry: Registry) -> list[str]:
    return [await secret_of(registry, sync) for sync in await registry.syncs()]


def test_a_vault_seals_with_its_key_and_opens_with_the_former_ones() -> None:
    old, new = Vault(KEY), Vault(NEXT, [KEY])
    sealed = old.seal(Secret("token"), *PLACE)
    assert new.open(sealed, *PLACE) == Secret("token")
    resealed = new.seal(Secret("token"), *PLACE)
    assert resealed[1:5].hex() == new.key_id == Vault(NEXT).key_id != old.key_id
    assert new.key_ids == {old.key_id, new.key_id}
    assert "the key" not in repr(new)


async def test_rotating_seals_every_secret_with_the_key_in_use_and_changes_no_other(
    database_dsn: str,
) -> None:
    async with Database(database_dsn) as database:
        await filled(database, Vault(KEY))
        new = Vault(NEXT, [KEY])
        sealing, registry = Sealing(database, new), Registry(database, new)
        await registry.replace_secret((await registry.syncs())[0], "patX.newer")
        assert await sealing.census() == {Vault(KEY).key_id: 2, new.key_id: 1}
        done = await sealing.reseal()
        assert (done.secrets, done.left) == (2, ())
        assert await sealing.census() == {new.key_id: 3}
        only = Registry(database, Vault(NEXT))
        assert await secrets_of(only) == ["patX.newer", "patX.secret1", "patX.secret2"]
        assert (await sealing.reseal()).secrets == 0


async def test_a_rollout_with_old_and_new_settings_side_by_side_opens_everything(
    database_dsn: str,
) -> None:
    """As docs/security.md says: first all know the next key, then it is used."""
    async with Database(database_dsn) as database:
        told = Vault(KEY, [NEXT])  # has heard of the key, and seals with the old one yet
        turned = Vault(NEXT, [KEY])
        old, new = await filled(database, told), Registry(database, turned)
        syncs = await old.syncs()
        stop = asyncio.Event()

        async def read(registry: Registry) -> int:
            reads = 0
            while not stop.is_set():
                for sync in syncs:
                    assert (await secret_of(registry, sync)).startswith("patX.")
                    reads += 1
            return reads

        async def replace(registry: Registry) -> None:
            for n in range(10):
                await registry.replace_secret(syncs[n % 3], f"patX.replaced{n}")

        readers = [asyncio.ensure_future(read(each)) for each in (old, new)]
        await asyncio.gather(
            replace(old), replace(new), *[Sealing(database, turned).reseal() for _ in range(3)]
        )
        await Sealing(database, turned).reseal()
        stop.set()
        assert min(await asyncio.gather(*readers)) > 0
        assert await secrets_of(old) == await secrets_of(new)
        assert all("replaced" in secret for secret in await secrets_of(new))
        assert await Sealing(database, turned).census() == {turned.key_id: 3}


async def test_a_secret_that_is_replaced_while_it_is_sealed_anew_is_the_replaced_one(
    database_dsn: str,
) -> None:
    async with Database(database_dsn) as database:
        old, new = await filled(database, Vault(KEY), 1), Vault(NEXT, [KEY])
        (sync,) = await old.syncs()
        opened = new.open

        def slow(sealed: bytes, *place: str) -> Secret:
            secret = opened(sealed, *place)  # and now, before it is written back:
            with ThreadPoolExecutor(1) as thread:
                thread.submit(asyncio.run, _replaced(database_dsn)).result()
            return secret

        new.open = slow  # type: ignore[method-assign]  # the moment between reading and writing
        assert (await Sealing(database, new).reseal()).secrets == 0
        assert await secret_of(old, sync) == "patX.replaced"


async def _replaced(dsn: str) -> None:
    async with Database(dsn, connections=1) as database:
        registry = Registry(database, Vault(KEY))
        await registry.replace_secret((await registry.syncs())[0], "patX.replaced")


async def test_a_secret_without_a_key_is_named_with_the_remedy_and_left_as_it_is(
    database_dsn: str,
) -> None:
    async with Database(database_dsn) as database:
        registry = await filled(database, Vault(KEY))
        stranger = Sealing(database, Vault(NEXT))
        with pytest.raises(KeyMismatch, match=r"3 of 3 .*HTTPPROXY_FORMER_SECRET_KEYS") as told:
            await stranger.require_keys()
        assert Vault(KEY).key_id in str(told.value)
        done = await stranger.reseal()
        assert (done.secrets, len(done.left)) == (0, 3)
        assert len(await stranger.unreadable()) == 3
        await Sealing(database, Vault(KEY)).require_keys()
        assert await secrets_of(registry) == [f"patX.secret{n}" for n in range(3)]


async def test_ciphertexts_that_are_swapped_between_rows_do_not_open(
    database_dsn: str,
) -> None:
    async with Database(database_dsn) as database:
        registry = await filled(database, Vault(KEY), 2)
        async with database.connection() as connection:
            await connection.execute(
                "UPDATE httpproxy.credential c SET secret = o.secret"
                " FROM httpproxy.credential o WHERE o.id <> c.id"
            )
        for sync in await registry.syncs():
            with pytest.raises(KeyMismatch, match="changed or moved"):
                await secret_of(registry, sync)
        found = await Sealing(database, Vault(KEY)).unreadable()
        assert {whose for whose, _ in found} == {"s0", "s1"}
        office = SimpleNamespace(database=database, vault=Vault(KEY))
        (said,) = [finding async for finding in doctor(office)]
        assert said.level is Level.PROBLEM
        assert re.search(r"2 of 2 do not open \(s\d, s\d\): .*changed or moved", said.said)
        done = await Sealing(database, Vault(NEXT, [KEY])).reseal()
        assert (done.secrets, len(done.left)) == (0, 2)


def test_a_new_key_in_the_file_is_taken_up_by_vaults_that_are_open(tmp_path: Path) -> None:
    running = Vault.of_file(tmp_path)
    first = running.key_id
    before = running.seal(Secret("a"), *PLACE)
    add_key(tmp_path)
    other = Vault.of_file(tmp_path)
    assert other.key_id != first
    assert running.open(other.seal(Secret("b"), *PLACE), *PLACE) == Secret("b")
    assert running.key_id == other.key_id
    assert other.open(before, *PLACE) == Secret("a")
    assert [len(running.key_ids), len(read_keys(tmp_path))] == [2, 2]
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]


def test_a_vault_that_is_open_seals_with_the_new_key_of_the_file(tmp_path: Path) -> None:
    running = Vault.of_file(tmp_path)
    add_key(tmp_path)
    sealed = running.seal(Secret("a"), *PLACE)
    assert sealed[1:5].hex() == Vault.of_file(tmp_path).key_id


def test_keys_that_are_added_at_once_are_all_kept(tmp_path: Path) -> None:
    Vault.of_file(tmp_path)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: add_key(tmp_path), range(8)))
    assert len(set(read_keys(tmp_path))) == 9


def test_the_operators_key_goes_before_the_files_which_still_opens(tmp_path: Path) -> None:
    sealed = open_vault(tmp_path, None).seal(Secret("a"), *PLACE)
    set_now = open_vault(tmp_path, KEY, [NEXT])
    assert set_now.key_id == Vault(KEY).key_id
    assert set_now.open(sealed, *PLACE) == Secret("a")
    assert set_now.open(Vault(NEXT).seal(Secret("b"), *PLACE), *PLACE) == Secret("b")
    assert not (tmp_path / "none").exists()
    open_vault(tmp_path / "none", KEY)
    assert not (tmp_path / "none").exists(), "a key that is set needs no file"


def test_a_file_that_is_gone_or_damaged_meanwhile_changes_nothing_that_is_known(
    tmp_path: Path,
) -> None:
    vault = Vault.of_file(tmp_path)
    sealed = vault.seal(Secret("a"), *PLACE)
    path = tmp_path / KEY_FILE
    text = path.read_text()
    path.unlink()
    assert vault.open(vault.seal(Secret("b"), *PLACE), *PLACE) == Secret("b")
    path.write_text(text[:20])
    os.utime(path, ns=(1, 1))
    with pytest.raises(KeyMismatch, match="Restore it"):
        vault.seal(Secret("c"), *PLACE)
    assert vault.open(sealed, *PLACE) == Secret("a")


async def test_many_secrets_are_sealed_anew_in_their_order(
    database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("httpproxy.store.secrets.sealing.BATCH", 2)
    async with Database(database_dsn) as database:
        await filled(database, Vault(KEY), 5)
        await make_sync(Registry(database, Vault("an unknown key of nobody at all, 123456")))
        done = await Sealing(database, Vault(NEXT, [KEY])).reseal()
        assert (done.secrets, len(done.left)) == (5, 1)
