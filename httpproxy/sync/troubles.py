"""What goes wrong in a sync's jobs: said in the API's own words, and left alone a while.

A job that fails never ends the sync, and never the service: it is noted for the
collections it was about, with what to do about it, and tried again in growing steps.
What works again is noted too.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from httpproxy.exchange.directory.syncs import Live
from httpproxy.exchange.problems import Rejected
from httpproxy.exchange.tokens.refreshing import CredentialTrouble
from httpproxy.store.errors import Forgotten, KeyMismatch, Stale, Unavailable
from httpproxy.store.layouts.tables import Table
from httpproxy.store.sync.progress import Progress
from httpproxy.sync.plan import backoff
from providers.spec import Refused

log = logging.getLogger(__name__)


ELSEWHERE: Final = 5.0  # seconds until another look at what others go on with
IN_VAIN: Final = 3  # times in a row from which on beginning anew is a trouble


class Words(NamedTuple):
    """An error as its reader needs it: what happened, and what to do."""

    error: str
    remedy: str


@dataclass(slots=True)
class JobAttempt:
    """One try of a job, for whoever makes it to say how it went.

    pause     how long to leave it alone, None if nothing was raised
    refused   collection id -> why the API would not tell of it; the others went well
    finished  False: it came to nothing, which is neither a failure nor a success
    """

    pause: float | None = None
    refused: dict[str, Refused] = field(default_factory=dict)
    finished: bool = True


@dataclass(frozen=True, slots=True)
class Resting:
    """Collections (ids) that are left alone, and the seconds until the first is due."""

    collections: tuple[str, ...] = ()
    seconds: float | None = None


@dataclass(slots=True)
class _Failing:
    failures: int = 0
    until: float = 0.0


Place = tuple[str, str, str]  # sync, job, collection


@dataclass
class Troubles:
    """Notes how jobs go. `now` is a monotonic clock in seconds."""

    progress: Progress
    now: Callable[[], float]
    _failing: dict[Place, _Failing] = field(default_factory=dict)
    _well: set[Place] = field(default_factory=set)

    @asynccontextmanager
    async def noting(
        self, live: Live, job: str, tables: Iterable[Table]
    ) -> AsyncIterator[JobAttempt]:
        """Whatever goes wrong in the block is noted for these tables, and goes no further."""
        ids = [table.collection.id for table in tables]
        attempt = JobAttempt()
        try:
            yield attempt
        except Forgotten:  # the sync or the collection is gone: nobody's trouble
            raise
        except Stale as stale:  # nor is it that another process, or a table, has gone on
            attempt.pause = ELSEWHERE
            log.info("sync %s: %s ends here: %s", live.sync.id, job, stale)
        except Unavailable as error:  # there is nowhere to note it
            attempt.pause = self._count(live, job, ids)
            log.warning("sync %s: %s waits: %s", live.sync.id, job, error)
        except Rejected as error:
            attempt.pause = self._count(live, job, ids)
            if error.code == "permit_timeout":  # busy, and nothing is wrong
                log.info("sync %s: %s waits: %s", live.sync.id, job, error)
            else:
                await self.note(live, job, ids, error)
        except Exception as error:  # noqa: BLE001  # one sync's trouble is not another's
            attempt.pause = self._count(live, job, ids)
            await self.note(live, job, ids, error)
        else:
            for collection, refusal in attempt.refused.items():
                self._well.discard((live.sync.id, job, collection))
                await self.note(live, job, [collection], refusal)
            if attempt.finished:
                well = [each for each in ids if each not in attempt.refused]
                await self._well_again(live, job, well)

    async def note(self, live: Live, job: str, ids: Iterable[str], error: Exception) -> None:
        """Notes for these collections why a job failed."""
        words = in_words(error)
        if words is UNKNOWN:
            log.error("sync %s: %s failed", live.sync.id, job, exc_info=error)
        else:
            log.warning("sync %s: %s failed: %s", live.sync.id, job, words.error)
        try:
            await self.progress.failed(live.sync.id, list(ids), *words)
        except OSError as away:
            log.warning("sync %s: %s cannot be noted: %s", live.sync.id, job, away)

    def resting(self, live: Live, job: str) -> Resting:
        """Which collections the job leaves alone now."""
        now = self.now()
        left = {
            collection: failing.until - now
            for (sync_id, kind, collection), failing in self._failing.items()
            if (sync_id, kind) == (live.sync.id, job) and failing.until > now
        }
        return Resting(tuple(left), min(left.values())) if left else Resting()

    async def lost(self, live: Live, job: str, collection: str, why: Exception) -> float:
        """What a job did was in vain, through no failure, and it begins anew. That is
        noted if it happens again and again. Returns for how long to leave it alone."""
        pause = self._count(live, job, [collection])
        times = self._failing[live.sync.id, job, collection].failures
        if times >= IN_VAIN:
            words = Words(f"{why} ({times} times in a row)", "It is tried again by itself.")
            await self.progress.failed(live.sync.id, [collection], *words)
        return pause

    def left_alone(self, live: Live, job: str, collection: str) -> float | None:
        """For how many seconds yet the job leaves a collection alone; None: it does not."""
        failing = self._failing.get((live.sync.id, job, collection))
        left = failing.until - self.now() if failing is not None else 0.0
        return left if left > 0 else None

    def forgive(self, sync_id: str) -> set[str]:
        """What failed may be put right: nothing is left alone any more. Which jobs were."""
        places = [place for place in self._failing if place[0] == sync_id]
        for place in places:
            del self._failing[place]
        return {job for _, job, _ in places}

    def forget(self, sync_id: str) -> None:
        """The sync is gone or paused; it begins without a past."""
        for place in [p for p in self._failing if p[0] == sync_id]:
            del self._failing[place]
        self._well = {place for place in self._well if place[0] != sync_id}

    def _count(self, live: Live, job: str, ids: Iterable[str]) -> float:
        pause = 0.0
        for collection in ids:
            place = (live.sync.id, job, collection)
            self._well.discard(place)
            failing = self._failing.setdefault(place, _Failing())
            failing.failures += 1
            failing.until = self.now() + backoff(failing.failures)
            pause = max(pause, backoff(failing.failures))
        return pause

    async def _well_again(self, live: Live, job: str, ids: list[str]) -> None:
        """Takes note of success where it is news: after a failure, and the first time.

        What another job still fails at is not well, whatever this one does.
        """
        news = {(live.sync.id, job, collection) for collection in ids} - self._well
        if not news:
            return
        for place in news:
            self._failing.pop(place, None)
        now = self.now()
        failing = {
            collection
            for (sync_id, _, collection), each in self._failing.items()
            if sync_id == live.sync.id and each.until > now
        }
        well = {place for place in news if place[2] not in failing}
        if not well:
            return
        self._well |= well
        try:
            await self.progress.succeeded(live.sync.id, [place[2] for place in well])
        except OSError as away:
            log.warning(
                "sync %s: %s went well, which cannot be noted: %s", live.sync.id, job, away
            )


UNKNOWN: Final = Words(
    "something failed that should not: see the log of the serving process",
    "It is tried again by itself. Should it stay, report it with the lines of the log.",
)


def in_words(error: Exception) -> Words:
    """What an error says to the operator."""
    if isinstance(error, Refused):
        return Words(f"{error.response.status} {error.said}", error.remedy)
    if isinstance(error, CredentialTrouble):
        return Words(error.detail, error.remedy)
    if isinstance(error, Rejected):
        return Words(error.detail, "It is tried again by itself.")
    if isinstance(error, KeyMismatch):
        return Words(f"the stored credential: {error}", "See docs/security.md.")
    if isinstance(error, OSError):
        return Words(f"{error}", "It is tried again by itself.")
    return UNKNOWN
