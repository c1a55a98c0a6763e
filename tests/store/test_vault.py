"""Secrets at rest."""

from __future__ import annotations

import pickle
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from neighbours.syncs import secret_of

from httpproxy.store.errors import KeyMismatch
from httpproxy.store.secrets.vault import KEY_FILE, Secret, Vault
from tests.store.world import KEY, World

PLACE = ("httpproxy.credential", "cred_1", "secret")


def test_a_secret_comes_back_and_is_not_seen_meanwhile() -> None:
    vault = Vault(KEY)
    sealed = vault.seal(Secret("patABC.ü"), *PLACE)
    assert vault.open(sealed, *PLACE) == Secret("patABC.ü")
    assert b"patABC" not in sealed
    assert sealed != vault.seal(Secret("patABC.ü"), *PLACE), "a nonce is never used twice"


@pytest.mark.parametrize("n", range(3))
def test_a_sealed_secret_opens_only_in_its_own_place(n: int) -> None:
    vault = Vault(KEY)
    sealed = vault.seal(Secret("token"), *PLACE)
    elsewhere = [*PLACE]
    elsewhere[n] += "x"
    with pytest.raises(KeyMismatch, match="changed or moved"):
        vault.open(sealed, *elsewhere)


def test_every_changed_byte_is_noticed() -> None:
    vault = Vault(KEY)
    sealed = vault.seal(Secret("token"), *PLACE)
    for n in range(len(sealed)):
        changed = sealed[:n] + bytes([sealed[n] ^ 1]) + sealed[n + 1 :]
        with pytest.raises(KeyMismatch):
            vault.open(changed, *PLACE)
    for cut in (b"", sealed[:4], sealed[:17], sealed[:-1]):
        with pytest.raises(KeyMismatch):
            vault.open(cut, *PLACE)


def test_another_key_is_named_with_what_to_do() -> None:
    sealed = Vault(KEY).seal(Secret("token"), *PLACE)
    with pytest.raises(KeyMismatch, match="HTTPPROXY_SECRET_KEY"):
        Vault(KEY + "x").open(sealed, *PLACE)


def test_a_secret_hides_itself() -> None:
    secret = Secret("patABC")
    assert "patABC" not in f"{secret} {secret!r} {[secret]}"
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_a_short_key_is_refused() -> None:
    with pytest.raises(KeyMismatch, match="32"):
        Vault("short")


def test_a_fingerprint_is_the_keys_own(tmp_path: Path) -> None:
    one, same, other = Vault(KEY), Vault(KEY), Vault(KEY + "x")
    assert one.fingerprint("token") == same.fingerprint("token")
    assert one.fingerprint("token") != one.fingerprint("tokem")
    assert one.fingerprint("token") != other.fingerprint("token")


def test_the_key_file_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        vaults = list(threads.map(lambda _: Vault.of_file(tmp_path), range(8)))
    sealed = vaults[0].seal(Secret("token"), *PLACE)
    assert all(vault.open(sealed, *PLACE) == Secret("token") for vault in vaults)
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]


def test_a_key_file_that_cannot_be_used_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_text("")
    with pytest.raises(KeyMismatch, match="Restore it"):
        Vault.of_file(tmp_path)


async def test_a_credential_is_sealed_in_the_database(world: World) -> None:
    assert await secret_of(world.registry, world.sync) == "patX.secret"
    stored = await world.ask("SELECT secret FROM httpproxy.credential")
    assert b"patX" not in stored[0]["secret"]
