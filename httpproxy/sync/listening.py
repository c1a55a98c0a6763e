"""What has changed: the feeds of a sync, heard again and again.

Images are committed first; marks are kept in the transaction that moves the feed on,
so that what a feed told once is never lost, whatever is killed in between.

A feed is opened before its collections are listed for the first time: what changes
while a listing is under way is then told by the feed. Where it could only be opened
later, the collections are listed anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from httpproxy.exchange.directory.syncs import Live, tables_of
from httpproxy.exchange.schema.rediscovery import Hint, Rediscovery
from httpproxy.store.errors import Forgotten, Stale
from httpproxy.store.layouts.tables import SyncTables, Table
from httpproxy.store.registry import Registry
from httpproxy.store.sync.progress import Progress
from httpproxy.store.sync.states import CollectionState, FeedStep
from httpproxy.sync.reading import Reading
from httpproxy.sync.troubles import Troubles
from httpproxy.upstream.lane import Priority
from providers.record import JSON, Dirty
from providers.spec import Feed, Heard

log = logging.getLogger(__name__)

JOB: Final = "listen"


@dataclass(frozen=True)
class Listening:
    """Hears feeds. `wall_clock` gives seconds since the epoch, `interval` seconds."""

    reading: Reading
    progress: Progress
    registry: Registry
    rediscovery: Rediscovery
    troubles: Troubles
    wall_clock: Callable[[], float]
    interval: float

    async def hear(self, live: Live, name: str) -> float | None:
        """Takes in what a feed has to tell; returns seconds until the next time.

        None if the sync has no such feed any more.
        """
        tables = await tables_of(live, self.registry)
        feed = next((f for f in feeds_of(live, tables) if f.name == name), None)
        if feed is None:
            return None
        covered = [tables.tables[c.id] for c in feed.collections]
        async with self.troubles.noting(live, JOB, covered) as attempt:
            heard = await self._hear(live, tables, feed, covered)
            attempt.refused.update(heard.refused)
            if heard.change.schema_changed:
                await self.rediscovery.follow(live, Hint.TOLD)
            return 0.0 if heard.more else self.interval
        return attempt.pause

    async def _hear(
        self, live: Live, tables: SyncTables, feed: Feed, covered: Sequence[Table]
    ) -> Heard:
        fence = live.fence
        state = await self.progress.feed_state(live.sync.id, feed.name)
        began = self.reading.begin()
        heard = await self.reading.ask(
            live,
            covered[0],
            live.provider.listen(feed, state, self.wall_clock()),
            Priority.INCREMENTAL,
        )
        change = heard.change
        marks = list(change.dirty)
        if change.images:
            images = type(change)(images=change.images)
            marks += await self.reading.take_in(live, tables, images, began)
        marks += await self._missed(live, feed, state, heard)
        told = tuple(c.id for c in feed.collections if c.id not in heard.refused)
        step = FeedStep(feed.name, state, heard.state, told, tuple(marks), fence)
        try:
            await self.progress.save_feed(tables, live.sync.id, step)
        except Stale:
            log.info("sync %s: feed %s was heard elsewhere", live.sync.id, feed.name)
            if state is None:  # and so opened twice: nobody will listen to this one
                await self._hang_up(live, feed, covered[0], heard.state)
        except Forgotten:  # whoever ended the sync has closed what it knew of; this may be new
            await self._hang_up(live, feed, covered[0], heard.state)
            raise
        return heard

    async def _hang_up(self, live: Live, feed: Feed, table: Table, state: JSON) -> None:
        goodbye = live.provider.hang_up(feed, state)
        await self.reading.ask(live, table, goodbye, Priority.INCREMENTAL)

    async def _missed(self, live: Live, feed: Feed, state: JSON, heard: Heard) -> list[Dirty]:
        """Collections that are to be listed anew, because a feed was deaf for a while."""
        missed = set(heard.missed)
        if state is None:
            ids = {collection.id for collection in feed.collections}
            states = await self.progress.states(live.sync.id)
            missed |= {s.collection for s in states if s.collection in ids and _was_listed(s)}
        return [Dirty(each, None, "changes may have been missed") for each in sorted(missed)]


def feeds_of(live: Live, tables: SyncTables) -> tuple[Feed, ...]:
    """The feeds of a sync's collections."""
    return live.provider.feeds(tables.schema.collections)


def _was_listed(state: CollectionState) -> bool:
    return state.run is not None or state.backfilled_at is not None
