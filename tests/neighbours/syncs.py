"""Syncs that a test makes by itself, without asking an API: with a credential each, like one
that comes along with a sync."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from httpproxy.store.credentials.values import CredentialDraft, TokenPair
from httpproxy.store.layouts.tables import SyncTables
from httpproxy.store.registry import Registry, Sync, SyncDraft
from providers.catalog import PROVIDERS
from providers.record import Collection

SECRET: Final = "pat-of-the-sync-itself"  # opens nothing


async def new_sync(
    registry: Registry,
    provider: str,
    name: str,
    account: str,
    secret: str = SECRET,
    **more: Any,
) -> Sync:
    """A sync with this token for a credential; `more` are members of SyncDraft."""
    kind = PROVIDERS[provider].credential_kinds[0].name
    own = CredentialDraft(provider, account, kind, TokenPair(secret), implicit=True)
    return await registry.create_sync(
        SyncDraft(provider, name, account, **{"credential": own, **more})
    )


async def secret_of(registry: Registry, sync: Sync) -> str:
    """The access token that is stored for a sync. Raises KeyMismatch."""
    found = await registry.credentials.get(sync.credential_id or "")
    assert found is not None
    return registry.credentials.open(found).access_token


async def followed(
    registry: Registry, sync: Sync, collections: Sequence[Collection]
) -> SyncTables:
    """The tables of a sync once they have followed what discovery found."""
    await registry.following.follow(sync.id, collections)
    return await registry.tables(sync)
