"""Which headers travel on, in both directions.

Everything does, in order and repeated as it came, except

    request   hop-by-hop fields and those that Connection names (RFC 9110 §7.6.1), Host,
              Expect, what proxies in front of us say of our own clients, and what is
              meant for us alone (Httpproxy-*)
    answer    hop-by-hop fields, Alt-Svc (it would speak for our origin), X-Accel-*
              (nginx would obey it), and names that only we may use

`Via` is added to the request, as a gateway must. docs/gateway.md repeats this list.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from multidict import CIMultiDict, MultiMapping, istr

from httpproxy.exchange.problems import Rejected

CONNECTION: Final = istr("Connection")
CONTENT_LENGTH: Final = istr("Content-Length")
EXPECT: Final = istr("Expect")
HOST: Final = istr("Host")
PROXY_STATUS: Final = istr("Proxy-Status")  # RFC 9209
RECEIPT: Final = istr("Httpproxy-Commit")
MAX_FORWARDS: Final = istr("Max-Forwards")
VIA: Final = istr("Via")
DRY_RUN: Final = istr("Httpproxy-Dry-Run")
TRANSFER_ENCODING: Final = istr("Transfer-Encoding")


class _Rule(NamedTuple):
    """Which fields do not travel on: by name, and by how the name begins."""

    names: frozenset[str]
    prefixes: tuple[str, ...]


_HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
        "trailer",
        "proxy-authorization",
    }
)
_OF_REQUESTS: Final = _Rule(
    _HOP_BY_HOP | {"expect", "host", "http2-settings", "forwarded", "x-real-ip"},
    ("x-forwarded-", "httpproxy-"),
)
_OF_ANSWERS: Final = _Rule(
    _HOP_BY_HOP | {"proxy-authenticate", "alt-svc"}, ("x-accel-", "httpproxy-")
)
# Methods beside the method: an API that heeds one would do other than what we understood, and
# what a key that only reads may do was decided by.
_METHODS: Final = ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")
_REMEMBERED: Final = 2_000  # characters
_SETTLED: Final = frozenset({"keep-alive", "Keep-Alive", "close"})  # names no field

# A client that lists one of these in Connection asks us to drop what the call means.
_END_TO_END: Final = frozenset(
    {
        "authorization",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "date",
        "host",
        "if-match",
        "via",
    }
)


def _named_by_connection(headers: MultiMapping[str]) -> set[str]:
    values = headers.getall(CONNECTION, ())
    if not values or (len(values) == 1 and values[0] in _SETTLED):
        return set()
    options = ",".join(values).split(",")
    return {option.strip().lower() for option in options} - {"", "close", "keep-alive"}


def _drop(headers: CIMultiDict[str], rule: _Rule) -> None:
    names = "\n".join(headers)
    # Remembered, but not what a stranger makes up to fill the memory.
    find = _dropped if len(names) < _REMEMBERED else _dropped.__wrapped__
    for name in find(names, rule):
        headers.popall(name, None)


@lru_cache(maxsize=1024)  # both sides send the same fields again and again
def _dropped(names: str, rule: _Rule) -> tuple[str, ...]:
    """Those of the names (one a line) that do not travel on."""
    found = set(names.lower().split("\n"))
    prefixed = {name for name in found if name.startswith(rule.prefixes)}
    return tuple(found & rule.names | prefixed)


def forwarded(
    incoming: MultiMapping[str], body_length: int, pseudonym: str
) -> CIMultiDict[str]:
    """The headers for the upstream. Raises Rejected (400, 502 for a loop)."""
    out = CIMultiDict(incoming)
    named = _named_by_connection(out)
    if not named.isdisjoint(_END_TO_END):
        raise Rejected("bad_header", "Connection names an end-to-end header.")
    for name in named:
        out.popall(name, None)
    for name in _METHODS:
        if name in out:
            raise Rejected("bad_header", f"{name} is not understood: send that method itself.")
    if TRANSFER_ENCODING in out:
        out[CONTENT_LENGTH] = str(body_length)
    _drop(out, _OF_REQUESTS)
    mark = f"1.1 {pseudonym}"
    if VIA in out:
        seen = ", ".join(out.popall(VIA))
        if any(hop.split()[1:2] == [pseudonym] for hop in seen.split(",")):
            raise Rejected("loop_detected", "The call has passed this proxy before.")
        mark = f"{seen}, {mark}"
    out[VIA] = mark
    _refuse_undecodable(out)
    return out


def asks_for_dry_run(incoming: MultiMapping[str]) -> bool:
    """Whether the call is only to be tried out: a boolean of RFC 8941, `?1` or `?0`.

    Raises Rejected (400) for anything else: who asks for a dry run never gets a real one.
    """
    values = incoming.getall(DRY_RUN, ())
    if not values:
        return False
    if len(values) > 1 or values[0] not in ("?0", "?1"):
        raise Rejected("bad_header", f"{DRY_RUN} is ?1 for a dry run, or ?0.")
    return values[0] == "?1"


def hops_left(headers: MultiMapping[str]) -> int | None:
    """How often an OPTIONS may still be forwarded; None if its sender does not say."""
    hops = headers.get(MAX_FORWARDS, "")
    return int(hops) if hops.isascii() and hops.isdecimal() and len(hops) < 10 else None


def _refuse_undecodable(headers: MultiMapping[str]) -> None:
    text = "".join(headers.values())
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Rejected(
            "bad_header", "A header value is not UTF-8; it could not travel unchanged."
        ) from error


def returned(upstream: MultiMapping[str]) -> CIMultiDict[str]:
    """The upstream's headers for the client, as `upstream.client` made them readable."""
    out = CIMultiDict(upstream)
    for name in _named_by_connection(out):
        out.popall(name, None)
    _drop(out, _OF_ANSWERS)
    return out
