"""What must pass through a door unchanged, and what a door must refuse, as two tables.

`PASSING` are exchanges with an upstream: what the client sends and what the upstream
answers. Whoever runs the table puts a door between the two and compares both ends
less the documented lists of docs/gateway.md (`REQUEST_*`, `ANSWER_*` below).
`REFUSED` are requests that no upstream may see, as raw bytes.

The tables know nothing of the door: the same ones run against the gateway alone and
against whatever stands in front of it.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass

import brotli
import zstandard
from neighbours.recorder import Reply, http, raw
from neighbours.wire import Pairs, chunks

BASE = "appHouse000000001"  # as in neighbours.house
TASKS = f"/v0/{BASE}/Tasks"
AIRTABLE = "api.airtable.com"

# Request fields that do not travel as they came.
REQUEST_REMOVED = frozenset(
    {
        "connection", "keep-alive", "proxy-connection", "proxy-authorization", "te", "trailer",
        "transfer-encoding", "upgrade", "http2-settings", "expect", "forwarded", "x-real-ip",
        "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port",
        "x-forwarded-server",
    }
)  # fmt: skip
REQUEST_SET = frozenset({"host", "content-length", "via"})
# Answer fields that do not travel as they came.
ANSWER_REMOVED = frozenset(
    {
        "connection", "keep-alive", "proxy-connection", "proxy-authenticate", "te", "trailer",
        "transfer-encoding", "upgrade", "alt-svc", "x-accel-redirect", "x-accel-expires",
        "x-accel-limit-rate", "x-accel-buffering", "x-accel-charset", "httpproxy-other",
    }
)  # fmt: skip
ANSWER_SET = frozenset({"content-length", "proxy-status", "httpproxy-commit"})

JSON_TYPE = ("Content-Type", "application/json; charset=utf-8")
PAYLOAD = '{"fields":{"Näme":"été ☃","n":9007199254740993}}'.encode()
RECORD = (
    b'{"id":"rec00000000000001","createdTime":"2026-01-02T03:04:05.000Z","fields":{"Name":"x"}}'
)
GZIPPED = gzip.compress(RECORD, mtime=0)
BROTLI = brotli.compress(RECORD)
GZIPPED_IN_BR = brotli.compress(GZIPPED)
ZSTD = zstandard.compress(RECORD)
DEFLATED = zlib.compress(RECORD)
RAW_DEFLATED = zlib.compress(RECORD, wbits=-15)
SPENT = b'{"error":{"type":"PUBLIC_API_BILLING_LIMIT_EXCEEDED","message":"spent"}}'
LARGE = bytes(range(256)) * 8192  # 2 MiB, no text
ANSWER = http(200, JSON_TYPE, body=RECORD)
MULTIPART = (
    b'--b0\r\nContent-Disposition: form-data; name="f"; filename="a\xc3\xa4.bin"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n\x00\xff\r\n--b0--\r\n"
)


@dataclass(frozen=True, slots=True)
class Case:
    """One exchange. `target` is what follows the host; `body` None sends no framing.

    `arrives` overrides the headers that the upstream must see (less REQUEST_SET and
    REQUEST_REMOVED).
    """

    name: str
    method: str = "GET"
    target: str = TASKS
    headers: Pairs = ()
    body: bytes | None = None
    chunked: bool = False
    reply: Reply = ANSWER
    arrives: Pairs | None = None


def _targets(**targets: str) -> tuple[Case, ...]:
    return tuple(Case(f"target: {n.replace('_', ' ')}", target=t) for n, t in targets.items())


TARGETS = (
    *_targets(
        encoded_slash=f"/v0/{BASE}/My%20Table%2F%C3%A4",
        lower_case_hex=f"/v0/{BASE}/a%2fb%c3%a4",
        encoded_unreserved=f"/v0/{BASE}/%41%7e%2D",
        encoded_percent=f"/v0/{BASE}/100%25%2525",
        doubled_slash=f"//v0/{BASE}//Tasks",
        trailing_slash=f"{TASKS}/",
        bare_question_mark=f"{TASKS}?",
        slash_and_bare_question_mark=f"{TASKS}/?",
        two_question_marks=f"{TASKS}??a=?",
        apostrophe_and_marks=f"/v0/{BASE}/it's(1)!*~;,@:$&=",
        plus_in_query=f"{TASKS}?filterByFormula=a+b%2Bc%20d",
        encoded_query=f"{TASKS}?f=%27x%27&sort%5B0%5D%5Bfield%5D=N&u=http%3A%2F%2Fh%2F%3F",
        raw_brackets=f"{TASKS}?records[]=rec1&records[]=rec2",
        repeated_and_empty_names=f"{TASKS}?a=1&a=2&&=x&b",
        dots_that_are_no_segment=f"/v0/{BASE}/a..b/...?x=../..",
        dots_at_the_front=f"/v0/{BASE}/..c/.d",
        encoded_dots_in_the_query=f"{TASKS}?x=%2e%2e/%2E",
        query_with_slashes_and_colons=f"{TASKS}?u=https://evil.example/x?y",
    ),
    Case("target: of 16000 characters", target=f"{TASKS}?f=" + "%41" * 5320),
)

REQUEST_HEADERS = (
    Case("header: authorization unchanged", headers=(("Authorization", 'Bearer  a"b\\c=='),)),
    Case(
        "header: unknown names and odd values",
        headers=(("X_Under", "1"), ("x-é".replace("é", "e"), "a, b;c=\"d\""), ("X-Empty", "")),
    ),
    Case("header: repeated lines", headers=(("X-A", "1"), ("X-A", "2"), ("X-A", "1"))),
    Case("header: repeated in another case", headers=(("X-A", "1"), ("x-a", "2"))),
    Case("header: accept-encoding", headers=(("Accept-Encoding", "gzip, br;q=0.5, zstd"),)),
    Case("header: no accept, no agent", headers=()),
    Case(
        "header: trace context",
        headers=(
            ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            ("tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
            ("baggage", "userId=alice,serverNode=DF%2028"),
        ),
    ),
    Case("header: cookies of the client", headers=(("Cookie", "a=1; b=2"),)),
    Case("header: of 20000 characters", headers=(("X-Long", "v" * 20000),)),
    Case("header: a hundred and fifty", headers=tuple((f"X-{i}", f"{i}") for i in range(150))),
    Case("header: utf-8 value", headers=(("X-Utf8", "schön ☃".encode().decode("latin-1")),)),
    Case(
        "hop-by-hop: all of them",
        headers=(
            ("Connection", "keep-alive, x-private"),
            ("X-Private", "1"),
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Connection", "keep-alive"),
            ("Proxy-Authorization", "Basic eA=="),
            ("TE", "trailers"),
            ("Trailer", "X-T"),
            ("X-Kept", "1"),
        ),
        arrives=(("X-Kept", "1"),),
    ),
    Case("hop-by-hop: two connection lines", headers=(
        ("Connection", "x-one"), ("Connection", "X-Two"), ("X-One", "1"), ("x-two", "2")),
        arrives=()),
    Case(
        "upgrade: h2c is ignored",
        headers=(
            ("Connection", "Upgrade, HTTP2-Settings"),
            ("Upgrade", "h2c"),
            ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
        ),
        arrives=(),
    ),
    Case(
        "upgrade: websocket is ignored",
        headers=(
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Version", "13"),
        ),
        arrives=(
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Version", "13"),
        ),
    ),
    Case(
        "forwarding: addresses of our clients stay here",
        headers=(
            ("X-Forwarded-For", "192.0.2.1"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "h"),
            ("X-Forwarded-Anything", "y"),
            ("X-Real-IP", "192.0.2.1"),
            ("Forwarded", "for=192.0.2.1"),
        ),
        arrives=(),
    ),
    Case("forwarding: another proxy's Via", headers=(("Via", "1.1 elsewhere"),)),
    Case("max-forwards: only for trace and options", headers=(("Max-Forwards", "0"),)),
)  # fmt: skip

REQUEST_BODIES = (
    Case("body: json", "POST", headers=(JSON_TYPE,), body=PAYLOAD),
    Case("body: without a content type", "POST", body=PAYLOAD),
    Case("body: empty, length 0", "POST", headers=(JSON_TYPE,), body=b""),
    Case("body: empty, length 0, on DELETE", "DELETE", f"{TASKS}/rec00000000000001", body=b""),
    Case("body: none at all", "DELETE", f"{TASKS}/rec00000000000001"),
    Case("body: on DELETE", "DELETE", f"{TASKS}/rec00000000000001", body=b"{}"),
    Case("body: on GET", "GET", headers=(JSON_TYPE,), body=b"{}"),
    Case("body: chunked", "POST", headers=(JSON_TYPE,), body=PAYLOAD, chunked=True),
    Case("body: chunked and empty", "PATCH", headers=(JSON_TYPE,), body=b"", chunked=True),
    Case("body: chunked, empty, on DELETE", "DELETE", f"{TASKS}/r", body=b"", chunked=True),
    Case("body: not json", "POST", headers=(JSON_TYPE,), body=b"\xff\x00 no json {"),
    Case("body: large and binary", "PUT", f"{TASKS}/rec00000000000001", body=LARGE),
    Case(
        "body: multipart",
        "POST",
        headers=(("Content-Type", "multipart/form-data; boundary=b0"),),
        body=MULTIPART,
    ),
    *(
        Case(f"body: {n}", "POST", headers=(JSON_TYPE, ("Content-Encoding", c)), body=b)
        for n, c, b in (
            ("gzip", "gzip", GZIPPED), ("br", "br", BROTLI), ("zstd", "zstd", ZSTD),
            ("deflate", "deflate", DEFLATED), ("gzip in br", "gzip, br", GZIPPED_IN_BR),
            ("unknown coding", "x-odd", PAYLOAD), ("not what it says", "gzip", b"no gzip"),
        )
    ),
)  # fmt: skip

STATUSES = (
    *(
        Case(f"status: {s}", "POST", body=b"{}", reply=http(s, JSON_TYPE, body=b'{"s":1}'))
        for s in (
            200, 201, 202, 203, 206, 207, 226, 299, 300, 301, 302, 303, 307, 308, 399, 400, 401,
            402, 403, 404, 405, 407, 409, 410, 413, 414, 415, 417, 418, 421, 422, 423, 426, 428,
            431, 451, 477, 499, 500, 501, 502, 503, 504, 505, 508, 511, 520, 521, 522, 523,
            524, 525, 526, 530, 599,
        )
    ),
    # Any other 429 would pause the lane, and with it every case that follows.
    Case("status: 429", reply=http(429, JSON_TYPE, body=SPENT)),
    Case("status: 204", "POST", body=b"{}", reply=http(204, ("X-A", "1"))),
    Case("status: 205", "POST", body=b"{}", reply=http(205, body=b"")),
    Case("status: 304", reply=http(304, ("ETag", '"x"'))),
    Case("reason: of the vendor's own", reply=http(200, reason="Fine, Thanks!")),
    Case("reason: empty", reply=raw(b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\n{}")),
    Case("redirect: is handed back", reply=http(302, ("Location", "http://169.254.169.254/x"))),
    Case("redirect: relative", "POST", body=b"{}", reply=http(307, ("Location", "/elsewhere"))),
)  # fmt: skip

ANSWERS = (
    Case("answer: nothing invented", reply=http(200, body=b"plain")),
    Case("answer: empty", reply=http(200, body=b"")),
    Case("answer: server and date are theirs", reply=http(
        200, ("Server", "cloudflare"), ("Date", "Tue, 15 Nov 1994 08:12:31 GMT"))),
    Case("answer: chunked", reply=http(200, JSON_TYPE, body=RECORD, chunked=True)),
    Case("answer: until close", reply=raw(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")),
    Case("answer: of HTTP/1.0", reply=raw(
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\n\r\n{}")),
    Case("answer: several cookies", reply=http(
        200, ("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2, x; Secure"),
        ("Set-Cookie", "a=1; Path=/"))),
    Case("answer: repeated in another case", reply=http(200, ("X-A", "1"), ("x-a", "2"))),
    Case("answer: etag and cache control", reply=http(
        200, ("ETag", 'W/"aBc"'), ("Cache-Control", "private, no-transform"), ("Vary", "*"))),
    Case("answer: rate limits", reply=http(
        200, ("Retry-After", "3600"), ("RateLimit-Limit", "100"),
        ("X-HubSpot-RateLimit-Max", "1"), ("RateLimit", '"default";r=50;t=30'))),
    Case("answer: challenges", reply=http(
        401, ("WWW-Authenticate", 'Bearer realm="a", error="b"'),
        ("WWW-Authenticate", "Basic"))),
    Case("answer: cors", reply=http(200, ("Access-Control-Allow-Origin", "*"))),
    Case("answer: hop-by-hop", reply=http(
        200, ("Connection", "x-secret, keep-alive"), ("X-Secret", "1"),
        ("Keep-Alive", "timeout=9"), ("Proxy-Authenticate", "Basic"), ("Trailer", "X-T"),
        ("X-Kept", "1"))),
    Case("answer: fields that would speak for us", reply=http(
        200, ("Alt-Svc", 'h3=":443"'), ("X-Accel-Redirect", "/secret"),
        ("X-Accel-Buffering", "no"), ("Proxy-Status", "forged; error=x"),
        ("Httpproxy-Commit", "applied; rows=9"), ("Httpproxy-Other", "x"))),
    Case("answer: large and binary", reply=http(200, body=LARGE)),
    Case("answer: latin-1 header", reply=http(200, ("X-Name", "caf\xc3\xa9"))),
    Case("answer: a long header", reply=http(200, ("X-Long", "v" * 20000))),
    Case("answer: html", reply=http(522, ("Content-Type", "text/html"), body=b"<h1>522</h1>")),
    Case("answer: interim 103 is consumed", reply=raw(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")),
    Case("answer: early, before the body was read", "POST", body=b"x" * 100, reply=Reply(
        (b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",),
        early=False)),
    Case("answer: slow, byte by byte", reply=raw(
        b"HTTP/1.1 200 OK\r\nContent-", 0.05, b"Length: 2\r\n\r\n{", 0.05, b"}")),
    *(
        Case(f"answer: {n}", reply=http(200, JSON_TYPE, ("Content-Encoding", c), body=b))
        for n, c, b in (
            ("gzip", "gzip", GZIPPED), ("br", "br", BROTLI), ("zstd", "zstd", ZSTD),
            ("deflate", "deflate", DEFLATED), ("raw deflate", "deflate", RAW_DEFLATED),
            ("gzip in br", "gzip, br", GZIPPED_IN_BR),
            ("unknown coding", "x-odd", RECORD), ("not what it says", "gzip", b"no gzip"),
        )
    ),
    Case("answer: chunked gzip", reply=http(
        200, ("Content-Encoding", "gzip"), body=GZIPPED, chunked=True)),
    Case("HEAD: length without a body", "HEAD", reply=Reply(
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nX-A: 1\r\n\r\n",))),
    Case("HEAD: no length at all", "HEAD", reply=Reply((b"HTTP/1.1 404 Not Found\r\n\r\n",))),
    Case("OPTIONS: of a resource", "OPTIONS", headers=(("Origin", "https://a.example"),),
         reply=http(204, ("Allow", "GET, POST"), ("Access-Control-Allow-Methods", "GET"))),
)  # fmt: skip

PASSING = (*TARGETS, *REQUEST_HEADERS, *REQUEST_BODIES, *STATUSES, *ANSWERS)

# Answers that are no answers: the client must get our 502, never half of them.
UNSOUND: dict[str, Reply] = {
    "shorter than its length": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}"),
    "cut within its chunks": raw(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"),
    "without the last chunk": raw(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"),
    "cut within its head": raw(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "a chunk size that is none": raw(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
    "length and chunks at once": raw(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
        + chunks(b"{}")),
    "two lengths": raw(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} "),
    "a length that is none": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2x\r\n\r\n{}"),
    "a switch of protocols nobody asked for": raw(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nhello"),
    "not HTTP": raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    "a NUL in a header": raw(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: a\x00b\r\n\r\n{}"),
    "a header over the limit": raw(
        b"HTTP/1.1 200 OK\r\nX-A: " + b"v" * 70000 + b"\r\nContent-Length: 2\r\n\r\n{}"),
    "nothing": raw(),
}  # fmt: skip
