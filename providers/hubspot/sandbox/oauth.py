"""The token endpoint: a refresh token is good for ever, and every use brings a new access
token beside those that there are.
"""

from __future__ import annotations

import hmac
from dataclasses import replace
from hashlib import sha256
from typing import Final

from providers.http import Request, segments
from providers.hubspot.sandbox.errors import ApiError, unauthorized
from providers.hubspot.sandbox.paths import Answer
from providers.hubspot.sandbox.state import Token, World
from providers.hubspot.sandbox.switches import Switches
from providers.oauth import asked

_PATH: Final = ("oauth", "v1", "token")


def use(token: Token, switches: Switches, now: float) -> None:
    """An access token is used: does it live still? Raises ApiError (401)."""
    if token.kind != "oauth":
        return
    if token.expires is None:
        token.expires = now + switches.access_lifetime
    if now >= token.expires:
        raise unauthorized()


def refreshed(world: World, switches: Switches, request: Request, now: float) -> Answer | None:
    """A new access token; None for every other call. Raises ApiError (400)."""
    if request.method != "POST" or segments(request.path) != _PATH:
        return None
    form, app = asked(request)
    if form.get("grant_type") != "refresh_token":
        raise _refused("unsupported_grant_type", "BAD_GRANT_TYPE", "only refresh_token is here")
    known = world.apps.get(app.client_id)
    if known is None:
        raise _refused("invalid_client", "BAD_CLIENT_ID", "missing or unknown client id")
    if not hmac.compare_digest(known, app.client_secret or ""):
        raise _refused(
            "invalid_client", "BAD_CLIENT_SECRET", "missing or invalid client secret"
        )
    refresh = form.get("refresh_token", "")
    client_id, before = world.grants.get(refresh, ("", ""))
    if client_id != app.client_id:
        raise _refused("invalid_grant", "BAD_REFRESH_TOKEN", "missing or invalid refresh token")
    made = sha256(f"{before}{world.answered}".encode()).hexdigest()
    access = f"CN{made[:46]}"
    expires = now + switches.access_lifetime
    world.tokens[access] = replace(world.tokens[before], expires=expires)
    world.grants[refresh][1] = access
    return 200, {
        "token_type": "bearer",
        "access_token": access,
        "refresh_token": refresh,
        "expires_in": switches.access_lifetime,
    }


def _refused(error: str, status: str, message: str) -> ApiError:
    refused = ApiError(400, message, "VALIDATION_ERROR")
    refused.members = {
        "status": status,
        "message": message,
        "error": error,
        "error_description": message,
    }
    return refused
