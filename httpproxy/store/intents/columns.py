"""Intents and answers in the form in which they are kept. Pure.

What is written in groups goes to Postgres as one array for each column, in its binary form
(`array`, `numbers`): that is the cheapest way in, and bodies need no escaping. Each column
costs every call about a microsecond, so all that no statement asks for is one of them:
"METHOD https://host/target", and a line "Name: value" for each of the rest. An answer's
status and header fields are kept as the lines that HTTP/1.1 has for them. What an API sent
is bytes that need not be UTF-8: header values carry such bytes as surrogates, here as in
aiohttp.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final, NamedTuple

from httpproxy.store.intents.values import Intent
from providers.http import Request, Response, headers

BYTEA: Final = 17
TEXT: Final = 25
_BIGINT: Final = 20

_EMPTY: Final = Struct("!3i")  # dimensions, whether there are nulls, type of the elements
_HEAD: Final = Struct("!5i")  # and of the one dimension its length and lower bound
_LENGTH: Final = Struct("!i")
_NUMBER: Final = Struct("!iq")
_NULL: Final = _LENGTH.pack(-1)

_KEPT_HEADERS: Final = ("Content-Type", "Content-Encoding")
_CLOCK: Final = "Clock"
_REQUEST_ID: Final = "Request-Id"
_ORIGIN: Final = "Origin"
_USUAL: Final = "proxy"  # nearly all of them: it is not written down


def array(element: int, items: Sequence[bytes | None]) -> bytes:
    """A one-dimensional array of `element` (TEXT, BYTEA), as Postgres receives it."""
    if not items:
        return _EMPTY.pack(0, 0, element)
    parts = [_HEAD.pack(1, 1, element, len(items), 1)]
    length = _LENGTH.pack
    for item in items:
        if item is None:
            parts.append(_NULL)
        else:
            parts.append(length(len(item)))
            parts.append(item)
    return b"".join(parts)


def numbers(items: Sequence[int]) -> bytes:
    """A one-dimensional array of bigint, as Postgres receives it."""
    if not items:
        return _EMPTY.pack(0, 0, _BIGINT)
    one = _NUMBER.pack
    return _HEAD.pack(1, 0, _BIGINT, len(items), 1) + b"".join([one(8, n) for n in items])


@dataclass(frozen=True, slots=True)
class Columns:
    """An intent's columns, encoded when it comes.

    `claim` is (sync id, key, fingerprint) of an intent that claims a key.
    """

    sync_id: bytes
    call: bytes
    body: bytes
    claim: tuple[bytes, bytes, bytes] | None


def columns_of(intent: Intent) -> Columns:
    """An intent's columns."""
    request, sync_id, claim = intent.request, text(intent.sync_id), intent.claim
    called = f"{request.method} https://{request.host}{request.target}"
    called += f"\n{_CLOCK}: {intent.start}\n{_REQUEST_ID}: {intent.request_id}"
    if intent.origin != _USUAL:
        called += f"\n{_ORIGIN}: {intent.origin}"
    fields = request.headers
    for name in _KEPT_HEADERS:
        value = fields.get(name)
        if value is not None:
            called += f"\n{name}: {value}"
    claimed = None if claim is None else (sync_id, text(claim.key), claim.fingerprint)
    return Columns(sync_id, text(called), request.body, claimed)


def text(value: str) -> bytes:
    """Text that Postgres can hold: what is no character, and NUL, are written out."""
    return value.encode("utf-8", "backslashreplace").replace(b"\0", b"\\x00")


class Called(NamedTuple):
    """What the column `call` tells."""

    request: Request
    start: int
    request_id: str
    origin: str


def called_of(call: str, body: bytes) -> Called:
    """What was called, of an intent's columns."""
    first, *rest = call.split("\n")
    fields = dict(each.split(": ", 1) for each in rest)
    method, _, url = first.partition(" ")
    host, slash, target = url.removeprefix("https://").partition("/")
    pairs = [(name, fields[name]) for name in _KEPT_HEADERS if name in fields]
    request = Request(method, host, slash + target, headers(*pairs), body)
    origin = fields.get(_ORIGIN, _USUAL)
    return Called(request, int(fields[_CLOCK]), fields[_REQUEST_ID], origin)


def head_of(response: Response) -> bytes:
    """An answer's status line and header fields, byte for byte."""
    lines = [f"{response.status} {response.reason}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape")


def response_of(head: bytes, body: bytes) -> Response:
    """The answer that `head_of` was made from."""
    first, *rest = head.decode("utf-8", "surrogateescape").split("\r\n")
    status, _, reason = first.partition(" ")
    pairs = [(name, value) for name, _, value in (each.partition(": ") for each in rest)]
    return Response(int(status), headers(*pairs), body, reason)
