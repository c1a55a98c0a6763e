"""What a process knows of each sync: the directory that the doors look things up in.

An entry is small while its sync is idle (ten thousand fit in one process): the
tables and the stored secret are loaded by its first write. Entries are found by the
SHA-256 of the unique id, in constant time. Syncs that another process has made or
changed arrive by a cheap poll; one that was made a moment ago is found by a lookup,
paced so that guessing ids costs the database nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from httpproxy.exchange.directory.allotment import Allotment
from httpproxy.exchange.directory.apis import APIS, Api
from httpproxy.exchange.pacing import Pace
from httpproxy.exchange.problems import Rejected
from httpproxy.store.layouts.tables import SyncTables
from httpproxy.store.registry import Registry, Sync
from httpproxy.upstream.limiter import Limiter
from providers.spec import Provider

log = logging.getLogger(__name__)

POLL_SECONDS: Final = 1.0
LOOKUPS_PER_SECOND: Final = 50


@dataclass(slots=True, eq=False)
class Live:
    """One sync as this process knows it. What is None is loaded by its first write.

    ended     it was deleted or changed
    yielding  another process is to run its jobs
    fence     what this process's jobs write under, None while it runs none
    """

    sync: Sync
    allotment: Allotment
    tables: SyncTables | None = None
    secret: str | None = None
    ended: bool = False
    yielding: bool = False
    fence: int | None = None

    @property
    def halted(self) -> bool:
        """Whether a job that works on it for long should stop."""
        return self.ended or self.yielding

    @property
    def api(self) -> Api:
        return self.allotment.api

    @property
    def provider(self) -> Provider:
        return self.allotment.api.provider

    def __repr__(self) -> str:
        return f"Live({self.sync.id} {self.sync.provider} {self.sync.account})"


async def tables_of(live: Live, registry: Registry) -> SyncTables:
    """The sync's tables, loaded if they are not known or have changed. Raises OSError."""
    if live.tables is None:
        live.tables = await registry.tables(live.sync)
    return live.tables


class Directory:
    """Finds the live sync of a unique id."""

    def __init__(self, registry: Registry, limiter: Limiter) -> None:
        self._registry = registry
        self._limiter = limiter
        self._by_digest: dict[bytes, Live] = {}
        self._digest_of: dict[str, bytes] = {}
        self._cursor = 0
        self._lookups = Pace(LOOKUPS_PER_SECOND, 1.0)

    def known(self, unique_id: str) -> Live | None:
        """The sync with this unique id, if this process has heard of it."""
        return self._by_digest.get(sha256(unique_id.encode()).digest())

    def of(self, sync_id: str) -> Live | None:
        """The sync with this id, if this process has heard of it."""
        return self._by_digest.get(self._digest_of.get(sync_id, b""))

    def lives(self) -> Collection[Live]:
        """Every sync that this process has heard of."""
        return self._by_digest.values()

    async def look_up(self, unique_id: str) -> Live | None:
        """The sync with a unique id that is not known here, None if there is none.

        Raises Rejected (429) rather than deny a sync that the next poll will find.
        """
        if not await self._lookups.allows(None):
            raise Rejected(
                "too_many_requests",
                "Too many calls name a sync that nobody has; this one was not looked up.",
                retry_after=POLL_SECONDS,
            )
        digest = sha256(unique_id.encode()).digest()
        sync = await self._registry.sync_by_digest(digest)
        if sync is None:
            return None
        self._put(sync)
        return self._by_digest.get(digest)

    async def refresh(self) -> None:
        """Takes in what changed in the registry since the last time."""
        changed, deleted, self._cursor = await self._registry.changed_since(self._cursor)
        for sync in changed:
            self._put(sync)
        for sync_id in deleted:
            self._forget(sync_id)

    async def keep_fresh(self) -> None:
        """Polls the registry until it is cancelled; a database that is away is waited for."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self.refresh()
            except OSError:
                log.warning("the registry cannot be read; known syncs go on")
            except Exception:  # a query that an administrator cancels ends no gateway
                log.exception("the registry could not be read; known syncs go on")

    def _put(self, sync: Sync) -> None:
        api = APIS.get(sync.provider)
        if api is None:
            log.error("sync %s: this version has no provider %r", sync.id, sync.provider)
            return
        digest = sha256(sync.unique_id.encode()).digest()
        known = self.of(sync.id)
        if known is not None and known.sync == sync:
            # A table or the credential may have changed; the next call loads them.
            known.tables = known.secret = None
            return
        self._forget(sync.id)
        allotment = Allotment(api, sync.account, self._limiter, sync.rates, sync.id)
        self._by_digest[digest] = Live(sync, allotment)
        self._digest_of[sync.id] = digest

    def _forget(self, sync_id: str) -> None:
        live = self._by_digest.pop(self._digest_of.pop(sync_id, b""), None)
        if live is not None:
            live.ended = True
            live.allotment.give_back()
