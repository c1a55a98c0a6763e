"""Just enough HTTP/2 (RFC 9113) to make one request and read its answer."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS, _GOAWAY = 0, 1, 4, 7
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_STATUS_200 = 0x88  # an entry of HPACK's static table (RFC 7541, appendix A)


def _frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    head = len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4)
    return head + payload


def _literal(name: str, value: str) -> bytes:
    """A field that is in no table: neither indexed nor compressed."""
    return b"\0" + b"".join(bytes((len(t),)) + t.encode() for t in (name, value))


async def get(port: int, tls: ssl.SSLContext, fields: Iterable[tuple[str, str]]) -> bytes:
    """The body of the answer to a request with these fields; fails unless it is a 200."""
    tls.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    try:
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        block = b"".join(_literal(*field) for field in fields)
        flags = _END_STREAM | _END_HEADERS
        writer.write(_PREFACE + _frame(_SETTINGS, 0, 0) + _frame(_HEADERS, flags, 1, block))
        body = b""
        async with asyncio.timeout(60):
            while True:
                head = await reader.readexactly(9)
                payload = await reader.readexactly(int.from_bytes(head[:3]))
                assert head[3] != _GOAWAY, payload
                if head[3] == _SETTINGS and not head[4] & _ACK:
                    writer.write(_frame(_SETTINGS, _ACK, 0))
                if head[3] == _HEADERS:
                    assert payload[0] == _STATUS_200, payload
                if head[3] == _DATA:
                    body += payload
                if head[3] in (_DATA, _HEADERS) and head[4] & _END_STREAM:
                    return body
    finally:
        writer.transport.abort()
