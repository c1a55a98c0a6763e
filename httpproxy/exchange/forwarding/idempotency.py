"""A call that carries an `Idempotency-Key` has one effect, however often it is sent.

By the IETF's draft (draft-ietf-httpapi-idempotency-key-header), for APIs that have no such
thing themselves. A key is the application's promise that two calls are one; nothing is
ever taken for a repetition without it. What a repetition is answered:

    the same call, answered        that answer, whatever process or restart lies between
    the same call, on its way      409: ask again
    the same call, outcome unknown 409 until the records have been read again; then it is
                                   sent if nothing of it was found, else 409 says what was
    another call                   422

What is told again is told to whom it was told first: to the same token, or to one that is
known as the account's own. What a token was refused for, or the moment (`is_kept`), is no
outcome of the call: its key stays free.

The key itself is forwarded like any other header.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import Final, NamedTuple

from multidict import CIMultiDict, CIMultiDictProxy

from httpproxy.exchange.problems import Rejected
from httpproxy.store.intents.values import Claim, Kept
from providers.http import Request, Response

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
LONGEST: Final = 255

# Refused for who asked or when, not for what: the same call may succeed with another token,
# or later. 477 is HubSpot's, for an account that is being moved.
_PASSING: Final = frozenset({401, 403, 408, 423, 425, 429, 477})
_DIGEST: Final = sha256().digest_size

_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\["\\])*)"')  # a string of RFC 8941
_ESCAPED: Final = re.compile(r"\\(.)")


class _Said(NamedTuple):
    """What is told while there is no answer to repeat, and seconds until that may change."""

    code: str
    detail: str
    retry_after: float | None = None


_SAID: Final[Mapping[str, _Said]] = {
    "in_flight": _Said(
        "idempotency_in_flight",
        "The first call with this key has no answer yet; ask again in a moment.",
        1.0,
    ),
    "uncertain": _Said(
        "idempotency_uncertain",
        "The first call with this key got no answer; its records are being read again to"
        " learn whether the API applied it. Ask again.",
        10.0,
    ),
    "applied": _Said(
        "already_applied",
        "The first call with this key got no answer, but the API applied it; the rows are in"
        " the database. Records: {found}.",
    ),
    "unclear": _Said(
        "outcome_unclear",
        "The first call with this key got no answer, and reading again did not tell whether"
        " the API applied it. Records that may be its own: {found}. Look there, and use a new"
        " key if it is to be sent again.",
    ),
}


def claim_of(request: Request, mark: Callable[[], bytes]) -> Claim | None:
    """What the call's key claims; None without a key. Raises Rejected (400).

    `mark` tells callers apart (`Accounts.mark`); it is made for those alone that claim.
    """
    given = request.headers.getall(HEADER, ())
    if not given:
        return None
    if len(given) > 1:
        raise Rejected("bad_header", f"{HEADER} was sent {len(given)} times; send it once.")
    value = given[0].strip()
    quoted = _QUOTED.fullmatch(value)
    # Most clients send the bare key, without the quotes that the draft asks for.
    key = _ESCAPED.sub(r"\1", quoted[1]) if quoted else value
    if not key or len(key) > LONGEST or not (key.isascii() and key.isprintable()):
        raise Rejected(
            "bad_header",
            f"{HEADER} takes 1 to {LONGEST} printable ASCII characters, such as a UUID.",
        )
    return Claim(key, fingerprint(request) + mark())


def fingerprint(request: Request) -> bytes:
    """Tells whether two calls are the same: method, host, target and body are."""
    hashed = sha256()
    for part in (request.method, request.host, request.target):
        hashed.update(part.encode("utf-8", "surrogateescape") + b"\0")
    hashed.update(request.body)
    return hashed.digest()


def is_kept(response: Response) -> bool:
    """Whether an answer without effect is the outcome of its call, told to who repeats it.

    An answer that asks for another try is none: it would be repeated until the key is
    forgotten.
    """
    return response.status not in _PASSING and "Retry-After" not in response.headers


def is_same_caller(kept: Kept, claim: Claim) -> bool:
    """Whether both calls carry the same token."""
    return kept.fingerprint[_DIGEST:] == claim.fingerprint[_DIGEST:]


def replay(kept: Kept, claim: Claim) -> Response:
    """The stored answer of an earlier call with this key. Raises Rejected (409, 422)."""
    if kept.fingerprint[:_DIGEST] != claim.fingerprint[:_DIGEST]:
        raise Rejected(
            "idempotency_key_reused",
            f"This {HEADER} belongs to a call with another method, URL or body; use a new"
            " key for another call.",
        )
    if kept.response is not None:
        headers = CIMultiDict(kept.response.headers)
        headers[REPLAYED] = "true"
        return replace(kept.response, headers=CIMultiDictProxy(headers))
    said = _SAID[kept.state]
    detail = said.detail.format(found=", ".join(kept.records) or "none")
    rejected = Rejected(said.code, detail, retry_after=said.retry_after)
    rejected.records = kept.records
    raise rejected
