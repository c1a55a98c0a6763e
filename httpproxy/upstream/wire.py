"""A Request as it goes on the wire: checked, and with the fields that frame it.

Pure. What would not be written byte for byte is refused here, before anything leaves,
because what comes later is too late to say so: aiohttp drops bytes that are not UTF-8
silently, and answers a control character with an exception in the middle of things.
"""

from __future__ import annotations

import re
from typing import Final

from multidict import CIMultiDict

from httpproxy.upstream.errors import Unsendable
from providers.http import Headers, Request

_METHOD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Z-]+")  # upper case: aiohttp makes it so
_TOKENS: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET: Final = re.compile(r"/[!-~]*")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NOT_OURS: Final = ("Transfer-Encoding", "Connection", "Upgrade", "Expect", "Trailer")
_FRAMED: Final = frozenset({"POST", "PUT", "PATCH"})


def headers_for(request: Request) -> CIMultiDict[str]:
    """The header fields to send. Raises Unsendable.

    As in the request, except: `Host` is the request's host; `Content-Length` is that of
    the body, wherever there is one, the client said one or the method always has one;
    names that are repeated in another spelling take the first one's, since aiohttp
    would keep only the last of them.
    """
    _check_line(request)
    fields = CIMultiDict(request.headers)
    _check_fields(fields)
    fields["Host"] = request.host
    body = request.body
    if body or "Content-Length" in fields or request.method in _FRAMED:
        fields["Content-Length"] = str(len(body))
    if len({name.lower() for name in fields}) != len(fields):
        return _spelled_alike(fields)
    return fields


def _check_line(request: Request) -> None:
    if not _METHOD.fullmatch(request.method) or request.method == "CONNECT":
        raise Unsendable("the method cannot be forwarded")
    if not _TARGET.fullmatch(request.target):
        raise Unsendable("the request target has characters that are not allowed in one")


def _check_fields(fields: CIMultiDict[str]) -> None:
    if fields and not _TOKENS.fullmatch("".join(fields)):
        raise Unsendable("a header field's name has characters that are not allowed in one")
    values = "".join(fields.values())
    if not (values.isascii() and values.isprintable()):
        _check_text(values)
    for name in _NOT_OURS:
        if name in fields:
            raise Unsendable(f"{name} belongs to one connection and is not forwarded")


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
    """Text of an answer's head whose bytes were not all UTF-8, in characters.

    aiohttp keeps such bytes as lone surrogates, and drops them when writing. Read as
    ISO-8859-1, the charset that HTTP fields once had, they survive as characters.
    """
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def has_stray_bytes(headers: Headers, reason: str) -> bool:
    """Whether an answer's head has bytes that were not UTF-8."""
    if reason.isascii() and all(map(str.isascii, headers.values())):
        return False
    return any(_stray(text) for text in (reason, *headers.values()))


def with_readable(headers: Headers) -> CIMultiDict[str]:
    """The fields, with `readable` values where there were stray bytes."""
    return CIMultiDict((n, readable(v) if _stray(v) else v) for n, v in headers.items())


def _stray(text: str) -> bool:
    return not text.isascii() and any("\udc80" <= sign <= "\udcff" for sign in text)
