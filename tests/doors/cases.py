"""What must pass through a door unchanged, as tables: exchanges by what the client sends.

A case is an exchange with an upstream: what the client sends and what the upstream
answers. Whoever runs the tables (`answers.PASSING` is all of them) puts a door between
the two and compares both ends less the documented lists of docs/gateway.md
(`REQUEST_*`, `ANSWER_*` below). What a door must refuse is in `refusals.REFUSED`. Each
name begins with the case's box of the checklist (docs/gateway.md).

The tables know nothing of the door: the same ones run against the gateway alone and
against whatever stands in front of it.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass

import brotli
import zstandard
from neighbours.recorder import Reply, http
from neighbours.wire import Pairs

BASE = "appHouse000000001"  # as in neighbours.house
TASKS = f"/v0/{BASE}/Tasks"
AIRTABLE = "api.airtable.com"

# Request fields that do not travel as they came.
REQUEST_REMOVED = frozenset(
    {
        "connection", "keep-alive", "proxy-connection", "proxy-authorization", "te", "trailer",
        "transfer-encoding", "upgrade", "http2-settings", "expect", "forwarded", "x-real-ip",
        "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port",
        "x-forwarded-server", "httpproxy-dry-run", "httpproxy-other",
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
    return tuple(
        Case(f"R2 target: {n.replace('_', ' ')}", target=t) for n, t in targets.items()
    )


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
    Case("R2 target: of 16000 characters", target=f"{TASKS}?f=" + "%41" * 5320),
)

REQUEST_HEADERS = (
    Case(
        "R3 header: authorization unchanged",
        headers=(("Authorization", 'Bearer  a"b\\c=='),),
    ),
    Case(
        "R4 header: unknown names and odd values",
        headers=(("X_Under", "1"), ("x-é".replace("é", "e"), "a, b;c=\"d\""), ("X-Empty", "")),
    ),
    Case("R4 header: repeated lines", headers=(("X-A", "1"), ("X-A", "2"), ("X-A", "1"))),
    Case("R4 header: repeated in another case", headers=(("X-A", "1"), ("x-a", "2"))),
    Case("R4 header: accept-encoding", headers=(("Accept-Encoding", "gzip, br;q=0.5, zstd"),)),
    Case("R4 header: no accept, no agent", headers=()),
    Case(
        "R11 header: trace context",
        headers=(
            ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
            ("tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
            ("baggage", "userId=alice,serverNode=DF%2028"),
        ),
    ),
    Case("R4 header: no dry run", headers=(("Httpproxy-Dry-Run", "?0"), ("X-A", "1"))),
    Case("R4 header: cookies of the client", headers=(("Cookie", "a=1; b=2"),)),
    Case("R4 header: of 20000 characters", headers=(("X-Long", "v" * 20000),)),
    Case(
        "R4 header: a hundred and fifty",
        headers=tuple((f"X-{i}", f"{i}") for i in range(150)),
    ),
    Case("R4 header: utf-8 value", headers=(("X-Utf8", "schön ☃".encode().decode("latin-1")),)),
    Case(
        "R1 hop-by-hop: all of them",
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
    Case("R1 hop-by-hop: two connection lines", headers=(
        ("Connection", "x-one"), ("Connection", "X-Two"), ("X-One", "1"), ("x-two", "2")),
        arrives=()),
    Case(
        "R13 upgrade: h2c is ignored",
        headers=(
            ("Connection", "Upgrade, HTTP2-Settings"),
            ("Upgrade", "h2c"),
            ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
        ),
        arrives=(),
    ),
    Case(
        "R13 upgrade: websocket is ignored",
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
        "R10 forwarding: addresses of our clients stay here",
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
    Case(
        "R10 forwarding: what is meant for us stays here, and a key goes on",
        headers=(("Httpproxy-Other", "1"), ("Idempotency-Key", '"8e03978e"')),
        arrives=(("Idempotency-Key", '"8e03978e"'),),
    ),
    Case("R9 forwarding: another proxy's Via", headers=(("Via", "1.1 elsewhere"),)),
    Case("R8 max-forwards: only for trace and options", headers=(("Max-Forwards", "0"),)),
)  # fmt: skip

REQUEST_BODIES = (
    Case("R6 body: json", "POST", headers=(JSON_TYPE,), body=PAYLOAD),
    Case("R6 body: without a content type", "POST", body=PAYLOAD),
    Case("R6 body: empty, length 0", "POST", headers=(JSON_TYPE,), body=b""),
    Case("R6 body: empty, length 0, on DELETE", "DELETE", f"{TASKS}/r", body=b""),
    Case("R6 body: none at all", "DELETE", f"{TASKS}/rec00000000000001"),
    Case("R6 body: on DELETE", "DELETE", f"{TASKS}/rec00000000000001", body=b"{}"),
    Case("R6 body: on GET", "GET", headers=(JSON_TYPE,), body=b"{}"),
    Case("R6 body: chunked", "POST", headers=(JSON_TYPE,), body=PAYLOAD, chunked=True),
    Case("R6 body: chunked and empty", "PATCH", headers=(JSON_TYPE,), body=b"", chunked=True),
    Case("R6 body: chunked, empty, on DELETE", "DELETE", f"{TASKS}/r", body=b"", chunked=True),
    Case("R6 body: not json", "POST", headers=(JSON_TYPE,), body=b"\xff\x00 no json {"),
    Case("R6 body: large and binary", "PUT", f"{TASKS}/rec00000000000001", body=LARGE),
    Case(
        "R6 body: multipart",
        "POST",
        headers=(("Content-Type", "multipart/form-data; boundary=b0"),),
        body=MULTIPART,
    ),
    *(
        Case(f"R6 body: {n}", "POST", headers=(JSON_TYPE, ("Content-Encoding", c)), body=b)
        for n, c, b in (
            ("gzip", "gzip", GZIPPED), ("br", "br", BROTLI), ("zstd", "zstd", ZSTD),
            ("deflate", "deflate", DEFLATED), ("gzip in br", "gzip, br", GZIPPED_IN_BR),
            ("unknown coding", "x-odd", PAYLOAD), ("not what it says", "gzip", b"no gzip"),
        )
    ),
)  # fmt: skip
