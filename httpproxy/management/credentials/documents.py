"""Credentials as documents: what is told of them, masked, and by what lists are filtered.

Pure.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from httpproxy.management.credentials.entering import masked
from httpproxy.management.credentials.inspecting import Check
from httpproxy.management.models import Model, Moment, Text
from httpproxy.management.paging import METADATA_FILTER
from httpproxy.management.patching import etag_of
from httpproxy.store.credentials.values import Credential, TokenPair
from providers.catalog import PROVIDERS


class CredentialDocument(Model):
    """A stored credential. Secrets among `properties` are masked."""

    id: str
    provider: str
    kind: str
    name: str | None
    account: str = Field(description="What it opens: a base, a portal.")
    properties: dict[str, str | None]
    oauth_app_id: str | None
    metadata: dict[str, Any]
    implicit: bool = Field(description="Made along with a sync: it goes with the last one.")
    expires_at: Moment | None = Field(description="The access token's; null: unknown or never.")
    refreshed_at: Moment | None
    trouble: str | None = Field(
        description="Why its tokens were not refreshed; until they end, they serve."
    )
    created_at: Moment
    updated_at: Moment


class CheckedCredential(CredentialDocument):
    """A credential that was just stored, and what the API said of it."""

    check: Check


class CredentialFilters(Model):
    """Which credentials a list has; all that is given must fit."""

    provider: Text | None = None
    kind: Text | None = None
    account: Text | None = None
    oauth_app_id: Text | None = None
    metadata: str | None = METADATA_FILTER


class _Settable(Model):
    name: str | None
    metadata: dict[str, Any]
    oauth_app_id: str | None
    as_of: Moment


def described(found: Credential, tokens: TokenPair | None) -> CredentialDocument:
    """A credential as it is told; `tokens` None: they cannot be read."""
    provider = PROVIDERS[found.provider]
    properties: dict[str, str | None] = {
        **{name: str(value) for name, value in found.properties.items()},
        **_masks(tokens),
        provider.account_property: found.account,
    }
    return CredentialDocument(
        id=found.id,
        provider=found.provider,
        kind=found.kind,
        name=found.name,
        account=found.account,
        properties=properties,
        oauth_app_id=found.app_id,
        metadata=found.metadata,
        implicit=found.implicit,
        expires_at=found.expires_at,
        refreshed_at=found.refreshed_at,
        trouble=found.trouble,
        created_at=found.created_at,
        updated_at=found.updated_at,
    )


def _masks(tokens: TokenPair | None) -> dict[str, str | None]:
    if tokens is None:
        return {"access_token": None}
    pair = {"access_token": tokens.access_token, "refresh_token": tokens.refresh_token}
    return {name: masked(token) for name, token in pair.items() if token is not None}


def tag_of(found: Credential) -> str:
    """Changes when somebody changes the credential; not when its token is refreshed."""
    return etag_of(
        _Settable(
            name=found.name,
            metadata=found.metadata,
            oauth_app_id=found.app_id,
            as_of=found.updated_at,
        )
    )
