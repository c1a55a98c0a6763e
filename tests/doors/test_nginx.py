"""The shipped nginx.conf: what it hands on, what it never does, and what it says itself.

A recorder stands where the gateway would, so that what nginx does is seen by itself; the
tables of exchanges, which run behind nginx too, see both together.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest
import pytest_asyncio
from neighbours import h2
from neighbours.deadends import refusing
from neighbours.nginx import ADDRESS, CONSOLE_NAME, PROXY_NAME, Nginx, open_nginx
from neighbours.problem import assert_problem, by_nginx
from neighbours.rawclient import Answer, connect, request_bytes
from neighbours.recorder import DROP, HANG, Recorder, Reply, http, raw

pytestmark = pytest.mark.asyncio(loop_scope="module")

TARGET = "/SECRETuniqueid/api.airtable.com/v0/appX/My%2FTable%20a//b?filter=SECRETquery"
TOKEN = ("Authorization", "Bearer SECRETtoken")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def console() -> AsyncIterator[Recorder]:
    async with Recorder() as recorder:
        yield recorder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nginx(
    recorder: Recorder, console: Recorder, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Nginx]:
    """nginx as shipped."""
    folder = tmp_path_factory.mktemp("nginx")
    async with open_nginx(folder, recorder.port, console.port) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hasty(
    recorder: Recorder, console: Recorder, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Nginx]:
    """nginx with less patience, and two gateways, one of which is down."""
    with refusing() as nowhere:
        async with _hasty(
            recorder, console, tmp_path_factory.mktemp("hasty"), nowhere.rpartition(":")[2]
        ) as running:
            yield running


@asynccontextmanager
async def _hasty(
    recorder: Recorder, console: Recorder, folder: Path, nobody: str
) -> AsyncIterator[Nginx]:
    server = f"server {ADDRESS}:{recorder.port} max_fails=2 fail_timeout=5s;"
    changes = {
        server: f"{server.replace('max_fails=2', 'max_fails=0')}\n"
        f"server {ADDRESS}:{recorder.port} max_fails=0;",
        f"upstream management {{\n        server {ADDRESS}:{console.port};": (
            f"upstream management {{\n        server {ADDRESS}:{nobody};"
        ),
        "client_header_timeout 10s;": "client_header_timeout 500ms;",
        "client_body_timeout 10s;": "client_body_timeout 500ms;",
        "proxy_read_timeout 180s;": "proxy_read_timeout 3s;",
        "rate=200r/s;": "rate=1r/s;",
        "burst=400 nodelay;": "burst=40 nodelay;",
        "limit_conn connections 256;": "limit_conn connections 3;",
        "allow 127.0.0.1; ": "allow 192.0.2.1; ",
    }
    async with open_nginx(folder, recorder.port, console.port, changes) as running:
        yield running


async def ask(
    nginx: Nginx,
    method: str = "GET",
    target: str = TARGET,
    *pairs: tuple[str, str],
    body: bytes | None = None,
) -> Answer:
    async with connect(ADDRESS, nginx.port, nginx.tls) as client:
        return await client.exchange(request_bytes(method, target, (TOKEN, *pairs), body))


def problem(answer: Answer, code: str) -> dict[str, object]:
    assert by_nginx(answer)
    members = assert_problem(answer)
    assert members["code"] == code
    assert answer.get("Referrer-Policy") == "no-referrer"
    # What the clients of the APIs read.
    assert code in members["error"]["message"]
    assert members["message"] == members["error"]["message"]
    assert members["correlationId"] == members["request_id"]
    return members


async def test_the_gateway_gets_what_the_client_sent_and_whose_it_is(
    nginx: Nginx, upstream: Recorder
) -> None:
    pairs = (
        ("X_Under", "1"), ("X-A", "1"), ("x-a", "2"), ("Forwarded", "for=1.1.1.1"),
        ("X-Forwarded-For", "1.1.1.1"), ("X-Real-IP", "1.1.1.1"), ("X-Forwarded-Host", "h"),
        ("Upgrade", "websocket"), ("Connection", "upgrade"),
    )  # fmt: skip
    await ask(nginx, "POST", TARGET, *pairs, body=b"x" * 300_000)
    (seen,) = upstream.seen
    assert (seen.method, seen.target, seen.version) == ("POST", TARGET, "HTTP/1.1")
    assert seen.body == b"x" * 300_000
    assert seen.all("Host") == ["proxy.example"]
    assert seen.all("X-Forwarded-For") == ["127.0.0.1"]
    assert seen.all("X-Forwarded-Proto") == ["https"]
    assert seen.all("X_Under") == ["1"]
    assert seen.all("X-A") == ["1", "2"]
    for name in ("Forwarded", "X-Real-IP", "X-Forwarded-Host", "Upgrade"):
        assert seen.all(name) == []


async def test_connections_to_the_gateway_stay_open(nginx: Nginx, upstream: Recorder) -> None:
    for usual in ("close", "keep-alive", "Close"):
        await ask(nginx, "GET", TARGET, ("Connection", usual))
    assert len({seen.connection for seen in upstream.seen}) == 1


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST"])
async def test_what_was_sent_is_sent_once_and_nothing_is_promised_of_it(
    method: str, hasty: Nginx, upstream: Recorder
) -> None:
    upstream.usual = DROP
    answer = await ask(hasty, method, body=None if method == "GET" else b"{}")
    assert answer.status == 502
    members = problem(answer, "gateway_unavailable")
    assert members["sent"] == "unknown"
    assert members["retry_safe"] is (method == "GET")
    assert len(upstream.seen) == 1


async def test_a_gateway_that_says_nothing_is_504(hasty: Nginx, upstream: Recorder) -> None:
    upstream.usual = HANG
    answer = await ask(hasty, "PATCH", body=b"{}")
    assert answer.status == 504
    members = problem(answer, "gateway_timeout")
    assert (members["sent"], members["retry_safe"]) == ("unknown", False)
    assert len(upstream.seen) == 1


async def test_what_could_not_be_sent_may_be_sent_again(hasty: Nginx) -> None:
    """The management door of `hasty` is down; the gateway's would be answered the same."""
    answer = await ask(hasty, "POST", "/v1/syncs", ("Host", CONSOLE_NAME), body=b"{}")
    assert answer.status == 502
    members = problem(answer, "gateway_unavailable")
    assert (members["sent"], members["retry_safe"]) == ("no", True)
    assert answer.get("Retry-After") == "1"


@pytest.mark.parametrize(
    "reply",
    [
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}"),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
    ],
    ids=["length", "chunks"],
)
async def test_half_an_answer_never_becomes_a_whole_one(
    reply: Reply, nginx: Nginx, upstream: Recorder
) -> None:
    upstream.usual = reply
    try:
        answer = await ask(nginx)
    except (asyncio.IncompleteReadError, ConnectionError, ValueError):
        return  # broken off, and the client knows
    assert answer.status == 502


async def test_a_large_answer_arrives_whole(nginx: Nginx, upstream: Recorder) -> None:
    large = bytes(range(256)) * 64 * 1024  # 16 MiB
    upstream.usual = http(200, ("Content-Encoding", "x-odd"), body=large)
    answer = await ask(nginx)
    assert answer.body == large
    assert answer.all("Content-Encoding") == ["x-odd"]


async def test_an_answer_cannot_make_nginx_fetch_something_else(
    nginx: Nginx, upstream: Recorder
) -> None:
    upstream.usual = http(200, ("X-Accel-Redirect", "/nginx-problem"), body=b"theirs")
    answer = await ask(nginx)
    assert (answer.status, answer.body) == (200, b"theirs")
    assert len(upstream.seen) == 1


async def test_no_path_reaches_what_is_internal(nginx: Nginx, upstream: Recorder) -> None:
    answer = await ask(nginx, "GET", "/nginx-problem")
    assert answer.status == 404
    problem(answer, "unknown_address")
    assert upstream.seen == []


async def test_what_is_too_large_or_too_much_is_refused_in_our_form(
    nginx: Nginx, upstream: Recorder
) -> None:
    async with connect(ADDRESS, nginx.port, nginx.tls) as client:
        await client.send(request_bytes("POST", TARGET, [("Content-Length", "17000000")]))
        answer = await client.answer()
    assert (answer.status, problem(answer, "body_too_large")["sent"]) == (413, "no")
    answer = await ask(nginx, "GET", "/" + "a" * 50_000)
    assert (answer.status, problem(answer, "target_too_long")["sent"]) == (414, "no")
    answer = await ask(nginx, "GET", TARGET, ("X-A", "a" * 50_000))
    assert (answer.status, problem(answer, "headers_too_large")["sent"]) == (431, "no")
    assert upstream.seen == []


async def test_http_without_tls_is_refused(nginx: Nginx, upstream: Recorder) -> None:
    async with connect(ADDRESS, nginx.port) as client:
        answer = await client.exchange(request_bytes("GET", TARGET))
    assert answer.status == 400
    problem(answer, "bad_request")
    assert upstream.seen == []


async def test_clients_may_speak_http_2(nginx: Nginx, upstream: Recorder) -> None:
    upstream.usual = http(200, body=b"by HTTP/1.1 from the gateway")
    tls = ssl.create_default_context(cafile=nginx.authority)
    fields = (
        (":method", "GET"), (":scheme", "https"), (":authority", PROXY_NAME), (":path", TARGET),
        ("x_under", "1"), ("x-forwarded-for", "1.1.1.1"),
    )  # fmt: skip
    assert await h2.get(nginx.port, tls, fields) == b"by HTTP/1.1 from the gateway"
    (seen,) = upstream.seen
    assert (seen.target, seen.version) == (TARGET, "HTTP/1.1")
    assert seen.all("Host") == [PROXY_NAME]
    assert seen.all("X_Under") == ["1"]
    assert seen.all("X-Forwarded-For") == ["127.0.0.1"]


async def test_the_console_is_another_origin(
    nginx: Nginx, upstream: Recorder, console: Recorder
) -> None:
    console.forget()
    console.usual = http(200, ("Set-Cookie", "a=b"), body=b"console")
    answer = await ask(nginx, "GET", "/v1/syncs", ("Host", CONSOLE_NAME))
    assert answer.body == b"console"
    assert answer.all("Strict-Transport-Security") == ["max-age=31536000"]
    assert upstream.seen == []
    for host in (PROXY_NAME, "other.example", "127.0.0.1"):
        await ask(nginx, "GET", "/v1/syncs", ("Host", host))
    assert (len(console.seen), len(upstream.seen)) == (1, 3)


@pytest.mark.parametrize("path", ["/metrics", "/readyz"])
async def test_what_tells_of_the_inside_is_not_public(
    path: str, nginx: Nginx, hasty: Nginx, upstream: Recorder, console: Recorder
) -> None:
    console.forget()
    answer = await ask(hasty, "GET", path, ("Host", CONSOLE_NAME))
    assert answer.status == 403
    problem(answer, "forbidden")
    assert console.seen == []
    assert (await ask(nginx, "GET", path, ("Host", CONSOLE_NAME))).status == 200
    assert (console.targets(), upstream.seen) == ([path], [])


async def test_a_client_that_is_too_slow_is_hung_up_on(
    hasty: Nginx, upstream: Recorder
) -> None:
    whole = request_bytes("POST", TARGET, [TOKEN], b"x" * 1000)
    for part in (whole[:60], whole[:-10]):
        async with connect(ADDRESS, hasty.port, hasty.tls) as client:
            await client.send(part)
            assert await client.rest() == b""
    assert upstream.seen == []


async def test_one_address_gets_so_many_calls_at_once_and_no_more(
    hasty: Nginx, upstream: Recorder
) -> None:
    refused_three = asyncio.Event()
    upstream.usual = Reply((refused_three, *http(200).parts))
    asked = [asyncio.ensure_future(ask(hasty)) for _ in range(6)]
    async with asyncio.timeout(60):
        while sum(each.done() for each in asked) < 3:  # noqa: ASYNC110 - whichever they are
            await asyncio.sleep(0.01)
    refused_three.set()
    answers = await asyncio.gather(*asked)
    refused = [answer for answer in answers if answer.status == 429]
    assert len(refused) == 3 == len(upstream.seen)
    for answer in refused:
        assert problem(answer, "too_many_requests")["sent"] == "no"
        assert answer.get("Retry-After") == "1"
    upstream.usual = http(200)
    statuses = [(await ask(hasty)).status for _ in range(60)]
    assert set(statuses) == {200, 429}


async def test_no_log_tells_an_id_a_query_or_a_token(
    nginx: Nginx, hasty: Nginx, upstream: Recorder
) -> None:
    """Last in this file: in the whole suite nginx has met everything above by now."""
    wanted = {"400", "413", "414", "431"}
    for each in (nginx, hasty):
        await ask(each, "GET", TARGET, ("Referer", "https://x/SECRETuniqueid"))
        large = ("Content-Length", "17000000")
        async with connect(ADDRESS, each.port, each.tls) as client:
            await client.send(request_bytes("POST", TARGET, [TOKEN, large]))
            await client.answer()
        await ask(each, "GET", "/SECRET" + "a" * 50_000)
        await ask(each, "GET", TARGET, ("X-A", "SECRET" + "a" * 50_000))
        async with connect(ADDRESS, each.port) as client:  # without TLS
            await client.exchange(request_bytes("GET", TARGET, [TOKEN]))
        async with connect(ADDRESS, each.port, each.tls) as client:
            await client.send(b"SECRETmethod /SECRETuniqueid SECRET\r\n\r\n")
            await client.rest()
        async with asyncio.timeout(60):  # a line is written after its answer
            while not wanted <= {line["status"] for line in _lines(each)}:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert "SECRET" not in each.access_log.read_text() + each.error_log.read_text()
        lines = _lines(each)
        assert any(
            line["target"] == "/-/api.airtable.com/v0/appX/My%2FTable%20a//b" for line in lines
        )
        assert all(len(line["request"]) == 32 for line in lines)
    assert "200" in {line["status"] for line in _lines(nginx)}


def _lines(of: Nginx) -> list[dict[str, str]]:
    """What was logged of each request, as far as it is written."""
    whole, _, _ = of.access_log.read_text().rpartition("\n")
    return [orjson.loads(line) for line in whole.splitlines()]


async def test_the_configuration_gives_no_cause_for_complaint(nginx: Nginx) -> None:
    """But for the one directive that Debian's nginx wants spelled in the old way."""
    complaints = [
        line
        for line in nginx.start_log.read_text().splitlines()
        if "[notice]" not in line and '"listen ... http2" directive is deprecated' not in line
    ]
    assert complaints == []
