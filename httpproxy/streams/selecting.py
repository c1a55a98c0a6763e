"""From the filters that a reader names to what the store can look for.

Names of syncs are looked up once. Which syncs a provider has, and what a collection is
called in each of them, changes while a reader listens: that is looked up again and again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from httpproxy.management.naming import provider_named
from httpproxy.management.problems import Declined
from httpproxy.store.streams.places import Wanted
from httpproxy.store.streams.shapes import Shapes, Spelling
from httpproxy.streams.documents import Filters
from providers.catalog import PROVIDERS

FRESH_SECONDS: Final = 1.0


class Names:
    """What syncs and collections are called. `clock` is a monotonic one, in seconds."""

    def __init__(self, shapes: Shapes, clock: Callable[[], float]) -> None:
        self.shapes = shapes
        self._clock = clock
        self._revision = 0
        self._asked_at = float("-inf")
        self._asking = asyncio.Lock()

    async def revision(self) -> int:
        """Another number whenever one of them may have changed; a second old at most. However
        many readers there are, it is asked for once a second."""
        if self._clock() - self._asked_at >= FRESH_SECONDS:
            async with self._asking:
                now = self._clock()
                if now - self._asked_at >= FRESH_SECONDS:
                    self._revision = await self.shapes.revision()
                    self._asked_at = now
        return self._revision


class Selection:
    """Which events one reader wants.

    `sync_ids` are those that the filters name and the reader may see, None for all.
    """

    def __init__(
        self,
        filters: Filters,
        sync_ids: Sequence[str] | None,
        names: Names,
    ) -> None:
        self._filters = filters
        self._sync_ids = None if sync_ids is None else tuple(dict.fromkeys(sync_ids))
        self._spellings = tuple(map(spelling, dict.fromkeys(filters.collection_id)))
        self._names = names
        self._known: Wanted | None = None
        self._revision = -1

    async def check(self) -> None:
        """Raises Declined for a provider or a collection that there is not."""
        for provider in self._filters.provider:
            provider_named(provider, "provider")
        if self._spellings:
            found = await self._names.shapes.collections(self._spellings, await self._syncs())
            for text, ids in found.items():
                if not ids:
                    raise Declined(
                        "unknown_collection",
                        f"None of these syncs has a collection {text[:80]!r};"
                        " GET /v1/syncs tells which they have.",
                        "collection_id",
                    )

    async def wanted(self) -> Wanted:
        """What to look for; what it knows of syncs and collections is a second old at most."""
        revision = await self._names.revision() if self._changes() else -1
        if self._known is not None and self._revision == revision:
            return self._known
        sync_ids = await self._syncs()
        ids: set[str] | None = None
        if self._spellings:
            found = await self._names.shapes.collections(self._spellings, sync_ids)
            ids = {each for of_one in found.values() for each in of_one}
        self._revision = revision
        self._known = Wanted(
            sync_ids=sync_ids,
            collection_ids=None if ids is None else sorted(ids),
            event=tuple(self._filters.event) or None,
            origin=tuple(self._filters.origin) or None,
        )
        return self._known

    def _changes(self) -> bool:
        return bool(self._filters.provider or self._spellings)

    async def _syncs(self) -> Sequence[str] | None:
        if not self._filters.provider:
            return self._sync_ids
        there = await self._names.shapes.syncs_of(self._filters.provider)
        if self._sync_ids is None:
            return there
        found = set(there)
        return [sync_id for sync_id in self._sync_ids if sync_id in found]


def spelling(text: str) -> Spelling:
    """A collection as a caller names it: with its provider before it, or without."""
    provider, colon, name = text.partition(":")
    if colon and provider in PROVIDERS:
        return Spelling(text, provider, name)
    return Spelling(text, None, text)
