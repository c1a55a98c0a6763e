"""HTTP/1.1 messages as bytes, for tests that must see exactly what travels.

No HTTP library is used: a library on either side of the gateway would repair, add or
reorder something, and so hide what the gateway did. Only what is needed to find the
end of a message is understood here; names, order and spelling are kept.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

Pairs = tuple[tuple[str, str], ...]

READ_LIMIT = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Head:
    """A start line and header lines in order, as they were spelled (latin-1)."""

    start: str
    headers: Pairs
    raw: bytes

    def all(self, name: str) -> list[str]:
        """Every value of `name`, in order."""
        return values(self.headers, name)


def values(headers: Iterable[tuple[str, str]], name: str) -> list[str]:
    """Every value of `name`, in order; names compare without case."""
    return [v for n, v in headers if n.lower() == name.lower()]


def without(
    headers: Iterable[tuple[str, str]], names: Iterable[str]
) -> Counter[tuple[str, str]]:
    """The multiset of (lower-cased name, value), less these names."""
    left_out = {n.lower() for n in names}
    return Counter((n.lower(), v) for n, v in headers if n.lower() not in left_out)


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """The next head, or None if the peer closed without sending one."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    start, *lines = raw.decode("latin-1")[:-4].split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return Head(start, tuple((name, value.strip(" \t")) for name, _, value in pairs), raw)


async def read_body(reader: asyncio.StreamReader, head: Head, *, to_close: bool) -> bytes:
    """The body that belongs to `head`; `to_close` says what no framing at all means."""
    if any("chunked" in v.lower() for v in head.all("Transfer-Encoding")):
        return await _read_chunks(reader)
    lengths = head.all("Content-Length")
    if lengths:
        return await reader.readexactly(int(lengths[0]))
    return await reader.read() if to_close else b""


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while True:
        size = int((await reader.readline()).split(b";")[0], 16)
        if size == 0:
            while (await reader.readline()).strip():
                pass
            return body
        body += await reader.readexactly(size)
        await reader.readexactly(2)


def chunks(body: bytes, size: int = 7) -> bytes:
    """`body` in the chunked coding."""
    parts = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts) + b"0\r\n\r\n"
