"""The two doors of one service: a call through the first, and what the second says of it."""

from __future__ import annotations

import re
from pathlib import Path

from neighbours.house import House, add_sync, open_house
from neighbours.rawclient import connect, request_bytes
from neighbours.recorder import Recorder, http
from outside.opened import ask
from outside.test_metrics import value
from outside.test_traces import ANSWER, JSON_TYPE, change

from httpproxy.store.secrets.keys import Keys

ROLES = ("gateway", "api")


async def _key(house: House) -> str:
    keys = Keys(house.service.office.database, float)
    _, text = await keys.create("of the test", ["read"])
    return f"Bearer {text.reveal()}"


async def test_a_write_is_counted_with_its_phases_and_its_token_can_be_waited_for(
    database_dsn: str, tmp_path: Path
):
    replicas = {"main": database_dsn}
    async with (
        Recorder(usual=http(200, JSON_TYPE, body=ANSWER)) as api,
        open_house(database_dsn, tmp_path, api.url, roles=ROLES, replicas=replicas) as house,
    ):
        door = house.door(await add_sync(house, "airtable"))
        outside = house.service.api_url
        assert outside is not None
        assert (await ask(f"{outside}/readyz")).json()["ready"]
        answer = await change(door)
        async with connect(door.host, door.port) as client:
            await client.exchange(request_bytes("GET", "/nobody/api.airtable.com/v0/x", []))
        (receipt,) = answer.head.all("Httpproxy-Commit")
        token = re.search(r"token=(\S+)", receipt)
        assert token
        waited = await ask(
            f"{outside}/v1/wait?token={token[1]}&replica=main", Authorization=await _key(house)
        )
        text = (await ask(f"{outside}/metrics")).text
        house.service.readiness.drain()
        assert (await ask(f"{outside}/readyz")).status_code == 503
    assert waited.json()["reached"] is True
    kind = {"provider": "airtable", "action": "write"}
    for phase in ("admit", "permit", "intent", "send", "commit"):
        assert value(text, "httpproxy_call_phase_seconds_count", phase=phase, **kind) == 1
    assert value(text, "httpproxy_receipts_total", outcome="applied", **kind) == 1
    assert value(text, "httpproxy_problems_total", code="unknown_address", sent="no") == 1
    granted = {"provider": "airtable", "budget": "standard", "class": "write"}
    assert value(text, "httpproxy_permits_granted_total", **granted) == 1
    assert value(text, "httpproxy_commits_total") >= 1
    assert value(text, "httpproxy_intents", state="under_way") == 0
    for secret in ("SECRET", door.unique_id, "rec00000000000001", "appHouse"):
        assert secret not in text


async def test_a_process_without_the_role_has_no_second_door(database_dsn, tmp_path):
    async with open_house(database_dsn, tmp_path, "http://127.0.0.1:9") as house:
        assert house.service.api_url is None
        assert house.service.readiness.verdict().ready
    assert house.service.readiness.verdict().state == "draining"
