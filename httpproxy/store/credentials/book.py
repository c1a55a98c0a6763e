"""Credentials: what opens an account at a provider. Their secrets are sealed.

An account of a provider has one credential; whoever saves another one replaces it, under
the same id. It is saved in the caller's transaction, which has drawn a revision, so that
two who save at once find each other's. A credential that was made along with a sync goes
with its last sync; one that was made on purpose stays until it is deleted. How tokens are
refreshed is `refreshes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb

from httpproxy.store.credentials.values import (
    Credential,
    CredentialDraft,
    CredentialFilter,
    NewTokens,
    TokenPair,
)
from httpproxy.store.database import Connection, Database, next_revision
from httpproxy.store.errors import Forgotten, InUse, NameTaken, Stale
from httpproxy.store.ids import new_id
from httpproxy.store.queries import load
from httpproxy.store.secrets.vault import Vault, credential_place
from providers.record import JSON

_SQL: Final = load("credentials/book.sql")


async def save(
    connection: Connection, vault: Vault, draft: CredentialDraft
) -> tuple[str, bool]:
    """Saves an account's credential; its id, and whether the account had none.

    In a transaction that holds a revision (`next_revision`). Syncs that use it are not told:
    see `replace_tokens`. Raises NameTaken, and Forgotten for an app that is not there.
    """
    whose = {"provider": draft.provider, "account": draft.account}
    known = await (await connection.execute(_SQL["credential_id"], whose)).fetchone()
    id_ = str(known["id"]) if known else new_id("cred")
    row = {
        **whose,
        **_sealed(vault, id_, NewTokens(draft.tokens, draft.expires_in, draft.refresh_in)),
        "kind": draft.kind,
        "name": draft.name,
        "metadata": _jsonb(draft.metadata),
        "properties": _jsonb(draft.properties),
        "implicit": draft.implicit,
        "app_id": draft.app_id,
    }
    try:
        await connection.execute(_SQL["save_credential"], row)
    except psycopg.errors.UniqueViolation as error:
        raise NameTaken("name", str(draft.name)) from error
    except psycopg.errors.ForeignKeyViolation as error:
        raise Forgotten(f"there is no OAuth app {draft.app_id}") from error
    await connection.execute(_SQL["drop_discovery"], {"id": id_})
    return id_, known is None


async def replace_tokens(
    connection: Connection, vault: Vault, id_: str, new: NewTokens, revision: int
) -> None:
    """Other tokens for a credential; the processes that serve its syncs learn of it."""
    await connection.execute(_SQL["replace_secret"], _sealed(vault, id_, new))
    await connection.execute(_SQL["drop_discovery"], {"id": id_})
    await touch_syncs(connection, id_, revision)


async def touch_syncs(connection: Connection, id_: str, revision: int) -> None:
    """Tells the processes that serve a credential's syncs to look at it anew."""
    touched = {"id": id_, "revision": revision}
    await connection.execute(_SQL["touch_syncs_of_credential"], touched)


async def drop_unused(connection: Connection, id_: str | None) -> None:
    """Forgets a credential that was made with a sync, if no sync uses it any more."""
    await connection.execute(_SQL["drop_unused_credential"], {"id": id_})


class Credentials:
    """The credentials of a database. Raises Unavailable when it is away."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def save(self, draft: CredentialDraft) -> tuple[Credential, bool]:
        """Saves an account's credential; it, and whether the account had none. Its syncs use
        it from now on. Raises NameTaken, Forgotten."""
        async with self._database.transaction() as connection:
            revision = await next_revision(connection)
            id_, made = await save(connection, self._vault, draft)
            if not made:
                await touch_syncs(connection, id_, revision)
            return await _read(connection, id_), made

    async def get(self, id_or_name: str) -> Credential | None:
        """The credential of this id, or else of this name."""
        rows = await self._rows("read_credential", {"wanted": id_or_name})
        return Credential(**rows[0]) if rows else None

    async def page(
        self, wanted: CredentialFilter, after: tuple[str, str] | None, limit: int
    ) -> list[Credential]:
        """Credentials, oldest first, after (moment of creation, id) in that order."""
        at, id_ = after or (None, None)
        row = {
            "provider": wanted.provider,
            "account": wanted.account,
            "kind": wanted.kind,
            "app_id": wanted.app_id,
            "metadata": _jsonb(wanted.metadata),
            "after_at": at,
            "after_id": id_,
            "limit": limit,
        }
        async with self._database.connection() as connection:
            # Planned for these values: what is not filtered by is not in the plan.
            asked = await connection.execute(_SQL["read_credential_page"], row, prepare=False)
            return [Credential(**row) for row in await asked.fetchall()]

    def open(self, credential: Credential) -> TokenPair:
        """A credential's tokens. Raises KeyMismatch."""
        place = credential_place(credential.id)
        return TokenPair.read(self._vault.open(bytes(credential.secret), *place))

    async def change(self, changed: Credential, tokens: NewTokens | None) -> Credential:
        """Keeps a credential's name, metadata, properties and app as they are in `changed`,
        and other tokens if there are any. Raises Stale if it is not as it was read,
        NameTaken, Forgotten."""
        row = {
            "id": changed.id,
            "name": changed.name,
            "metadata": Jsonb(changed.metadata),
            "properties": Jsonb(changed.properties),
            "app_id": changed.app_id,
            "as_of": changed.updated_at,
            "generation": changed.generation if tokens else None,
        }
        async with self._database.transaction() as connection:
            revision = await next_revision(connection) if tokens else 0
            try:
                done = await connection.execute(_SQL["change_credential"], row)
            except psycopg.errors.UniqueViolation as error:
                raise NameTaken("name", str(changed.name)) from error
            except psycopg.errors.ForeignKeyViolation as error:
                raise Forgotten(f"there is no OAuth app {changed.app_id}") from error
            if not done.rowcount:
                raise Stale(f"credential {changed.id} has changed meanwhile")
            if tokens:
                await replace_tokens(connection, self._vault, changed.id, tokens, revision)
            return await _read(connection, changed.id)

    async def users(self, id_: str, limit: int = 100) -> list[tuple[str, str]]:
        """(id, name) of the syncs that use a credential."""
        rows = await self._rows("read_users", {"id": id_, "limit": limit})
        return [(row["id"], row["name"]) for row in rows]

    async def delete(self, id_: str) -> bool:
        """Forgets a credential; whether it was there and no sync uses it. Raises InUse if
        one begins to at this moment."""
        async with self._database.connection() as connection:
            try:
                done = await connection.execute(_SQL["delete_credential"], {"id": id_})
            except psycopg.errors.ForeignKeyViolation as error:
                raise InUse(f"a sync uses credential {id_}") from error
            return done.rowcount > 0

    async def discovery(self, id_: str) -> tuple[JSON, datetime] | None:
        """What the credential was last seen to reach, and when; see `discoveries`."""
        rows = await self._rows("read_discovery", {"id": id_})
        return (rows[0]["collections"], rows[0]["discovered_at"]) if rows else None

    async def keep_discovery(self, id_: str, collections: JSON) -> datetime:
        """Remembers what a credential reaches; when that was. Raises Forgotten."""
        kept = {"id": id_, "collections": Jsonb(collections)}
        rows = await self._rows("keep_discovery", kept)
        if not rows:
            raise Forgotten(f"there is no credential {id_}")
        found: datetime = rows[0]["discovered_at"]
        return found

    async def _rows(self, query: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        async with self._database.connection() as connection:
            return await (await connection.execute(_SQL[query], parameters)).fetchall()


async def _read(connection: Connection, id_: str) -> Credential:
    row = await (await connection.execute(_SQL["read_credential"], {"wanted": id_})).fetchone()
    if row is None:
        raise Forgotten(f"there is no credential {id_}")
    return Credential(**row)


def _sealed(vault: Vault, id_: str, new: NewTokens) -> dict[str, Any]:
    return {
        "id": id_,
        "secret": vault.seal(new.tokens.written(), *credential_place(id_)),
        "mark": new.tokens.mark,
        "expires_in": new.expires_in,
        "refresh_in": new.refresh_in,
    }


def _jsonb(value: Mapping[str, JSON] | None) -> Jsonb | None:
    return None if value is None else Jsonb(dict(value))
