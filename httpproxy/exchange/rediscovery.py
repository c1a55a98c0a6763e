"""The tables follow what the API's own schema becomes: fields and names that change.

What an answer tells of it is only a hint. The API is asked, at a gentle pace, what its
collections are now, and the store makes the columns and moves the values over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Final

from httpproxy.exchange.calls import Calls
from httpproxy.exchange.live import Live
from httpproxy.exchange.problems import Rejected
from httpproxy.store.registry import Registry
from httpproxy.store.tables import SyncTables
from httpproxy.upstream.pacing import Pace
from providers.record import Collection, Dirty
from providers.spec import Refused, UnknownCollection

log = logging.getLogger(__name__)

REDISCOVERY_SECONDS: Final = 5.0
# A name that no collection has is mostly one the sync was never asked to cover, and seldom
# the new name of one that it does. A field may be unknown for good: HubSpot does not list
# sensitive properties, but answers with them.
SELDOM_SECONDS: Final = 60.0


class Hint(Enum):
    """Why the tables may have to follow.

    TOLD        definitions were written, through us
    FIELD       an answer names a field that its collection lacks
    COLLECTION  a call names no collection of ours
    """

    TOLD = "told"
    FIELD = "field"
    COLLECTION = "collection"


class Rediscovery:
    """Discovers the collections of syncs again."""

    def __init__(self, calls: Calls, registry: Registry) -> None:
        self._calls = calls
        self._registry = registry
        self._pace = Pace(1, REDISCOVERY_SECONDS)
        self._seldom = Pace(1, SELDOM_SECONDS)
        self._in_vain: set[str] = set()
        self._awaited: set[str] = set()

    async def follow(self, live: Live, hint: Hint) -> None:
        """Discovers the sync's collections and lets the tables follow, at a gentle pace.

        One run at a time is waiting for its turn; what is asked for meanwhile is part of
        it. Never fails: what goes wrong is logged, and the next hint tries again.
        """
        sync = live.sync
        if live.tables is None or sync.id in self._awaited:
            return
        in_vain = hint is Hint.FIELD and sync.id in self._in_vain
        seldom = in_vain or hint is Hint.COLLECTION
        if seldom and not await self._seldom.allows(sync.id):
            return
        self._awaited.add(sync.id)
        if not await self._pace.allows(sync.id):
            await asyncio.sleep(REDISCOVERY_SECONDS)
        self._awaited.discard(sync.id)
        try:
            # A change elsewhere may have dropped them while we waited.
            tables = live.tables or await self._registry.tables(sync)
            found = await self._discovered(live, tables)
            followed = live.tables = await self._registry.follow(sync, found)
            new = followed.schema.collections != tables.schema.collections
            (self._in_vain.discard if new else self._in_vain.add)(sync.id)
            await self._registry.mark_dirty(sync, list(_renamed(tables, found)))
        except (Refused, Rejected, OSError) as error:
            log.warning("sync %s: its collections cannot be discovered: %s", sync.id, error)
        except Exception:
            log.exception("sync %s: rediscovery failed", sync.id)

    async def _discovered(self, live: Live, tables: SyncTables) -> tuple[Collection, ...]:
        """The sync's collections as they are now, less those that are gone upstream."""
        wanted = [collection.id for collection in tables.schema.collections]
        while True:
            try:
                return await self._calls.converse(
                    live, live.provider.discover(live.sync.account, tuple(wanted))
                )
            except UnknownCollection as gone:
                log.warning("sync %s: %s is gone; its table stays", live.sync.id, gone.wanted)
                wanted.remove(gone.wanted)


def _renamed(tables: SyncTables, found: Sequence[Collection]) -> Iterator[Dirty]:
    """What was written under a collection's new name so far, we took for another's."""
    for now in found:
        before = tables.schema.find(now.id)
        if before is not None and before.name != now.name:
            yield Dirty(now.id, None, f"it was renamed from {before.name}")
