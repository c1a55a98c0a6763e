"""What an answer leaves open, settled by reading again.

    overlap       another image of the record was committed while this call was on its
                  way, and nothing tells which is newer: read the record now
    dirty         the answer does not say everything: remember what to read again
    schema        a field that the tables do not know: discover, add its column

The interval rule (`store.commit`) says when an image may be trusted; a read that
begins after both calls ended always may.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import groupby
from typing import Final

from httpproxy.exchange.live import Live
from httpproxy.exchange.read import Calls
from httpproxy.store.commit import Commit, Committer
from httpproxy.store.registry import Registry
from httpproxy.store.tables import SyncTables
from httpproxy.upstream.lane import Priority
from httpproxy.upstream.pacing import Pace
from providers.record import Change, Collection, Dirty, Image
from providers.spec import UnknownCollection

log = logging.getLogger(__name__)

READ_BACKS: Final = 3  # a record that is written this often at once goes to the re-reads
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


@dataclass(frozen=True, slots=True)
class Unsettled:
    """Images that could not be decided, and whose call they came from."""

    images: Sequence[Image]
    request_id: str
    why: str


class Settlement:
    """Reads again, and remembers what is still to be read."""

    def __init__(self, calls: Calls, committer: Committer, registry: Registry) -> None:
        self._calls = calls
        self._committer = committer
        self._registry = registry
        self._pace = Pace(1, REDISCOVERY_SECONDS)
        self._seldom = Pace(1, SELDOM_SECONDS)
        self._in_vain: set[str] = set()
        self._awaited: set[str] = set()

    async def read_back(self, live: Live, tables: SyncTables, open_: Unsettled) -> int:
        """Reads the records now and commits what they are; returns the rows written.

        Raises what the calls raise; the caller then marks them dirty.
        """
        images, rows = open_.images, 0
        for _ in range(READ_BACKS):
            start = self._committer.clock()
            change = Change(images=tuple(await self._read(live, tables, images)))
            applied = await self._committer.commit(
                Commit(tables, change, start, live.sync.id, "proxy", open_.request_id)
            )
            rows += applied.rows
            images = applied.overlaps
            if not images:
                return rows
        await self.mark_dirty(live, replace(open_, images=images))
        return rows

    async def _read(
        self, live: Live, tables: SyncTables, images: Sequence[Image]
    ) -> list[Image]:
        found: list[Image] = []
        ordered = sorted(images, key=lambda image: image.collection)
        for collection_id, group in groupby(ordered, key=lambda image: image.collection):
            collection = tables.schema.find(collection_id)
            if collection is None:
                raise LookupError(f"sync {live.sync.id} has no collection {collection_id}")
            keys = [image.key for image in group]
            # The rest of a write whose answer waits for it: it stands in line with writes.
            found += await self._calls.converse(
                live, live.provider.read_records(collection, keys), Priority.WRITE
            )
        return found

    async def mark_dirty(self, live: Live, open_: Unsettled) -> None:
        """Remembers records to be read again."""
        marks = [Dirty(i.collection, i.key or None, open_.why) for i in open_.images]
        await self._registry.mark_dirty(live.sync, marks)

    async def rediscover(self, live: Live, hint: Hint) -> None:
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
