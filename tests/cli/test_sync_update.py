"""`sync update`, and syncs found and made by what users write to them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from programs import Ended, InProcess, Programs
from stages import Stage, act

from providers.catalog import PROVIDERS

Told = Callable[..., Ended]
AIRTABLE = PROVIDERS["airtable"].sandbox
HUBSPOT = PROVIDERS["hubspot"].sandbox


@pytest.fixture
def crm(told: Told, database_dsn: str) -> Told:
    async def nothing(_: Stage) -> None:
        return

    act(database_dsn, nothing)
    return told


def test_what_the_options_name_is_changed_and_the_rest_stays(crm: Told):
    before = crm("sync", "show", "crm", "--json").json
    metadata = '{"customer": 42, "plan": "pro"}'
    said = crm("sync", "update", "crm", "--name", "acme", "--metadata", metadata)
    assert (said.code, said.out) == (0, "acme is changed; its tables: tasks\n")
    options = (
        "--external-id",
        "x-1",
        "--metadata",
        '{"plan": null}',
        "--rate",
        "2/1",
        "--json",
    )
    changed = crm("sync", "update", "acme", *options).json
    assert (changed["name"], changed["external_id"]) == ("acme", "x-1")
    assert changed["metadata"] == {"customer": 42}
    assert changed["rate_limits"]["standard"]["allowed_requests"] == 2
    assert changed["api_root"] == before["api_root"]
    shown = crm("sync", "show", "acme").out
    assert "your id   x-1\n" in shown
    assert 'metadata  {"customer":42}\n' in shown
    back = crm(
        "sync", "update", "acme", "--rate", "standard=none", "--external-id", "none", "--json"
    ).json
    assert back["rate_limits"]["standard"]["source"] == "default"
    assert back["external_id"] is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "nothing to change"),
        (["--collection", "Tasks", "--all-collections"], "leave out --collection"),
        (["--metadata", "[]"], "--metadata must be an object"),
        (["--metadata", "{"], "--metadata is no valid JSON"),
        (["--rate", "fast"], "--rate fast"),
        (["--rate", "sloth=none"], "no such budget; there are standard"),
        (["--credential", "cred_none"], "httpproxy credential list"),
    ],
    ids=str,
)
def test_what_cannot_be_changed_is_said(crm: Told, options: list[str], said: str):
    ended = crm("sync", "update", "crm", *options)
    assert ended.code == 2, ended
    assert said in ended.err


def test_syncs_are_listed_by_what_they_are(crm: Told, database_dsn: str):
    async def failing(stage: Stage) -> None:
        await stage.fail("no", "do")

    act(database_dsn, failing, "other")
    crm("sync", "update", "crm", "--metadata", '{"customer": 42}', "--external-id", "x")
    for options, names in (
        ((), {"crm", "other"}),
        (("--metadata", '{"customer": 42}'), {"crm"}),
        (("--external-id", "x"), {"crm"}),
        (("--health", "failing"), {"other"}),
        (("--health", "live"), set()),
        (("--provider", "hubspot"), set()),
        (("--status", "active", "--provider", "airtable"), {"crm", "other"}),
    ):
        found = crm("sync", "list", *options, "--json").json
        assert {sync["name"] for sync in found} == names, options
    assert "failing" in crm("sync", "list", "--health", "failing").out
    unread = crm("sync", "list", "--metadata", '{"n": 1e30}')  # as the API reads it
    assert (unread.code, "metadata must be a JSON object" in unread.err) == (2, True)
    taken = crm("sync", "update", "other", "--external-id", "x")
    assert taken.code == 2
    assert "--external-id" in taken.err


def test_collections_come_and_go_and_a_stored_credential_serves(
    sandboxed: Programs, database_dsn: str
):
    variables = {**sandboxed.variables, "DATABASE_URL": database_dsn}
    at_work = InProcess(sandboxed.folder, variables)
    make = ("sync", "create", "airtable")
    lacking = at_work.run(*make, "--table", "Tasks", HTTPPROXY_TOKEN=AIRTABLE.token)
    assert lacking.code == 2
    assert "Missing option '--base'" in lacking.err
    options = ("--base", AIRTABLE.account, "--table", "Tasks", "--name", "one", "--paused")
    made = at_work.done(*make, *options, "--json", HTTPPROXY_TOKEN=AIRTABLE.token).json
    assert made["status"] == "paused"
    more = at_work.done(
        "sync", "update", "one", "--collection", "Tasks", "--collection", "Projects"
    )
    assert "its tables: tasks, projects" in more.out or "projects, tasks" in more.out
    less = at_work.done("sync", "update", "one", "--collection", "Projects", "--json").json
    assert [each["table"] for each in less["connection"]["tables"]] == ["projects"]
    stored = made["credential_id"]
    twin = at_work.done(*make, "--credential", stored, "--name", "two", "--json").json
    assert (twin["credential_id"], twin["covers_all"]) == (stored, True)
