"""What can be made to go wrong with a call, and which call it happens to.

An order names a kind and the calls that it is for; every order lasts for `count`
calls. All orders that fit one call work together, one of each kind: two `status`
orders answer two calls, in the order in which they came, while a `compress` and a
`truncate` shape the same answer. Pure: an order is read from JSON, `decide` turns the
open orders and a call into a `Plan`, and the server acts on it.

    kind          parameters (default)                    what happens
    delay_before  seconds                                 wait, then apply
    delay_after   seconds                                 apply, then wait
    drop          when: before | after (before)           close without an answer
    status        status, retry_after, body: vendor |     answer this instead of the
                  html | empty (vendor),                  API's own answer
                  when: before | after (before)
    truncate      keep (half of the body)                 close inside the body
    compress      coding: gzip | br | zstd | deflate      Content-Encoding
    chunked       size (512)                              Transfer-Encoding: chunked

`when` says whether the call has been applied by then: "after" is the case in which a
client must not simply try again.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import brotli
import zstandard

from providers.http import Request
from providers.record import JSON


class Kind(StrEnum):
    DELAY_BEFORE = "delay_before"
    DELAY_AFTER = "delay_after"
    DROP = "drop"
    STATUS = "status"
    TRUNCATE = "truncate"
    COMPRESS = "compress"
    CHUNKED = "chunked"


class BadOrder(ValueError):
    """An order that cannot be carried out; `field` is the member that is wrong."""

    def __init__(self, field: str, remedy: str) -> None:
        super().__init__(f"{field}: {remedy}")
        self.field = field


@dataclass(frozen=True, slots=True)
class Fault:
    """One order. `left` counts the calls that it is still for; None has no end."""

    id: int
    kind: Kind
    options: Mapping[str, JSON]
    method: str | None = None
    host: str | None = None
    path: str | None = None
    left: int | None = 1

    def fits(self, request: Request) -> bool:
        """Whether the order is for this call; `path` is searched for in the target."""
        return (
            (self.method is None or self.method == request.method)
            and (self.host is None or self.host == request.host)
            and (self.path is None or re.search(self.path, request.target) is not None)
        )

    def shown(self) -> dict[str, JSON]:
        """The order as the side API spells it."""
        match: dict[str, JSON] = {"method": self.method, "host": self.host, "path": self.path}
        named = {name: value for name, value in match.items() if value is not None}
        return {"id": self.id, "kind": self.kind, **self.options, **named, "count": self.left}


@dataclass(frozen=True, slots=True)
class Plan:
    """What happens to one call: at most one order of each kind."""

    orders: Mapping[Kind, Fault]

    def option(self, kind: Kind, name: str) -> JSON:
        """A parameter of the order of this kind, None if there is no such order."""
        order = self.orders.get(kind)
        return None if order is None else order.options[name]

    def seconds(self, kind: Kind) -> float:
        """How long to wait, 0 if no order says so."""
        value = self.option(kind, "seconds")
        return float(value) if isinstance(value, int | float) else 0.0

    def happens(self, kind: Kind, when: str) -> bool:
        """Whether a drop or a status of ours comes `before` or `after` applying."""
        return self.option(kind, "when") == when


def decide(faults: Sequence[Fault], request: Request) -> tuple[Plan, tuple[Fault, ...]]:
    """What happens to this call, and the orders that remain afterwards."""
    chosen: dict[Kind, Fault] = {}
    for fault in faults:
        if fault.kind not in chosen and fault.fits(request):
            chosen[fault.kind] = fault
    spent = {fault.id for fault in chosen.values()}
    return Plan(chosen), tuple(
        replace(fault, left=fault.left - 1) if fault.id in spent and fault.left else fault
        for fault in faults
        if not (fault.id in spent and fault.left == 1)
    )


def read_order(body: JSON, number: int) -> Fault:
    """The order in a JSON body; `number` becomes its id. Raises BadOrder."""
    if not isinstance(body, dict):
        raise BadOrder("body", 'must be a JSON object such as {"kind": "drop"}')
    try:
        kind = Kind(str(body.get("kind")))
    except ValueError as error:
        raise BadOrder("kind", f"must be one of {', '.join(Kind)}") from error
    options = _OPTIONS[kind]
    for name in body:
        if name not in options and name not in _MATCH and name != "kind":
            known = ", ".join((*options, *_MATCH))
            raise BadOrder(str(name), f"{kind} has no such member; it takes {known}")
    read = {name: reader(name, body.get(name)) for name, reader in options.items()}
    match = {name: reader(name, body.get(name)) for name, reader in _MATCH.items()}
    return Fault(
        number,
        kind,
        read,
        method=match["method"],
        host=match["host"],
        path=match["path"],
        left=_count("count", body.get("count", 1)),
    )


Reader = Callable[[str, JSON], JSON]


def _number(least: float, most: float, default: float | None = None) -> Reader:
    def read(name: str, value: JSON) -> JSON:
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise BadOrder(name, f"must be a number from {least:g} to {most:g}")
        if not least <= value <= most:
            raise BadOrder(name, f"must be a number from {least:g} to {most:g}")
        return value

    return read


def _whole(
    least: int, most: int, default: int | None = None, *, needed: bool = False
) -> Reader:
    def read(name: str, value: JSON) -> JSON:
        if value is None and not needed:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise BadOrder(name, f"must be a whole number from {least} to {most}")
        return value

    return read


def _one_of(*choices: str, default: str | None = None) -> Reader:
    def read(name: str, value: JSON) -> JSON:
        value = default if value is None else value
        if value not in choices:
            raise BadOrder(name, f"must be one of {', '.join(choices)}")
        return value

    return read


def _retry_after(name: str, value: JSON) -> JSON:
    if value is None or (isinstance(value, str) and value.isprintable()):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise BadOrder(name, "must be whole seconds, or the text that the header shall carry")


def _text(name: str, value: JSON) -> str | None:
    if value is None or (isinstance(value, str) and value):
        return value
    raise BadOrder(name, "must be a text")


def _method(name: str, value: JSON) -> str | None:
    text = _text(name, value)
    return None if text is None else text.upper()


def _path(name: str, value: JSON) -> str | None:
    text = _text(name, value)
    try:
        re.compile(text or "")
    except re.error as error:
        raise BadOrder(name, f"must be a regular expression: {error}") from error
    return text


def _count(name: str, value: JSON) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadOrder(name, "must be a whole number of at least 1, or null for no end")
    return value


_MATCH: Final[Mapping[str, Callable[[str, JSON], str | None]]] = {
    "method": _method,
    "host": _text,
    "path": _path,
    "count": lambda _name, _value: None,  # read apart: its default is 1, not null
}
_WHEN: Final = _one_of("before", "after", default="before")
_OPTIONS: Final[Mapping[Kind, Mapping[str, Reader]]] = {
    Kind.DELAY_BEFORE: {"seconds": _number(0, 600)},
    Kind.DELAY_AFTER: {"seconds": _number(0, 600)},
    Kind.DROP: {"when": _WHEN},
    Kind.STATUS: {
        "status": _whole(200, 599, needed=True),
        "retry_after": _retry_after,
        "body": _one_of("vendor", "html", "empty", default="vendor"),
        "when": _WHEN,
    },
    Kind.TRUNCATE: {"keep": _whole(0, 1 << 30)},
    Kind.COMPRESS: {"coding": _one_of("gzip", "br", "zstd", "deflate")},
    Kind.CHUNKED: {"size": _whole(1, 1 << 30, 512)},
}


def _gzip(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=31)  # unlike gzip.compress, without the time of day
    return packer.compress(body) + packer.flush()


_CODINGS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "gzip": _gzip,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": lambda body: zstandard.ZstdCompressor().compress(body),
}


def compressed(body: bytes, coding: str) -> bytes:
    """The body in this Content-Encoding."""
    return _CODINGS[coding](body)
