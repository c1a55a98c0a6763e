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
from providers.hubspot.sandbox.paths import Answer, Call, Path, below, scope_of
from providers.hubspot.sandbox.state import Token, World
from providers.record import JSON


def open_answer(world: World, request: Request, now: float) -> Answer | None:
    """The answer of a token endpoint; None for every other path. Raises ApiError."""
    parts = segments(request.path)
    if request.method == "POST" and parts[:3] == ("oauth", "v2", "private-apps"):
        return _private_app(world, request.body) if parts[3:] == _INFO else None
    if request.method == "GET" and parts[:2] == ("oauth", "v1") and len(parts) == 4:
        return _oauth(world, parts[2], decoded(parts[3]), now)
    return None


_OTHERS: Final = frozenset(
    {"oauth", "crm.objects.owners.read", "crm.lists.read", "crm.lists.write"}
)
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
        "scopes": _scopes(world, token),
    }


def _scopes(world: World, token: Token) -> list[JSON]:
    """What the token may do, spelled out."""
    if "*" not in token.scopes:
        return [*token.scopes]
    kinds = world.portals[str(token.portal)].kinds.values()
    accesses = ("read", "write", "schema read", "schema write")
    every = {scope_of(kind, access) for kind in kinds for access in accesses}
    return [*sorted(every | _OTHERS)]


def _oauth(world: World, what: str, secret: str, now: float) -> Answer:
    token = world.tokens.get(secret)
    known = what == "access-tokens" and token is not None and token.kind == "oauth"
    if token is None or not known or (token.expires is not None and now >= token.expires):
        raise ApiError(404, "missing or unknown token", "OBJECT_NOT_FOUND")
    return 200, {
        "token": secret,
        "user": f"user{token.user}@example.com",
        "hub_domain": f"portal{token.portal}.example.com",
        "scopes": _scopes(world, token),
        "hub_id": token.portal,
        "app_id": token.app,
        "user_id": token.user,
        "expires_in": 1800 if token.expires is None else int(token.expires - now),
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
