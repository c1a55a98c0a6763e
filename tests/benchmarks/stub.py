"""A stub of the upstream API that costs as little as possible: a process of its own.

A raw asyncio protocol on uvloop that scans requests by hand. It knows just enough
of Airtable: metadata; a create answers with a new record id each time and with the
cells it was sent; an update with the id of its path; everything else with one fixed
record. Answers are about 1 KB and carry the headers of the real API's class.

    python -m tests.benchmarks.stub     prints {"port": N} and serves until stdin closes
"""

from __future__ import annotations

import asyncio
import gc
import re
from itertools import count
from typing import Final, cast

from tests.benchmarks import record
from tests.benchmarks.child import announce, run

_LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length:[ \t]*(\d+)")
_CELLS: Final = b'"fields":'
_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\n"
    b"Date: Sat, 21 Nov 2026 12:00:00 GMT\r\n"
    b"Content-Type: application/json; charset=utf-8\r\n"
    b"Content-Length: %d\r\n"
    b"Server: stub\r\n"
    b"Vary: Accept-Encoding\r\n"
    b'ETag: W/"40c-benchmark"\r\n'
    b"\r\n"
)
_FIXED: Final = record.encoded(
    {
        "id": "recBenchmarks0001",
        "createdTime": "2026-11-21T12:00:00.000Z",
        "fields": record.FIELDS,
    }
)
_IDS: Final = count(1)


def answer(method: bytes, path: bytes, body: bytes) -> bytes:
    """The whole answer to one request, head and body."""
    content = _content(method, path, body)
    return _HEAD % len(content) + content


def _content(method: bytes, path: bytes, body: bytes) -> bytes:
    if method == b"DELETE":
        return b'{"id":"%b","deleted":true}' % path.rpartition(b"/")[2]
    if method in (b"POST", b"PATCH", b"PUT") and not path.endswith(b"/listRecords"):
        return _written(method, path, body)
    if path.startswith(b"/v0/meta/"):
        return record.encoded(record.METADATA)
    return _FIXED


def _written(method: bytes, path: bytes, body: bytes) -> bytes:
    name = b"rec%014d" % next(_IDS) if method == b"POST" else path.rpartition(b"/")[2]
    at = body.find(_CELLS) + len(_CELLS)
    end = body.find(b',"typecast"', at)
    cells = body[at : end if end > 0 else -1]
    return b'{"id":"%b","createdTime":"2026-11-21T12:00:00.000Z","fields":%b}' % (name, cells)


class Stub(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer = data = self._buffer + data if self._buffer else data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(data, 0, end)
            total = end + 4 + (int(length[1]) if length else 0)
            if len(data) < total:
                break
            method, target, _ = data[: data.find(b"\r\n")].split(b" ", 2)
            assert self._transport is not None
            self._transport.write(
                answer(method, target.partition(b"?")[0], data[end + 4 : total])
            )
            data = data[total:]
        self._buffer = data


async def serve() -> None:
    """Serves on a loopback port of the system's choice until stdin closes."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Stub, "127.0.0.1", 0, backlog=1024)
    gc.freeze()
    await announce(server.sockets[0].getsockname()[1])
    server.close()


if __name__ == "__main__":
    run(serve())
