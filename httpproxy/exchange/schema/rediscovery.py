"""The tables follow what the API's own schema becomes: fields and names that change.

What an answer tells of it is only a hint. The API is asked, at a gentle pace, what its
collections are now, and the store makes the columns and moves the values over. The sync
looks now and then without any hint.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from httpproxy.exchange.conversations import Conversations
from httpproxy.exchange.directory.syncs import Live
from httpproxy.exchange.pacing import Pace
from httpproxy.exchange.problems import Rejected
from httpproxy.exchange.schema.discovery import Known, discover
from httpproxy.store.registry import Registry
from providers.record import Collection
from providers.spec import Refused

log = logging.getLogger(__name__)

REDISCOVERY_SECONDS: Final = 5.0
# A name that no collection has is mostly one the sync was never asked to cover, and seldom
# the new name of one that it does. A field may be unknown for good: HubSpot does not list
# sensitive properties, but answers with them.
SELDOM_SECONDS: Final = 60.0
# A sync that covers all of an account covers what its token may see: whether that is more
# by now is asked once a day.
BEYOND_SECONDS: Final = 86_400.0


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
class Looked:
    """What a look at the API has brought; true if the tables changed.

    refused  collection id -> why the API would not describe it; the others followed
    gone     ids of the collections that are not there any more
    """

    changed: bool
    refused: Mapping[str, Refused] = field(default_factory=dict)
    gone: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.changed


class Rediscovery:
    """Discovers the collections of syncs again."""

    def __init__(self, conversations: Conversations, registry: Registry) -> None:
        self._conversations = conversations
        self._registry = registry
        self._pace = Pace(1, REDISCOVERY_SECONDS)
        self._seldom = Pace(1, SELDOM_SECONDS)
        self._daily = Pace(1, BEYOND_SECONDS)
        self._beyond: dict[str, frozenset[str]] = {}
        self._in_vain: set[str] = set()
        self._awaited: set[str] = set()

    async def follow(self, live: Live, hint: Hint) -> None:
        """Discovers the sync's collections and lets the tables follow, at a gentle pace.

        One run at a time is waiting for its turn; what is asked for meanwhile is part of
        it. Never fails: what goes wrong is logged, and the next hint tries again.
        """
        sync = live.sync
        if live.ended or sync.id in self._awaited:
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
            looked = await self.look(live)
            (self._in_vain.discard if looked else self._in_vain.add)(sync.id)
        except (Refused, Rejected, OSError) as error:
            log.warning("sync %s: its collections cannot be discovered: %s", sync.id, error)
        except Exception:
            log.exception("sync %s: rediscovery failed", sync.id)

    async def look(self, live: Live) -> Looked:
        """Discovers the sync's collections now and lets the tables follow.

        A collection that the API refuses to describe, or that is gone, keeps no other
        from following. Raises Refused if all are refused, Rejected, Unrecognised, and
        OSError if the database is away or somebody holds a table.
        """
        sync, following = live.sync, self._registry.following

        async def ask(wanted: tuple[str, ...]) -> tuple[Collection, ...]:
            return await self._conversations.converse(
                live, live.provider.discover(sync.account, wanted)
            )

        known = [
            Known(each.table.collection, each.removed)
            for each in await following.layouts(sync.id)
        ]
        if await self._daily.allows(sync.id):
            self._beyond.pop(sync.id, None)
        passing = self._beyond.get(sync.id, frozenset())
        now = await discover(ask, known, takes_new=sync.covers_all, passing=passing)
        if sync.covers_all:
            self._beyond[sync.id] = passing.union(now.beyond)
        for name, no in now.refused.items():
            log.warning("sync %s: %s cannot be discovered: %s", sync.id, name, no)
        lost = {k.collection.id for k in known if not k.removed}.intersection(now.gone)
        for name in sorted(lost):
            log.warning("sync %s: %s is gone; its table stays", sync.id, name)
        followed = await following.follow(sync.id, now.found, gone=now.gone)
        if followed.changed:
            live.tables = await self._registry.tables(sync)
        return Looked(followed.changed, now.refused, now.gone)
