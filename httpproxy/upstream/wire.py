"""A Request as it goes on the wire: checked, and with the fields that frame it.

Pure. What would not be written byte for byte is refused here, before anything leaves,
because what comes later is too late to say so: aiohttp drops bytes that are not UTF-8
silently, and answers a control character with an exception in the middle of things.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from multidict import CIMultiDict

from httpproxy.upstream.errors import Unsendable
from providers.http import Headers, Request

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_METHOD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Z-]+")  # upper case: aiohttp makes it so
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_TARGET: Final = re.compile(r"/[!-~]*")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NOT_OURS: Final = frozenset(
    {"transfer-encoding", "connection", "upgrade", "expect", "trailer"}
)
_REMEMBERED: Final = 2_000  # characters
_FRAMED: Final = frozenset({"POST", "PUT", "PATCH"})


def headers_for(request: Request) -> CIMultiDict[str]:
    """The header fields to send. Raises Unsendable.

    As in the request, except: `Host` is the request's host; `Content-Length` is that of
    the body, wherever there is one, the client said one or the method always has one;
    names that are repeated in another spelling take the first one's, since aiohttp
    would keep only the last of them.
    """
    method, body = request.method, request.body
    if method not in _METHODS:
        _check_method(method)
    if not _TARGET.fullmatch(request.target):
        raise Unsendable("the request target has characters that are not allowed in one")
    fields = CIMultiDict(request.headers)
    names = "\n".join([name for name, _ in fields.items()])  # keys() leaves duplicates out
    # Remembered, but not what a stranger makes up to fill the memory.
    check = _repeats if len(names) < _REMEMBERED else _repeats.__wrapped__
    repeated = check(names, len(fields))
    values = "".join(fields.values())
    if not (values.isascii() and values.isprintable()):
        _check_text(values)
    fields["Host"] = request.host
    if body or method in _FRAMED or "Content-Length" in fields:
        fields["Content-Length"] = str(len(body))
    return _spelled_alike(fields) if repeated else fields


def _check_method(method: str) -> None:
    if not _METHOD.fullmatch(method) or method == "CONNECT":
        raise Unsendable("the method cannot be forwarded")


@lru_cache(maxsize=1024)  # clients send the same fields again and again
def _repeats(names: str, count: int) -> bool:
    """Whether one of `count` names, joined by newlines, comes twice. Raises Unsendable."""
    each = names.lower().split("\n") if count else []
    if len(each) != count or not all(map(_NAME.fullmatch, each)):
        raise Unsendable("a header field's name has characters that are not allowed in one")
    for name in _NOT_OURS.intersection(each):
        raise Unsendable(f"{name} belongs to one connection and is not forwarded")
    return len(set(each)) < count


def _check_text(text: str) -> None:
    if _CONTROL.search(text):
        raise Unsendable("a header field has a control character")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Unsendable("a header field has bytes that are not UTF-8") from error


def _spelled_alike(fields: CIMultiDict[str]) -> CIMultiDict[str]:
    first: dict[str, str] = {}
    return CIMultiDict((first.setdefault(n.lower(), n), v) for n, v in fields.items())


def readable(text: str) -> str:
    """Text of an answer's head in characters that can be written again.

    aiohttp keeps bytes that are not UTF-8 as lone surrogates, and drops them when writing.
    Read as ISO-8859-1, the charset that HTTP fields once had, they survive as characters.
    Control characters, which it writes to nobody, become spaces (RFC 9110 section 5.5).
    """
    if _stray(text):
        text = text.encode("utf-8", "surrogateescape").decode("latin-1")
    return _CONTROL.sub(" ", text)


def has_stray_bytes(headers: Headers, reason: str) -> bool:
    """Whether an answer's head has bytes that were not UTF-8, or control characters."""
    text = "".join((reason, *headers.values()))
    if text.isascii() and text.isprintable():
        return False
    return _stray(text) or _CONTROL.search(text) is not None


def with_readable(headers: Headers) -> CIMultiDict[str]:
    """The fields, with `readable` values."""
    return CIMultiDict((name, readable(value)) for name, value in headers.items())


def _stray(text: str) -> bool:
    return not text.isascii() and any("\udc80" <= sign <= "\udcff" for sign in text)
