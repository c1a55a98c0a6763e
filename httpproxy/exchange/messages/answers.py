"""What goes out for a call, by whichever door: the API's answer with our receipt beside it,
what a dry run tells, or a problem of our own.

Every one has `Proxy-Status` (RFC 9209) and the receipt `Httpproxy-Commit`. A door adds what
its server needs (Date, for one) and writes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import orjson
from multidict import CIMultiDict

from httpproxy.exchange.attempt import NOTHING, Receipt
from httpproxy.exchange.authorization.standin import CHALLENGE
from httpproxy.exchange.messages.headers import CONTENT_LENGTH, PROXY_STATUS, RECEIPT, returned
from httpproxy.exchange.problems import Refusal, Rejected, body
from providers.http import Response
from providers.record import JSON

ALLOW: Final = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"


class Outgoing(NamedTuple):
    """An answer before it is written; `headers` may be added to."""

    status: int
    reason: str
    headers: CIMultiDict[str]
    body: bytes


def receipt_line(receipt: Receipt, request_id: str) -> str:
    """The value of `Httpproxy-Commit`."""
    told = f"{receipt.outcome}; rows={receipt.rows}; request-id={request_id}"
    return f"{told}; token={receipt.token}" if receipt.token else told


def relayed(response: Response, receipt: Receipt, request_id: str, pseudonym: str) -> Outgoing:
    """The API's answer, with what became of it in the database."""
    headers = returned(response.headers)
    status = f"{pseudonym}; received-status={response.status}"
    if receipt.outcome == "deferred":
        status += '; details="commit-deferred"'
    headers.add(PROXY_STATUS, status)
    headers[RECEIPT] = receipt_line(receipt, request_id)
    return Outgoing(response.status, response.reason, headers, response.body)


def previewed(told: Mapping[str, JSON], request_id: str, pseudonym: str) -> Outgoing:
    """The answer to a dry run; it is ours, and says so."""
    content = orjson.dumps(told)
    status = f'{pseudonym}; details="dry-run"'
    return Outgoing(200, "OK", _own("application/json", content, status, request_id), content)


def refused(
    rejected: Rejected, method: str, request_id: str, pseudonym: str, refusal: Refusal | None
) -> Outgoing:
    """The problem document, as the clients of the API with this `refusal` can read it."""
    status = pseudonym
    if rejected.proxy_error:
        status += f"; error={rejected.proxy_error}"
    status += f'; details="{rejected.code}"'
    content = body(rejected, method, request_id, refusal)
    headers = _own("application/problem+json", content, status, request_id)
    if rejected.retry_after is not None:
        headers["Retry-After"] = str(max(1, round(rejected.retry_after)))
    if rejected.kind.status == 405:
        headers["Allow"] = ALLOW
    if rejected.kind.status == 401:
        headers["WWW-Authenticate"] = CHALLENGE
    return Outgoing(rejected.kind.status, rejected.kind.title, headers, content)


def _own(media: str, content: bytes, status: str, request_id: str) -> CIMultiDict[str]:
    return CIMultiDict(
        {
            "Content-Type": media,
            CONTENT_LENGTH: str(len(content)),
            "Cache-Control": "no-store",
            PROXY_STATUS: status,
            RECEIPT: receipt_line(NOTHING, request_id),
        }
    )
