"""API keys: made, listed, revoked. Whoever makes one gives no more than they have.

The command line gives whatever it is asked for: who may read the database may do anything.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Literal

from pydantic import Field

from httpproxy.management.models import Model, Moment, Name, Text
from httpproxy.management.naming import is_id, unknown_sync
from httpproxy.management.paging import Page, made_of, page_of
from httpproxy.management.problems import Declined
from httpproxy.store.registry import Sync
from httpproxy.store.secrets.keys import SCOPES, Key, Keys, Scope

DAY: Final = 86_400.0
MOST_DAYS: Final = 3650

FindSync = Callable[[str], Awaitable[Sync | None]]


class NewKey(Model):
    """What a key shall be allowed: write includes read, admin both. Without `sync_id` with
    every sync; without `expires_in_days` for ever."""

    name: Name = Field(description="Unique among keys that are not revoked.")
    scopes: list[Scope] = Field(["read"], min_length=1, max_length=len(SCOPES))
    sync_id: Text | None = Field(None, description="A sync, by its id or name.")
    expires_in_days: float | None = Field(None, gt=0, le=MOST_DAYS, allow_inf_nan=False)


class KeyDocument(Model):
    """A key, without its text, which nobody can tell."""

    id: str
    name: str
    scopes: list[Scope]
    sync_id: str | None
    state: Literal["valid", "expired", "revoked"]
    created_at: Moment
    expires_at: Moment | None
    revoked_at: Moment | None
    last_used_at: Moment | None = Field(description="To the minute.")


class MadeKey(KeyDocument):
    """A key that was just made. `key` is shown this once."""

    key: str = Field(repr=False)


class ApiKeys:
    """Manages API keys. `find_sync` finds a sync by its id or name. Raises Declined,
    NameTaken, and Unavailable when the database is away."""

    def __init__(self, store: Keys, find_sync: FindSync) -> None:
        self._store = store
        self._find_sync = find_sync

    async def page(
        self, limit: int, cursor: str | None, giver: Key | None
    ) -> Page[KeyDocument]:
        """The keys that `giver` has to do with, oldest first, revoked and expired ones too."""
        sync_id = None if giver is None else giver.sync_id
        rows = await self._store.page(sync_id, made_of(cursor), limit + 1)
        return page_of(rows, limit, lambda row: (row.created_at, row.id)).told(described)

    async def get(self, id_or_name: str, giver: Key | None) -> KeyDocument:
        """The key of this id, or else the living one of this name."""
        return described(await self._found(id_or_name, giver))

    async def create(self, wanted: NewKey, giver: Key | None) -> MadeKey:
        """Makes a key and tells its text. Raises Declined (403) for more than `giver` has."""
        sync_id = None
        if wanted.sync_id is not None:
            sync_id = await self._sync_id(wanted.sync_id, giver)
        expires_in = None if wanted.expires_in_days is None else wanted.expires_in_days * DAY
        _require_no_more(wanted.scopes, sync_id, giver)
        key, text = await self._store.create(
            wanted.name,
            wanted.scopes,
            sync_id=sync_id,
            expires_in=expires_in,
            until=None if giver is None else giver.expires_at,
        )
        return MadeKey(**dict(described(key)), key=text.reveal())

    async def revoke(self, id_or_name: str, giver: Key | None) -> KeyDocument:
        """Ends a key: within two seconds it opens nothing, anywhere."""
        found = await self._found(id_or_name, giver)
        revoked = await self._store.revoke(found.id)
        return described(revoked or found)

    async def _found(self, id_or_name: str, giver: Key | None) -> Key:
        found = await self._store.get(id_or_name) if is_id(id_or_name) else None
        if found is not None and (giver is None or giver.sync_id in (None, found.sync_id)):
            return found
        detail = f"There is no API key {id_or_name[:80]!r}; GET /v1/keys lists them."
        raise Declined("unknown_key", detail)

    async def _sync_id(self, id_or_name: str, giver: Key | None) -> str:
        found = await self._find_sync(id_or_name) if is_id(id_or_name) else None
        if giver is not None and giver.sync_id not in (None, found.id if found else None):
            raise Declined("key_not_allowed", "The API key is for another sync.", "sync_id")
        if found is None:
            raise unknown_sync(id_or_name, "sync_id")
        return found.id


def described(key: Key) -> KeyDocument:
    """A key as a document."""
    state: Literal["valid", "expired", "revoked"] = "expired"
    if key.valid or key.revoked_at is not None:
        state = "valid" if key.valid else "revoked"
    return KeyDocument(
        id=key.id,
        name=key.name,
        scopes=[scope for scope in SCOPES if scope in key.scopes],
        sync_id=key.sync_id,
        state=state,
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        last_used_at=key.last_used_at,
    )


def _require_no_more(scopes: list[Scope], sync_id: str | None, giver: Key | None) -> None:
    if giver is None:
        return
    for scope in scopes:
        if not giver.allows(scope, giver.sync_id):
            detail = f"The API key lacks the scope {scope}: it can give none that has it."
            raise Declined("key_not_allowed", detail, "scopes")
    if giver.sync_id is not None and sync_id is None:
        detail = "The API key is for one sync: say by sync_id that the new one is, too."
        raise Declined("key_not_allowed", detail, "sync_id")
