"""What leaves and what comes back, byte for byte, against a recording socket."""

from __future__ import annotations

import asyncio
import gzip

import pytest
from neighbours.recorder import Reply, http, raw

from httpproxy.upstream import client as client_module
from httpproxy.upstream.client import SlowParser, UpstreamClient, require_c_parser
from httpproxy.upstream.errors import Unsendable
from providers.http import Request, headers

HOST = "api.airtable.com"


def call(method="GET", target="/v0/appX/Tasks", *pairs, body=b"") -> Request:
    return Request(method, HOST, target, headers(*pairs), body)


TARGETS = [
    "/",
    "/?",
    "/v0/appX/Tasks?",
    "/v0/appX/Tasks/?",
    "/v0/appX/a%2Fb%2fc",
    "//v0//appX///Tasks//",
    "/v0/%41%7e%7E%20",
    "/v0/app'X+Y/(a);b=c,d:e@f!$&*",
    "/v0/appX/Tasks?a=b?c=d&&=&e",
    "/v0/appX/Tasks?x=%27+%2B&y=a/b:c@d;e,f!$*()[]{}|^`",
    "/v0/appX/Tasks?filterByFormula=%7BName%7D%3D%22caf%C3%A9%22",
    "/v0/http://evil.example/x",
    "/v0/a#b?c#d",
    "/v0/appX/" + "a%20b" * 3200,
    "/v0/appX/Tasks?q=" + "%3D+~" * 3200,
]


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t[:40])
async def test_the_target_arrives_byte_for_byte(client, upstream, target):
    await client.send(call("GET", target))
    assert upstream.targets() == [target]


async def test_nothing_is_added_but_the_host_and_what_frames_the_body(client, upstream):
    for method in ("GET", "HEAD", "OPTIONS", "DELETE", "PROPFIND"):
        upstream.replies.append(http(204))
        await client.send(call(method))
    assert {seen.headers for seen in upstream.seen} == {(("Host", HOST),)}
    await client.send(call("POST", "/v0/appX/Tasks", body=b"{}"))
    assert upstream.seen[-1].headers == (("Host", HOST), ("Content-Length", "2"))
    assert upstream.seen[-1].version == "HTTP/1.1"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_a_method_that_means_a_body_says_when_it_has_none(client, upstream, method):
    await client.send(call(method))
    assert upstream.seen[0].all("Content-Length") == ["0"]


@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS"])
async def test_a_length_of_zero_that_the_caller_said_is_kept(client, upstream, method):
    await client.send(call(method, "/v0/appX/Tasks", ("content-length", "0")))
    assert upstream.seen[0].all("Content-Length") == ["0"]


@pytest.mark.parametrize("method", ["GET", "DELETE", "POST", "PATCH", "PUT"])
@pytest.mark.parametrize("size", [1, 70_000, 3_000_000])
async def test_the_body_arrives_whole_with_its_length(client, upstream, method, size):
    body = bytes(range(256)) * (size // 256 + 1)
    await client.send(call(method, "/v0/appX/Tasks", ("Content-Type", "x/y"), body=body))
    (seen,) = upstream.seen
    assert seen.body == body
    assert seen.all("Content-Length") == [str(len(body))]
    assert seen.all("Transfer-Encoding") == []
    assert seen.all("Content-Type") == ["x/y"]


async def test_a_wrong_length_is_replaced_by_that_of_the_body(client, upstream):
    await client.send(call("POST", "/v0/appX/Tasks", ("Content-Length", "99"), body=b"{}"))
    assert upstream.seen[0].all("Content-Length") == ["2"]
    assert upstream.seen[0].body == b"{}"
    await client.send(call("GET", "/v0/appX/Tasks", ("Content-Length", "99")))
    assert upstream.seen[1].all("Content-Length") == ["0"]


async def test_fields_arrive_in_order_with_their_spelling_and_every_duplicate(client, upstream):
    pairs = (
        ("aUTHORIZATION", "Bearer patX"),
        ("X-A", "1"),
        ("x-a", "2"),
        ("X-B", "caf\u00e9 \t tab"),
        ("X-a", "3"),
        ("Accept-Encoding", "br;q=1.0, gzip"),
        ("X_Under", ""),
    )
    await client.send(call("GET", "/", *pairs))
    (seen,) = upstream.seen
    assert seen.headers == (
        ("Host", HOST),
        ("aUTHORIZATION", "Bearer patX"),
        ("X-A", "1"),
        ("X-A", "2"),
        ("X-B", "caf\u00e9 \t tab".encode().decode("latin-1")),
        ("X-A", "3"),
        ("Accept-Encoding", "br;q=1.0, gzip"),
        ("X_Under", ""),
    )


async def test_the_host_field_is_the_hosts_name_whatever_the_caller_or_the_origin_say(
    client, upstream
):
    await client.send(call("GET", "/", ("host", "evil.example")))
    assert upstream.seen[0].all("Host") == [HOST]


UNSENDABLE = [
    call("GET", "/a b"),
    call("GET", "/a\r\nX: y"),
    call("GET", "/caf\u00e9"),
    call("GET", "v0"),
    call("GET", "http://evil.example/"),
    call("GET", ""),
    call("CONNECT", "/"),
    call("get", "/"),
    call("GE T", "/"),
    call("GET\r\nX: y", "/"),
    call("GET", "/", ("X-A", "a\r\nX-B: b")),
    call("GET", "/", ("X-A", "a\nb")),
    call("GET", "/", ("X-A", "a\x00b")),
    call("GET", "/", ("X-A", "a\x7fb")),
    call("GET", "/", ("X-A", "caf\udce9")),
    call("GET", "/", ("X A", "b")),
    call("GET", "/", ("X-A:", "b")),
    call("GET", "/", ("X-A\r\nX-B", "b")),
    call("GET", "/", ("X-A\nX-B", "b")),
    call("GET", "/", ("X-A", "1"), ("x-a", "2"), ("X-C\nX-D", "b")),
    call("GET", "/", ("X-A", "1"), ("x-a", "2\n")),
    call("GET", "/", ("", "b")),
    call("POST", "/", ("Transfer-Encoding", "chunked")),
    call("POST", "/", ("transfer-encoding", "identity")),
    call("POST", "/", ("Connection", "close")),
    call("POST", "/", ("Expect", "100-continue")),
    call("GET", "/", ("Upgrade", "websocket")),
    Request("GET", "evil.example/x", "/"),
    Request("GET", "user@evil.example", "/"),
    Request("GET", "evil.example:80", "/"),
    Request("GET", "", "/"),
    Request("GET", "EVIL.example", "/"),
]


@pytest.mark.parametrize("request_", UNSENDABLE, ids=lambda r: f"{r.method} {r.target}"[:30])
async def test_what_would_not_arrive_byte_for_byte_is_refused_before_it_leaves(
    client, upstream, request_
):
    with pytest.raises(Unsendable) as caught:
        await client.send(request_)
    assert caught.value.sent == "no"
    assert upstream.connections == 0


async def test_the_answer_comes_back_as_it_is(client, upstream):
    body = gzip.compress(b"{}")
    upstream.replies.append(
        http(
            207,
            ("Content-Encoding", "gzip"),
            ("Set-Cookie", "a=1"),
            ("X-A", "one"),
            ("Set-Cookie", "b=2"),
            ("X-A", "two"),
            body=body,
            reason="Mixed  Feelings",
        )
    )
    response = await client.send(call())
    assert (response.status, response.reason, response.body) == (207, "Mixed  Feelings", body)
    assert list(response.headers.items()) == [
        ("Content-Encoding", "gzip"),
        ("Set-Cookie", "a=1"),
        ("X-A", "one"),
        ("Set-Cookie", "b=2"),
        ("X-A", "two"),
        ("Content-Length", str(len(body))),
    ]


@pytest.mark.parametrize("status", [200, 201, 202, 299, 301, 302, 304, 400, 429, 500, 520, 599])
async def test_every_status_is_handed_on_and_no_redirect_is_followed(client, upstream, status):
    upstream.replies.append(http(status, ("Location", "/elsewhere"), body=b"x"))
    response = await client.send(call())
    assert response.status == status
    assert response.headers["Location"] == "/elsewhere"
    assert len(upstream.seen) == 1


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5000000\r\n\r\n"),
    ],
)
async def test_answers_that_have_no_body_keep_their_fields_and_the_connection(
    client, upstream, method, answer
):
    upstream.replies += [Reply((answer,)), http(200)]
    response = await client.send(call(method))
    assert response.body == b""
    assert (response.headers.get("Content-Length") == "5000000") is (b"5000000" in answer)
    await client.send(call())
    assert upstream.connections == 1


@pytest.mark.parametrize("end", [b"", b"X-Trailer: y\r\n"])
async def test_a_chunked_answer_is_put_together(client, upstream, end):
    upstream.replies.append(
        raw(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            0.02,
            b"2;ext=1\r\nde\r\n0\r\n" + end + b"\r\n",
        )
    )
    assert (await client.send(call())).body == b"abcde"


async def test_an_answer_without_a_length_ends_with_its_connection(client, upstream):
    upstream.replies.append(raw(b"HTTP/1.0 200 OK\r\n\r\nabc", 0.02, b"de"))
    assert (await client.send(call())).body == b"abcde"


async def test_interim_answers_are_passed_over(client, upstream):
    upstream.replies.append(
        raw(
            b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
        )
    )
    assert (await client.send(call())).body == b"x"


async def test_bytes_that_are_not_utf8_in_an_answers_head_stay_readable_and_are_counted(
    client, upstream
):
    upstream.replies.append(
        raw(
            b"HTTP/1.1 200 Tr\xe8s bien\r\nX-Name: caf\xe9\r\nX-Utf8: caf\xc3\xa9\r\n"
            b"Content-Length: 0\r\n\r\n"
        )
    )
    response = await client.send(call())
    assert response.reason == "Très bien"
    assert response.headers["X-Name"] == "café"
    assert response.headers["X-Utf8"] == "café"
    assert client.stray_heads == 1


async def test_control_characters_in_an_answers_head_become_spaces(client, upstream):
    upstream.replies.append(
        raw(
            b"HTTP/1.1 200 O\x7fK\r\nX-Bell: caf\xc3\xa9\x07x\r\nX-Both: \xe9\x01\r\n"
            b"Content-Length: 0\r\n\r\n"
        )
    )
    response = await client.send(call())
    assert response.reason == "O K"
    assert response.headers["X-Bell"] == "café x"
    assert response.headers["X-Both"] == "é "
    assert client.stray_heads == 1


async def test_an_utf8_head_is_left_alone(client, upstream):
    upstream.replies.append(
        raw(b"HTTP/1.1 200 OK\r\nX-Utf8: caf\xc3\xa9\ta\r\nContent-Length: 0\r\n\r\n")
    )
    assert (await client.send(call())).headers["X-Utf8"] == "café\ta"
    assert client.stray_heads == 0


async def test_long_fields_of_an_answer_are_handed_on(client, upstream):
    upstream.replies.append(http(200, ("X-Long", "a" * 32_768), ("X-More", "b" * 20_000)))
    response = await client.send(call())
    assert len(response.headers["X-Long"]) == 32_768


async def test_many_fields_of_an_answer_are_handed_on(client, upstream):
    upstream.replies.append(http(200, *((f"X-{number}", "a") for number in range(250))))
    assert len((await client.send(call())).headers) == 251


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH"])
@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("body", [b"", b"{}"])
async def test_a_call_whose_connection_drops_is_made_exactly_once(
    client, upstream, method, fresh, body
):
    if not fresh:
        await client.send(call("POST"))
        upstream.seen.clear()
    upstream.replies.append(raw())
    with pytest.raises(Exception, match="lost before it answered"):
        await client.send(call(method, "/v0/appX/Tasks", body=body))
    await asyncio.sleep(0.02)
    assert len(upstream.seen) == 1


async def test_one_callers_cookies_are_not_replayed_to_another(client, upstream):
    upstream.replies.append(http(200, ("Set-Cookie", "session=secret; Path=/")))
    await client.send(call())
    await client.send(call())
    assert upstream.seen[1].all("Cookie") == []


async def test_proxies_and_passwords_of_the_environment_are_not_used(
    upstream, connect, monkeypatch, tmp_path
):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    client = await connect(upstream.url)
    await client.send(call())
    assert upstream.seen[0].all("Authorization") == []


async def test_connections_are_kept_and_used_again(client, upstream):
    for _ in range(5):
        await client.send(call("POST", "/v0/appX/Tasks", body=b"{}"))
    assert upstream.connections == 1


async def test_calls_at_once_are_kept_apart(client, upstream):
    targets = [f"/v0/appX/{number}" for number in range(40)]
    for target in targets:
        upstream.by_target[target + "?"] = http(200, body=target.encode())
    responses = await asyncio.gather(*(client.send(call("GET", t + "?")) for t in targets))
    assert [r.body.decode() for r in responses] == targets


async def test_a_client_without_the_c_parser_says_so_at_the_start(connect, monkeypatch):
    require_c_parser()
    slow = type("Slow", (), {"__module__": "aiohttp.http_parser"})
    monkeypatch.setattr(client_module, "HttpResponseParser", slow)
    with pytest.raises(SlowParser, match="without its C parser"):
        await connect("http://127.0.0.1:1")


async def test_a_client_that_is_not_open_says_so():
    client = UpstreamClient(origins={}, connect_timeout=1, timeout=1, max_response_bytes=1)
    with pytest.raises(RuntimeError, match="not open"):
        await client.send(call())


@pytest.mark.parametrize(
    "origin", ["ftp://x", "http://", "http://h/path", "https://h/?q=1", "h:80", "http://u:p@h"]
)
def test_an_origin_that_is_more_than_a_server_is_refused(origin):
    with pytest.raises(ValueError, match="upstream is http"):
        UpstreamClient(
            origins={HOST: origin}, connect_timeout=1, timeout=1, max_response_bytes=1
        )
