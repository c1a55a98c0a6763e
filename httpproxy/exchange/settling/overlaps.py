"""Writes that overlapped, read back before the answer.

Another image of the record was committed while the call was on its way, and nothing tells
which is newer. The interval rule (`store.commits`) says when an image may be trusted; a
read that begins after both calls ended always may. What others go on writing meanwhile is
left to `doubts`, which reads it again in growing steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from httpproxy.exchange.conversations import Conversations
from httpproxy.exchange.directory.syncs import Live
from httpproxy.store.commits.commit import Applied, Commit, Committer
from httpproxy.store.layouts.tables import SyncTables
from httpproxy.upstream.lane import Priority
from providers.http import Response
from providers.record import Change, Collection, Image

READ_BACKS: Final = 3  # before the answer; a record that is written on is settled later

RecordKey = tuple[str, tuple[str, ...]]  # a collection's id and a record's key


@dataclass(frozen=True, slots=True)
class Unsettled:
    """Images that could not be decided, and the call they came from: its intent, its answer
    if that is to be kept, and its origin."""

    images: Sequence[Image]
    request_id: str
    intent: int | None = None
    answer: Response | None = None
    origin: str = "proxy"


class StillOpen(Exception):
    """Records were written again while they were read back."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} record(s) were written on while they were read back")


class Settlement:
    """Reads records again."""

    def __init__(self, conversations: Conversations, committer: Committer) -> None:
        self._conversations = conversations
        self._committer = committer

    async def read_back(self, live: Live, tables: SyncTables, open_: Unsettled) -> Applied:
        """Reads the records now and commits what they are; `rows` counts all rounds.

        Raises StillOpen if others went on writing them, and what the calls raise.
        """
        images, rows = open_.images, 0
        for _ in range(READ_BACKS):
            start = self._committer.clock()
            # The rest of a write whose answer waits for it: it stands in line with writes.
            keys = [(image.collection, image.key) for image in images]
            found = await self.read(live, tables, keys, Priority.WRITE)
            commit = Commit(
                tables,
                Change(images=tuple(found)),
                start,
                live.sync.id,
                open_.origin,
                open_.request_id,
                intent=open_.intent,
                answer=open_.answer,
            )
            applied = await self._committer.commit(commit)
            rows += applied.rows
            images = applied.overlaps
            if not images:
                return Applied(rows, token=applied.token)
        raise StillOpen(len(images))

    async def read(
        self, live: Live, tables: SyncTables, records: Iterable[RecordKey], priority: Priority
    ) -> list[Image]:
        """What the API says of these records now, with the sync's stored credential."""
        found: list[Image] = []
        for collection_id, group in groupby(sorted(set(records)), key=lambda record: record[0]):
            collection = _collection(tables, collection_id)
            keys = [key for _, key in group]
            found += await self._conversations.converse(
                live, live.provider.read_records(collection, keys), priority
            )
        return found

    async def created(
        self, live: Live, tables: SyncTables, collection_id: str, since: float
    ) -> tuple[Image, ...]:
        """The records of a collection that were made since a time in epoch seconds."""
        collection = _collection(tables, collection_id)
        return await self._conversations.converse(
            live, live.provider.list_created(collection, since)
        )


def _collection(tables: SyncTables, collection_id: str) -> Collection:
    found = tables.schema.find(collection_id)
    if found is None:
        raise LookupError(f"the sync has no collection {collection_id}")
    return found
