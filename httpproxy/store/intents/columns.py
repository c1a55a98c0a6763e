"""Intents and answers in the form in which they are kept. Pure.

What is written in groups goes to Postgres as one array for each column, in its binary form
(`array`, `numbers`): that is the cheapest way in, and bodies need no escaping. A request is
kept as one line, "METHOD https://host/target"; an answer's status and header fields as the
lines that HTTP/1.1 has for them. What an API sent is bytes that need not be UTF-8: header
values carry such bytes as surrogates, here as in aiohttp.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Final

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
class Line:
    """An intent's columns, encoded when it comes. `texts`: sync id, request id, request,
    content type, content encoding.

    `claim` is (sync id, key, fingerprint) of an intent that claims a key.
    """

    texts: tuple[bytes, bytes, bytes, bytes | None, bytes | None]
    start: int
    body: bytes
    claim: tuple[bytes, bytes, bytes] | None


def line(intent: Intent) -> Line:
    """An intent's columns."""
    request, sync_id = intent.request, text(intent.sync_id)
    fields = request.headers
    kind, coding = fields.get("Content-Type"), fields.get("Content-Encoding")
    texts = (
        sync_id,
        text(intent.request_id),
        text(f"{request.method} https://{request.host}{request.target}"),
        None if kind is None else text(kind),
        None if coding is None else text(coding),
    )
    claim = intent.claim
    claimed = None if claim is None else (sync_id, text(claim.key), claim.fingerprint)
    return Line(texts, intent.start, request.body, claimed)


def text(value: str) -> bytes:
    """Text that Postgres can hold: what is no character, and NUL, are written out."""
    return value.encode("utf-8", "backslashreplace").replace(b"\0", b"\\x00")


def request_of(line_: str, content: tuple[str | None, str | None], body: bytes) -> Request:
    """The request of an intent; `content` are its type and encoding."""
    method, _, url = line_.partition(" ")
    host, slash, target = url.removeprefix("https://").partition("/")
    pairs = [
        (name, value)
        for name, value in zip(_KEPT_HEADERS, content, strict=True)
        if value is not None
    ]
    return Request(method, host, slash + target, headers(*pairs), body)


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
