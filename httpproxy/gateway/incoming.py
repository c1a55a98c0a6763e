"""What is checked of a request before anything is asked for or forwarded, and its body.

The parser takes more than we may pass on: here is what HTTP/1.1 leaves to a gateway.
"""

from __future__ import annotations

import asyncio
import re
from typing import Final

from aiohttp import HttpVersion10, HttpVersion11, web

from httpproxy.exchange.messages.headers import EXPECT, HOST, TRANSFER_ENCODING, hops_left
from httpproxy.exchange.problems import Rejected

# Also the end of a body whose chunks break off: aiohttp's parser stops at a bad chunk
# without telling who reads the body.
BODY_SECONDS: Final = 120.0
_HOST_FORM: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?", re.ASCII)
_SERVED: Final = frozenset({HttpVersion10, HttpVersion11})


def check_head(request: web.BaseRequest) -> None:
    """Refuses what no gateway forwards, other versions, and a Host that is none."""
    if request.version not in _SERVED:
        raise Rejected("version_not_supported", "Speak HTTP/1.1.")
    host = request.headers.get(HOST)
    if host is None:
        if request.version == HttpVersion11:
            raise Rejected("bad_host", "HTTP/1.1 asks for a Host header.")
    elif not host or not _HOST_FORM.fullmatch(host):
        raise Rejected("bad_host", "The Host header is a host name and perhaps a port.")
    if request.method == "CONNECT":
        raise Rejected("not_implemented", "This is a gateway; it opens no tunnels.")
    if request.method == "TRACE":
        raise Rejected("method_not_allowed", "TRACE would show your token.")


def asks_about_us(request: web.BaseRequest) -> bool:
    """Whether it is an OPTIONS that goes no further (RFC 9110 §7.6.2, §9.3.7)."""
    return request.method == "OPTIONS" and (
        request.raw_path == "*" or hops_left(request.headers) == 0
    )


async def read_body(request: web.BaseRequest, limit: int) -> bytes:
    """The whole body, of at most `limit` bytes. Raises Rejected."""
    if TRANSFER_ENCODING in request.headers:
        _check_coding(request)
    if not request.can_read_body:
        return b""
    length = request.content_length
    if length is not None and length > limit:
        raise _too_large(limit)
    expectation = request.headers.get(EXPECT)
    if expectation is not None:
        await _meet(expectation, request)
    try:
        if request.content.is_eof():  # it came with the head: no timer for most
            return await request.read()
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError as error:
        raise Rejected(
            "request_timeout", f"The body did not arrive whole within {BODY_SECONDS:g} s."
        ) from error
    except web.HTTPRequestEntityTooLarge as error:
        raise _too_large(limit) from error
    except (web.RequestPayloadError, ConnectionError) as error:
        raise Rejected("bad_request", "The body is damaged, or ended too early.") from error


def _check_coding(request: web.BaseRequest) -> None:
    """Refuses what the parser passes: it undoes `chunked` and leaves the rest undone."""
    codings = ",".join(request.headers.getall(TRANSFER_ENCODING)).lower().split(",")
    if request.version == HttpVersion10 or codings[-1].strip() != "chunked":
        raise Rejected("bad_request", "The Transfer-Encoding leaves the body's end unknown.")
    if len(codings) > 1:
        raise Rejected("not_implemented", "Only the chunked transfer coding is known.")


async def _meet(expectation: str, request: web.BaseRequest) -> None:
    if expectation.lower() != "100-continue":
        raise Rejected("expectation_failed", "Only 100-continue is understood.")
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # the answer itself has not begun


def _too_large(limit: int) -> Rejected:
    return Rejected(
        "body_too_large",
        f"The request body is over the limit of {limit} bytes (max_request_bytes).",
    )
