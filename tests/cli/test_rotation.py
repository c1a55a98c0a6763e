"""`httpproxy secrets rotate`: the key is changed, under processes that run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from programs import Ended, InProcess, Programs
from stages import act

from httpproxy.cli.doctor.secrets import secrets_of
from httpproxy.cli.doctor.symptoms import Finding
from httpproxy.office import open_office
from httpproxy.settings.reading import read_settings
from providers.catalog import PROVIDERS
from tests.store.world import KEY

AIRTABLE = PROVIDERS["airtable"].sandbox
Told = Callable[..., Ended]
NEXT = "the key that comes next and is of tests as well: 987654"
ROTATING = {
    "HTTPPROXY_SECRET_KEY": NEXT,
    "HTTPPROXY_FORMER_SECRET_KEYS": json.dumps([KEY, KEY + "x"]),
}


@pytest.fixture
def sealed(database_dsn: str) -> None:
    """A sync whose credential is sealed with KEY."""

    async def made(stage) -> None:
        assert stage.sync.name == "crm"

    act(database_dsn, made)


def said_of_secrets() -> str:
    """What `doctor` finds out about the secrets alone: to ask the API takes its time."""

    async def asked() -> list[Finding]:
        async with open_office(read_settings()) as office:
            return [finding async for finding in secrets_of(office)]

    (finding,) = asyncio.run(asked())
    return f"{finding.level.value}: {finding.said}"


def test_secrets_are_sealed_anew_and_doctor_tells_how_it_stands(
    told: Told, sealed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ROTATING.items():
        monkeypatch.setenv(name, value)
    assert said_of_secrets() == "warning: 1 of 1 are sealed with a former key"
    ended = told("secrets", "rotate")
    assert (ended.code, "1 sealed anew, 1 in all" in ended.out) == (0, True), ended
    monkeypatch.delenv("HTTPPROXY_FORMER_SECRET_KEYS")
    assert said_of_secrets().startswith("ok: 1 sealed with the key in use, ")
    for text in (ended.out, ended.err):
        assert NEXT not in text
        assert KEY not in text


def test_a_secret_without_its_key_is_a_problem_with_the_remedy(
    told: Told, sealed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPPROXY_SECRET_KEY", NEXT)
    found = told("doctor")
    assert found.code == 1
    assert "FAIL  secrets: 1 of 1 stored secrets: sealed with key" in found.out
    assert "HTTPPROXY_FORMER_SECRET_KEYS" in found.out
    ended = told("secrets", "rotate")
    assert (ended.code, "1 could not be opened" in ended.err) == (1, True), ended
    assert told("secrets", "rotate", "--new-key").code == 2


def test_former_keys_are_checked_and_not_shown(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPPROXY_FORMER_SECRET_KEYS", f"{NEXT},short")
    refused = told("settings")
    assert refused.code == 2
    assert "HTTPPROXY_FORMER_SECRET_KEYS: must be keys of at least 32" in refused.err
    assert NEXT not in refused.err
    monkeypatch.setenv("HTTPPROXY_FORMER_SECRET_KEYS", f"{NEXT}, {NEXT}x")
    shown = told("settings").out
    assert "(set)" in shown
    assert NEXT not in shown
    Path("httpproxy.toml").write_text(f'former_secret_keys = ["{NEXT}"]\n')
    assert NEXT not in told("settings", "--json").out


def test_the_key_of_the_folder_is_changed_under_a_process_that_serves(
    sandboxed: Programs, database_dsn: str
) -> None:
    variables = {**sandboxed.variables, "DATABASE_URL": database_dsn}
    there = InProcess(sandboxed.folder, variables)
    token = {"HTTPPROXY_TOKEN": AIRTABLE.token}
    there.done(
        "sync",
        "create",
        "airtable",
        "--base",
        AIRTABLE.account,
        "--table",
        "Tasks",
        "--name",
        "crm",
        **token,
    )
    ports = ("--gateway-port", "0")
    with there.started("serve", *ports) as serving:
        serving.wait_for("http://")
        there.done("sync", "watch", "crm", "--until-live")
        assert "1 sealed anew" in there.done("secrets", "rotate", "--new-key").out
        there.done("sync", "token", "crm", **token)  # sealed with the new key
        there.done("sync", "resync", "crm")
        there.done("sync", "watch", "crm", "--until-live")
        assert "sealed with key" not in serving.text
    key_file = there.folder / ".httpproxy" / "secret.key"
    new, old = key_file.read_text().split()
    key_file.write_text(old + "\n")
    refused = Programs(sandboxed.folder, variables).run("serve", *ports)
    assert refused.code == 1
    assert "1 of 1 stored secrets: sealed with key" in refused.err
    assert "httpproxy sync token" in refused.err
    for text in (refused.err, serving.text):
        assert new not in text
        assert old not in text
