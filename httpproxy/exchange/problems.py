"""How we say no: the one table of our own answers.

An answer of ours must never be taken for the API's. It is `application/problem+json`
(RFC 9457) with `source: "proxy"`, and says whether the call may have reached the API
(`sent`) and whether repeating it is safe (`retry_safe`). The members that the
provider's own clients look for are added, so that their users read our message and
not "unknown error".

    400 … 431, 501, 505   the caller's HTTP is malformed or beyond our limits
    401                   an API key of ours that is none
    403                   the token, the account or the API key is not the sync's
    404                   no such unique id, host or path
    409, 422              what an Idempotency-Key stands for is not settled, or another call;
                          the sync holds no credential, or one that cannot be used any more
    429, 503              too many calls to addresses that nobody has, or connections
    502                   transport, protocol or our database
    504                   time ran out
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import orjson

from httpproxy.upstream.errors import Sent, UpstreamError
from providers.record import JSON

Refusal = Callable[[int, str, str, str], dict[str, JSON]]

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Kind:
    """A line of the table: what stays the same whenever this problem occurs.

    `proxy_error` is the error token of RFC 9209, None where none fits.
    """

    status: int
    title: str
    proxy_error: str | None = "http_request_denied"


_REQUEST = "http_request_error"

PROBLEMS: Final[Mapping[str, Kind]] = {
    "bad_request": Kind(400, "The request is not valid HTTP", _REQUEST),
    "bad_target": Kind(400, "The request target is ambiguous or not valid", _REQUEST),
    "bad_header": Kind(400, "A request header is not valid", _REQUEST),
    "bad_host": Kind(400, "The Host header is not valid", _REQUEST),
    "unknown_key": Kind(401, "The API key is not valid"),
    "key_not_allowed": Kind(403, "The API key does not allow this"),
    "token_of_another_account": Kind(403, "The token belongs to another account"),
    "token_unproven": Kind(403, "The token cannot be told to be the account's own"),
    "path_of_another_account": Kind(403, "The path names another account"),
    "unknown_address": Kind(404, "No sync and API at this address", "destination_not_found"),
    "unsupported_path": Kind(404, "The API path is not supported", "destination_not_found"),
    "method_not_allowed": Kind(405, "The method is not allowed"),
    "request_timeout": Kind(408, "The request did not arrive in time", _REQUEST),
    "idempotency_in_flight": Kind(409, "The first call with this key is under way"),
    "idempotency_uncertain": Kind(409, "The first call with this key is being looked into"),
    "already_applied": Kind(409, "The first call with this key was applied"),
    "outcome_unclear": Kind(409, "What became of the first call with this key is unclear"),
    "several_syncs": Kind(409, "Several syncs use the credential"),
    "credential_missing": Kind(409, "The sync holds no credential"),
    "credential_unusable": Kind(409, "The stored credential cannot be used"),
    "body_too_large": Kind(413, "The request body is too large"),
    "target_too_long": Kind(414, "The request target is too long", _REQUEST),
    "expectation_failed": Kind(417, "The expectation cannot be met", _REQUEST),
    "idempotency_key_reused": Kind(422, "The key belongs to another call"),
    "headers_too_large": Kind(431, "The request headers are too large", _REQUEST),
    "too_many_requests": Kind(
        429, "Too many calls from one address", "connection_limit_reached"
    ),
    "not_implemented": Kind(501, "The transfer coding or method is not implemented", _REQUEST),
    "version_not_supported": Kind(505, "Only HTTP/1.0 and HTTP/1.1 are served", _REQUEST),
    "loop_detected": Kind(502, "The request came round to this proxy", "proxy_loop_detected"),
    "upstream_failed": Kind(502, "The call to the API failed", "connection_terminated"),
    "token_not_refreshed": Kind(
        502, "The access token could not be refreshed", "proxy_internal_error"
    ),
    "account_unknown": Kind(502, "The API would not say whose token this is"),
    "lease_lost": Kind(502, "This process was cut off from the others", "proxy_internal_error"),
    "database_unavailable": Kind(502, "The database is unavailable", "proxy_internal_error"),
    "internal_error": Kind(502, "The proxy failed", "proxy_internal_error"),
    "too_many_connections": Kind(
        503, "Too many connections are open", "connection_limit_reached"
    ),
    "permit_timeout": Kind(
        504, "The rate limit left no room in time", "connection_limit_reached"
    ),
    "upstream_timeout": Kind(504, "The API did not answer in time", "http_response_timeout"),
}


class Rejected(Exception):
    """We refuse the call, or could not finish it. The caller gets our own answer.

    `code` is a key of PROBLEMS, `detail` one or two sentences that name the remedy and
    never hold a token or the unique id. `sent` says whether the API may have seen the
    call; `retry_after` is in seconds. `proxy_error` overrides the table's token. `records`
    are the ids that a call whose answer was lost was found to have written.
    """

    records: tuple[str, ...] = ()

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        sent: Sent = "no",
        retry_after: float | None = None,
        proxy_error: str | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail, self.sent = code, detail, sent
        self.kind = PROBLEMS[code]
        self.retry_after = retry_after
        self.proxy_error = proxy_error or self.kind.proxy_error


def database_away(so: str) -> Rejected:
    """A call that was not sent for want of the database; `so` says what it was needed for."""
    detail = f"The database cannot be reached, so {so}; the call was not sent."
    return Rejected("database_unavailable", detail, retry_after=1)


def failed(error: UpstreamError, sent: Sent) -> Rejected:
    """A failed call as our answer: 504 if only time was missing, else 502."""
    return Rejected(
        "upstream_timeout" if error.timed_out else "upstream_failed",
        f"{error}",
        sent=sent,
        proxy_error=error.proxy_error,
    )


def body(rejected: Rejected, method: str, request_id: str, refusal: Refusal | None) -> bytes:
    """The problem document, with the members of the provider's clients if there is one."""
    kind = rejected.kind
    members: dict[str, JSON] = {
        "type": f"urn:httpproxy:problem:{rejected.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": rejected.detail,
        "instance": f"urn:httpproxy:request:{request_id}",
        "source": "proxy",
        "code": rejected.code,
        "request_id": request_id,
        "sent": rejected.sent,
        "retry_safe": rejected.sent == "no" or method in SAFE_METHODS,
    }
    if refusal is not None:
        message = f"{rejected.detail} (httpproxy: {rejected.code}, sent: {rejected.sent})"
        members = refusal(kind.status, rejected.code, message, request_id) | members
    return orjson.dumps(members)
