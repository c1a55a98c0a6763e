"""What `doctor` finds, and what it says to do."""

from __future__ import annotations

import json
from email.utils import formatdate

import psycopg
import pytest
from programs import InProcess, Programs

from httpproxy.cli.doctor.findings import Clock, judged
from httpproxy.cli.doctor.symptoms import Level
from providers.catalog import PROVIDERS
from providers.http import Response, headers

AIRTABLE = PROVIDERS["airtable"].sandbox
HUBSPOT = PROVIDERS["hubspot"].sandbox


@pytest.fixture
def at_work(sandboxed: Programs, database_dsn: str) -> Programs:
    """Programs with a database of the test's own and the sandboxes for APIs."""
    return InProcess(sandboxed.folder, {**sandboxed.variables, "DATABASE_URL": database_dsn})


def _make(programs: Programs, name: str) -> None:
    kit, provider = PROVIDERS[name].sandbox, PROVIDERS[name]
    account = [f"--{provider.account_option}", kit.account] if provider.account_option else []
    collection = [f"--{provider.collection_option}", kit.collections[0]]
    programs.done("sync", "create", name, *account, *collection, HTTPPROXY_TOKEN=kit.token)


def _findings(programs: Programs, code: int, **variables: str) -> dict[str, dict[str, str]]:
    ended = programs.run("doctor", "--json", **variables)
    assert ended.code == code, ended
    return {finding["about"]: finding for finding in ended.json}


def test_a_sound_installation_has_nothing_to_do(at_work: Programs):
    for name in PROVIDERS:
        _make(at_work, name)
    found = _findings(at_work, 0)
    assert {finding["level"] for finding in found.values()} == {"ok"}
    assert found["sync airtable-appdemo0000000000: credential"]["said"] == (
        f"opens {AIRTABLE.account}"
    )
    assert f"opens {HUBSPOT.account}" in str(found)
    assert "database" in found
    assert "clock" in found


def test_streams_that_somebody_holds_up_are_told(at_work: Programs, database_dsn: str):
    at_work.done("sync", "list")  # makes the tables
    with psycopg.connect(database_dsn) as held:
        held.execute("SELECT pg_current_xact_id()")
        with psycopg.connect(database_dsn) as other:
            other.execute(
                "INSERT INTO httpproxy.event (sync_id, collection_id, upstream_id, event,"
                " origin, request_id, inserted_at) VALUES ('s', 'c', 'r', 'created', 'sync',"
                " 'q', now() - interval '5 minutes')"
            )
        found = _findings(at_work, 0)
    assert found["streams"]["level"] == "warning"
    assert "5 min" in found["streams"]["said"]
    assert "HttpproxyStreamsLag" in found["streams"]["remedy"]
    assert "streams" not in _findings(at_work, 0)


def test_people_get_lines_with_what_to_do(at_work: Programs):
    told = at_work.done("doctor", HTTPPROXY_GATEWAY_PROT="1").out
    assert "WARN  settings: HTTPPROXY_GATEWAY_PROT sets nothing" in told
    assert "-> did you mean HTTPPROXY_GATEWAY_PORT?" in told
    assert "ok    database: Postgres " in told
    assert "WARN  syncs: there are none" in told


def test_a_database_that_is_away_is_a_problem(programs: Programs):
    found = _findings(programs, 1, DATABASE_URL="postgresql://u:hunter2@127.0.0.1:1/d")
    assert found["database"]["level"] == "problem"
    assert "DATABASE_URL" in found["database"]["remedy"]
    assert "hunter2" not in str(found)


def test_an_api_that_cannot_be_reached_is_a_problem(at_work: Programs):
    _make(at_work, "airtable")
    upstreams = json.dumps(dict.fromkeys(PROVIDERS["airtable"].hosts, "http://127.0.0.1:1"))
    found = _findings(at_work, 1, HTTPPROXY_UPSTREAMS=upstreams)
    credential = found["sync airtable-appdemo0000000000: credential"]
    assert credential["level"] == "problem"
    assert "upstreams" in credential["remedy"]


def test_a_key_that_does_not_open_the_credential_is_a_problem(at_work: Programs):
    _make(at_work, "airtable")
    another = {"HTTPPROXY_SECRET_KEY": "another key of enough characters!"}
    found = _findings(at_work, 0, **another)  # the folder's key is there still, and opens
    assert "1 of 1 are sealed with a former key" in found["secrets"]["said"]
    (at_work.folder / ".httpproxy" / "secret.key").unlink()
    found = _findings(at_work, 1, **another)
    assert found["secrets"]["level"] == "problem"
    credential = found["sync airtable-appdemo0000000000: credential"]
    assert credential["level"] == "problem"
    assert "HTTPPROXY_SECRET_KEY" in credential["remedy"]


def test_a_collection_that_is_gone_upstream_is_a_problem(at_work: Programs):
    _make(at_work, "airtable")
    with psycopg.connect(at_work.variables["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("update httpproxy.collection set upstream_id = 'tblGone0000000000'")
    found = _findings(at_work, 1)
    gone = next(f for about, f in found.items() if about.endswith(": Tasks"))
    assert gone["said"] == "the account has no such collection"
    assert gone["remedy"]


@pytest.mark.parametrize(
    ("ahead", "level", "said"),
    [
        (0.0, Level.OK, "within 5 s"),
        (4.9, Level.OK, "within 5 s"),
        (-61.0, Level.PROBLEM, "61 s ahead of the API's"),
        (3600.0, Level.PROBLEM, "3600 s behind the API's"),
    ],
)
def test_a_clock_that_is_off_is_told_by_how_much(ahead: float, level: Level, said: str):
    finding = judged(ahead)
    assert finding.level is level
    assert said in finding.said
    assert bool(finding.remedy) is (level is Level.PROBLEM)


def test_the_clock_is_compared_with_the_date_of_the_answers():
    clock = Clock(lambda: 1_000.0)
    for unreadable in ("", "yesterday"):
        clock.note(Response(200, headers(("Date", unreadable))))
        assert clock.ahead is None
    clock.note(Response(200, headers(("Date", formatdate(1_090, usegmt=True)))))
    assert clock.ahead == 90.0


def test_a_token_of_another_account_is_a_problem(at_work: Programs):
    _make(at_work, "hubspot")
    with psycopg.connect(at_work.variables["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("update httpproxy.sync set account = '999'")
    found = _findings(at_work, 1)
    credential = found[f"sync hubspot-{HUBSPOT.account}: credential"]
    assert credential["level"] == "problem"
    assert f"belongs to {HUBSPOT.account}, the sync to 999" in credential["said"]
