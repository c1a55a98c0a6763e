"""Our own reads, committed: what every job of the sync does.

A read's images meet the rows under the interval rule (docs/decisions/0002-commit.md)
like any other. What the rule refuses, because somebody wrote the record meanwhile, is
not dropped: the caller marks it, and it is read again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from httpproxy.exchange.conversations import Conversations
from httpproxy.exchange.directory.syncs import Live
from httpproxy.store.commits.bulk import Loader
from httpproxy.store.commits.commit import Applied, Commit, Committer
from httpproxy.store.errors import SetAside
from httpproxy.store.layouts.tables import SyncTables, Table
from httpproxy.sync.usage import Usage
from httpproxy.upstream.lane import Priority
from providers.record import Change, Dirty, Image
from providers.spec import Conversation

log = logging.getLogger(__name__)

T = TypeVar("T")

# A sync waits its turn behind all that is urgent; the floor of the lane gives it one.
PATIENCE: Final = 600.0
BULK: Final = 50  # images from which on the loader is the faster way


@dataclass(frozen=True, slots=True)
class Began:
    """When a read began: by the clock of commits, and in seconds since the epoch."""

    start: int
    at: float


@dataclass(frozen=True)
class Reading:
    """Holds the sync's conversations and commits what they say.

    `wall_clock` gives seconds since the epoch.
    """

    conversations: Conversations
    committer: Committer
    loader: Loader
    usage: Usage
    new_request_id: Callable[[], str]
    wall_clock: Callable[[], float]

    def begin(self) -> Began:
        """To be called before a read's first byte leaves."""
        return Began(self.committer.clock(), self.wall_clock())

    async def ask(
        self, live: Live, table: Table, conversation: Conversation[T], priority: Priority
    ) -> T:
        """Holds a conversation; its requests are counted for the table's collection.

        Raises what the conversation raises, and Rejected.
        """
        return await self.conversations.converse(
            live,
            conversation,
            priority,
            patience=PATIENCE,
            tally=self.usage.tally(table.number, priority),
        )

    async def take_in(
        self, live: Live, tables: SyncTables, change: Change, began: Began
    ) -> list[Dirty]:
        """Commits a change; returns marks for what met a write and is to be read again.

        Raises Unavailable, LookupError.
        """
        if not change.images and not change.dirty:
            return []
        commit = Commit(
            tables, change, began.start, live.sync.id, "sync", self.new_request_id(), began.at
        )
        door = self.loader.load if len(change.images) >= BULK else self.committer.commit
        try:
            applied = await door(commit)
        except SetAside as error:  # kept in the quarantine, and said there
            log.warning("sync %s: %s", live.sync.id, error)
            applied = Applied(0)
        return [
            Dirty(i.collection, i.key, "written while it was read") for i in applied.overlaps
        ]

    async def read_again(
        self,
        live: Live,
        tables: SyncTables,
        table: Table,
        keys: Sequence[tuple[str, ...]],
        priority: Priority,
    ) -> list[Dirty]:
        """Reads records and commits what they are; returns marks as `take_in` does."""
        began = self.begin()
        images = await self.look(live, table, keys, priority)
        return await self.take_in(live, tables, Change(images=images), began)

    async def look(
        self, live: Live, table: Table, keys: Sequence[tuple[str, ...]], priority: Priority
    ) -> tuple[Image, ...]:
        """What records are now. Raises Refused, Rejected."""
        conversation = live.provider.read_records(table.collection, keys)
        return await self.ask(live, table, conversation, priority)
