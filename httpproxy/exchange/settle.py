"""What an answer leaves open, settled by reading again.

    overlap       another image of the record was committed while this call was on its
                  way, and nothing tells which is newer: read the record now
    dirty         the answer does not say everything: remember what to read again

The interval rule (`store.commit`) says when an image may be trusted; a read that
begins after both calls ended always may.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from httpproxy.exchange.calls import Calls
from httpproxy.exchange.live import Live
from httpproxy.store.commits.commit import Commit, Committer
from httpproxy.store.layouts.tables import SyncTables
from httpproxy.store.registry import Registry
from httpproxy.upstream.lane import Priority
from providers.record import Change, Dirty, Image

log = logging.getLogger(__name__)

READ_BACKS: Final = 3  # before the answer; a record that is written on is settled later
LATER: Final = (0.5, 2.0, 10.0, 60.0, 300.0)  # seconds


@dataclass(frozen=True, slots=True)
class Unsettled:
    """Images that could not be decided, and whose call they came from."""

    images: Sequence[Image]
    request_id: str
    why: str


class StillOpen(Exception):
    """Records were written again while they were read back."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} record(s) were written on while they were read back")


class Settlement:
    """Reads again, and remembers what is still to be read."""

    def __init__(self, calls: Calls, committer: Committer, registry: Registry) -> None:
        self._calls = calls
        self._committer = committer
        self._registry = registry

    async def read_back(self, live: Live, tables: SyncTables, open_: Unsettled) -> int:
        """Reads the records now and commits what they are; returns the rows written.

        Raises StillOpen if others went on writing them, and what the calls raise.
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
        raise StillOpen(len(images))

    async def settle_later(self, live: Live, tables: SyncTables, open_: Unsettled) -> None:
        """Reads again, in growing steps, what could not be settled before the answer.

        The records are marked first, so that they are not forgotten if we end. Never
        fails.
        """
        try:
            await self.mark_dirty(live, open_)
        except Exception:  # a task that fails would take the service down with it
            log.exception("request %s: its records could not be marked", open_.request_id)
        for seconds in LATER:
            await asyncio.sleep(seconds)
            try:
                await self.read_back(live, live.tables or tables, open_)
            except Exception as error:  # noqa: BLE001 - tried again; the marks stay
                log.info("request %s: still open: %s", open_.request_id, error)
            else:
                return

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
