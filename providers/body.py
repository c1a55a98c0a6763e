"""Looking inside a body, on our own copy.

The bytes that travel are never touched. What we commit is read from a decoded
copy, within bounds: a small compressed answer may not unfold into gigabytes, and
nested arrays may not exhaust the stack. What cannot be read raises `Unreadable`,
which costs a re-read and never the client's answer.

JSON comes back *storable*: Postgres cannot hold U+0000 or a lone surrogate in any
text, nor NaN and Infinity in jsonb, although the first two are valid JSON and
Python's own parser lets the others pass. NUL and lone surrogates become U+FFFD.
"""

from __future__ import annotations

import json
import zlib
from decimal import Decimal
from typing import Final

import brotli
import orjson
import zstandard
from multidict import istr

from providers.http import Request, Response
from providers.record import JSON
from providers.spec import Unreadable

MAX_DECODED: Final = 64 * 1024 * 1024
MAX_DEPTH: Final = 200
# Values in a document. A page of records has some ten thousand; 64 MiB of "[]," would be
# twenty million, and some gigabytes of objects.
MAX_VALUES: Final = 1_000_000
MAX_CODINGS: Final = 3  # one is usual; a body may be made that unfolds into itself for ever
MAX_WINDOW: Final = 8 * 1024 * 1024  # of zstd in HTTP: RFC 9659
_CODINGS: Final = istr("Content-Encoding")
_BETWEEN: Final = (b",", b"[", b"{")
_STEP: Final = 256 * 1024


def read_json(message: Request | Response) -> JSON:
    """The message's body as storable JSON. Raises Unreadable."""
    return parse(content(message))


def content(message: Request | Response, limit: int = MAX_DECODED) -> bytes:
    """The message's body with every Content-Encoding undone. Raises Unreadable."""
    body = message.body
    if len(body) > limit:
        raise Unreadable(f"body of {len(body)} bytes is over the limit of {limit}")
    if _CODINGS not in message.headers:
        return body
    codings = ",".join(message.headers.getall(_CODINGS))
    undone = [c.strip().lower() for c in codings.split(",") if c.strip()]
    if len(undone) > MAX_CODINGS:
        raise Unreadable(f"body has more than {MAX_CODINGS} codings")
    for coding in reversed(undone):
        try:
            body = _undo(coding, body, limit)
        except (zlib.error, brotli.error, zstandard.ZstdError) as error:
            raise Unreadable(f"body is not {coding}: {error}") from error
    return body


def _undo(coding: str, body: bytes, limit: int) -> bytes:
    if coding == "identity":
        return body
    if coding in ("gzip", "x-gzip"):
        return _inflate(body, 31, limit)
    if coding == "deflate":  # zlib by the RFC, raw by some servers
        zlibbed = len(body) > 1 and body[0] & 15 == 8 and (body[0] << 8 | body[1]) % 31 == 0
        return _inflate(body, 15 if zlibbed else -15, limit)
    if coding == "br":
        return _unbrotli(body, limit)
    if coding == "zstd":
        return _unzstd(body, limit)
    raise Unreadable(f"unknown Content-Encoding {coding!r}")


def _inflate(body: bytes, window: int, limit: int) -> bytes:
    stream = zlib.decompressobj(window)
    out = _bounded(stream.decompress(body, limit + 1), limit)
    if not stream.eof:
        raise Unreadable("compressed body is cut short")
    return out


def _unbrotli(body: bytes, limit: int) -> bytes:
    stream = brotli.Decompressor()
    parts = [stream.process(body, output_buffer_limit=_STEP)]
    total = len(parts[0])
    while parts[-1] and not stream.is_finished() and total <= limit:
        parts.append(stream.process(b"", output_buffer_limit=_STEP))
        total += len(parts[-1])
    out = _bounded(b"".join(parts), limit)
    if not stream.is_finished():
        raise Unreadable("compressed body is cut short")
    return out


def _unzstd(body: bytes, limit: int) -> bytes:
    stream = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW).stream_reader(
        body, read_across_frames=True
    )
    parts, total = [stream.read(_STEP)], 0
    while parts[-1] and total <= limit:
        total += len(parts[-1])
        parts.append(stream.read(_STEP))
    return _bounded(b"".join(parts), limit)


def _bounded(out: bytes, limit: int) -> bytes:
    if len(out) > limit:
        raise Unreadable(f"body unfolds to more than the limit of {limit} bytes")
    return out


def parse(body: bytes) -> JSON:
    """JSON text (UTF-8) as storable values. Raises Unreadable.

    Numbers beyond double range come back as decimal strings, which numeric takes.
    """
    # Before anything is made of it. Signs within texts count too, which is no matter.
    if len(body) > MAX_VALUES and sum(map(body.count, _BETWEEN)) > MAX_VALUES:
        raise Unreadable(f"JSON has more than {MAX_VALUES:,} values")
    try:
        value: JSON = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _parse_leniently(body)
    if b"\\u0000" in body:
        return storable(value)
    return value


def _parse_leniently(body: bytes) -> JSON:
    # orjson refuses lone surrogates, which are valid JSON that vendors do send.
    try:
        return storable(
            json.loads(
                body,
                parse_constant=_no_constant,
                parse_int=_integer,
                parse_float=_number,
            )
        )
    except (ValueError, RecursionError) as error:
        raise Unreadable("body is not JSON that can be read") from error


def _no_constant(name: str) -> JSON:
    raise ValueError(f"{name} is not JSON")


def _integer(digits: str) -> JSON:
    return int(digits) if len(digits) < 19 else digits


def _number(text: str) -> JSON:
    value = float(text)
    return value if abs(value) != float("inf") else str(Decimal(text))


def storable(value: JSON, depth: int = 0) -> JSON:
    """The value with NUL and lone surrogates replaced. Raises Unreadable if too deep."""
    if depth > MAX_DEPTH:
        raise Unreadable(f"JSON is nested more than {MAX_DEPTH} deep")
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, list):
        return [storable(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {storable_text(k): storable(v, depth + 1) for k, v in value.items()}
    return value


def storable_text(text: str) -> str:
    """The text with NUL and lone surrogates replaced by U+FFFD."""
    return (
        text.replace("\0", "\ufffd")
        .encode("utf-16", "surrogatepass")
        .decode("utf-16", "replace")
    )
