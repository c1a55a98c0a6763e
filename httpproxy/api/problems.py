"""How this door says no: every error of the house, as application/problem+json.

The form is the gateway's, without what only a proxied call has (whether it was sent).
`declined` is the one place where errors of the floors below become answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from httpproxy.exchange.problems import Rejected
from httpproxy.exchange.tokens.refreshing import CredentialTrouble
from httpproxy.management.problems import CALL_PROBLEMS, Declined
from httpproxy.store.errors import (
    Forgotten,
    InUse,
    KeyMismatch,
    NameTaken,
    Stale,
    Unavailable,
)
from providers.spec import Refused, UnknownCollection, Unrecognised

# Of an API's collections, so many are named to who asked for another one.
_NAMED = 50


def declined(error: Exception) -> Declined | None:
    """What this error is answered with; None if nobody foresaw it."""
    if isinstance(error, ExceptionGroup):  # out of a task group
        return next(filter(None, map(declined, error.exceptions)), None)
    if isinstance(error, Declined):
        return error
    if isinstance(error, web.HTTPException):
        return _of_server(error)
    if isinstance(error, Unavailable | Stale):
        detail = "The database cannot be reached, or a table is being changed; try again."
        return _with_retry(Declined("database_unavailable", detail))
    return _of_store(error) or _of_api(error)


def unknown_token(member: str | None = None) -> Declined:
    """The word that the API does not know a token, which `member` of the request gave."""
    detail = "The API does not know this token: it is mistyped, expired or revoked."
    return Declined("credential_refused", detail, member)


def unknown_collection(error: UnknownCollection, member: str) -> Declined:
    """The word that the API has no such collection, which `member` of the request named."""
    there = ", ".join(error.available[:_NAMED])
    more = len(error.available) - _NAMED
    detail = f"There is no collection {error.wanted!r}; there are: {there}"
    detail += f" and {more} more" if more > 0 else ""
    return Declined("unknown_collection", f"{detail}.", member)


def _of_store(error: Exception) -> Declined | None:
    if isinstance(error, NameTaken):
        detail = f"The {error.field} {error.value!r} is taken by another one; choose another."
        return Declined("name_taken", detail, error.field)
    if isinstance(error, InUse):
        return Declined("in_use", f"{error}")
    if isinstance(error, Forgotten):
        return Declined("unknown_sync", f"{error}")
    if isinstance(error, KeyMismatch):
        return Declined("secret_unreadable", f"{error}")
    return None


def _of_api(error: Exception) -> Declined | None:
    if isinstance(error, UnknownCollection):
        return unknown_collection(error, "collection_ids")
    if isinstance(error, Unrecognised):
        return unknown_token()
    if isinstance(error, Refused):
        return Declined("api_refused", f"{error}", upstream_status=error.response.status)
    if isinstance(error, Rejected):
        return _of_call(error)
    return None


def _of_call(error: Rejected) -> Declined:
    """A call of ours to the API that came to nothing: by its own code where /v1 has that."""
    code = error.code if error.code in CALL_PROBLEMS else "api_unreachable"
    remedy = f" {error.remedy}" if isinstance(error, CredentialTrouble) else ""
    found = Declined(code, f"{error.detail}{remedy}", cause=error.code)
    return found if found.kind.status == 409 else _with_retry(found)


def _with_retry(problem_: Declined) -> Declined:
    problem_.headers["Retry-After"] = "1"
    return problem_


def _of_server(refused: web.HTTPException) -> Declined:
    """What aiohttp's router or parser refuses, in this door's words."""
    if isinstance(refused, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(refused.allowed_methods))
        problem_ = Declined("method_not_allowed", f"Here is only {allowed}.")
        problem_.headers["Allow"] = allowed
        return problem_
    if refused.status == 404:
        return Declined(
            "not_found", "There is nothing here; /v1/openapi.json says what there is."
        )
    if refused.status == 413:
        return Declined("body_too_large", "The body is longer than max_request_bytes allows.")
    return Declined("bad_request", "The request cannot be read.")


def problem(declined_: Declined, request_id: str) -> web.Response:
    """The problem document of a request."""
    members = {
        "type": f"urn:httpproxy:problem:{declined_.code}",
        "title": declined_.kind.title,
        "status": declined_.kind.status,
        "detail": declined_.detail,
        "source": "api",
        "code": declined_.code,
        "request_id": request_id,
        **declined_.members,
    }
    headers = {"Cache-Control": "no-store", **declined_.headers}
    if declined_.kind.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="httpproxy"'
    return web.Response(
        status=declined_.kind.status,
        body=orjson.dumps(members),
        content_type="application/problem+json",
        headers=headers,
    )


def document(
    members: Mapping[str, Any] | list[Any],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """A JSON answer; nothing here may be cached."""
    return web.Response(
        status=status,
        body=orjson.dumps(members) + b"\n",
        content_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )
