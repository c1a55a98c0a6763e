"""What credentials are made of: their kinds, what a user enters, how tokens are refreshed,
and what a live check of one finds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from providers.http import Request, Response


@dataclass(frozen=True, slots=True)
class Property:
    """One member of a credential: what a user enters, under which name.

    `secret`: it is sealed and never shown again. `required`: nothing works without it.
    """

    name: str
    title: str
    help: str
    secret: bool = False
    required: bool = False


@dataclass(frozen=True, slots=True)
class AppKeys:
    """What a provider knows an OAuth app by. Some apps have no secret (public clients)."""

    client_id: str
    client_secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a token endpoint gave: tokens, and how many seconds the access token lives.

    `refresh_token` None: the one that was sent goes on. `expires_in` None: not told.
    """

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    expires_in: float | None = None


@dataclass(frozen=True, slots=True)
class OAuth:
    """How the access tokens of one kind of credential are refreshed (RFC 6749, section 6).

    refresh  (app, refresh token) -> the request to the token endpoint, whole: nothing is
             added to it
    read     its answer -> what it gave. Raises Refused, `spent` where the refresh token
             is of no use any more and the account's owner must authorise anew
    rotates  a refresh token is used once: every answer brings the next one
    """

    refresh: Callable[[AppKeys, str], Request]
    read: Callable[[Response], Grant]
    rotates: bool


@dataclass(frozen=True, slots=True)
class CredentialKind:
    """A kind of credential, e.g. `airtable_token`, and where a user gets one.

    `properties` are what it is made of, `access_token` among them; `oauth` is None where
    the token stays as it is.
    """

    name: str
    title: str
    help: str
    properties: tuple[Property, ...] = ()
    oauth: OAuth | None = None


@dataclass(frozen=True, slots=True)
class Reach:
    """An account that a token reaches: its id and its name there."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Lack:
    """A scope that a token has not. `required`: nothing can be synced without it."""

    scope: str
    needed_for: str
    required: bool


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a live check found of a token.

    account   the account that it is for; None where it reaches several, or none
    accounts  those that it reaches, as far as the API lists them
    user      whose token it is, in the provider's own id; None if not told
    scopes    what it may do; None if the API does not tell
    missing   what it may not do, and what that is needed for
    """

    account: str | None
    accounts: tuple[Reach, ...] = ()
    user: str | None = None
    scopes: tuple[str, ...] | None = None
    missing: tuple[Lack, ...] = ()
