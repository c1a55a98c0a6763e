"""What this door answers when it cannot do what is asked: a table, and its form.

The form is the gateway's, application/problem+json, without what only a proxied call has
(whether it was sent).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from aiohttp import web


@dataclass(frozen=True, slots=True)
class Kind:
    """What stays the same whenever this problem occurs."""

    status: int
    title: str


PROBLEMS: Final[Mapping[str, Kind]] = {
    "bad_parameter": Kind(400, "A parameter is missing or not valid"),
    "bad_request": Kind(400, "The request is not valid"),
    "key_required": Kind(401, "An API key is required"),
    "key_not_allowed": Kind(403, "The API key does not allow this"),
    "not_found": Kind(404, "There is nothing at this address"),
    "unknown_replica": Kind(404, "There is no such replica"),
    "unknown_consumer": Kind(404, "There is no such consumer"),
    "method_not_allowed": Kind(405, "The method is not allowed"),
    "database_unavailable": Kind(503, "The database is unavailable"),
    "internal_error": Kind(500, "The service failed"),
}


class Declined(Exception):
    """What is asked cannot be done. `code` is a key of PROBLEMS; `detail` names the remedy.

    `member` is the parameter that is wrong; further `members` go into the document.
    """

    def __init__(
        self, code: str, detail: str, member: str | None = None, **members: Any
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail = code, detail
        self.kind = PROBLEMS[code]
        self.members = {**({"member": member} if member else {}), **members}
        self.headers: dict[str, str] = {}


def problem(declined: Declined, request_id: str) -> web.Response:
    """The problem document of a request."""
    members = {
        "type": f"urn:httpproxy:problem:{declined.code}",
        "title": declined.kind.title,
        "status": declined.kind.status,
        "detail": declined.detail,
        "source": "api",
        "code": declined.code,
        "request_id": request_id,
        **declined.members,
    }
    headers = {"Cache-Control": "no-store", **declined.headers}
    if declined.kind.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="httpproxy"'
    return web.Response(
        status=declined.kind.status,
        body=orjson.dumps(members),
        content_type="application/problem+json",
        headers=headers,
    )


def document(members: Mapping[str, Any], status: int = 200) -> web.Response:
    """A JSON answer; nothing here may be cached."""
    return web.Response(
        status=status,
        body=orjson.dumps(members) + b"\n",
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
