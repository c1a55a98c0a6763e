"""Syncs from the command line, against the sandboxes and a real database."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest
from programs import InProcess, Programs, clean_environment, still_there

from providers.catalog import PROVIDERS
from providers.hubspot.sandbox.kit import OTHER_TOKEN

AIRTABLE = PROVIDERS["airtable"].sandbox
HUBSPOT = PROVIDERS["hubspot"].sandbox
MAKE_AIRTABLE = ("sync", "create", "airtable", "--base", AIRTABLE.account, "--table", "Tasks")


@pytest.fixture
def at_work(sandboxed: Programs, database_dsn: str) -> Programs:
    """Programs with a database of the test's own and the sandboxes for APIs."""
    return InProcess(sandboxed.folder, {**sandboxed.variables, "DATABASE_URL": database_dsn})


def test_a_sync_is_made_shown_and_deleted(at_work: Programs):
    made = at_work.done(*MAKE_AIRTABLE, "--json", HTTPPROXY_TOKEN=AIRTABLE.token).json
    assert made["account"] == AIRTABLE.account
    assert made["api_root"].startswith("http://127.0.0.1:8080/")
    assert made["api_root"].endswith("/api.airtable.com")
    assert [table["name"] for table in made["tables"]] == ["tasks"]
    columns = {c["name"]: c["type"] for c in made["tables"][0]["columns"]}
    assert columns["id"] == "text"
    assert columns["amount"] == "numeric"
    assert columns["done"] == "boolean"
    (listed,) = at_work.done("sync", "list", "--json").json
    assert at_work.done("sync", "show", made["name"], "--json").json == listed
    assert {name: listed[name] for name in made} == made
    shown = at_work.done("sync", "show", made["id"])
    assert made["api_root"] in shown.out
    assert AIRTABLE.token not in shown.out
    deleted = at_work.done("sync", "delete", made["name"], "--yes", "--drop-tables")
    assert "deleted" in deleted.out
    assert at_work.done("sync", "list", "--json").json == []


def test_a_sync_gets_another_token_only_of_its_own_account(at_work: Programs):
    made = ("sync", "create", "hubspot", "--object", "contact", "--name", "crm")
    root = at_work.done(*made, "--json", HTTPPROXY_TOKEN=HUBSPOT.token).json["api_root"]
    other = at_work.run("sync", "token", "crm", HTTPPROXY_TOKEN=OTHER_TOKEN)
    assert other.code == 1
    assert "account 48000002" in other.err
    assert OTHER_TOKEN not in other.err
    unknown = at_work.run("sync", "token", "crm", HTTPPROXY_TOKEN="pat-na1-unknown")
    assert unknown.code == 1
    assert (
        "another token"
        in at_work.done("sync", "token", "crm", HTTPPROXY_TOKEN=HUBSPOT.token).out
    )
    assert at_work.done("sync", "show", "crm", "--json").json["api_root"] == root


def test_a_hubspot_token_tells_its_own_account(at_work: Programs):
    made = at_work.done(
        "sync",
        "create",
        "hubspot",
        "--object",
        "contact",
        "--name",
        "crm",
        "--schema",
        "crm",
        "--rate",
        "50/10",
        "--json",
        stdin=f"{HUBSPOT.token}\n",
    ).json
    assert (made["account"], made["name"], made["schema"]) == (HUBSPOT.account, "crm", "crm")
    rates = {r["budget"]: (r["allowed_requests"], r["interval"]) for r in made["rates"]}
    assert rates == {"standard": (50, 10.0), "search": (5, 1.0)}
    assert [r["source"] for r in made["rates"]] == ["set", "default"]
    shown = at_work.done("sync", "show", "crm").out
    assert "standard: 50/10 s\n" in shown
    assert "search: 5/1 s by default\n" in shown
    assert "contact" in [table["name"] for table in made["tables"]]


def test_the_tables_are_there_to_be_queried(at_work: Programs):
    made = at_work.done(*MAKE_AIRTABLE, "--json", HTTPPROXY_TOKEN=AIRTABLE.token).json
    table = f"{made['schema']}.tasks"
    assert at_work.done("db", "query", f"select id from {table}", "--json").json == []
    counted = at_work.done("db", "query", f"select count(*) as n from {table}")
    assert counted.out.split() == ["n", "-", "0"]
    assert at_work.done("db", "url").out.strip() == at_work.variables["DATABASE_URL"]


@pytest.mark.parametrize(
    "sql",
    [
        "create table t (x int)",
        "commit; create table t (x int)",
        "select set_config('transaction_read_only', 'off', false); create table t (x int)",
        "select nothing from nowhere",
    ],
)
def test_a_query_that_does_not_read_is_refused_by_postgres(at_work: Programs, sql: str):
    ended = at_work.run("db", "query", sql)
    assert ended.code == 1
    assert "Postgres says" in ended.err
    there = at_work.done("db", "query", "select to_regclass('public.t') as t", "--json")
    assert there.json == [{"t": None}]


def test_a_token_that_the_api_does_not_know_makes_no_sync(at_work: Programs):
    for arguments in (MAKE_AIRTABLE, ("sync", "create", "hubspot", "--object", "contact")):
        ended = at_work.run(*arguments, HTTPPROXY_TOKEN="pat-not-known-0000")
        assert ended.code == 1, ended
        assert "token" in ended.err
        assert "pat-not-known-0000" not in ended.err
    assert at_work.done("sync", "list", "--json").json == []


def test_a_collection_that_is_not_there_is_named_with_those_that_are(at_work: Programs):
    ended = at_work.run(
        "sync",
        "create",
        "airtable",
        "--base",
        AIRTABLE.account,
        "--table",
        "Taks",
        HTTPPROXY_TOKEN=AIRTABLE.token,
    )
    assert ended.code == 2
    assert "no collection 'Taks'; there are: " in ended.err
    assert "Tasks" in ended.err


def test_a_name_that_is_taken_says_which_option_chooses_another(at_work: Programs):
    token = {"HTTPPROXY_TOKEN": AIRTABLE.token}
    at_work.done(*MAKE_AIRTABLE, "--name", "mine", **token)
    ended = at_work.run(*MAKE_AIRTABLE, "--name", "mine", **token)
    assert ended.code == 2
    assert "--name" in ended.err


@pytest.mark.parametrize("command", ["show", "delete"])
def test_a_sync_that_is_not_there_ends_with_3(at_work: Programs, command: str):
    confirmed = ["--yes"] if command == "delete" else []
    ended = at_work.run("sync", command, "nobody", *confirmed)
    assert (ended.code, ended.out) == (3, "")
    assert "sync list" in ended.err


def test_the_token_is_in_no_argument_that_others_can_see(at_work: Programs):
    started = subprocess.Popen(
        [sys.executable, "-m", "httpproxy", *MAKE_AIRTABLE],
        cwd=at_work.folder,
        env=clean_environment(**at_work.variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    seen: set[str] = set()
    assert started.stdin is not None
    started.stdin.write(AIRTABLE.token)
    started.stdin.close()
    program = psutil.Process(started.pid)
    while started.poll() is None:
        with suppress(psutil.NoSuchProcess):
            for process in (program, *program.children(recursive=True)):
                seen.update(process.cmdline())
        time.sleep(0.02)
    assert started.returncode == 0
    assert "create" in seen
    assert not any(AIRTABLE.token in argument for argument in seen)


def test_a_stored_token_is_sealed(at_work: Programs):
    at_work.done(*MAKE_AIRTABLE, HTTPPROXY_TOKEN=AIRTABLE.token)
    (row,) = at_work.done(
        "db", "query", "select secret::text as s from httpproxy.credential", "--json"
    ).json
    assert row["s"].startswith("\\x")
    assert AIRTABLE.token.encode() not in bytes.fromhex(row["s"][2:])


def test_syncs_can_be_made_while_serve_runs_on_the_embedded_database(sandboxed: Programs):
    with sandboxed.started("serve", "--gateway-port", "0") as serving:
        serving.wait_for(r"gateway on (http://\S+)")
        made = sandboxed.done(*MAKE_AIRTABLE, "--json", HTTPPROXY_TOKEN=AIRTABLE.token).json
        url = sandboxed.done("db", "url").out.strip()
        assert url.startswith("postgresql://")
        assert [s["name"] for s in sandboxed.done("sync", "list", "--json").json] == [
            made["name"]
        ]
        servers = serving.children()
        assert servers
        assert serving.stop(signal.SIGTERM) == 0
        assert not still_there(servers)
    # And while it does not: the command starts the database for itself, and ends it.
    assert [s["name"] for s in sandboxed.done("sync", "list", "--json").json] == [made["name"]]
    assert sandboxed.run("db", "url").code == 1
