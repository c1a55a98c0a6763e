"""Calls that name a sync or a credential: what travels, what is committed, what is refused."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import orjson
import psycopg
import pytest
import pytest_asyncio
from neighbours.house import BASE, House, add_sync, open_house
from neighbours.keyring import new_key
from neighbours.rawclient import Answer, connect, request_bytes
from neighbours.recorder import Recorder, Reply, http
from neighbours.rows import dsn_of

from httpproxy.store.credentials.values import Credential, CredentialDraft, TokenPair
from httpproxy.store.registry import Sync

pytestmark = pytest.mark.asyncio(loop_scope="module")

OWN = "pat-of-the-sync-itself"
JSON_TYPE = ("Content-Type", "application/json; charset=utf-8")
TASKS = f"/v0/{BASE}/Tasks"
RECORD = (
    b'{"id":"rec00000000000001","createdTime":"2026-01-02T03:04:05.000Z","fields":{"Name":"x"}}'
)


@pytest.fixture(scope="module")
def proxy_dsn(postgres_dsn: str, template_database: str) -> Iterator[str]:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE proxy_api TEMPLATE {template_database}")
        yield dsn_of(postgres_dsn, "proxy_api")
        connection.execute("DROP DATABASE proxy_api WITH (FORCE)")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recorder() -> AsyncIterator[Recorder]:
    async with Recorder() as recorder:
        yield recorder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(
    proxy_dsn: str, tmp_path_factory: pytest.TempPathFactory, recorder: Recorder
) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("house")
    async with open_house(
        proxy_dsn, folder, recorder.url, roles=("api",), max_request_bytes=100_000
    ) as house:
        yield house


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sync(house: House) -> Sync:
    return await add_sync(house, "airtable")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def key(house: House) -> str:
    return await new_key(house, "write")


@pytest.fixture
def upstream(recorder: Recorder) -> Iterator[Recorder]:
    recorder.forget()
    recorder.usual = http(200, JSON_TYPE, body=RECORD)
    yield recorder
    recorder.forget()


async def ask(
    house: House,
    key: str,
    target: str,
    *more: tuple[str, str],
    method: str = "GET",
    body: bytes | None = None,
) -> Answer:
    """A call behind /v1/proxy."""
    at = urlsplit(house.service.api_url or "")
    headers = [JSON_TYPE, ("Authorization", f"Bearer {key}"), *more]
    if body is None and method not in ("GET", "HEAD", "OPTIONS"):
        body = b'{"fields":{"Name":"x"}}'
    async with connect(at.hostname or "", at.port or 0) as client:
        return await client.exchange(request_bytes(method, f"/v1/proxy{target}", headers, body))


def refused(answer: Answer, status: int, code: str, source: str = "proxy") -> dict[str, Any]:
    """A problem with this code."""
    problem: dict[str, Any] = orjson.loads(answer.body)
    told = (answer.status, problem["code"], problem["source"])
    assert told == (status, code, source), problem
    assert answer.get("Content-Type") == "application/problem+json"
    if source == "proxy":
        assert (problem["sent"], problem["retry_safe"]) == ("no", True)
        assert answer.get("Proxy-Status").startswith("httpproxy; error=")
        assert answer.get("Httpproxy-Commit").startswith("none; rows=0; request-id=")
    return problem


async def free_credential(house: House, account: str = "appFree0000000001") -> Credential:
    """One that no sync uses."""
    draft = CredentialDraft("airtable", account, "airtable_token", TokenPair("pl4nted-free"))
    saved, _ = await house.service.office.registry.credentials.save(draft)
    return saved


# --- what travels --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rest",
    [
        f"{TASKS}",
        f"/v0/{BASE}/Tasks%2Fsub?",
        f"//v0//{BASE}/Tasks?x=%20&y=a+b&z=%41",
        f"/v0/{BASE}/B%C3%BCro?filterByFormula={{x}}".replace("{", "%7B").replace("}", "%7D"),
        f"/v0/{BASE}/Tasks?long={'a' * 16_000}",
    ],
)
async def test_what_stands_behind_the_id_arrives_as_it_was_sent(
    rest: str, house: House, sync: Sync, key: str, upstream: Recorder
) -> None:
    for before in ("", "/api.airtable.com", "/https://api.airtable.com"):
        answer = await ask(house, key, f"/sync/{sync.id}{before}{rest}")
        assert (answer.status, answer.body) == (200, RECORD)
        assert upstream.seen[-1].target == rest


async def test_a_write_by_the_syncs_name_is_committed_with_the_stored_credential(
    house: House, sync: Sync, key: str, upstream: Recorder
) -> None:
    upstream.usual = http(
        200, JSON_TYPE, ("X-Request-Id", "theirs"), ("Set-Cookie", "a=b"), ("X-A", "1"),
        ("Clear-Site-Data", "*"), body=RECORD,
    )  # fmt: skip
    cookie = ("Cookie", "console=pl4nted-cookie")
    answer = await ask(
        house, key, f"/sync/{sync.name.replace(' ', '%20')}{TASKS}", cookie, method="POST"
    )
    assert (answer.status, answer.body) == (200, RECORD)
    assert answer.get("Httpproxy-Commit").startswith("applied; rows=1; request-id=")
    assert answer.get("Proxy-Status") == "httpproxy; received-status=200"
    assert (answer.get("X-Request-Id"), answer.get("X-A")) == ("theirs", "1")
    assert answer.all("Set-Cookie") == answer.all("Clear-Site-Data") == []
    (seen,) = upstream.seen
    assert seen.all("Authorization") == [f"Bearer {OWN}"]
    assert seen.all("Cookie") == []
    assert seen.all("Via") == ["1.1 httpproxy"]
    assert key.encode() not in seen.head.raw + seen.body
    with psycopg.connect(house.dsn) as connection:
        query = "SELECT name FROM airtable_house.tasks WHERE id = 'rec00000000000001'"
        assert connection.execute(query).fetchone() == ("x",)


async def test_answers_without_a_body_and_of_other_methods_pass(
    house: House, sync: Sync, key: str, upstream: Recorder
) -> None:
    upstream.usual = Reply((b"HTTP/1.1 200 OK\r\nContent-Length: 89\r\n\r\n",))
    head = await ask(house, key, f"/sync/{sync.id}{TASKS}", method="HEAD")
    assert (head.status, head.body, head.get("Content-Length")) == (200, b"", "89")
    upstream.usual = http(204, ("Allow", "GET"))
    asked = ("Max-Forwards", "3")
    options = await ask(house, key, f"/sync/{sync.id}{TASKS}", asked, method="OPTIONS")
    assert (options.status, options.body, options.get("Allow")) == (204, b"", "GET")
    assert [seen.method for seen in upstream.seen] == ["HEAD", "OPTIONS"]
    assert upstream.seen[-1].all("Max-Forwards") == ["2"]


async def test_what_the_api_refuses_is_its_own_answer(
    house: House, sync: Sync, key: str, upstream: Recorder
) -> None:
    upstream.usual = http(422, JSON_TYPE, body=b'{"error":{"type":"X"}}')
    answer = await ask(house, key, f"/sync/{sync.id}{TASKS}", method="POST")
    assert (answer.status, answer.body) == (422, b'{"error":{"type":"X"}}')
    assert answer.get("Httpproxy-Commit").startswith("none; ")


# --- which keys open what ------------------------------------------------------------------


async def test_a_key_that_reads_writes_nothing_and_is_told_so_as_the_client_reads_it(
    house: House, sync: Sync, upstream: Recorder
) -> None:
    reader = await new_key(house, "read")
    assert (await ask(house, reader, f"/sync/{sync.id}{TASKS}")).status == 200
    upstream.forget()
    answer = await ask(house, reader, f"/sync/{sync.id}{TASKS}", method="POST")
    assert "scope write" in refused(answer, 403, "key_not_allowed")["error"]["message"]
    free = await free_credential(house)
    path = f"/credential/{free.id}/v0/{free.account}/Tasks"
    refused(await ask(house, reader, path, method="POST"), 403, "key_not_allowed")
    assert upstream.seen == []


async def test_a_key_of_one_sync_reaches_that_one_and_no_credential(
    house: House, sync: Sync, upstream: Recorder
) -> None:
    other = await add_sync(house, "hubspot", name="other")
    own = await new_key(house, "write", sync_id=sync.id)
    assert (await ask(house, own, f"/sync/{sync.id}{TASKS}")).status == 200
    upstream.forget()
    for path in (
        f"/sync/{other.id}/x",
        "/sync/nobody/x",
        f"/credential/{sync.credential_id}/x",
    ):
        refused(await ask(house, own, path), 403, "key_not_allowed", "api")
    assert upstream.seen == []


async def test_without_a_key_or_a_sync_nothing_is_forwarded(
    house: House, sync: Sync, key: str, upstream: Recorder
) -> None:
    refused(await ask(house, "hpk_x", f"/sync/{sync.id}{TASKS}"), 401, "key_required", "api")
    refused(await ask(house, key, f"/sync/nobody{TASKS}"), 404, "unknown_sync", "api")
    path = f"/credential/nobody{TASKS}"
    refused(await ask(house, key, path), 404, "unknown_credential", "api")
    assert upstream.seen == []


@pytest.mark.parametrize(
    ("rest", "why"),
    [
        ("/v9/x", (404, "unsupported_path")),
        ("/api.hubapi.com/crm/v3/objects/contacts", (404, "unsupported_path")),
        ("/api.hubspot.com/crm/v3/objects/contacts", (404, "unknown_address")),
        ("/v0/appOther000000001/Tasks", (403, "path_of_another_account")),
        (f"/v0/{BASE}/../x", (400, "bad_target")),
        (f"/v0/{BASE}/%2e%2e/x", (400, "bad_target")),
        (f"/v0/{BASE}/Tasks?{'a' * 17_000}", (414, "target_too_long")),
    ],
)
async def test_what_the_gateway_refuses_is_refused_here(
    rest: str, why: tuple[int, str], house: House, sync: Sync, key: str, upstream: Recorder
) -> None:
    refused(await ask(house, key, f"/sync/{sync.id}{rest}"), *why)
    assert upstream.seen == []


async def test_a_body_over_the_limit_is_refused(
    house: House, sync: Sync, key: str, upstream: Recorder
) -> None:
    answer = await ask(
        house, key, f"/sync/{sync.id}{TASKS}", method="POST", body=b"x" * 100_001
    )
    refused(answer, 413, "body_too_large", "api")
    assert upstream.seen == []


# --- by credential -------------------------------------------------------------------------


async def test_the_one_sync_of_a_credential_commits(
    house: House, sync: Sync, key: str, upstream: Recorder
) -> None:
    path = f"/credential/{sync.credential_id}{TASKS}"
    answer = await ask(house, key, path, method="POST")
    assert answer.get("Httpproxy-Commit").startswith("applied; ")
    assert upstream.seen[-1].all("Authorization") == [f"Bearer {OWN}"]


async def test_of_several_syncs_none_is_chosen_for_a_write(
    house: House, key: str, upstream: Recorder
) -> None:
    one = await add_sync(house, "hubspot", name="one")
    two = await add_sync(house, "hubspot", name="two")
    assert one.credential_id == two.credential_id
    path = f"/credential/{one.credential_id}/crm/v3/objects/contacts"
    assert (await ask(house, key, path)).status == 200
    upstream.forget()
    problem = refused(await ask(house, key, path, method="POST"), 409, "several_syncs")
    assert "hubspot one, hubspot two" in problem["message"]
    assert upstream.seen == []


async def test_without_a_sync_a_call_passes_within_the_rate_and_is_committed_nowhere(
    house: House, key: str, upstream: Recorder
) -> None:
    free = await free_credential(house)
    path = f"/credential/{free.id}/v0/{free.account}/Tasks"
    began = time.monotonic()
    answers = await asyncio.gather(
        *(ask(house, key, path, method="POST") for _ in range(3)),
        *(ask(house, key, path) for _ in range(4)),
    )
    assert time.monotonic() - began >= 1.0, "five a second is Airtable's own rate"
    told = [answer.get("Httpproxy-Commit").split(";")[0] for answer in answers]
    assert told == ["unmapped"] * 3 + ["none"] * 4
    assert {tuple(s.all("Authorization")) for s in upstream.seen} == {("Bearer pl4nted-free",)}
    upstream.forget()
    other = f"/credential/{free.id}{TASKS}"
    refused(await ask(house, key, other), 403, "path_of_another_account")
    dry = ("Httpproxy-Dry-Run", "?1")
    refused(await ask(house, key, path, dry, method="POST"), 400, "bad_header")
    assert upstream.seen == []


# --- dry runs, repetitions, trouble --------------------------------------------------------


async def test_a_dry_run_sends_nothing_and_a_repetition_nothing_again(
    house: House, sync: Sync, key: str, upstream: Recorder
) -> None:
    path = f"/sync/{sync.id}{TASKS}"
    dry = await ask(house, key, path, ("Httpproxy-Dry-Run", "?1"), method="POST")
    assert orjson.loads(dry.body)["dry_run"] is True
    assert upstream.seen == []
    once = ("Idempotency-Key", "once-by-proxy")
    first = await ask(house, key, path, once, method="POST")
    again = await ask(house, key, path, once, method="POST")
    assert again.get("Idempotency-Replayed") == "true"
    assert (again.status, again.body) == (first.status, first.body)
    assert len(upstream.seen) == 1


async def test_an_answer_that_is_none_is_told_as_the_gateway_does(
    house: House, sync: Sync, key: str, upstream: Recorder
) -> None:
    free = await free_credential(house)
    upstream.usual = http(200, ("Content-Length", "x"))
    for path in (f"/sync/{sync.id}{TASKS}", f"/credential/{free.id}/v0/{free.account}/T"):
        answer = await ask(house, key, path, method="POST")
        problem = orjson.loads(answer.body)
        assert (answer.status, problem["code"]) == (502, "upstream_failed")
        assert (problem["sent"], problem["retry_safe"]) == ("yes", False)
        assert problem["error"]["type"]


async def test_a_compressed_body_travels_as_it_is(
    house: House, sync: Sync, key: str, upstream: Recorder
) -> None:
    body = gzip.compress(b'{"fields":{"Name":"x"}}')
    coding = ("Content-Encoding", "gzip")
    path = f"/sync/{sync.id}{TASKS}"
    answer = await ask(house, key, path, coding, method="POST", body=body)
    assert answer.status == 200
    (seen,) = upstream.seen
    assert (seen.body, seen.all("Content-Encoding")) == (body, ["gzip"])


@pytest.mark.parametrize(
    "sent",
    [b"GET /v1/x?" + b"a" * 40_001 + b" HTTP/1.1\r\n", b"nonsense\r\n", b"GET / HTTP/9\r\n"],
)
async def test_what_is_no_request_is_a_problem_like_every_other(
    sent: bytes, house: House, caplog: pytest.LogCaptureFixture
) -> None:
    at = urlsplit(house.service.api_url or "")
    async with connect(at.hostname or "", at.port or 0) as client:
        answer = await client.exchange(sent + b"Host: x\r\n\r\n")
    refused(answer, 400, "bad_request", "api")
    assert answer.get("X-Request-Id") == orjson.loads(answer.body)["request_id"]
    # A background sync may say what it likes meanwhile.
    doors = ("aiohttp", "asyncio", "httpproxy.api")
    assert not [said for said in caplog.records if said.name.startswith(doors)]
