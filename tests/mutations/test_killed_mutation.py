"""A service that is killed in the middle of a mutation, and the mutation sent again."""

from __future__ import annotations

import re
import signal
import threading
import time
from contextlib import suppress
from typing import Any

import psycopg
import pytest
import requests
from cli.programs import PATIENCE, Programs, Running

from providers.catalog import PROVIDERS

AIRTABLE = PROVIDERS["airtable"]
BASE = AIRTABLE.sandbox.account
CREATES = "/tblTasks000000000$"  # and not the sync's listings, or its webhook
RECORDS = 35
SLOW = 20.0  # seconds that the answer to the third call takes: it is never heard


class Api:
    """The sandbox, as its side API shows it."""

    def __init__(self, origin: str) -> None:
        self.origin = origin

    def tell(self, path: str, body: Any) -> None:
        assert requests.post(f"{self.origin}/_sandbox/{path}", json=body, timeout=60).ok

    def creations(self) -> list[dict[str, Any]]:
        """The calls so far that created records, and were applied."""
        url = f"{self.origin}/_sandbox/requests"
        entries = requests.get(url, timeout=60).json()["requests"]
        return [e for e in entries if re.search(CREATES, e["target"]) and e["applied"]]

    def names(self) -> list[str]:
        """The names in the table, page by page."""
        found: list[str] = []
        offset = ""
        headers = {
            "Authorization": f"Bearer {AIRTABLE.sandbox.token}",
            "Host": AIRTABLE.hosts[0],
        }
        while True:
            url = f"{self.origin}/v0/{BASE}/Tasks?offset={offset}"
            page = requests.get(url, headers=headers, timeout=60).json()
            found += [record["fields"].get("Name", "") for record in page["records"]]
            offset = page.get("offset", "")
            if not offset:
                return found


@pytest.fixture
def programs(tmp_path) -> Programs:
    return Programs(tmp_path)


def mutate(serving: Running, key: str) -> requests.Response:
    at = serving.wait_for(r"/v1 on (http://\S+)")[1]
    body = {
        "sync_id": "tasks",
        "collection_id": "Tasks",
        "kind": "create",
        "data": [{"Name": f"n {at}"} for at in range(RECORDS)],
    }
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "once"}
    url = f"{at}/v1/mutations/run"
    return requests.post(url, json=body, headers=headers, timeout=PATIENCE)


def repeated(serving: Running, key: str) -> dict[str, Any]:
    """What the repeat is answered, once what the first one left open is settled."""
    until = time.monotonic() + PATIENCE
    while (answer := mutate(serving, key)).status_code == 409:
        assert time.monotonic() < until, answer.text
        assert answer.headers["Retry-After"]
        time.sleep(0.2)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_mutation_that_is_killed_is_finished_by_its_repeat_and_written_once(
    programs: Programs, empty_database_dsn: str
):
    with programs.started("sandbox", "--memory", "--sandbox-port", "0") as sandbox:
        api = Api(sandbox.wait_for(r"http://127\.0\.0\.1:\d+")[0])
        api.tell("switches", {"airtable": {"base_rate": 0, "token_rate": 0}})
        programs.variables["DATABASE_URL"] = empty_database_dsn
        programs.variables["HTTPPROXY_UPSTREAMS"] = f'{{"{AIRTABLE.hosts[0]}": "{api.origin}"}}'
        programs.variables["HTTPPROXY_GATEWAY_PORT"] = "0"
        create = ("sync", "create", "airtable", "--base", BASE, "--table", "Tasks")
        options = ("--name", "tasks", "--rate", "1000/1")
        programs.done(*create, *options, stdin=AIRTABLE.sandbox.token)
        made = programs.done("keys", "create", "k", "--scope", "write").out
        key = re.search(r"hpk_\S+", made)[0]
        before = api.names()
        for seconds in (0.01, 0.01, SLOW):
            fault = {"kind": "delay_after", "seconds": seconds}
            api.tell("faults", {**fault, "method": "POST", "path": CREATES})
        with programs.started("serve") as serving:
            first = threading.Thread(target=lost, args=(serving, key))
            first.start()
            wait_for_creations(api, 3)
            serving.stop(signal.SIGKILL)
            first.join()
        with programs.started("serve") as serving:
            told = repeated(serving, key)
            again = repeated(serving, key)
        wanted = [f"n {at}" for at in range(RECORDS)]
        assert sorted(api.names()) == sorted([*before, *wanted])
        assert len(api.creations()) == 4
        ids = [result["upstream_id"] for result in told["results"]]
        assert named(empty_database_dsn, ids) == wanted
        assert [result["upstream_id"] for result in again["results"]] == ids


def lost(serving: Running, key: str) -> None:
    with suppress(requests.ConnectionError):
        answer = mutate(serving, key)
        raise AssertionError(f"the answer came: {answer.text}")


def wait_for_creations(api: Api, count: int) -> None:
    until = time.monotonic() + PATIENCE
    while len(api.creations()) < count:
        assert time.monotonic() < until, api.creations()
        time.sleep(0.02)


def named(dsn: str, ids: list[str]) -> list[str]:
    """The names in the rows of these records."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute("SELECT schema_name FROM httpproxy.sync").fetchone()
        assert row is not None
        query = f"SELECT id, name FROM {row[0]}.tasks"
        found = dict(connection.execute(query.encode()).fetchall())
    return [found[each] for each in ids]
