"""HTTP messages as values.

Both sides of every call are these two frozen classes: what the gateway forwards,
what discovery and re-reads ask for, what a sandbox is handed and answers. They
carry bytes as they are on the wire; nothing is decoded, normalised or added. Who
wants to look inside calls `providers.body` on the copy.

`target` is the raw request target (path, and query if any), percent-encoding
untouched, always beginning with "/". `headers` is a multidict: ordered,
case-insensitive, repeated names kept apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import parse_qsl, quote_plus, unquote

from multidict import CIMultiDict, CIMultiDictProxy, MultiMapping

Headers = MultiMapping[str]

NO_HEADERS: Final[Headers] = CIMultiDictProxy(CIMultiDict())

_HIDDEN: Final = "…".encode()

SECRET_HEADERS: Final = frozenset(
    {"authorization", "proxy-authorization", "cookie", "set-cookie"}
)


def headers(*pairs: tuple[str, str]) -> Headers:
    """Read-only headers from (name, value) pairs, in that order."""
    return CIMultiDictProxy(CIMultiDict(pairs))


def _shown(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(n, "…" if n.lower() in SECRET_HEADERS else v) for n, v in pairs]


@dataclass(frozen=True, slots=True)
class Request:
    """A call to an upstream API.

    `host` is the upstream's public host name ("api.airtable.com"), whatever server
    the operator has put behind it.
    """

    method: str
    host: str
    target: str
    headers: Headers = field(default_factory=lambda: NO_HEADERS)
    body: bytes = b""

    @property
    def path(self) -> str:
        """The raw path, without the query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> tuple[tuple[str, str], ...]:
        """Decoded query pairs in order; repeated names and blank values are kept."""
        return tuple(parse_qsl(self.target.partition("?")[2], keep_blank_values=True))

    def __repr__(self) -> str:
        return (
            f"Request({self.method} {self.host}{self.path}"
            f" headers={_shown(self.headers.items())} body={len(self.body)}B)"
        )


def with_bearer(request: Request, token: str) -> Request:
    """The request with the token as its one Authorization (RFC 6750)."""
    fields = CIMultiDict(request.headers)
    fields["Authorization"] = f"Bearer {token}"
    return replace(request, headers=CIMultiDictProxy(fields))


@dataclass(frozen=True, slots=True)
class Response:
    """An upstream API's answer. `reason` is the reason phrase as it came."""

    status: int
    headers: Headers = field(default_factory=lambda: NO_HEADERS)
    body: bytes = b""
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Any 2xx: the rollouts of the APIs disagree about which one (201 or 200)."""
        return 200 <= self.status < 300

    def hiding(self, secrets: Iterable[str]) -> Response:
        """The same answer without these in its body, plain or as a form has them: an API may
        quote what it refuses, and its words are told, stored and logged."""
        body = self.body
        for secret in secrets:
            for spelt in (secret, quote_plus(secret)):
                body = body.replace(spelt.encode(), _HIDDEN) if spelt else body
        return self if body == self.body else replace(self, body=body)

    def __repr__(self) -> str:
        return (
            f"Response({self.status} {self.reason}"
            f" headers={_shown(self.headers.items())} body={len(self.body)}B)"
        )


def segments(path: str) -> tuple[str, ...]:
    """The raw, still encoded segments of a path; empty ones are dropped.

    Real clients send `//v0/app…` (a base URL with a trailing slash) and
    `/v0/app…/Tasks/` (airtable.js); they mean the same route.
    """
    return tuple(filter(None, path.split("/")))


def decoded(segment: str) -> str:
    """One path segment, percent-decoded as UTF-8. Split first, decode after."""
    return unquote(segment) if "%" in segment else segment


def answered_at(response: Response, now: float) -> float:
    """When an answer was given, by the clock of whoever gave it; epoch seconds.

    `now` if it does not say, or if ours is the earlier: who asks for what changed since
    then would pass over changes if ours is ahead, and is told some twice if it is behind.
    """
    try:
        there = parsedate_to_datetime(response.headers.get("Date", "")).timestamp()
    except ValueError:
        return now
    return min(now, there)
