"""`sync verify`: what it finds when table and API differ, and what it puts right."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
import requests
from programs import Ended, Programs, Running
from psycopg.rows import dict_row
from pyairtable import Api

from httpproxy.management.syncs.steering import _slowed
from providers.catalog import PROVIDERS
from providers.spec import Budget

Told = Callable[..., Ended]

AIRTABLE = PROVIDERS["airtable"].sandbox
TASKS = "airtable_base.tasks"


@dataclass
class Filled:
    """A sync whose backfill is done, by the program that serves it."""

    told: Told
    dsn: str
    records: list[str]
    serving: Running

    def sql(self, statement: str) -> list[dict[str, Any]]:
        with psycopg.connect(self.dsn, autocommit=True, row_factory=dict_row) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def verify(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """The finding of a verification of the one table."""
        ended = self.told("sync", "verify", "base", *arguments, "--json")
        assert ended.code == code, ended
        (finding,) = ended.json
        return dict(finding)


@pytest.fixture
def served(
    sandboxed: Programs,
    sandbox_origin: str,
    database_dsn: str,
    told: Told,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Filled]:
    unlimited = {"airtable": {"base_rate": 0, "token_rate": 0}}
    assert requests.post(f"{sandbox_origin}/_sandbox/switches", json=unlimited, timeout=60).ok
    root = f"{sandbox_origin}/{PROVIDERS['airtable'].hosts[0]}"
    tasks = Api(AIRTABLE.token, endpoint_url=root).table(AIRTABLE.account, "Tasks")
    made = [record["id"] for record in tasks.batch_create([{"Name": n} for n in "abc"])]
    for name, value in {**sandboxed.variables, "HTTPPROXY_TOKEN": AIRTABLE.token}.items():
        monkeypatch.setenv(name, value)
    of = ("--base", AIRTABLE.account, "--table", "Tasks", "--name", "base", "--rate", "500/1")
    assert told("sync", "create", "airtable", *of).code == 0
    with sandboxed.started(
        "serve", "--gateway-port", "0", DATABASE_URL=database_dsn
    ) as serving:
        assert "everything is live" in told("sync", "watch", "base", "--until-live").out
        yield Filled(told, database_dsn, made, serving)
    tasks.batch_delete(made)


@pytest.fixture
def filled(served: Filled) -> Filled:
    """The same, and nothing serves it any more."""
    assert served.serving.stop(signal.SIGTERM) == 0
    return served


def test_a_resync_is_taken_up_within_seconds_by_who_serves(served: Filled):
    taken = []
    while not taken or (
        min(taken) >= 15 and len(taken) < 4
    ):  # a slow machine is not slow always
        served.sql(f"update {TASKS} set name = 'wrong'")
        assert served.told("sync", "resync", "base").code == 0
        began = time.monotonic()
        assert "everything is live" in served.told("sync", "watch", "base", "--until-live").out
        taken.append(time.monotonic() - began)
    assert min(taken) < 15  # the next look at its tables may be 30 s away
    assert served.sql(f"select id from {TASKS} where name = 'wrong'") == []


def test_drift_is_found_named_and_repaired(filled: Filled):
    first, second, third = filled.records
    sound = filled.verify()
    assert sound["checked"] == sound["same"] == len(filled.sql(f"select id from {TASKS}")) >= 3
    filled.sql(f"update {TASKS} set name = 'wrong' where id = '{first}'")
    filled.sql(f"delete from {TASKS} where id = '{second}'")
    filled.sql(f"insert into {TASKS} (id, name) values ('recNever000000000', 'never')")

    told = filled.told("sync", "verify", "base", "tasks")
    assert told.code == 1
    assert f"tasks, differ: {first}" in told.out or f", {first}" in told.out
    assert "httpproxy sync verify base --repair" in told.out
    assert second not in told.out  # a sample looks at rows

    found = filled.verify("--all", code=1)
    assert (sorted(found["drifted"]), found["absent"]) == (
        sorted([first, "recNever000000000"]),
        [second],
    )
    assert found["repaired"] == 0
    assert filled.verify("--all", "--repair")["repaired"] == 3
    after = filled.verify("--all")
    assert (after["drifted"], after["absent"]) == ([], [])
    rows = {row["id"]: row["name"] for row in filled.sql(f"select id, name from {TASKS}")}
    assert (rows[first], rows[second], rows[third]) == ("a", "b", "c")
    assert "recNever000000000" not in rows
    (collection,) = filled.told("sync", "show", "base", "--json").json["collections"]
    assert collection["requests"]["backfill"] > 1


def test_wrong_use_is_refused_before_anything_is_asked(told: Told):
    both = told("sync", "verify", "base", "--all", "--sample", "5")
    assert both.code == 2
    assert "leave out --sample" in both.err
    assert told("sync", "verify", "base", "--sample", "0").code == 2
    assert told("sync", "verify", "base").code == 3


def test_a_verification_takes_a_fifth_of_the_rate():
    fifth = _slowed(Budget("standard", 100, 10.0, 5), 5)
    assert (fifth.allowed_requests, fifth.interval) == (20, 10.0)
    little = _slowed(Budget("standard", 3, 1.0), 5)
    assert (little.allowed_requests, little.interval) == (1, pytest.approx(5 / 3))
