"""The seam: exceptions of aiohttp, ssl and the operating system become ours.

A table from foreign type to ours, the most specific first. Nothing of a foreign
exception's text is taken over, except what OpenSSL says of a certificate: aiohttp puts
URLs and raw bytes of answers into its messages.
"""

from __future__ import annotations

import socket
import ssl
from typing import Final

import aiohttp
from aiohttp.http_exceptions import LineTooLong

from httpproxy.upstream.errors import (
    AddressProhibited,
    AnswerIncomplete,
    AnswerTimeout,
    CertificateRejected,
    ConnectionRefused,
    ConnectionTerminated,
    ConnectTimeout,
    HeadTooLarge,
    Malformed,
    NameUnresolved,
    NotConnected,
    TlsFailed,
    Unreachable,
    Unsendable,
    UpstreamError,
)
from httpproxy.upstream.guard import Prohibited

FOREIGN: Final = (aiohttp.ClientError, OSError, ValueError)
"""Everything that a call through aiohttp may raise, cancellation aside (a TimeoutError is
an OSError)."""

_CONNECTING: Final[tuple[tuple[type[BaseException], type[UpstreamError]], ...]] = (
    (aiohttp.ConnectionTimeoutError, ConnectTimeout),
    (aiohttp.ClientConnectorCertificateError, CertificateRejected),
    (aiohttp.ClientConnectorSSLError, TlsFailed),
    (aiohttp.InvalidURL, Unsendable),
)


def renamed(error: BaseException, *, began: bool) -> UpstreamError:
    """Our exception for a foreign one; `began` tells that an answer had begun."""
    if isinstance(error, UpstreamError):
        return error
    for foreign, ours in _CONNECTING:
        if isinstance(error, foreign):
            return ours(_certificate_fault(error))
    if isinstance(error, aiohttp.ClientConnectorError):
        return _not_connected(error)
    if isinstance(error, TimeoutError):
        return AnswerTimeout(began=began)
    if isinstance(error, aiohttp.ClientResponseError):
        return _refused_head(error)
    return _broken(error, began=began)


def _certificate_fault(error: BaseException) -> str:
    cause = getattr(error, "certificate_error", None)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"{CertificateRejected.said}: {cause.verify_message}"
    return ""


def _not_connected(error: aiohttp.ClientConnectorError) -> UpstreamError:
    cause = error.os_error
    if isinstance(cause, Prohibited):
        return AddressProhibited(cause.host, cause.why)
    if isinstance(error, aiohttp.ClientConnectorDNSError) or isinstance(cause, socket.gaierror):
        return NameUnresolved()
    if isinstance(cause, ConnectionRefusedError):
        return ConnectionRefused()
    if isinstance(cause, TimeoutError):
        return ConnectTimeout()
    return NotConnected() if isinstance(cause, ConnectionError) else Unreachable()


def _refused_head(error: aiohttp.ClientResponseError) -> UpstreamError:
    """The parser refused status line or fields; its reason is the cause's cause."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, LineTooLong):
            return HeadTooLarge()
        seen = seen.__cause__
    return Malformed()


def _broken(error: BaseException, *, began: bool) -> UpstreamError:
    if isinstance(error, aiohttp.ServerDisconnectedError):
        # With a half-read head as its message, the answer had begun.
        return ConnectionTerminated() if isinstance(error.message, str) else AnswerIncomplete()
    if isinstance(error, aiohttp.ClientPayloadError):
        return AnswerIncomplete()
    if isinstance(error, (aiohttp.ClientError, OSError)):
        return AnswerIncomplete() if began else ConnectionTerminated()
    return Malformed() if began else UpstreamError()
