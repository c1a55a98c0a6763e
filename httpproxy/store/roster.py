"""The roster: the syncs as users see them, in lists with filters, and what they change.

A page is one statement along an index. Filters are conditions of `roster.sql`; those by
health find candidates only, for how a sync is decides `sync.health`. A change is made as a
whole or not at all: what is set, collections that come, collections that leave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg.sql import SQL
from psycopg.types.json import Jsonb

from httpproxy.store.database import QUERIES, Connection, Database, next_revision
from httpproxy.store.errors import Forgotten, Stale, Unavailable
from httpproxy.store.layouts import layout, schemas
from httpproxy.store.queries import load
from httpproxy.store.registry import Sync, sync_of, taken
from providers.record import JSON, Collection
from providers.spec import Budget

_SQL: Final = load("roster.sql")
_AND: Final = SQL(" AND ")
_ATTEMPTS: Final = 3
# What is filtered by -> the condition.
_CONDITIONS: Final = {
    "id": "of_id",
    "provider": "of_provider",
    "name": "of_name",
    "external_id": "of_external_id",
    "status": "of_status",
    "credential_id": "of_credential_id",
    "metadata": "of_metadata",
}
# Phase -> the condition that finds who may be at it.
_CANDIDATES: Final = {
    "waiting": "may_be_waiting",
    "backfill": "may_be_backfill",
    "live": "may_be_live",
    "sweep": "may_be_sweep",
    "held": "may_be_held",
    "failing": "may_be_failing",
    "paused": "may_be_paused",
    "removed": "may_be_removed",
}

After = tuple[datetime | str, str]
"""Where a page begins: behind the sync that was made at this moment (ISO 8601, or a datetime)
and has this id."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A sync, and what its users wrote to it. `revision` counts every change."""

    sync: Sync
    external_id: str | None
    metadata: Mapping[str, JSON]
    created_at: datetime
    updated_at: datetime
    revision: int

    @property
    def place(self) -> tuple[datetime, str]:
        """Where the list goes on behind it."""
        return self.created_at, self.sync.id


@dataclass(frozen=True, slots=True)
class SyncFilter:
    """Which syncs a list has; None: any. `metadata` is contained in theirs; `phase` is the
    name of a phase that they may be at."""

    id: str | None = None
    provider: str | None = None
    name: str | None = None
    external_id: str | None = None
    status: str | None = None
    credential_id: str | None = None
    metadata: Mapping[str, JSON] | None = None
    phase: str | None = None


@dataclass(frozen=True, slots=True)
class SyncChange:
    """What a sync is to be from now on.

    coming    collections that it did not have, or that had left it: with a table each
    leaving   ids of collections that are synced no more; their tables stay
    """

    name: str
    status: str
    external_id: str | None
    metadata: Mapping[str, JSON]
    rates: Sequence[Budget]
    credential_id: str | None
    covers_all: bool
    coming: Sequence[Collection] = ()
    leaving: Sequence[str] = ()


class Roster:
    """Lists and changes syncs. Raises Unavailable when the database is away."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, wanted: SyncFilter, after: After | None, limit: int) -> list[Entry]:
        """Syncs, oldest first, from behind `after`."""
        set_ = {
            name: Jsonb(dict(value)) if name == "metadata" else value
            for name, value in asdict(wanted).items()
            if value is not None and name != "phase"
        }
        conditions = [SQL(_SQL[_CONDITIONS[name]]) for name in set_]
        if wanted.phase is not None:
            conditions.append(SQL(_SQL[_CANDIDATES[wanted.phase]]))
        if after is not None:
            conditions.append(SQL(_SQL["of_after"]))
            set_ |= {"after_at": after[0], "after_id": after[1]}
        query = SQL(_SQL["page"]).format(conditions=_AND.join(conditions or [SQL("true")]))
        async with self._database.connection() as connection:
            # Planned for these values: some providers, and some metadata, are rare.
            asked = await connection.execute(query, {**set_, "limit": limit}, prepare=False)
            return [_entry(row) for row in await asked.fetchall()]

    async def entry(self, id_or_name: str) -> Entry | None:
        """The sync of this id, or else of this name."""
        async with self._database.connection() as connection:
            asked = await connection.execute(_SQL["entry"], {"wanted": id_or_name})
            row = await asked.fetchone()
        return _entry(row) if row else None

    async def change(self, entry: Entry, to: SyncChange) -> Entry:
        """Changes a sync that is as `entry` says. Other processes learn of it.

        Raises Stale if it has changed since, Forgotten if it is gone, NameTaken, and
        Unavailable if another session holds a table for seconds on end.
        """
        for _ in range(_ATTEMPTS):
            try:
                return await self._change_once(entry, to)
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
                held = error
        said = f"a table of {entry.sync.name} is locked by another session"
        raise Unavailable(said) from held

    async def _change_once(self, entry: Entry, to: SyncChange) -> Entry:
        sync_id = entry.sync.id
        async with self._database.transaction() as connection:
            named = {"id": sync_id}
            held = await (await connection.execute(QUERIES["lock_sync"], named)).fetchone()
            if held is None:
                raise Forgotten(f"sync {sync_id} was deleted")
            changed = await _write(connection, entry, to)
            if to.leaving:
                await _leave(connection, entry.sync, to.leaving)
            back = [c for c in to.coming if await layout.come_back(connection, sync_id, c.id)]
            new = [c for c in to.coming if c not in back]
            await layout.make_tables(connection, sync_id, entry.sync.schema_name, new)
            return changed


async def _write(connection: Connection, entry: Entry, to: SyncChange) -> Entry:
    """Writes what is set. Raises Stale, NameTaken, Forgotten."""
    row = {
        "id": entry.sync.id,
        "known": entry.revision,
        "revision": await next_revision(connection),
        "name": to.name,
        "status": to.status,
        "external_id": to.external_id,
        "metadata": Jsonb(dict(to.metadata)),
        "rates": Jsonb([asdict(rate) for rate in to.rates]),
        "credential_id": to.credential_id,
        "covers_all": to.covers_all,
    }
    try:
        changed = await (await connection.execute(_SQL["change"], row)).fetchone()
    except psycopg.errors.UniqueViolation as error:
        raise taken(error, row) from error
    except psycopg.errors.ForeignKeyViolation as error:
        raise Forgotten(f"there is no credential {to.credential_id}") from error
    if changed is None:
        raise Stale(f"sync {entry.sync.id} has changed meanwhile")
    return _entry(changed)


async def _leave(connection: Connection, sync: Sync, leaving: Sequence[str]) -> None:
    """Takes collections out of a sync, once the commits that are under way have ended."""
    await schemas.stop_writes(connection, sync.id, sync.schema_name, leaving)
    named = {"id": sync.id, "leaving": list(leaving)}
    left = await (await connection.execute(_SQL["leave"], named)).fetchall()
    numbers = {"numbers": [row["id"] for row in left]}
    for query in ("forget_marks", "forget_runs", "forget_troubles"):
        await connection.execute(_SQL[query], numbers)


def _entry(row: Mapping[str, Any]) -> Entry:
    return Entry(
        sync_of(row),
        row["external_id"],
        row["metadata"],
        row["created_at"],
        row["updated_at"],
        row["revision"],
    )
