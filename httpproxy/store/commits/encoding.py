"""Rows as the JSON of one jsonb parameter. Pure.

`encoded` is quick and takes nearly everything. What it refuses (TypeError), or Postgres
after it, goes through `encoded_with_care`, which writes anything as Postgres can hold it:

    U+0000 and lone surrogates     become U+FFFD
    integers beyond 64 bits        are written out
    more than 200 nested levels    the rest is kept as JSON text

NaN and the infinities are not JSON and no parser of ours lets them in; should one be
made on the way, it is NULL.
"""

from __future__ import annotations

import json
from math import inf, isfinite
from typing import Final

import orjson

from providers.body import MAX_DEPTH, storable_text
from providers.record import JSON

_DECIMAL_BITS: Final = 14_000  # Python writes decimals of up to 4,300 digits


def encoded(rows: object) -> bytes:
    """JSON text. Raises TypeError for what only `encoded_with_care` can write."""
    return orjson.dumps(rows)


def encoded_with_care(rows: JSON) -> bytes:
    """JSON text that Postgres can hold, whatever the value."""
    return _text(rows, MAX_DEPTH).encode()


class _Raw(str):
    """A piece of JSON text, as it is."""

    __slots__ = ()


def _text(value: JSON, levels: float) -> str:
    # With a stack of its own: a value may be nested deeper than Python calls may be.
    written: list[str] = []
    waiting: list[tuple[JSON | _Raw, float]] = [(value, levels)]
    while waiting:
        item, left = waiting.pop()
        if isinstance(item, _Raw):
            written.append(item)
        elif isinstance(item, dict | list) and left <= 0:
            written.append(_scalar(_text(item, inf)))
        elif isinstance(item, dict):
            waiting.append((_Raw("}"), 0))
            for n, (key, member) in enumerate(reversed(item.items())):
                last = n == len(item) - 1
                waiting.append((member, left - 1))
                waiting.append((_Raw(("" if last else ",") + _scalar(str(key)) + ":"), 0))
            waiting.append((_Raw("{"), 0))
        elif isinstance(item, list):
            waiting.append((_Raw("]"), 0))
            for n, member in enumerate(reversed(item)):
                waiting.append((member, left - 1))
                if n < len(item) - 1:
                    waiting.append((_Raw(","), 0))
            waiting.append((_Raw("["), 0))
        else:
            written.append(_scalar(item))
    return "".join(written)


def _scalar(value: JSON) -> str:
    if isinstance(value, str):
        return json.dumps(storable_text(value), ensure_ascii=False)
    if isinstance(value, float) and not isfinite(value):
        return "null"
    if isinstance(value, int) and value.bit_length() > _DECIMAL_BITS:
        return json.dumps(hex(value))
    return json.dumps(value)
