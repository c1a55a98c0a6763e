"""`httpproxy credential`, `oauth-app` and `collections`: what the API does, done here."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable

import psycopg
import pytest
from programs import Ended, Programs, clean_environment

from providers.catalog import PROVIDERS

AIRTABLE, HUBSPOT = (PROVIDERS[name].sandbox for name in ("airtable", "hubspot"))
APP, TOKENS = AIRTABLE.grant.app, AIRTABLE.grant.tokens
Told = Callable[..., Ended]


@pytest.fixture
def tell(told: Told, sandbox_origin: str, monkeypatch: pytest.MonkeyPatch) -> Told:
    """A command in this process, whose calls go to the sandbox; `secrets` are variables."""
    hosts = [h for p in PROVIDERS.values() for h in (*p.hosts, *p.token_hosts)]
    monkeypatch.setenv("HTTPPROXY_UPSTREAMS", json.dumps(dict.fromkeys(hosts, sandbox_origin)))

    def run(*arguments: str, code: int = 0, **secrets: str) -> Ended:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in secrets.items():
                patch.setenv(f"HTTPPROXY_{name}", value)
            ended = told(*arguments)
        assert ended.code == code, ended
        for secret in secrets.values():
            assert secret not in ended.out + ended.err
        return ended

    return run


def test_a_credential_is_stored_seen_changed_checked_and_deleted(tell: Told) -> None:
    made = tell(
        *("credential", "create", "airtable_token", "--account", AIRTABLE.account),
        *("--name", "acme", "--metadata", '{"customer": 42}', "--json"),
        TOKEN=AIRTABLE.token,
    ).json
    assert made["check"]["ok"]
    assert (made["name"], made["metadata"]) == ("acme", {"customer": 42})
    shown = tell("credential", "show", "acme")
    assert f"id            {made['id']}" in shown.out
    assert "patD…mo" in shown.out
    plain = tell("credential", "list").out
    assert made["id"] in plain
    for options, number in (
        (("--provider", "airtable"), 1),
        (("--provider", "hubspot"), 0),
        (("--metadata", '{"customer": 42}'), 1),
        (("--metadata", '{"customer": 43}'), 0),
    ):
        assert len(tell("credential", "list", *options, "--json").json) == number
    changed = tell("credential", "update", "acme", "--metadata", '{"plan": 1}', "--json").json
    assert changed["metadata"] == {"customer": 42, "plan": 1}
    again = tell("credential", "update", "acme", "--token", "--json", TOKEN=AIRTABLE.token)
    assert again.json == changed, "the same token is no change"
    assert tell("credential", "check", "acme").out.startswith("it works\n")
    there = tell("collections", "acme").out
    assert "airtable:tblTasks000000000" in there
    fields = tell("collections", "acme", "--fields", "--refresh").out
    assert "multilineText" in fields
    assert len(tell("collections", "acme", "--json").json) == 2
    assert tell("credential", "delete", "acme").out == "credential acme is deleted\n"
    assert tell("credential", "list", "--json").json == []


def test_an_oauth_app_and_what_it_refreshes(tell: Told) -> None:
    made = tell(
        *("oauth-app", "create", "airtable", APP.client_id, "--name", "ours", "--json"),
        CLIENT_SECRET=APP.client_secret or "",
    ).json
    credential = tell(
        *("credential", "create", "airtable_oauth2", "--app", made["id"], "--json"),
        *("--expires-in", "3600"),
        TOKEN=TOKENS.access_token,
        REFRESH_TOKEN=TOKENS.refresh_token or "",
    ).json
    assert credential["oauth_app_id"] == made["id"]
    in_use = tell("oauth-app", "delete", "ours", code=1)
    assert credential["id"] in in_use.err
    assert "ours" in tell("oauth-app", "list").out
    assert tell("oauth-app", "list", "--provider", "hubspot", "--json").json == []
    assert "has_secret  True" in tell("oauth-app", "show", "ours").out
    other = tell("oauth-app", "update", "ours", "--secret", "--json", CLIENT_SECRET="another")
    assert other.json["updated_at"] > made["updated_at"]
    named = tell("oauth-app", "update", "ours", "--name", "acme", "--client-id", "x", "--json")
    assert (named.json["name"], named.json["client_id"]) == ("acme", "x")
    tell("credential", "delete", credential["id"])
    assert tell("oauth-app", "delete", "acme").out == "OAuth app acme is deleted\n"
    public = tell("oauth-app", "create", "airtable", "client", "--public", "--json")
    assert not public.json["has_secret"]


def test_what_cannot_be_done_says_what_to_do(tell: Told) -> None:
    unknown = tell("credential", "show", "nobody", code=3)
    assert "`httpproxy credential list`" in unknown.err
    assert "`httpproxy oauth-app list`" in tell("oauth-app", "show", "x", code=3).err
    assert "`httpproxy credential list`" in tell("collections", "nobody", code=3).err
    several = tell("credential", "create", "nothing", code=2)
    assert "hubspot_private_app" in several.err
    wrong = tell(
        "credential", "create", "hubspot_private_app", code=1, TOKEN="pat-unknown-here"
    )
    assert "does not know this token" in wrong.err
    tell("credential", "create", "hubspot_private_app", "--name", "a", TOKEN=HUBSPOT.token)
    assert tell("credential", "check", "a", "--json").json["ok"]
    taken = tell(
        "credential", "create", "airtable_token", "--name", "a", code=2, TOKEN=AIRTABLE.token
    )
    assert "'a' is taken by another credential" in taken.err
    for metadata in ("7", "{"):
        said = tell("credential", "list", "--metadata", metadata, code=2)
        assert "metadata" in said.err
        made = tell("credential", "update", "a", "--metadata", metadata, code=2)
        assert "--metadata" in made.err
    nameless = tell("credential", "update", "a", "--name", "", code=2)
    assert nameless.err.startswith("Error: name ")
    app = tell("credential", "update", "a", "--app", "app_x", code=2)
    assert "oauth_app_id" in app.err


def test_a_check_that_finds_a_dead_token_ends_with_1(tell: Told, database_dsn: str) -> None:
    made = tell("credential", "create", "hubspot_private_app", "--json", TOKEN=HUBSPOT.token)
    dead = "pat-na1-dead-dead-dead-dead-dead"
    tell("credential", "update", made.json["id"], "--token", code=1, TOKEN=dead)
    with psycopg.connect(database_dsn) as connection:
        connection.execute("UPDATE httpproxy.credential SET secret = '\\x00'")
    broken = tell("credential", "check", made.json["id"], code=1)
    assert "cannot read how the secret is sealed" in broken.err


def test_tokens_come_from_standard_input_a_line_each(
    sandboxed: Programs, database_dsn: str
) -> None:
    there = {"DATABASE_URL": database_dsn}
    sandboxed.done(
        *("oauth-app", "create", "airtable", APP.client_id, "--name", "ours"),
        stdin=f"{APP.client_secret}\n",
        **there,
    )
    made = sandboxed.done(
        *("credential", "create", "airtable_oauth2", "--app", "ours", "--json"),
        stdin=f"{TOKENS.access_token}\n{TOKENS.refresh_token}\n",
        **there,
    )
    assert made.json["properties"]["refresh_token"][4] == "…"
    nothing = sandboxed.run("credential", "create", "airtable_token", stdin="\n", **there)
    assert (nothing.code, "HTTPPROXY_TOKEN" in nothing.err) == (2, True)
    assert "The token, pat" in nothing.err


def test_a_terminal_is_asked_without_an_echo(sandboxed: Programs, database_dsn: str) -> None:
    terminal, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "httpproxy", "credential", "create", "airtable_oauth2"],
        cwd=sandboxed.folder,
        env=clean_environment(**sandboxed.variables, DATABASE_URL=database_dsn),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    said = _until(terminal, "Access token")
    os.write(terminal, f"{TOKENS.access_token}\n".encode())
    said += _until(terminal, "just Enter")
    os.write(terminal, b"\n")
    said += _until(terminal, "created_at")
    assert process.wait(45) == 0
    os.close(terminal)
    assert TOKENS.access_token not in said


def _until(terminal: int, word: str) -> str:
    said, end = "", time.monotonic() + 60.0
    while word not in said and time.monotonic() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            said += os.read(terminal, 4096).decode(errors="replace")
    assert word in said, said
    return said
