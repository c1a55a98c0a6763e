"""Which syncs this process runs, of those that all processes share.

    look ──> claims what is missing to our share; sets out to leave what is too much
    fence    what a sync's jobs write under, None: it is not ours
    retire   all are given up: the process ends, though its gateway serves on a while

The database says whose a sync is (store/sync/owners.py); what is known here is a copy,
which is doubted after every failure. When this process finds that it was declared gone,
it has no syncs any more: what still runs for them is refused by the database.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from httpproxy.sharing.presence import Presence
from httpproxy.store.sync.owners import Owners

log = logging.getLogger(__name__)

DOUBTED: Final = 30  # looks until the copy is compared with the database all the same
TOO_MANY: Final = 3  # looks in a row that find too many syncs here until some are left
RETIRING: Final = 3.0  # seconds for the last word; without it the others wait for the lease


class Ownership:
    """Claims syncs and gives them up. `presence` is this process's own."""

    def __init__(self, owners: Owners, presence: Presence) -> None:
        self._owners, self._presence = owners, presence
        self._owned: dict[str, int] = {}
        self._leaving: set[str] = set()
        self._met: set[str] = set()  # those that the directory has shown
        self._over = 0
        self._looks = 0
        self._sure = False
        self._retired = False
        self._turn = asyncio.Lock()
        presence.when_lost(self._lose)

    def __repr__(self) -> str:
        return f"Ownership(owned={len(self._owned)}, leaving={len(self._leaving)})"

    def fence(self, sync_id: str) -> int | None:
        """What this sync's jobs write under; None if they are not this process's to run."""
        if self._retired or sync_id in self._leaving:
            return None
        return self._owned.get(sync_id)

    def may_begin(self) -> bool:
        """Whether jobs may be begun: what is ours is so for certain."""
        return not self._retired and self._presence.trusted()

    async def look(self, active: Mapping[str, bool], busy: Callable[[str], bool]) -> None:
        """Sees to it that this process has its share of the active syncs.

        `active` tells it of every sync that is known, `busy` whether a job of a sync still
        runs: what is too much is left at once, and given up when its jobs have ended.
        Raises Unavailable.
        """
        async with self._turn:
            if self._retired:
                return
            number = self._presence.number
            try:
                await self._reconcile(number)
                await self._give_up(number, active, busy)
                await self._claim(number, busy)
            except BaseException:
                self._sure = False  # it may have been done, and only the answer was lost
                raise

    def close(self) -> None:
        """No sync is this process's any more, and none will be; then `retire`."""
        self._retired = True

    async def retire(self) -> None:
        """Gives up all syncs, for others to go on with at once."""
        self.close()
        try:
            async with asyncio.timeout(RETIRING), self._turn:
                await self._owners.retire(self._presence.number)
        except OSError as error:
            log.warning("the syncs of this process could not be given up: %s", error)

    async def _reconcile(self, number: int) -> None:
        self._looks += 1
        if self._sure and self._looks % DOUBTED:
            return
        found = await self._owners.owned(number)
        self._replace(number, found)
        self._sure = True

    def _replace(self, number: int, found: Mapping[str, int]) -> None:
        if number == self._presence.number:  # it may have been lost meanwhile
            self._owned = dict(found)
            self._leaving &= found.keys()

    async def _give_up(
        self, number: int, active: Mapping[str, bool], busy: Callable[[str], bool]
    ) -> None:
        """What was deleted or paused, and what was to be left and has come to rest."""
        self._met = self._owned.keys() & (self._met | active.keys())
        idle = {each for each in self._leaving if not busy(each)}
        ended = {each for each in self._met if not active.get(each, False)}
        if gone := (idle | ended) & self._owned.keys():
            await self._owners.give_up(number, sorted(gone))
            self._forget(gone)

    def _forget(self, sync_ids: Iterable[str]) -> None:
        for each in sync_ids:
            self._owned.pop(each, None)
            self._leaving.discard(each)

    async def _claim(self, number: int, busy: Callable[[str], bool]) -> None:
        held = len(self._owned)
        claimed = await self._owners.claim(number, held)
        if number != self._presence.number:
            return
        self._owned.update(claimed.taken)
        if claimed.taken and not self._presence.alone:
            log.info("%d more syncs are run here", len(claimed.taken))
        too_much = 0 if claimed.due is None else held - len(self._leaving) - claimed.due
        # One that was paused a moment ago is still counted here and no longer there.
        self._over = self._over + 1 if too_much > 0 else 0
        if self._over >= TOO_MANY:
            self._over = 0
            # The latest first: who has run here for long goes on here.
            staying = (each for each in self._owned if each not in self._leaving)
            order = sorted(staying, key=lambda each: (busy(each), -self._owned[each]))
            self._leaving.update(order[:too_much])
            log.info("%d syncs are left to other processes", too_much)

    def _lose(self) -> None:
        self._owned, self._leaving, self._met, self._sure = {}, set(), set(), False
