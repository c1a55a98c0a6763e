"""The registry: syncs made, found, steered and ended, with their tables and credentials.

Every change to a sync draws a revision under a lock, so that `changed_since` misses
none and other processes learn of it with one cheap poll. Secrets are sealed before
they reach the database (`vault`).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from hashlib import sha256
from sys import intern
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb

from httpproxy.store import deletion
from httpproxy.store.credentials import book
from httpproxy.store.credentials.book import Credentials
from httpproxy.store.credentials.values import CredentialDraft, NewTokens, TokenPair
from httpproxy.store.database import QUERIES, Connection, Database, next_revision
from httpproxy.store.errors import Forgotten, NameTaken, Unavailable
from httpproxy.store.ids import new_id
from httpproxy.store.layouts import layout, schemas
from httpproxy.store.layouts.following import Following
from httpproxy.store.layouts.tables import SyncTables
from httpproxy.store.secrets.vault import Vault
from httpproxy.store.sync import marks as dirty
from providers.record import JSON, Collection, Dirty
from providers.spec import Budget

_DELETE_ATTEMPTS: Final = 3
_TAKEN: Final = {"sync_name_key": "name", "sync_external_id_key": "external_id"}


@dataclass(frozen=True, slots=True)
class Sync:
    """An account of a provider and where its records are kept.

    `unique_id` is the first segment of the API root: who knows it may try tokens, so
    it is not shown by `repr`. `rates` are what the user set, per budget; others follow
    the provider's default and what its answers state.
    """

    id: str
    provider: str
    name: str
    account: str
    unique_id: str = field(repr=False)
    schema_name: str
    status: str
    credential_id: str | None
    rates: tuple[Budget, ...]
    covers_all: bool = False


@dataclass(frozen=True, slots=True)
class SyncDraft:
    """A sync to be made. `credential` is the id of a stored one, or one to be saved with it.
    Without `schema_name` one is made from the provider and the name."""

    provider: str
    name: str
    account: str
    credential: str | CredentialDraft
    rates: Sequence[Budget] = ()
    collections: Sequence[Collection] = ()
    schema_name: str | None = None
    covers_all: bool = False
    status: str = "active"
    external_id: str | None = None
    metadata: Mapping[str, JSON] = field(default_factory=dict)


class Registry:
    """Reads and changes the registry. Raises Unavailable when the database is away."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault
        self.credentials = Credentials(database, vault)

    async def create_sync(self, draft: SyncDraft) -> Sync:
        """A new sync with its schema and tables, and its credential if it brings one, in one
        transaction. Raises NameTaken, and Forgotten if the credential is gone."""
        async with self._database.transaction() as connection:
            revision = await next_revision(connection)
            schema, owned = await schemas.schema_for(
                connection, draft.schema_name, draft.provider, draft.name
            )
            credential = draft.credential
            if isinstance(credential, CredentialDraft):
                credential = await self._saved(connection, credential, revision)
            sync = Sync(
                new_id("sync"),
                draft.provider,
                draft.name,
                draft.account,
                secrets.token_urlsafe(24),
                schema,
                draft.status,
                credential,
                tuple(draft.rates),
                draft.covers_all,
            )
            known_as = {
                "external_id": draft.external_id,
                "metadata": Jsonb(dict(draft.metadata)),
            }
            await _insert(connection, sync, {"owns_schema": owned, **known_as}, revision)
            if owned:
                await schemas.make_schema(connection, schema)
            await layout.make_tables(connection, sync.id, schema, draft.collections)
            return sync

    async def _saved(
        self, connection: Connection, draft: CredentialDraft, revision: int
    ) -> str:
        """Saves a credential; who uses the one that it replaces is told. Its id."""
        id_, made = await book.save(connection, self._vault, draft)
        if not made:
            await book.touch_syncs(connection, id_, revision)
        return id_

    async def replace_secret(self, sync: Sync, secret: str) -> None:
        """Another secret for the sync's credential; every sync of the account uses it."""
        if sync.credential_id is None:
            raise LookupError(f"sync {sync.id} has no stored credential")
        async with self._database.transaction() as connection:
            revision = await next_revision(connection)
            new = NewTokens(TokenPair(secret))
            await book.replace_tokens(
                connection, self._vault, sync.credential_id, new, revision
            )

    async def syncs(self) -> list[Sync]:
        """Every sync, oldest first."""
        return [sync_of(row) for row in await self._rows("read_syncs", {})]

    async def sync(self, id_or_name: str) -> Sync | None:
        """The sync of this id, or else of this name; none is called what cannot be stored."""
        if "\0" in id_or_name or id_or_name != id_or_name.encode(errors="ignore").decode():
            return None
        rows = await self._rows("read_sync", {"wanted": id_or_name})
        return sync_of(rows[0]) if rows else None

    async def sync_by_digest(self, digest: bytes) -> Sync | None:
        """The sync whose unique id has this SHA-256."""
        rows = await self._rows("read_sync_by_digest", {"digest": digest})
        return sync_of(rows[0]) if rows else None

    async def changed_since(self, cursor: int) -> tuple[list[Sync], list[str], int]:
        """What changed after `cursor`: syncs, ids of deleted syncs, the next cursor.

        Start with 0. Two index lookups when nothing changed.
        """
        since = {"revision": cursor}
        changed = await self._rows("read_changed_syncs", since)
        deleted = await self._rows("read_deleted_syncs", since)
        last = max((row["revision"] for row in (*changed, *deleted)), default=cursor)
        return [sync_of(row) for row in changed], [row["id"] for row in deleted], last

    async def delete_sync(self, sync: Sync, *, drop_tables: bool) -> list[tuple[str, JSON]]:
        """Forgets a sync, and with `drop_tables` its tables. Returns the feeds that it had,
        with where they were: they are to be hung up. Raises InUse, and Unavailable if another
        session holds a table for seconds on end."""
        for _ in range(_DELETE_ATTEMPTS):
            try:
                async with self._database.transaction() as connection:
                    whose = (sync.id, sync.schema_name, sync.credential_id)
                    return await deletion.delete(connection, *whose, drop_tables=drop_tables)
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
                held = error
        raise Unavailable(f"a table of {sync.name} is locked by another session") from held

    async def set_status(self, sync: Sync, status: str) -> bool:
        """Makes a sync "active" or "paused"; whether it was not so before."""
        async with self._database.transaction() as connection:
            # First the sync, then the revision: whoever takes both does so in this order.
            await connection.execute(QUERIES["lock_sync"], {"id": sync.id})
            wanted = {"status": status, "revision": await next_revision(connection)}
            done = await connection.execute(QUERIES["set_status"], {"id": sync.id, **wanted})
            return done.rowcount > 0

    async def touch(self, sync: Sync) -> None:
        """Tells the processes that serve a sync to look at it anew, within a second or two."""
        async with self._database.transaction() as connection:
            await connection.execute(QUERIES["lock_sync"], {"id": sync.id})
            touched = {"id": sync.id, "revision": await next_revision(connection)}
            await connection.execute(QUERIES["touch_sync"], touched)

    async def tables(self, sync: Sync) -> SyncTables:
        """The sync's tables as they are now."""
        async with self._database.transaction() as connection:
            return layout.sync_tables(await layout.read_layouts(connection, sync.id))

    @property
    def following(self) -> Following:
        """Changes the layouts of the tables."""
        return Following(self._database)

    async def mark_dirty(self, sync: Sync, marks: Sequence[Dirty]) -> None:
        """Remembers what is to be read again. Marks of unknown collections are dropped."""
        if marks:
            async with self._database.transaction() as connection:
                await dirty.mark_dirty(connection, sync.id, marks)

    async def _rows(self, query: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        async with self._database.connection() as connection:
            return await (await connection.execute(QUERIES[query], parameters)).fetchall()


async def _insert(
    connection: Connection, sync: Sync, more: Mapping[str, Any], revision: int
) -> None:
    row = {
        "id": sync.id,
        "provider": sync.provider,
        "name": sync.name,
        "account": sync.account,
        "unique_id": sync.unique_id,
        "digest": sha256(sync.unique_id.encode()).digest(),
        "schema_name": sync.schema_name,
        "status": sync.status,
        "credential_id": sync.credential_id,
        "rates": Jsonb([asdict(rate) for rate in sync.rates]),
        "revision": revision,
        "covers_all": sync.covers_all,
        **more,
    }
    try:
        await connection.execute(QUERIES["insert_sync"], row)
    except psycopg.errors.UniqueViolation as error:
        raise taken(error, row) from error
    except psycopg.errors.ForeignKeyViolation as error:
        raise Forgotten(f"there is no credential {sync.credential_id}") from error


def sync_of(row: Mapping[str, Any]) -> Sync:
    """A row of httpproxy.sync."""
    # Thousands of syncs are kept at once; what they have in common is kept once.
    return Sync(
        row["id"],
        intern(row["provider"]),
        row["name"],
        row["account"],
        row["unique_id"],
        row["schema_name"],
        intern(row["status"]),
        row["credential_id"],
        _rates(tuple(tuple(rate.items()) for rate in row["rates"])),
        row["covers_all"],
    )


def taken(error: psycopg.errors.UniqueViolation, row: Mapping[str, Any]) -> Exception:
    """What a unique value that another sync has means to who chose it for this one."""
    name = _TAKEN.get(error.diag.constraint_name or "")
    return NameTaken(name, str(row[name])) if name else error


@lru_cache(maxsize=256)
def _rates(rates: tuple[tuple[tuple[str, Any], ...], ...]) -> tuple[Budget, ...]:
    return tuple(Budget(**dict(rate)) for rate in rates)
