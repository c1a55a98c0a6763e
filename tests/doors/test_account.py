"""A token of another account changes nothing here and is not forwarded."""

from __future__ import annotations

import asyncio

import pytest
from cases import AIRTABLE, JSON_TYPE, RECORD, TASKS
from neighbours.door import Door
from neighbours.problem import assert_problem
from neighbours.rawclient import Answer, connect, request_bytes
from neighbours.recorder import Recorder, Reply, http

pytestmark = pytest.mark.asyncio(loop_scope="module")

HUBSPOT = "api.hubapi.com"
PRIVATE_INFO = "/oauth/v2/private-apps/get/access-token-info"
OAUTH_INFO = "/oauth/v1/access-tokens/"
CONTACT = b'{"id":"1","properties":{},"archived":false}'
UNKNOWN = http(401, JSON_TYPE, body=b'{"status":"error","category":"INVALID_AUTHENTICATION"}')


def knows(upstream: Recorder, portal: int) -> None:
    """The upstream says that any token belongs to this portal."""
    private = b'{"userId":1,"hubId":%d,"appId":2,"scopes":[]}' % portal
    oauth = b'{"token":"t","hub_id":%d,"user":"u@x.example","scopes":[]}' % portal
    upstream.by_target[PRIVATE_INFO] = http(200, JSON_TYPE, body=private)
    upstream.by_target[OAUTH_INFO] = http(200, JSON_TYPE, body=oauth)
    upstream.usual = http(201, JSON_TYPE, body=CONTACT)


async def write(door: Door, token: str | None) -> Answer:
    headers = (
        [JSON_TYPE] if token is None else [JSON_TYPE, ("Authorization", f"Bearer {token}")]
    )
    async with connect(door.host, door.port) as client:
        return await client.exchange(
            request_bytes(
                "POST", f"{door.root(HUBSPOT)}/crm/v3/objects/contacts", headers, b"{}"
            )
        )


def forwarded(upstream: Recorder) -> list[str]:
    return [t for t in upstream.targets() if not t.startswith("/oauth/")]


@pytest.mark.parametrize("token", ["pat-na1-other-1", "CJSOtherOAuth1"])
async def test_a_token_of_another_portal_is_403_and_nothing_is_forwarded(
    token: str, hub: Door, upstream: Recorder
) -> None:
    knows(upstream, 999)
    for _ in range(2):
        answer = await write(hub, token)
        assert answer.status == 403
        problem = assert_problem(answer)
        assert problem["code"] == "token_of_another_account"
        assert problem["message"] == problem["message"].strip() != ""
        assert token.encode() not in answer.head.raw + answer.body
    assert forwarded(upstream) == []
    assert len(upstream.seen) == 1, "the answer about a token is remembered"


@pytest.mark.parametrize("token", ["pat-na1-own-1", "CJSOwnOAuth1"])
async def test_a_token_of_the_portal_is_asked_for_once_and_forwarded(
    token: str, hub: Door, upstream: Recorder
) -> None:
    knows(upstream, 123456)
    for _ in range(3):
        assert (await write(hub, token)).status == 201
    assert len(forwarded(upstream)) == 3
    assert len(upstream.seen) == 4
    assert {tuple(s.all("Authorization")) for s in upstream.seen[1:]} == {(f"Bearer {token}",)}


async def test_calls_that_come_while_a_token_is_asked_for_wait_for_the_one_answer(
    hub: Door, upstream: Recorder
) -> None:
    knows(upstream, 123456)
    answers = await asyncio.gather(*[write(hub, "pat-na1-at-once") for _ in range(12)])
    assert [answer.status for answer in answers] == [201] * 12
    assert len(upstream.seen) - len(forwarded(upstream)) == 1


async def test_all_calls_that_wait_for_one_answer_about_a_token_get_the_same_refusal(
    hub: Door, upstream: Recorder
) -> None:
    all_wait = asyncio.Event()
    refusal = http(403, JSON_TYPE, body=b"{}")
    upstream.by_target["/oauth/"] = Reply((all_wait, *refusal.parts))
    asking = [asyncio.ensure_future(write(hub, "pat-na1-undecided")) for _ in range(6)]
    await upstream.has(seen=1)
    for _ in range(50):  # turns of the loop that they share with the gateway
        await asyncio.sleep(0.01)
    all_wait.set()
    answers = await asyncio.gather(*asking)
    assert {answer.status for answer in answers} == {502}
    assert {assert_problem(answer)["code"] for answer in answers} == {"account_unknown"}
    assert len(upstream.seen) == 1


async def test_a_token_that_the_api_does_not_know_gets_the_apis_own_401(
    hub: Door, upstream: Recorder
) -> None:
    upstream.by_target["/oauth/"] = UNKNOWN
    upstream.usual = UNKNOWN
    answer = await write(hub, "pat-na1-expired")
    assert answer.status == 401
    assert answer.body == b'{"status":"error","category":"INVALID_AUTHENTICATION"}'
    assert forwarded(upstream) == ["/crm/v3/objects/contacts"]


async def test_nothing_is_committed_for_a_token_of_unknown_account(
    hub: Door, upstream: Recorder
) -> None:
    """The API took a token that it had not known a moment before."""
    upstream.by_target["/oauth/"] = UNKNOWN
    upstream.usual = http(201, JSON_TYPE, body=CONTACT)
    answer = await write(hub, "pat-na1-just-made")
    assert (answer.status, answer.body) == (201, CONTACT)
    assert answer.get("Httpproxy-Commit").startswith("unmapped; rows=0; ")


async def test_without_a_token_the_api_says_so_itself(hub: Door, upstream: Recorder) -> None:
    upstream.usual = UNKNOWN
    assert (await write(hub, None)).status == 401
    assert upstream.targets() == ["/crm/v3/objects/contacts"]


async def test_an_api_that_will_not_say_whose_token_it_is_gets_nothing_forwarded(
    hub: Door, upstream: Recorder
) -> None:
    upstream.by_target["/oauth/"] = http(403, JSON_TYPE, body=b"{}")
    answer = await write(hub, "pat-na1-odd")
    assert answer.status == 502
    assert assert_problem(answer)["code"] == "account_unknown"
    assert forwarded(upstream) == []


@pytest.mark.parametrize(
    "path",
    [
        "/v0/appOther000000001/Tasks",
        "/v0/APPHOUSE000000001/Tasks",
        "/v0/appHouse000000001%20/Tasks",
        "/v0/meta/bases/appOther000000001/tables",
        "/v0/bases/appOther000000001/webhooks",
    ],
)
async def test_a_path_of_another_base_is_403_and_nothing_is_forwarded(
    path: str, door: Door, upstream: Recorder
) -> None:
    async with connect(door.host, door.port) as client:
        for method in ("GET", "POST"):
            sent = request_bytes(method, door.root(AIRTABLE) + path, [JSON_TYPE], b"{}")
            answer = await client.exchange(sent)
            assert answer.status in (403, 404)
            assert assert_problem(answer)["code"] in (
                "path_of_another_account",
                "unsupported_path",
            )
    assert upstream.seen == []


async def test_the_base_may_be_spelled_with_percents_and_is_compared_decoded(
    door: Door, upstream: Recorder
) -> None:
    upstream.usual = http(200, JSON_TYPE, body=RECORD)
    target = door.root(AIRTABLE) + TASKS.replace("appHouse", "app%48ouse")
    async with connect(door.host, door.port) as client:
        answer = await client.exchange(request_bytes("GET", target))
    assert answer.status == 200
    assert upstream.targets() == [TASKS.replace("appHouse", "app%48ouse")]


async def test_one_sync_cannot_be_reached_by_the_host_of_another_api(
    door: Door, hub: Door, upstream: Recorder
) -> None:
    for where, api in ((door, HUBSPOT), (hub, AIRTABLE)):
        async with connect(where.host, where.port) as client:
            answer = await client.exchange(request_bytes("GET", where.root(api) + TASKS))
        assert answer.status == 404
        assert assert_problem(answer)["code"] == "unknown_address"
    assert upstream.seen == []


async def test_unknown_ids_and_unknown_hosts_get_the_same_answer(
    door: Door, upstream: Recorder
) -> None:
    for host in ("other.example", HUBSPOT):
        answers = []
        for unique_id in ("unknown", door.unique_id):
            async with connect(door.host, door.port) as client:
                target = f"/{unique_id}/{host}{TASKS}"
                answer = await client.exchange(request_bytes("GET", target))
            request_id = str(assert_problem(answer)["request_id"]).encode()
            answers.append((answer.status, answer.body.replace(request_id, b"")))
        assert answers[0] == answers[1]
    assert upstream.seen == []


async def test_a_host_that_is_mistaken_for_the_api_gets_a_hint(hub: Door) -> None:
    async with connect(hub.host, hub.port) as client:
        target = f"{hub.root('api.hubspot.com')}/crm/v3/objects/contacts"
        problem = assert_problem(await client.exchange(request_bytes("GET", target)))
    assert "api.hubapi.com" in problem["detail"]
