"""What must pass through a door unchanged: exchanges by what the upstream answers."""

from __future__ import annotations

import zlib

from cases import (
    BROTLI,
    DEFLATED,
    GZIPPED,
    GZIPPED_IN_BR,
    JSON_TYPE,
    LARGE,
    RECORD,
    REQUEST_BODIES,
    REQUEST_HEADERS,
    TARGETS,
    ZSTD,
    Case,
)
from neighbours.recorder import Reply, http, raw
from neighbours.wire import chunks

SPENT = b'{"error":{"type":"PUBLIC_API_BILLING_LIMIT_EXCEEDED","message":"spent"}}'
RAW_DEFLATED = zlib.compress(RECORD, wbits=-15)

STATUSES = (
    *(
        Case(f"S2 status: {s}", "POST", body=b"{}", reply=http(s, JSON_TYPE, body=b'{"s":1}'))
        for s in (
            200, 201, 202, 203, 206, 207, 226, 299, 300, 301, 302, 303, 307, 308, 399, 400, 401,
            402, 403, 404, 405, 407, 409, 410, 413, 414, 415, 417, 418, 421, 422, 423, 426, 428,
            431, 451, 477, 499, 500, 501, 502, 503, 504, 505, 508, 511, 520, 521, 522, 523,
            524, 525, 526, 530, 599,
        )
    ),
    # Any other 429 would pause the lane, and with it every case that follows.
    Case("S2 status: 429", reply=http(429, JSON_TYPE, body=SPENT)),
    Case("S5 status: 204", "POST", body=b"{}", reply=http(204, ("X-A", "1"))),
    Case("S2 status: 205", "POST", body=b"{}", reply=http(205, body=b"")),
    Case("S5 status: 304", reply=http(304, ("ETag", '"x"'))),
    Case("S2 reason: of the vendor's own", reply=http(200, reason="Fine, Thanks!")),
    Case("S2 reason: empty", reply=raw(b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\n{}")),
    Case("S8 redirect: is handed back", reply=http(302, ("Location", "http://169.254.169.254/x"))),
    Case("S8 redirect: relative", "POST", body=b"{}", reply=http(307, ("Location", "/other"))),
)  # fmt: skip

ANSWERS = (
    Case("S6 answer: nothing invented", reply=http(200, body=b"plain")),
    Case("S4 answer: empty", reply=http(200, body=b"")),
    Case("S6 answer: server and date are theirs", reply=http(
        200, ("Server", "cloudflare"), ("Date", "Tue, 15 Nov 1994 08:12:31 GMT"))),
    Case("S4 answer: chunked", reply=http(200, JSON_TYPE, body=RECORD, chunked=True)),
    Case("S4 answer: until close", reply=raw(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")),
    Case("S4 answer: of HTTP/1.0", reply=raw(
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\n\r\n{}")),
    Case("S3 answer: several cookies", reply=http(
        200, ("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2, x; Secure"),
        ("Set-Cookie", "a=1; Path=/"))),
    Case("S4 answer: repeated in another case", reply=http(200, ("X-A", "1"), ("x-a", "2"))),
    Case("S10 answer: etag and cache control", reply=http(
        200, ("ETag", 'W/"aBc"'), ("Cache-Control", "private, no-transform"), ("Vary", "*"))),
    Case("S10 answer: rate limits", reply=http(
        200, ("Retry-After", "3600"), ("RateLimit-Limit", "100"),
        ("X-HubSpot-RateLimit-Max", "1"), ("RateLimit", '"default";r=50;t=30'))),
    Case("R3 answer: challenges", reply=http(
        401, ("WWW-Authenticate", 'Bearer realm="a", error="b"'),
        ("WWW-Authenticate", "Basic"))),
    Case("R3 answer: what is allowed", reply=http(405, ("Allow", "GET, POST"))),
    Case("S4 answer: cors", reply=http(200, ("Access-Control-Allow-Origin", "*"))),
    Case("S1 answer: hop-by-hop", reply=http(
        200, ("Connection", "x-secret, keep-alive"), ("X-Secret", "1"),
        ("Keep-Alive", "timeout=9"), ("Proxy-Authenticate", "Basic"), ("Trailer", "X-T"),
        ("X-Kept", "1"))),
    Case("S9 answer: fields that would speak for us", reply=http(
        200, ("Alt-Svc", 'h3=":443"'), ("X-Accel-Redirect", "/secret"),
        ("X-Accel-Buffering", "no"), ("Proxy-Status", "forged; error=x"),
        ("Httpproxy-Commit", "applied; rows=9"), ("Httpproxy-Other", "x"))),
    Case("S4 answer: large and binary", reply=http(200, body=LARGE)),
    Case("S4 answer: latin-1 header", reply=http(200, ("X-Name", "caf\xc3\xa9"))),
    Case("S4 answer: a long header", reply=http(200, ("X-Long", "v" * 20000))),
    Case("S4 answer: html", reply=http(522, ("Content-Type", "text/html"), body=b"<h1>!</h1>")),
    Case("S5 answer: interim 103 is consumed", reply=raw(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")),
    Case("S4 answer: early, before the body was read", "POST", body=b"x" * 100, reply=Reply(
        (b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",),
        early=False)),
    Case("S4 answer: slow, byte by byte", reply=raw(
        b"HTTP/1.1 200 OK\r\nContent-", 0.05, b"Length: 2\r\n\r\n{", 0.05, b"}")),
    *(
        Case(f"S4 answer: {n}", reply=http(200, JSON_TYPE, ("Content-Encoding", c), body=b))
        for n, c, b in (
            ("gzip", "gzip", GZIPPED), ("br", "br", BROTLI), ("zstd", "zstd", ZSTD),
            ("deflate", "deflate", DEFLATED), ("raw deflate", "deflate", RAW_DEFLATED),
            ("gzip in br", "gzip, br", GZIPPED_IN_BR),
            ("unknown coding", "x-odd", RECORD), ("not what it says", "gzip", b"no gzip"),
        )
    ),
    Case("S4 answer: chunked gzip", reply=http(
        200, ("Content-Encoding", "gzip"), body=GZIPPED, chunked=True)),
    Case("S5 HEAD: length without a body", "HEAD", reply=Reply(
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nX-A: 1\r\n\r\n",))),
    Case("S5 HEAD: no length at all", "HEAD", reply=Reply((b"HTTP/1.1 404 No\r\n\r\n",))),
    Case("R8 OPTIONS: of a resource", "OPTIONS", headers=(("Origin", "https://a.example"),),
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
