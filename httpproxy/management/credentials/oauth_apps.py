"""OAuth apps: what a provider knows a product by when the tokens of its users are refreshed.

Storing one is an upsert, by its client id. Its secret goes in and never comes out again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pydantic import Field

from httpproxy.management.models import Model, Moment, Name, Text
from httpproxy.management.naming import is_id, provider_named
from httpproxy.management.paging import Page, made_of, page_of
from httpproxy.management.patching import ATTEMPTS, etag_of, overtaken, require_match
from httpproxy.management.problems import Declined
from httpproxy.office import Office
from httpproxy.store.credentials.apps import App, Apps
from httpproxy.store.errors import InUse, Stale
from providers.credentials import AppKeys

_NAMED: Final = 50


class NewOAuthApp(Model):
    """An app that is registered at a provider. A public client has no secret."""

    provider: Text
    client_id: Text = Field(min_length=1, max_length=500)
    client_secret: str | None = Field(None, min_length=1, max_length=4096, repr=False)
    name: Name | None = Field(None, description="Unique among apps.")


class OAuthAppPatch(Model):
    """A merge patch (RFC 7396): null takes a member away."""

    client_id: Text | None = Field(None, min_length=1, max_length=500)
    client_secret: str | None = Field(None, min_length=1, max_length=4096, repr=False)
    name: Name | None = None


class OAuthAppDocument(Model):
    """A stored app; of its secret only whether it has one."""

    id: str
    provider: str
    name: str | None
    client_id: str
    has_secret: bool
    created_at: Moment
    updated_at: Moment


class OAuthAppFilters(Model):
    """Which apps a list has."""

    provider: Text | None = None


class _Settable(Model):
    name: str | None
    client_id: str
    as_of: Moment


class OAuthApps:
    """Manages OAuth apps. Raises Declined, and Unavailable when the database is away."""

    def __init__(self, office: Office) -> None:
        self._store = Apps(office.database, office.vault)

    async def page(
        self, filters: OAuthAppFilters, limit: int, cursor: str | None
    ) -> Page[OAuthAppDocument]:
        """The apps that fit, oldest first. Raises Declined for a provider that there is not."""
        if filters.provider is not None:
            provider_named(filters.provider, "provider")
        rows = await self._store.page(filters.provider, made_of(cursor), limit + 1)
        return page_of(rows, limit, lambda row: (row.created_at, row.id)).told(_told)

    async def get(self, id_or_name: str) -> tuple[OAuthAppDocument, str]:
        """An app, and its tag."""
        found = await self._found(id_or_name)
        return _told(found), _tag(found)

    async def create(self, body: NewOAuthApp) -> tuple[OAuthAppDocument, bool, str]:
        """Stores an app; it, whether its client id is new, and its tag. Raises NameTaken."""
        provider = provider_named(body.provider, "provider")
        keys = AppKeys(body.client_id, body.client_secret)
        stored, made = await self._store.save(provider.name, keys, body.name)
        return _told(stored), made, _tag(stored)

    async def change(
        self, id_or_name: str, patch: OAuthAppPatch, if_match: str | None = None
    ) -> tuple[OAuthAppDocument, str]:
        """Applies a merge patch. Raises Declined, NameTaken."""
        given = patch.model_fields_set
        if "client_id" in given and patch.client_id is None:
            raise Declined("bad_body", "client_id cannot be taken away.", "client_id")
        for _ in range(ATTEMPTS):
            known = await self._found(id_or_name)
            require_match(_tag(known), if_match)
            keys = None
            if given & {"client_id", "client_secret"}:
                has = await self._store.keys(known.id)
                secret = "client_secret" in given
                keys = AppKeys(
                    patch.client_id or has.client_id,
                    patch.client_secret if secret else has.client_secret,
                )
            name = patch.name if "name" in given else known.name
            if keys is None and name == known.name:  # nothing that an ETag should tell of
                return _told(known), _tag(known)
            try:
                stored = await self._store.change(replace(known, name=name), keys)
            except Stale:
                continue
            return _told(stored), _tag(stored)
        raise overtaken()

    async def delete(self, id_or_name: str, if_match: str | None = None) -> None:
        """Forgets an app. Raises Declined: 409 while credentials are refreshed by it, 412 if it
        is not what `if_match` names."""
        found = await self._found(id_or_name)
        require_match(_tag(found), if_match)
        try:
            await self._store.delete(found.id)
        except InUse as error:
            users = await self._store.users(found.id, _NAMED)
            raise Declined(
                "in_use",
                f"Credentials are refreshed by this app: {', '.join(users[:10])}."
                " Delete them, or give them another app, first.",
                credentials=users,
            ) from error

    async def _found(self, id_or_name: str) -> App:
        found = await self._store.get(id_or_name) if is_id(id_or_name) else None
        if found is None:
            detail = (
                f"There is no OAuth app {id_or_name[:80]!r}; GET /v1/oauth-apps lists them."
            )
            raise Declined("unknown_oauth_app", detail)
        return found


def _told(found: App) -> OAuthAppDocument:
    return OAuthAppDocument(
        id=found.id,
        provider=found.provider,
        name=found.name,
        client_id=found.client_id,
        has_secret=found.secret is not None,
        created_at=found.created_at,
        updated_at=found.updated_at,
    )


def _tag(found: App) -> str:
    return etag_of(
        _Settable(name=found.name, client_id=found.client_id, as_of=found.updated_at)
    )
