"""Whose token this is, who works in the portal, and how much of its limits is left.

The two token endpoints take the token as their question and need no credential.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import orjson

from providers.http import Request, decoded, segments
from providers.hubspot.sandbox.errors import ApiError, invalid, not_found
from providers.hubspot.sandbox.objects import page
from providers.hubspot.sandbox.paths import Answer, Call, Path, below
from providers.hubspot.sandbox.state import World
from providers.record import JSON


def open_answer(world: World, request: Request) -> Answer | None:
    """The answer of a token endpoint; None for every other path. Raises ApiError."""
    parts = segments(request.path)
    if request.method == "POST" and parts[:3] == ("oauth", "v2", "private-apps"):
        return _private_app(world, request.body) if parts[3:] == _INFO else None
    if request.method == "GET" and parts[:2] == ("oauth", "v1") and len(parts) == 4:
        return _oauth(world, parts[2], decoded(parts[3]))
    return None


_INFO: Final = ("get", "access-token-info")


def _private_app(world: World, body: bytes) -> Answer:
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise invalid(f"Invalid input JSON on line 1, column 1: {error.msg}") from error
    secret = given.get("tokenKey") if isinstance(given, dict) else None
    token = world.tokens.get(secret) if isinstance(secret, str) else None
    if token is None or token.kind != "private":
        raise not_found("The access token is unknown or was revoked")
    return 200, {
        "userId": token.user,
        "hubId": token.portal,
        "appId": token.app,
        "scopes": [*token.scopes],
    }


def _oauth(world: World, what: str, secret: str) -> Answer:
    token = world.tokens.get(secret)
    if what != "access-tokens" or token is None or token.kind != "oauth":
        raise ApiError(404, "missing or unknown token", "OBJECT_NOT_FOUND")
    return 200, {
        "token": secret,
        "user": f"user{token.user}@example.com",
        "hub_domain": f"portal{token.portal}.example.com",
        "scopes": [*token.scopes],
        "hub_id": token.portal,
        "app_id": token.app,
        "user_id": token.user,
        "expires_in": 1800,
        "token_type": "access",
    }


def details(call: Call) -> Answer:
    """GET /account-info/v3/details."""
    return 200, {
        "portalId": call.portal.id,
        "accountType": "DEVELOPER_TEST",
        "timeZone": "UTC",
        "companyCurrency": "USD",
        "uiDomain": "app.hubspot.com",
        "dataHostingLocation": "na1",
        "utcOffset": "+00:00",
        "utcOffsetMilliseconds": 0,
    }


def daily_usage(call: Call) -> Answer:
    used = call.world.days.get(str(call.portal.id), [0, 0])[1]
    usage: dict[str, JSON] = {
        "name": "private-apps-api-calls-daily",
        "usageLimit": call.switches.requests_per_day,
        "currentUsage": used,
    }
    return 200, {"results": [usage]}


def me(call: Call) -> Answer:
    return 200, {"portalId": call.portal.id, "timeZone": "UTC", "currency": "USD"}


# --- owners -----------------------------------------------------------------------------


def owners(call: Call) -> Answer:
    call.need("crm.objects.owners.read")
    archived, email = call.flag("archived"), call.option("email")
    found: list[JSON] = [
        each
        for each in call.portal.owners.values()
        if each["archived"] is archived and email in ("", each["email"])
    ]
    return 200, {"results": found[: page(call, 500, 100)]}


def owner(call: Call) -> Answer:
    call.need("crm.objects.owners.read")
    owners: Mapping[str, JSON] = {**call.portal.owners}
    found = owners.get(call.variables["owner"])
    if found is None:
        raise not_found(f"No owner {call.variables['owner']}")
    return 200, found


PATHS: Final[list[Path]] = [
    ("GET", "/account-info/v3/details", details),
    ("GET", "/account-info/v3/api-usage/daily/private-apps", daily_usage),
    ("GET", "/integrations/v1/me", me),
    *below(
        ("/crm/v3/owners", "/crm/owners/{version}"),
        (("GET", "", owners), ("GET", "/{owner}", owner)),
    ),
]
