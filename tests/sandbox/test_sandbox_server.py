"""The sandbox over real sockets: where its APIs are, and what it remembers."""

from __future__ import annotations

import asyncio

import pytest
import requests
from sandboxed import HOST, KIT, TASKS, Sandbox, call

from httpproxy.sandbox.server import SandboxServer
from httpproxy.sandbox.simulators import Simulators
from providers.airtable.provider import AIRTABLE
from providers.catalog import PROVIDERS


async def test_the_host_header_chooses_the_api(box: Sandbox):
    answer = await box.create("by host")
    assert answer.status == 200
    assert answer.json()["fields"]["Name"] == "by host"


async def test_the_first_path_segment_chooses_the_api(box: Sandbox):
    answer = await box.call(
        "POST", f"/{HOST}{TASKS}", {"fields": {"Name": "by path"}}, host="localhost:8090"
    )
    assert answer.status == 200
    assert "by path" in await box.names()


async def test_a_port_in_the_host_header_is_no_part_of_the_name(box: Sandbox):
    answer = await box.call("GET", TASKS, host=f"{HOST}:8090")
    assert answer.status == 200


async def test_every_provider_of_the_catalog_is_served():
    async with SandboxServer(Simulators(PROVIDERS.values()), "127.0.0.1", 0) as server:
        hosts = [h for p in PROVIDERS.values() for h in (*p.hosts, *p.token_hosts)]
        assert dict(server.upstreams) == dict.fromkeys(hosts, server.origin)
        overview = await Sandbox(server).control("GET", "")
    assert set(overview) == set(PROVIDERS)
    assert overview["airtable"]["token"] == KIT.token


async def test_the_example_of_every_provider_works_on_a_fresh_sandbox():
    for provider in PROVIDERS.values():
        simulators = Simulators([provider])
        kit = provider.sandbox
        response = simulators.handle(provider.authorize(kit.example.request, kit.token), 1e9)
        assert response.ok, (provider.name, response.body)


async def test_a_call_for_no_known_api_is_told_which_there_are(box: Sandbox):
    answer = await box.call("GET", "/v0/x", host="api.example.com")
    assert answer.status == 404
    assert answer.json()["error"]["source"] == "sandbox"
    assert HOST in answer.json()["error"]["message"]


async def test_targets_reach_the_simulator_as_they_were_sent(box: Sandbox):
    target = f"//v0/{KIT.account}/Tasks?filterByFormula=%7BName%7D%3D%22a%2Fb%22&x="
    await box.call("GET", target)
    (entry,) = (await box.control("GET", "requests"))["requests"]
    assert entry["target"] == target


async def test_several_calls_share_a_connection(box: Sandbox):
    async with box.connected() as client:
        first = await call(client, "POST", TASKS, {"fields": {"Name": "one"}})
        second = await call(client, "POST", TASKS, {"fields": {"Name": "two"}})
        third = await call(client, "HEAD", TASKS)
    assert (first.status, second.status) == (200, 200)
    assert third.body == b""


async def test_an_expectation_is_met_before_the_body_comes(box: Sandbox):
    body = b'{"fields": {"Name": "patient"}}'
    async with box.connected() as client:
        await client.send(
            f"POST {TASKS} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {KIT.token}\r\n"
            "Content-Type: application/json\r\nExpect: 100-continue\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
        )
        assert (await client.reader.readline()).startswith(b"HTTP/1.1 100 ")
        await client.reader.readline()
        await client.send(body)
        answer = await client.answer("POST")
    assert answer.status == 200


async def test_answers_carry_a_date_and_no_header_the_api_does_not_send(box: Sandbox):
    answer = await box.call("GET", TASKS)
    assert len(answer.all("Date")) == 1
    assert answer.all("Server") == []
    assert len(answer.all("Content-Type")) == 1


async def test_the_journal_tells_what_was_asked_and_masks_tokens(box: Sandbox):
    await box.create("noted")
    await box.call("GET", f"/v0/{KIT.account}/Tasks?q={KIT.token}")
    entries = (await box.control("GET", "requests"))["requests"]
    assert [(e["method"], e["status"], e["applied"]) for e in entries] == [
        ("POST", 200, True),
        ("GET", 200, True),
    ]
    assert "noted" in entries[0]["body"]
    assert ["Authorization", "Bearer …"] in entries[0]["headers"]
    assert KIT.token not in str(entries)


async def test_a_token_inside_a_body_or_a_path_is_masked_too(box: Sandbox):
    await box.call("POST", "/oauth/x", {"tokenKey": "pat-na1-0000-secret"})
    await box.call("GET", "/oauth/v1/access-tokens/CJSecretSecret")
    entries = (await box.control("GET", "requests"))["requests"]
    assert len(entries) == 2
    assert "pat-na1-0000-secret" not in str(entries)
    assert "CJSecretSecret" not in str(entries)


async def test_the_journal_can_be_searched_and_cleared(box: Sandbox):
    await box.create("a")
    await box.names()
    found = await box.control("GET", "requests?method=POST&path=Tasks$")
    assert [e["method"] for e in found["requests"]] == ["POST"]
    await box.control("DELETE", "requests")
    assert (await box.control("GET", "requests"))["requests"] == []


@pytest.mark.parametrize(
    ("query", "field"), [("verb=POST", "verb"), ("path=%5B", "path")], ids=["name", "regex"]
)
async def test_a_search_that_makes_no_sense_is_refused(box: Sandbox, query: str, field: str):
    assert (await box.refused("GET", f"requests?{query}", None))["field"] == field


async def test_reset_brings_the_seeded_state_back(box: Sandbox):
    before = await box.control("GET", "state")
    await box.create("gone")
    await box.order(kind="drop")
    await box.control("POST", "reset")
    assert await box.control("GET", "state") == before
    assert (await box.control("GET", "faults"))["faults"] == []


async def test_state_can_be_taken_and_put_back(box: Sandbox):
    await box.create("kept")
    state = await box.control("GET", "state")
    await box.control("POST", "reset")
    assert "kept" not in await box.names()
    await box.control("PUT", "state", state)
    assert "kept" in await box.names()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"airtable": {"bases": 1}}, "airtable"),
        ({"airtabel": {}}, "airtabel"),
        ([], "body"),
        (b"{", "body"),
    ],
    ids=["shape", "provider", "list", "not JSON"],
)
async def test_a_state_that_cannot_be_loaded_is_refused_and_changes_nothing(
    box: Sandbox, body: object, field: str
):
    before = await box.control("GET", "state")
    assert (await box.refused("PUT", "state", body))["field"] == field
    assert await box.control("GET", "state") == before


async def test_a_switch_changes_behaviour_and_keeps_the_records(box: Sandbox):
    await box.create("still here")
    missing = f"{TASKS}/rec00000000000000"
    assert (await box.call("GET", missing)).status == 403
    positions = await box.control("POST", "switches", {"airtable": {"missing_status": 404}})
    assert positions["airtable"]["missing_status"] == 404
    assert positions == await box.control("GET", "switches")
    assert (await box.call("GET", missing)).status == 404
    assert "still here" in await box.names()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"airtable": {"no_such": 1}}, "airtable.no_such"),
        ({"airtable": {"gzip": 1}}, "airtable.gzip"),
        ({"airtable": {"base_rate": True}}, "airtable.base_rate"),
        ({"airtable": []}, "airtable"),
        ({"nobody": {}}, "nobody"),
    ],
)
async def test_a_switch_that_is_not_there_is_named(box: Sandbox, body: object, field: str):
    assert (await box.refused("POST", "switches", body))["field"] == field


async def test_unknown_paths_and_methods_of_the_side_api_are_told_apart(box: Sandbox):
    nowhere = await box.call("GET", "/_sandbox/nowhere", host="localhost")
    wrong = await box.call("PATCH", "/_sandbox/faults", host="localhost")
    assert (nowhere.status, wrong.status) == (404, 405)
    assert "/_sandbox/faults" in nowhere.json()["error"]["message"]


async def test_a_port_that_is_taken_is_an_os_error(box: Sandbox):
    port = int(box.server.origin.rpartition(":")[2])
    with pytest.raises(OSError, match=str(port)):
        await SandboxServer(Simulators([AIRTABLE]), "127.0.0.1", port).__aenter__()


async def test_an_ordinary_client_needs_only_another_base_url(box: Sandbox):
    answer = await asyncio.to_thread(
        requests.get,
        f"{box.server.origin}/{HOST}{TASKS}",
        headers={"Authorization": f"Bearer {KIT.token}"},
        timeout=60,
    )
    assert answer.status_code == 200
    assert answer.json()["records"]
