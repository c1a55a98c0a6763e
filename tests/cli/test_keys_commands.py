"""`httpproxy keys`: a key is made, shown once, listed without itself, and revoked."""

from __future__ import annotations

import json
from collections.abc import Callable

from programs import Ended
from stages import act

Told = Callable[..., Ended]


def test_a_key_is_shown_once_listed_and_revoked(told: Told, database_dsn: str) -> None:
    async def made(stage) -> None:
        assert stage.sync.name == "crm"

    act(database_dsn, made)
    created = told(
        "keys", "create", "importer", "--scope", "write", "--sync", "crm", "--days", "3"
    )
    assert created.code == 0, created
    token = created.out.strip()
    assert token.startswith("hpk_")
    assert token not in created.err
    listed = told("keys", "list", "--json")
    (row,) = json.loads(listed.out)
    assert (row["name"], row["scopes"], row["state"]) == ("importer", ["write"], "valid")
    assert row["sync_id"].startswith("sync_")
    assert row["expires_at"] > row["created_at"]
    one = told("keys", "show", "importer", "--json")
    assert json.loads(one.out) == row
    plain = told("keys", "show", row["id"])
    assert "scopes   write" in plain.out
    shown = told("keys", "list")
    for text in (listed.out, shown.out, one.out, plain.out):
        assert token.rpartition("_")[2] not in text
    assert told("keys", "revoke", "importer").code == 0
    assert json.loads(told("keys", "list", "--json").out)[0]["state"] == "revoked"


def test_what_cannot_be_done_with_keys_says_what_to_do(told: Told) -> None:
    made = told("keys", "create", "twice", "--json")
    assert made.json["key"].startswith(f"hpk_{made.json['id']}_")
    taken = told("keys", "create", "twice")
    assert (taken.code, "taken by another key" in taken.err) == (2, True)
    nowhere = told("keys", "create", "x", "--sync", "nowhere")
    assert (nowhere.code, "`httpproxy sync list`" in nowhere.err) == (3, True)
    unknown = told("keys", "revoke", "nobody")
    assert (unknown.code, "`httpproxy keys list`" in unknown.err) == (3, True)
