"""What a user enters as a credential: flat or as `properties`, checked against its kind.

    {"kind": "airtable_token", "access_token": "pat…", "base_id": "app…"}
    {"kind": "airtable_token", "properties": {"access_token": "pat…", "base_id": "app…"}}

Nothing is asked of the API here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import Field

from httpproxy.management.models import Metadata, Model, Name, Text
from httpproxy.management.naming import provider_named
from httpproxy.management.problems import Declined
from httpproxy.store.credentials.values import TokenPair
from providers.catalog import PROVIDERS
from providers.credentials import CredentialKind
from providers.oauth import TOKEN
from providers.spec import Provider

APP: Final = "oauth_app_id"
_MOST: Final = 4096
_ECHOED: Final = 60


class CredentialMembers(Model):
    """What credentials are made of. Which of these one has, its kind tells; they may be
    given here or in `properties`. Secrets are sealed and never shown again."""

    name: Name | None = Field(None, description="Unique among credentials.")
    access_token: str | None = Field(None, max_length=_MOST, repr=False)
    refresh_token: str | None = Field(
        None,
        max_length=_MOST,
        repr=False,
        description="By which the access token is refreshed, with the OAuth app.",
    )
    expires_in: float | None = Field(
        None,
        ge=0,
        le=1e9,
        allow_inf_nan=False,
        description="Seconds that the access token is good for still, if it ends.",
    )
    oauth_app_id: Text | None = Field(None, description="The app of the tokens.")
    base_id: Text | None = Field(None, description="Airtable: the base that it is for.")
    portal_id: Text | int | None = Field(None, description="HubSpot: the portal's id.")
    properties: dict[str, str | int] | None = Field(
        None, repr=False, description="The members that the kind has, in another form."
    )
    metadata: Metadata | None = None


class NewCredential(CredentialMembers):
    """A credential to be stored, over the one that its account has."""

    kind: Text = Field(description="GET /v1/providers lists them.")
    provider: Text | None = Field(None, description="The kind tells it.")


class CredentialPatch(CredentialMembers):
    """A merge patch (RFC 7396): null takes a member away."""


# The members that stand for a property of some kind.
FLAT: Final = frozenset(CredentialMembers.model_fields) - {
    "name",
    "expires_in",
    "properties",
    "metadata",
}


@dataclass(frozen=True, slots=True)
class Entered:
    """What a credential is made of; `account` None: the token is to tell.

    `properties` are what else its kind has, none of it secret.
    """

    tokens: TokenPair
    account: str | None
    app_id: str | None
    properties: Mapping[str, str]


def kind_of(name: str, provider: str | None = None) -> tuple[Provider, CredentialKind]:
    """The kind of this name and its provider. Raises Declined, which lists what there is."""
    if provider is not None:
        provider_named(provider, "provider")
    for each in PROVIDERS.values():
        for kind in each.credential_kinds:
            if kind.name == name and provider in (None, each.name):
                return each, kind
    kinds = [
        kind.name
        for each in PROVIDERS.values()
        for kind in each.credential_kinds
        if provider in (None, each.name)
    ]
    raise Declined(
        "unknown_kind",
        f"There is no kind of credential {name[:_ECHOED]!r} in this version; there are:"
        f" {', '.join(kinds)}.",
        "kind",
        kinds=kinds,
        providers=sorted(PROVIDERS),
    )


def named(members: CredentialMembers, kind: CredentialKind) -> dict[str, str | None]:
    """The properties that are given, flat or not, by name; None: it is to be taken away.

    Raises Declined for one that the kind does not have, or that is given twice.
    """
    known = {each.name for each in kind.properties}
    found: dict[str, str | None] = {}
    for name, place, value in _given(members):
        if name not in known:
            if value is None:
                continue
            raise Declined(
                "bad_body",
                f"A credential of kind {kind.name} has no {name[:_ECHOED]!r}; it has:"
                f" {', '.join(sorted(known))}.",
                place,
            )
        if name in found and found[name] != value:
            raise Declined("bad_body", f"{name} is given twice, and not the same.", place)
        found[name] = value
    return found


def _given(members: CredentialMembers) -> Iterator[tuple[str, str, str | None]]:
    """(name, where it stands, value) of each property that is given."""
    for name in sorted(FLAT & members.model_fields_set):
        value = getattr(members, name)
        yield name, name, None if value is None else str(value)
    for name, value in (members.properties or {}).items():
        yield name, f"properties.{name[:_ECHOED]}", str(value)


def read(provider: Provider, kind: CredentialKind, values: Mapping[str, str | None]) -> Entered:
    """What a credential of these properties is made of. Raises Declined for one that is
    missing, or cannot be."""
    there = {name: value for name, value in values.items() if value is not None}
    for each in kind.properties:
        value = there.get(each.name)
        if value is None and each.required:
            raise Declined(
                "bad_body",
                f"{each.name} is missing: a credential of kind {kind.name} needs it."
                f" {kind.help}",
                each.name,
            )
        if value is not None and not _fits(value, secret=each.secret):
            what = "a token: it has spaces or odd characters" if each.secret else "valid"
            raise Declined("bad_body", f"{each.name} is not {what}. {each.help}", each.name)
    app_id, refresh = there.get(APP), there.get("refresh_token")
    if refresh is not None and app_id is None:
        raise Declined(
            "bad_body",
            f"{APP} is missing: a refresh token is of use with the OAuth app that it was"
            " given to. Store that with POST /v1/oauth-apps.",
            APP,
        )
    apart = {"access_token", "refresh_token", APP, provider.account_property}
    return Entered(
        TokenPair(there["access_token"], refresh),
        there.get(provider.account_property),
        app_id,
        {name: value for name, value in there.items() if name not in apart},
    )


def _fits(value: str, *, secret: bool) -> bool:
    if secret:
        return TOKEN.fullmatch(value) is not None
    return bool(value) and value.isprintable() and len(value) <= 500


def masked(token: str) -> str:
    """A token as it may be shown: recognised by who has it, of no use to others."""
    return f"{token[:4]}…{token[-2:]}" if len(token) >= 20 else "…"
