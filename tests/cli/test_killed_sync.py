"""A backfill whose process is killed, twice, and goes on where it was."""

from __future__ import annotations

import signal
import time

import psycopg
import requests
from programs import PATIENCE, Programs

from providers.catalog import PROVIDERS

AIRTABLE = PROVIDERS["airtable"]
RECORDS, PAGE = 3000, 100
BASE = AIRTABLE.sandbox.account


class Api:
    """The sandbox, as somebody sees it who does not go through the proxy."""

    def __init__(self, origin: str) -> None:
        self.origin = origin

    def ask(self, method: str, path: str, body: object = None) -> dict[str, object]:
        token = {"Authorization": f"Bearer {AIRTABLE.sandbox.token}", "Host": AIRTABLE.hosts[0]}
        fields = {} if path.startswith("/_sandbox") else token
        url = self.origin + path
        answer = requests.request(method, url, json=body, headers=fields, timeout=60)
        assert answer.ok, answer.text
        found: dict[str, object] = answer.json()
        return found

    def fill(self) -> str:
        """A table with records; its id."""
        fields = [{"name": "Name", "type": "singleLineText"}]
        made = self.ask(
            "POST", f"/v0/meta/bases/{BASE}/tables", {"name": "Many", "fields": fields}
        )
        for at in range(0, RECORDS, 10):
            records = [{"fields": {"Name": f"n{n}"}} for n in range(at, at + 10)]
            self.ask("POST", f"/v0/{BASE}/{made['id']}", {"records": records})
        return str(made["id"])

    def listings(self) -> int:
        """How many pages of records were asked for."""
        found = self.ask("GET", "/_sandbox/requests?path=listRecords")["requests"]
        assert isinstance(found, list)
        return len(found)


def rows(dsn: str) -> set[str]:
    """The names in the table, all of its process' commits included."""
    with psycopg.connect(dsn) as connection:
        schema = connection.execute("SELECT schema_name FROM httpproxy.sync").fetchone()
        assert schema is not None
        found = connection.execute(f"SELECT name FROM {schema[0]}.many".encode()).fetchall()
        return {row[0] for row in found}


def test_a_backfill_that_is_killed_goes_on_where_it_was(
    programs: Programs, empty_database_dsn: str
) -> None:
    with programs.started("sandbox", "--memory", "--sandbox-port", "0") as sandbox:
        api = Api(sandbox.wait_for(r"http://127\.0\.0\.1:\d+")[0])
        free = {"airtable": {"base_rate": 0, "token_rate": 0}}
        api.ask("POST", "/_sandbox/switches", free)
        api.fill()
        programs.variables["DATABASE_URL"] = empty_database_dsn
        programs.variables["HTTPPROXY_UPSTREAMS"] = f'{{"{AIRTABLE.hosts[0]}": "{api.origin}"}}'
        programs.variables["HTTPPROXY_GATEWAY_PORT"] = "0"
        create = ("sync", "create", "airtable", "--base", BASE, "--table", "Many")
        programs.done(*create, "--rate", "15/1", stdin=AIRTABLE.sandbox.token)
        reached = 0
        for _ in range(2):
            with programs.started("serve") as serving:
                reached = wait_for_rows(empty_database_dsn, reached + 5 * PAGE)
                serving.stop(signal.SIGKILL)
        assert reached < RECORDS, "it was killed in the middle"
        with programs.started("serve"):
            wait_for_rows(empty_database_dsn, RECORDS)
        assert rows(empty_database_dsn) == {f"n{n}" for n in range(RECORDS)}
        pages = RECORDS // PAGE
        # What was on its way when the process died is asked for again, and nothing else.
        assert pages <= api.listings() <= pages + 2 * 3


def wait_for_rows(dsn: str, wanted: int) -> int:
    """How many rows there are, once there are so many."""
    until = time.monotonic() + PATIENCE
    while (count := len(rows(dsn))) < wanted:
        assert time.monotonic() < until, f"{count} of {wanted} rows"
        time.sleep(0.05)
    return count
