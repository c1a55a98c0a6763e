"""What is marked dirty, read again: the queue behind everything that answers leave open.

    marks come from   partial answers, links to other tables, effects, overlaps, feeds
    a mark goes when  the record was read after it was made, and nobody wrote meanwhile

A mark is settled only after its record was committed, so that a kill in between costs
a second read and nothing else.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from httpproxy.exchange.directory.syncs import Live, tables_of
from httpproxy.store.registry import Registry
from httpproxy.store.sync.progress import Progress
from httpproxy.sync.reading import Reading
from httpproxy.sync.troubles import Troubles
from httpproxy.upstream.lane import Priority

JOB: Final = "reread"
AT_ONCE: Final = 100  # keys in one conversation
WRITTEN_ON: Final = 0.5  # seconds before a record that is being written is tried again


@dataclass(frozen=True)
class Rereading:
    """Works off the record marks of syncs."""

    reading: Reading
    progress: Progress
    registry: Registry
    troubles: Troubles

    async def work_off(self, live: Live) -> float | None:
        """Reads what is marked until nothing is; returns seconds until the next look.

        A collection that cannot be read is left alone for a while; the others go on.
        """
        while not live.halted:
            resting = self.troubles.resting(live, JOB)
            tables = await tables_of(live, self.registry)
            marked = await self.progress.marked(tables, AT_ONCE, skip=resting.collections)
            if marked is None:
                return resting.seconds
            table = tables.tables[marked.collection]
            async with self.troubles.noting(live, JOB, (table,)):
                again = await self.reading.read_again(
                    live, tables, table, marked.keys, Priority.REREAD
                )
                # Another process may have read the same marks, and answer them with less.
                await self.registry.mark_dirty(live.sync, again)
                written_on = {mark.key for mark in again}
                read = [key for key in marked.keys if key not in written_on]
                await self.progress.settle(marked, read)
                if written_on:
                    await asyncio.sleep(WRITTEN_ON)
        return None
