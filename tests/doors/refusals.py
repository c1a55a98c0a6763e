"""Requests that a door must refuse itself, as raw bytes, and what it must answer.

Each name begins with its box of the checklist (docs/gateway.md). `by_nginx` is the status
where nginx, in front, answers another one by itself; most of what is malformed it answers
itself, with the same.

ROOT stands for the API root of the Airtable sync (`/{unique-id}/api.airtable.com`),
UID for its unique id alone, BASE for its base. No upstream may see any of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from cases import BASE

LAST_CHUNK = b"0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Refusal:
    """`request` with ROOT, UID and BASE to be filled in; `code` None if any will do."""

    name: str
    request: bytes
    status: int
    code: str | None = None
    by_nginx: int | None = None

    def bytes_for(self, unique_id: str) -> bytes:
        """The request for the sync with this unique id."""
        return (
            self.request.replace(b"ROOT", f"/{unique_id}/api.airtable.com".encode())
            .replace(b"UID", unique_id.encode())
            .replace(b"BASE", BASE.encode())
        )


def _line(line: bytes, *fields: bytes, body: bytes = b"") -> bytes:
    return line + b"\r\n" + b"".join(f + b"\r\n" for f in fields) + b"\r\n" + body


def _get(target: bytes, *fields: bytes) -> bytes:
    return _line(b"GET " + target + b" HTTP/1.1", b"Host: proxy.example", *fields)


def _post(*fields: bytes, body: bytes = b"") -> bytes:
    start = b"POST ROOT/v0/BASE/Tasks HTTP/1.1"
    return _line(start, b"Host: proxy.example", *fields, body=body)


def _each(
    group: str,
    status: int,
    code: str | None,
    requests: dict[str, bytes],
    by_nginx: int | None = None,
) -> tuple[Refusal, ...]:
    return tuple(
        Refusal(f"{group}: {n}", r, status, code, by_nginx) for n, r in requests.items()
    )


def _paths(group: str, *paths: bytes) -> tuple[Refusal, ...]:
    found = {p.decode("latin-1"): _get(b"ROOT/v0/BASE/Tasks" + p) for p in paths}
    return _each(group, 400, None, found)


TARGETS = (
    *_paths("R12 dot segment", b"/..", b"/../x", b"/.", b"/./x", b"/%2e%2e/x", b"/.%2E",
            b"/%2e", b"/%2E./x"),
    *_paths("R12 backslash", b"/a\\b", b"/a%5cb", b"/a%5Cb"),
    *_paths("R12 control", b"/a%00", b"/a%0a", b"/a%0D", b"/a%1f", b"/a%7F", b"/a\x01b",
            b"/a\x7fb", b"?x=%00"),
    *_paths("R12 percent", b"/%", b"/%4", b"/%zz", b"?x=%g1", b"?x=%"),
    *_paths("R12 not for a URL", b'/a"b', b"/a<b", b"/a>b", b"/a{b", b"/a|b", b"/a^b", b"/a`b",
            b"?a=<b>", b"?\xc3\xa4", b"/\xff"),
    *_paths("R12 fragment", b"#frag", b"?x#frag"),
    *_each("E3 target", 414, "target_too_long", {
        "over the limit": _get(b"ROOT/v0/BASE/Tasks?" + b"a" * 17000),
        "over what the parser takes": _get(b"ROOT/v0/BASE/Tasks?" + b"a" * 60000),
    }),
    *_each("R12 form", 400, None, {
        "of no scheme we know": _get(b"ftp://ROOT/v0/BASE/Tasks"),
        "authority": _get(b"api.airtable.com:443"),
        "no slash": _get(b"v0/BASE/Tasks"),
    }),
)  # fmt: skip

HOST_IN_PATH = (
    *_each("R5 host", 404, "unknown_address", {
        host.decode(): _get(b"/UID/" + host + b"/v0/BASE/Tasks")
        for host in (
            b"API.AIRTABLE.COM", b"api.airtable.com:443", b"api.airtable.com.", b"[::1]",
            b"x@api.airtable.com", b"api.airtable.com@evil.example", b"evil.example",
            b"api.airtable.com.evil.example", b"%61pi.airtable.com", b"api%2Eairtable.com",
            b"api.airtable.com%20.evil", b"127.0.0.1", b"localhost", b"169.254.169.254",
            b"api.hubapi.com", b"HTTPS://api.airtable.com", b"ftp://api.airtable.com",
            b"http:api.airtable.com", b"/api.airtable.com", b"https:///api.airtable.com",
            b"https://https://api.airtable.com", b"https://x@api.airtable.com",
        )
    }),
    *_each("E3 address", 404, "unknown_address", {
        "no host": _get(b"/UID/"),
        "no path": _get(b"ROOT"),
        "unknown id": _get(b"/x/api.airtable.com/v0/BASE/T"),
        "empty id": _get(b"//api.airtable.com/v0/BASE/T"),
        "no id": _get(b"/"),
    }),
    Refusal("E3 path: not in the table", _get(b"ROOT/v9/x"), 404, "unsupported_path"),
    Refusal("E3 path: of another base", _get(b"ROOT/v0/appOther/Tasks"), 403,
            "path_of_another_account"),
)  # fmt: skip

FRAMING = (
    *_each("R6 framing", 400, None, {
        "length and chunks": _post(
            b"Content-Length: 5", b"Transfer-Encoding: chunked", body=LAST_CHUNK),
        "two lengths that differ": _post(
            b"Content-Length: 2", b"Content-Length: 3", body=b"{} "),
        "two lengths that agree": _post(
            b"Content-Length: 2", b"Content-Length: 2", body=b"{}"),
        "a list of lengths": _post(b"Content-Length: 2, 3", body=b"{} "),
        "a length with a sign": _post(b"Content-Length: +2", body=b"{}"),
        "a negative length": _post(b"Content-Length: -2", body=b"{}"),
        "a length in hex": _post(b"Content-Length: 0x2", body=b"{}"),
        "a length of nothing": _post(b"Content-Length:", body=b""),
        "a chunk size that is none": _post(b"Transfer-Encoding: chunked", body=b"zz\r\n{}\r\n"),
        "chunks on HTTP/1.0": _line(
            b"POST ROOT/v0/BASE/Tasks HTTP/1.0", b"Host: h", b"Transfer-Encoding: chunked",
            body=b"2\r\n{}\r\n" + LAST_CHUNK),
        "space before the colon": _post(b"Content-Length : 2", body=b"{}"),
        "a folded header": _post(b"X-A: a", b" b", b"Content-Length: 0"),
        "a header without a name": _post(b": a", b"Content-Length: 0"),
        "a header name with a bracket": _post(b"Bad[h: a", b"Content-Length: 0"),
        "a NUL in a header": _post(b"X-A: a\0b", b"Content-Length: 0"),
        "a bare CR in a header": _post(b"X-A: a\rX-B: b", b"Content-Length: 0"),
        "a header that is not UTF-8": _post(b"X-A: caf\xe9", b"Content-Length: 0"),
    }),
    *_each("R12 coding", 501, "not_implemented", {
        "gzip, chunked": _post(b"Transfer-Encoding: gzip, chunked", body=LAST_CHUNK),
        "x, chunked": _post(b"Transfer-Encoding: x;q=1, chunked", body=LAST_CHUNK),
    }),
    # Without chunked as the last coding nobody knows where the body ends (RFC 9112 §6.3).
    *_each("R12 coding", 400, None, by_nginx=501, requests={
        "chunked that is not last": _post(b"Transfer-Encoding: chunked, gzip", body=LAST_CHUNK),
        "chunked twice": _post(b"Transfer-Encoding: chunked, chunked", body=LAST_CHUNK),
        "gzip alone": _post(b"Transfer-Encoding: gzip"),
        "identity": _post(b"Transfer-Encoding: identity", b"Content-Length: 0"),
        "of nothing": _post(b"Transfer-Encoding:"),
        "of nothing, with a length": _post(
            b"Transfer-Encoding:", b"Content-Length: 2", body=b"{}"),
    }),
)  # fmt: skip

HEADERS = (
    *_each("R1 Connection", 400, "bad_header", {
        name.decode(): _get(b"ROOT/v0/BASE/Tasks", b"Connection: " + name, name + b": x")
        for name in (b"authorization", b"Content-Type", b"cookie", b"Via")
    }),
    Refusal("R1 Connection: Host", _get(b"ROOT/v0/BASE/Tasks", b"Connection: close, Host"), 400,
            "bad_header"),
    Refusal("R1 Connection: Content-Length", _post(
        b"Connection: Content-Length", b"Content-Length: 2", body=b"{}"), 400, "bad_header"),
    *_each("R12 Host", 400, "bad_host", {
        h.decode() or "empty": _line(b"GET ROOT/v0/BASE/Tasks HTTP/1.1", b"Host: " + h)
        for h in (
            b"", b"user@h", b"h/path", b"a, b", b"a b", b"h:port", b"[::1", b"h?x", b"h\\x"
        )
    }),
    Refusal("R12 Host: none", _line(b"GET ROOT/v0/BASE/Tasks HTTP/1.1"), 400),
    Refusal("R12 Host: two", _line(
        b"GET ROOT/v0/BASE/Tasks HTTP/1.1", b"Host: a", b"Host: b"), 400),
    Refusal("R9 Via: ourselves", _get(
        b"ROOT/v0/BASE/Tasks", b"Via: 1.1 elsewhere, 1.1 httpproxy (x)"), 502, "loop_detected"),
    Refusal("R7 Expect: other", _post(b"Expect: 200-ok", b"Content-Length: 2", body=b"{}"), 417,
            "expectation_failed"),
    Refusal("E3 headers: one too large", _get(
        b"ROOT/v0/BASE/Tasks", b"X-A: " + b"v" * 70000), 431, "headers_too_large"),
    Refusal("E3 headers: too many", _get(
        b"ROOT/v0/BASE/Tasks", *(b"X-%d: v" % i for i in range(1000))), 431,
        "headers_too_large"),
    Refusal("E3 body: length over the limit", _post(b"Content-Length: 99999999999"), 413,
            "body_too_large"),
    Refusal("E3 body: chunks over the limit", _post(
        b"Transfer-Encoding: chunked",
        body=b"400000\r\n" + bytes(0x400000) + b"\r\n" + LAST_CHUNK), 413, "body_too_large"),
)  # fmt: skip

METHODS = (
    Refusal("R8 TRACE", _line(b"TRACE ROOT/v0/BASE/Tasks HTTP/1.1", b"Host: h",
                           b"Authorization: Bearer patSecretOfTheCaller"), 405,
            "method_not_allowed"),
    Refusal("R8 TRACE with Max-Forwards 0", _line(
        b"TRACE ROOT/v0/BASE/Tasks HTTP/1.1", b"Host: h", b"Max-Forwards: 0"), 405,
        "method_not_allowed"),
    Refusal("R8 CONNECT", _line(b"CONNECT api.airtable.com:443 HTTP/1.1", b"Host: h"), 501,
            by_nginx=405),
    Refusal("R8 a method of no route", _line(
        b"PURGE ROOT/v0/BASE/Tasks HTTP/1.1", b"Host: h"), 404, "unsupported_path"),
    Refusal("R12 version: HTTP/2.0", _line(b"GET ROOT/v0/BASE/Tasks HTTP/2.0", b"Host: h"), 505,
            "version_not_supported"),
    Refusal("R12 version: HTTP/0.9", _line(b"GET ROOT/v0/BASE/Tasks HTTP/0.9", b"Host: h"), 505,
            "version_not_supported", by_nginx=400),
    Refusal("R12 version: HTTP/1.2", _line(b"GET ROOT/v0/BASE/Tasks HTTP/1.2", b"Host: h"), 505,
            "version_not_supported"),
    *_each("R12 not HTTP", 400, None, {
        "nonsense": b"Tr0ub4dor&3 \xff\xfe secret nonsense\r\n\r\n",
        "TLS hello": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n",
        "an HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "a method with a bracket": b"G(T / HTTP/1.1\r\nHost: h\r\n\r\n",
    }),
)  # fmt: skip

REFUSED = (*TARGETS, *HOST_IN_PATH, *FRAMING, *HEADERS, *METHODS)
