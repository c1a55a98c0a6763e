"""The token endpoint: refresh tokens are used once, and every answer brings the next one.

It stands on a host of its own, answers as RFC 6749 has it, and counts against no limit.
"""

from __future__ import annotations

import hmac
from dataclasses import replace
from typing import Final

from providers.airtable.sandbox.errors import bad_token
from providers.airtable.sandbox.state import GrantState, TokenState, World
from providers.airtable.sandbox.switches import Switches
from providers.credentials import AppKeys
from providers.http import Request
from providers.oauth import asked
from providers.record import JSON

PATH: Final = "/oauth2/v1/token"


class TokenRefused(Exception):
    """The endpoint refuses: a status, and the error's code and description."""

    def __init__(self, status: int, code: str, description: str) -> None:
        super().__init__(code)
        self.status = status
        self.body: JSON = {"error": code, "error_description": description}


def use(token: TokenState, switches: Switches, now: float) -> None:
    """An access token is used: does it live still? Raises Refusal (401)."""
    if not token.oauth:
        return
    if token.expires is None:
        token.expires = now + switches.access_lifetime
    if now >= token.expires:
        raise bad_token()


def refreshed(world: World, switches: Switches, request: Request, now: float) -> JSON:
    """New tokens for a refresh token. Raises TokenRefused."""
    form, app = asked(request)
    if request.method != "POST" or request.path != PATH:
        raise TokenRefused(404, "not_found", "There is nothing but the token endpoint here")
    _prove(world, app)
    if form.get("grant_type") != "refresh_token":
        raise TokenRefused(400, "unsupported_grant_type", "Only refresh_token is simulated")
    grant = _grant(world, app, switches, form.get("refresh_token", ""), now)
    before = world.tokens[grant.access_token]
    access = f"{world.new_id('oaa')}.v1.{world.new_id('')}{world.new_id('')}"
    expires = now + switches.access_lifetime
    world.tokens[access] = replace(before, secret=access, expires=expires)
    if switches.refresh_ends_access:
        del world.tokens[grant.access_token]
    grant.access_token = access
    grant.spent.append(grant.refresh_token)
    grant.refresh_token = f"{world.new_id('oar')}.v1.{world.new_id('')}{world.new_id('')}"
    grant.expires = now + switches.refresh_lifetime
    return {
        "token_type": "Bearer",
        "scope": " ".join(before.scopes or ()),
        "access_token": access,
        "expires_in": switches.access_lifetime,
        "refresh_token": grant.refresh_token,
        "refresh_expires_in": switches.refresh_lifetime,
    }


def _prove(world: World, app: AppKeys) -> None:
    known = world.apps.get(app.client_id)
    if known is None or not hmac.compare_digest(known, app.client_secret or ""):
        raise TokenRefused(401, "invalid_client", "The client id or its secret is wrong")


def _grant(
    world: World, app: AppKeys, switches: Switches, refresh_token: str, now: float
) -> GrantState:
    """The grant whose present refresh token this is. Raises TokenRefused."""
    gone = TokenRefused(400, "invalid_grant", "The refresh token is unknown, used or expired")
    for grant in world.grants:
        if grant.client_id != app.client_id:
            continue
        if refresh_token in grant.spent and switches.reuse_ends_grant:
            world.grants.remove(grant)
            world.tokens.pop(grant.access_token, None)
            raise gone
        if grant.refresh_token == refresh_token and grant.access_token in world.tokens:
            if grant.expires is not None and now >= grant.expires:
                raise gone
            return grant
    raise gone
