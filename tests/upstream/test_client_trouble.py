"""Everything that can go wrong on the way, with real sockets: each trouble has a name
of ours, says whether the call can have been seen, and tells no secret."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import asynccontextmanager

import pytest
from neighbours.certificates import Authority
from neighbours.deadends import blackhole, refusing
from neighbours.recorder import DROP, HANG, RESET, Recorder, Reply, http, raw
from neighbours.rounds import least

from httpproxy.upstream import errors
from httpproxy.upstream.client import MAX_HEADERS, MAX_LINE, UnusableAuthorities, UpstreamClient
from providers.http import Request, headers

HOST = "api.airtable.com"
SECRETS = ("patSECRET", "hidden-query", "unique-id-0123456789", "hidden-body", "hidden-answer")


def secret_call(method: str = "POST") -> Request:
    return Request(
        method,
        HOST,
        "/v0/unique-id-0123456789/Tasks?q=hidden-query",
        headers(("Authorization", "Bearer patSECRET"), ("Content-Type", "application/json")),
        b'{"v": "hidden-body"}' if method not in ("GET", "HEAD") else b"",
    )


async def failure(client: UpstreamClient, method: str = "POST") -> errors.UpstreamError:
    """The error of a call, which is ours and silent about secrets."""
    with pytest.raises(Exception) as caught:  # noqa: PT011  which one is what we look at
        await client.send(secret_call(method))
    error = caught.value
    assert isinstance(error, errors.UpstreamError), f"unmapped: {error!r}"
    for text in (str(error), repr(error), error.detail, error.proxy_error):
        assert not any(secret in text for secret in SECRETS)
    return error


HEAD = b"HTTP/1.1 200 OK\r\nX: hidden-answer\r\n"

# name, what the upstream does, our error, RFC 9209 token, whether it can have been seen
TROUBLES = [
    ("closed before an answer", DROP, errors.ConnectionTerminated, "connection_terminated"),
    ("reset before an answer", RESET, errors.ConnectionTerminated, "connection_terminated"),
    ("no answer", HANG, errors.AnswerTimeout, "http_response_timeout"),
    ("head cut short", raw(HEAD), errors.BadAnswer, "http_response_incomplete"),
    (
        "body cut short",
        raw(HEAD + b"Content-Length: 9\r\n\r\nhidden"),
        errors.AnswerIncomplete,
        "http_response_incomplete",
    ),
    (
        "reset in the body",
        raw(HEAD + b"Content-Length: 9\r\n\r\nhidden", 0.05, end=RESET.end),
        errors.AnswerIncomplete,
        "http_response_incomplete",
    ),
    (
        "chunks cut short",
        raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n6\r\nhidden\r\n"),
        errors.AnswerIncomplete,
        "http_response_incomplete",
    ),
    (
        "chunk cut short",
        raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\nff\r\nhidden"),
        errors.AnswerIncomplete,
        "http_response_incomplete",
    ),
    (
        "bad chunk size",
        raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhidden\r\n0\r\n\r\n"),
        errors.Malformed,
        "http_protocol_error",
    ),
    (
        "bad chunk size, later",
        raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n", 0.05, b"zz\r\nhidden\r\n"),
        errors.AnswerIncomplete,
        "http_response_incomplete",
    ),
    (
        "chunk longer than it says",
        raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nhidden\r\n0\r\n\r\n"),
        errors.Malformed,
        "http_protocol_error",
    ),
    (
        "silence in the body",
        raw(HEAD + b"Content-Length: 9\r\n\r\nhidden", end=HANG.end),
        errors.AnswerTimeout,
        "http_response_timeout",
    ),
    (
        "length and chunks",
        raw(HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        errors.Malformed,
        "http_protocol_error",
    ),
    (
        "a coding under the chunks",
        raw(
            HEAD + b"Connection: close\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            b"6\r\nhidden\r\n0\r\n\r\n",
        ),
        errors.Malformed,
        "http_protocol_error",
    ),
    (
        "two lengths",
        raw(HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
        errors.Malformed,
        "http_protocol_error",
    ),
    (
        "a negative length",
        raw(HEAD + b"Content-Length: -3\r\n\r\nabcd"),
        errors.Malformed,
        "http_protocol_error",
    ),
    (
        "not HTTP",
        raw(b"SSH-2.0-OpenSSH hidden-answer\r\n"),
        errors.Malformed,
        "http_protocol_error",
    ),
    (
        "a field without a colon",
        raw(HEAD + b"hidden-answer\r\n\r\n"),
        errors.Malformed,
        "http_protocol_error",
    ),
    (
        "a field with NUL",
        raw(HEAD + b"X-A: a\x00b\r\nContent-Length: 0\r\n\r\n"),
        errors.Malformed,
        "http_protocol_error",
    ),
    (
        "a status that does not exist",
        raw(b"HTTP/1.1 777 Hidden\r\nContent-Length: 9\r\n\r\nhidden"),
        errors.Malformed,
        "http_protocol_error",
    ),
    (
        "an upgrade nobody asked for",
        raw(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\n\r\nhidden-answer",
            end=HANG.end,
        ),
        errors.UpgradeAnswered,
        "http_upgrade_failed",
    ),
    (
        "a field that is too long",
        http(200, ("X-Long", "a" * (MAX_LINE + 1))),
        errors.HeadTooLarge,
        "http_response_header_section_size",
    ),
    (
        "too many fields",
        http(200, *((f"X-{n}", "a") for n in range(MAX_HEADERS + 1))),
        errors.Malformed,
        "http_protocol_error",
    ),
    (
        "a body that is too long",
        raw(HEAD + b"Content-Length: 50001\r\n\r\n", b"a" * 40_000, end=HANG.end),
        errors.AnswerTooLarge,
        "http_response_body_size",
    ),
    (
        "chunks that are too long",
        raw(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
            *[b"2710\r\n" + b"a" * 10_000 + b"\r\n"] * 6,
            end=HANG.end,
        ),
        errors.AnswerTooLarge,
        "http_response_body_size",
    ),
    (
        "a body without end",
        raw(HEAD + b"\r\n", *[b"a" * 10_000] * 6, end=HANG.end),
        errors.AnswerTooLarge,
        "http_response_body_size",
    ),
]


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    ("reply", "kind", "token"), [t[1:] for t in TROUBLES], ids=[t[0] for t in TROUBLES]
)
async def test_every_trouble_has_a_name_and_the_connection_is_not_used_again(
    upstream, connect, method, reply, kind, token
):
    silent = kind is errors.AnswerTimeout
    client = await connect(upstream.url, timeout=2 if silent else 60, max_response_bytes=50_000)
    upstream.replies.append(reply)
    error = await failure(client, method)
    assert isinstance(error, kind)
    assert error.proxy_error == token
    assert error.timed_out is isinstance(error, errors.AnswerTimeout)
    began = any(isinstance(part, bytes) for part in reply.parts)
    assert error.sent == ("yes" if began else "unknown")
    assert len(upstream.seen) == 1
    assert (await client.send(secret_call())).status == 200
    assert upstream.seen[-1].connection == 1


async def test_a_refused_connection(connect):
    with refusing() as origin:
        error = await failure(await connect(origin))
    assert (type(error), error.sent) == (errors.ConnectionRefused, "no")
    assert error.proxy_error == "connection_refused"


async def test_a_connection_that_does_not_come_about(connect):
    with blackhole() as origin:
        error = await failure(await connect(origin, connect_timeout=0.2))
    assert (type(error), error.sent) == (errors.ConnectTimeout, "no")
    assert (error.proxy_error, error.timed_out) == ("connection_timeout", True)


async def test_no_place_in_the_pool_in_time(upstream, connect):
    client = await connect(upstream.url, connect_timeout=0.5, max_connections=1)
    upstream.replies.append(HANG)
    first = asyncio.ensure_future(client.send(secret_call()))
    await _seen(upstream)
    error = await failure(client)
    assert (type(error), error.sent) == (errors.ConnectTimeout, "no")
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_name_without_an_address(connect):
    error = await failure(await connect("http://no-such-host.invalid"))
    assert (type(error), error.sent) == (errors.NameUnresolved, "no")
    assert error.proxy_error == "dns_error"


async def test_an_address_without_a_route(connect):
    error = await failure(await connect("http://255.255.255.255:9"))  # broadcast
    assert (type(error), error.sent) == (errors.Unreachable, "no")
    assert error.proxy_error == "destination_ip_unroutable"


async def test_an_ipv6_address_is_written_as_one(connect):
    error = await failure(await connect("http://[::1]:9"))
    assert isinstance(error, errors.NotConnected)


@asynccontextmanager
async def tls_server(context: ssl.SSLContext):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_certificate_of_a_trusted_authority_is_accepted(connect, tmp_path):
    authority = Authority(tmp_path)
    async with tls_server(authority.server()) as origin:
        client = await connect(origin, ca_file=authority.file)
        response = await client.send(Request("GET", HOST, "/"))
    assert response.body == b"ok"


@pytest.mark.parametrize("fault", ["unknown authority", "another address", "expired"])
async def test_a_certificate_that_proves_nothing(connect, tmp_path, fault):
    authority = Authority(tmp_path)
    address = "127.0.0.9" if fault == "another address" else "127.0.0.1"
    trusted = None if fault == "unknown authority" else authority.file
    async with tls_server(authority.server(address, expired=fault == "expired")) as origin:
        error = await failure(await connect(origin, ca_file=trusted))
    assert (type(error), error.sent) == (errors.CertificateRejected, "no")
    assert error.proxy_error == "tls_certificate_error"
    assert error.detail.startswith("the API's certificate was not accepted: ")


async def test_tls_of_a_version_that_is_too_old(connect, tmp_path):
    authority = Authority(tmp_path)
    context = authority.server()
    with pytest.warns(DeprecationWarning, match="TLS"):
        context.minimum_version = ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning, match="TLS"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    async with tls_server(context) as origin:
        error = await failure(await connect(origin, ca_file=authority.file))
    assert isinstance(error, errors.NotConnected)  # the server just hangs up
    assert error.sent == "no"


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
async def test_a_server_that_speaks_no_tls(connect, reply):
    async def serve(reader, writer):
        await reader.read(10)
        writer.write(reply)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        error = await failure(await connect(f"https://127.0.0.1:{port}"))
    kind, token = (
        (errors.TlsFailed, "tls_protocol_error")
        if reply
        else (errors.NotConnected, "destination_unavailable")
    )
    assert (type(error), error.proxy_error, error.sent) == (kind, token, "no")


async def test_a_handshake_that_never_ends(connect):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        error = await failure(await connect(f"https://127.0.0.1:{port}", connect_timeout=0.2))
    assert (type(error), error.sent) == (errors.ConnectTimeout, "no")


async def test_an_unusable_file_of_authorities_is_named_at_the_start(connect, tmp_path):
    missing, empty = tmp_path / "missing.pem", tmp_path / "empty.pem"
    empty.write_text("nothing")
    for file in (missing, empty):
        with pytest.raises(UnusableAuthorities, match=file.name):
            await connect("http://127.0.0.1:1", ca_file=file)


async def test_an_upstream_that_closes_while_a_large_body_is_written(upstream, connect):
    client = await connect(upstream.url)
    upstream.replies.append(Reply((), RESET.end, early=True))
    with pytest.raises(errors.UpstreamError) as caught:
        await client.send(Request("POST", HOST, "/", body=b"x" * 8_000_000))
    assert caught.value.sent == "unknown"


async def test_an_early_refusal_of_a_large_body_is_handed_on_or_says_unknown(upstream, connect):
    client = await connect(upstream.url)
    refusal = http(413, ("Connection", "close"), body=b"too large")
    upstream.replies.append(Reply(refusal.parts, DROP.end, early=True))
    call = client.send(Request("POST", HOST, "/", body=b"x" * 8_000_000))
    (outcome,) = await asyncio.gather(call, return_exceptions=True)
    if isinstance(outcome, errors.UpstreamError):  # the network decides which comes first
        assert outcome.sent != "no"
    else:
        assert outcome.status == 413


async def test_cancelling_a_call_is_not_taken_for_its_deadline(upstream, connect):
    client = await connect(upstream.url)
    upstream.replies.append(HANG)
    task = asyncio.ensure_future(client.send(secret_call()))
    await _seen(upstream)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_an_outer_timeout_stays_the_callers_own(upstream, connect):
    client = await connect(upstream.url)
    upstream.replies.append(HANG)

    async def impatient() -> None:
        seen = asyncio.ensure_future(_seen(upstream))
        async with asyncio.timeout(60) as outer:
            seen.add_done_callback(lambda _: outer.reschedule(0))
            await client.send(secret_call())

    with pytest.raises(TimeoutError):
        await impatient()
    assert (await client.send(secret_call())).status == 200


async def _seen(upstream: Recorder) -> None:
    """Returns once a call has reached the API."""
    while not upstream.seen:  # noqa: ASYNC110 - the recorder tells nobody
        await asyncio.sleep(0.01)


async def test_each_call_has_the_whole_time_from_its_own_beginning(upstream, connect):
    client = await connect(upstream.url, timeout=0.4)
    upstream.usual = HANG
    loop = asyncio.get_running_loop()

    async def timed(delay: float) -> float:
        await asyncio.sleep(delay)
        start = loop.time()
        with pytest.raises(errors.AnswerTimeout):
            await client.send(secret_call())
        return loop.time() - start

    async def longest() -> float:
        taken = await asyncio.gather(*(timed(delay) for delay in (0, 0.1, 0.2, 0.3)))
        assert min(taken) >= 0.39
        return max(taken)

    assert await least(longest, 0.6) < 0.6


async def test_a_slow_answer_within_the_time_is_not_a_trouble(upstream, connect):
    client = await connect(upstream.url, timeout=30)
    for _ in range(3):
        upstream.replies.append(
            raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", 0.2, b"ok", end=http().end)
        )
        assert (await client.send(secret_call())).body == b"ok"


def test_every_error_is_in_the_drawn_tree_and_has_a_token_of_rfc_9209():
    tokens = {
        "http_request_denied", "http_request_error", "destination_unavailable", "dns_error",
        "connection_refused", "destination_ip_prohibited", "destination_ip_unroutable",
        "connection_timeout", "tls_certificate_error", "tls_protocol_error",
        "connection_terminated",
        "http_response_timeout", "http_protocol_error", "http_response_incomplete",
        "http_response_body_size", "http_response_header_section_size",
        "http_upgrade_failed", "proxy_internal_error",
    }  # fmt: skip

    def below(kind: type[errors.UpstreamError]) -> list[type[errors.UpstreamError]]:
        return [kind, *(k for child in kind.__subclasses__() for k in below(child))]

    kinds = below(errors.UpstreamError)
    assert {kind.proxy_error for kind in kinds} == tokens
    assert all(kind.__name__ in (errors.__doc__ or "") for kind in kinds)
    assert all(isinstance(kind.said, str) and kind.said for kind in kinds)


async def test_closing_the_client_ends_what_is_under_way_with_an_error_of_ours():
    async with Recorder() as upstream:
        upstream.usual = HANG
        client = UpstreamClient(
            origins={HOST: upstream.url}, connect_timeout=60, timeout=60, max_response_bytes=1
        )
        async with client:
            task = asyncio.ensure_future(client.send(secret_call()))
            await _seen(upstream)
        with pytest.raises(errors.UpstreamError):
            await task
