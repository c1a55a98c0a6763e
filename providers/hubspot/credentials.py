"""HubSpot's credentials: what they are made of, whose they are, how they are refreshed."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from providers.credentials import (
    AppKeys,
    CredentialKind,
    Inspection,
    Lack,
    OAuth,
    Property,
    Reach,
)
from providers.http import Request
from providers.hubspot.calls import HOST, Asking, ask, get, post, segment
from providers.hubspot.shapes import id_of
from providers.oauth import ACCESS_TOKEN, OAUTH_APP, read_grant, token_request
from providers.record import JSON
from providers.spec import Conversation, Refused, Unrecognised

ACCOUNT_PROPERTY: Final = "portal_id"

_TOKEN: Final = re.compile(r"[A-Za-z0-9_~+/=-][A-Za-z0-9._~+/=-]{0,4095}", re.ASCII)
_OBJECT_SCOPE: Final = re.compile(r"crm\.objects\.([a-z0-9_]+)\.read", re.ASCII)
# No objects of the CRM that discovery would look for.
_NO_TYPES: Final = frozenset({"owners", "marketing_events"})


def refresh(app: AppKeys, refresh_token: str) -> Request:
    """The call for a new access token; the refresh token stays the same."""
    form = [
        ("grant_type", "refresh_token"),
        ("client_id", app.client_id),
        ("refresh_token", refresh_token),
    ]
    if app.client_secret is not None:
        form.append(("client_secret", app.client_secret))
    return token_request(HOST, "/oauth/v1/token", form)


PORTAL: Final = Property(
    ACCOUNT_PROPERTY,
    "Portal id",
    "The Hub ID. The token tells it; entered, it is checked against that.",
)
PRIVATE_APP: Final = CredentialKind(
    "hubspot_private_app",
    "Private app access token",
    "HubSpot > Settings > Integrations > Private Apps > your app > Auth > Access token."
    " It begins with pat-.",
    (
        Property("access_token", "Token", "The token, pat-….", secret=True, required=True),
        PORTAL,
    ),
)
OAUTH2: Final = CredentialKind(
    "hubspot_oauth2",
    "OAuth tokens",
    "The access token of an app that was installed in the portal. It lives for half an hour:"
    " with the refresh token and the OAuth app it is renewed.",
    (
        ACCESS_TOKEN,
        Property(
            "refresh_token",
            "Refresh token",
            "What it gave as refresh_token; it stays the same.",
            secret=True,
        ),
        OAUTH_APP,
        PORTAL,
    ),
    OAuth(refresh, read_grant, rotates=False),
)


def identify(token: str) -> Conversation[str]:
    """The portal id that a token belongs to. Raises Unrecognised, Refused."""
    told = yield from _token_info(token)
    return _portal(told)


def inspect(token: str, account: str | None) -> Conversation[Inspection]:
    """Whose the token is and what it may do. Raises Unrecognised, Refused.

    The portal is the token's own, whatever `account` says: a token has only the one.
    """
    del account
    told = yield from _token_info(token)
    portal = _portal(told)
    name = id_of(told.get("hub_domain")) or f"portal {portal}"
    listed = told.get("scopes")
    scopes = (
        tuple(s for s in listed if isinstance(s, str)) if isinstance(listed, list) else None
    )
    user = id_of(told.get("user_id")) or id_of(told.get("userId"))
    return Inspection(
        portal,
        (Reach(portal, name),),
        user or None,
        scopes,
        () if scopes is None else missing(frozenset(scopes)),
    )


def missing(scopes: Collection[str]) -> tuple[Lack, ...]:
    """What a token with these scopes may not do with the objects that it may read.

    Which objects are wanted, nobody has said yet: what a token may read at all is taken
    for it. A token that may read none lacks the first that anybody wants.
    """
    readable = [m[1] for s in scopes if (m := _OBJECT_SCOPE.fullmatch(s))]
    readable = sorted(name for name in readable if name not in _NO_TYPES)
    if not readable:
        wanted = "reading contacts; other objects have scopes of the same form"
        return (Lack("crm.objects.contacts.read", wanted, required=True),)
    lacks = [
        Lack(f"crm.schemas.{name}.read", f"discovering the properties of {name}", True)
        for name in readable
    ]
    lacks += [
        Lack(f"crm.objects.{name}.write", f"writing {name} with this credential", False)
        for name in readable
    ]
    return tuple(lack for lack in lacks if lack.scope not in scopes)


def _token_info(token: str) -> Asking:
    """What HubSpot tells of a token.

    Private apps and OAuth apps have different places to ask; neither needs the token
    as a credential, it is the question itself.
    """
    if not _TOKEN.fullmatch(token):
        raise Unrecognised
    request = (
        post("/oauth/v2/private-apps/get/access-token-info", {"tokenKey": token})
        if token.startswith("pat-")
        else get(f"/oauth/v1/access-tokens/{segment(token)}")
    )
    try:
        return (yield from ask(request))
    except Refused as no:
        if no.response.status in (400, 401, 404):
            raise Unrecognised from no
        raise


def _portal(told: dict[str, JSON]) -> str:
    portal = id_of(told.get("hubId")) or id_of(told.get("hub_id"))
    if not portal:
        raise Unrecognised
    return portal
