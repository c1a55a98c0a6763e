"""What runs when: every job of every sync that this process runs, on one agenda.

    roster      at first, and when its tables change: which jobs a sync has
    listen      a feed                    every `sync_interval`
    reread      what is marked dirty      as soon as something is
    list        a collection              backfill, sweep, and when marks ask for it
    look        the API's own schema      every `discovery_interval`
    verify      a few rows                every `verify_interval`

Jobs return when they want to run again. How many run at once is bounded; how fast they
call is the lane's business. A paused sync has no jobs: its proxied writes go on being
committed, and what they mark waits. Neither has one that another process runs
(`ownership`); its jobs end here before they begin there, or are refused by the database.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from httpproxy.exchange.directory.syncs import Directory, Live, tables_of
from httpproxy.exchange.schema.rediscovery import Rediscovery
from httpproxy.store.errors import Forgotten
from httpproxy.store.layouts.tables import SyncTables
from httpproxy.store.registry import Registry
from httpproxy.store.sharing.epochs import Epochs
from httpproxy.store.sync.progress import Progress
from httpproxy.sync import listening, listing, rereading, truth
from httpproxy.sync.agenda import Agenda, Key
from httpproxy.sync.listening import Listening, feeds_of
from httpproxy.sync.listing import Listing
from httpproxy.sync.ownership import Ownership
from httpproxy.sync.rereading import Rereading
from httpproxy.sync.troubles import Troubles
from httpproxy.sync.truth import Meter
from httpproxy.sync.usage import Usage
from httpproxy.tasks import Spawn
from httpproxy.telemetry.watch import Watch

log = logging.getLogger(__name__)

TICK: Final = 1.0  # seconds between looks at what changed elsewhere
ROSTER: Final = 30.0  # seconds between looks whether a sync has other tables
MARKED: Final = 5  # ticks between wake-ups by marks of whole collections
TALLY: Final = 5  # ticks between notes of what was used
PRUNE: Final = 3600.0  # seconds between clearings of old tombstones
TOMBSTONES: Final = 7 * 86400.0  # seconds that a tombstone is kept at least
LINGER: Final = 3.0  # seconds for a job to end by itself when its sync is not run here
LOOK: Final = "look"
ROSTER_JOB: Final = "roster"


@dataclass(frozen=True)
class Jobs:
    """What a sync does. Each takes the live sync, most a feed or collection too."""

    registry: Registry
    progress: Progress
    epochs: Epochs
    listening: Listening
    rereading: Rereading
    listing: Listing
    rediscovery: Rediscovery
    meter: Meter
    troubles: Troubles
    usage: Usage
    discovery_interval: float
    watch: Watch = field(default_factory=Watch)


class Engine:
    """Runs the jobs. `now` is a monotonic clock in seconds, `most` the jobs at once."""

    def __init__(
        self,
        directory: Directory,
        jobs: Jobs,
        ownership: Ownership,
        spawn: Spawn,
        now: Callable[[], float],
        most: int,
    ) -> None:
        self._directory, self._jobs, self._ownership = directory, jobs, ownership
        self._spawn, self._now, self._most = spawn, now, most
        self._agenda = Agenda()
        self._running = 0
        self._tasks: dict[str, set[asyncio.Task[Any]]] = {}
        self._lingering: dict[str, float] = {}  # what is not run here, and until when
        self._wake = asyncio.Event()
        self._lives: dict[str, Live] = {}
        self._rosters: dict[str, SyncTables] = {}
        self._ticks = 0
        self._pruned = float("-inf")

    async def run(self) -> None:
        """Runs jobs until it is cancelled."""
        tick = self._now()
        while True:
            now = self._now()
            if now >= tick:
                tick = now + TICK
                await self._look_whose()
                self._follow(now)
                await self._look_around(now)
            self._launch()
            due = self._agenda.next_due() if self._room() else None
            patience = min(tick, tick if due is None else due) - self._now()
            self._wake.clear()
            try:
                async with asyncio.timeout(max(patience, 0.001)):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def stop(self) -> None:
        """Ends all jobs, and gives the syncs up for other processes to go on with at once.

        What does not end by itself within LINGER seconds is cancelled. Never fails.
        """
        self._ownership.close()
        self._follow(self._now())
        for patience in (LINGER, LINGER):
            if tasks := [task for running in self._tasks.values() for task in running]:
                _, left = await asyncio.wait(tasks, timeout=patience)
                for task in left:
                    task.cancel()
        await self._ownership.retire()

    # --- which syncs there are -----------------------------------------------------------

    async def _look_whose(self) -> None:
        """Has this process take its share of the syncs. Never fails."""
        syncs = (live.sync for live in self._directory.lives())
        active = {sync.id: sync.status == "active" for sync in syncs}
        try:
            await self._ownership.look(active, self._tasks.__contains__)
        except OSError as error:
            log.warning("the syncs cannot be shared out: %s", error)
        except Exception:  # a query that an administrator cancels ends no service
            log.exception("the syncs could not be shared out; it is tried again")

    def _follow(self, now: float) -> None:
        """Begins with syncs that are new, resumed or now ours; ends with the others."""
        active = {
            live.sync.id: live
            for live in self._directory.lives()
            if live.sync.status == "active"
            and self._ownership.fence(live.sync.id) is not None
            and live.sync.id not in self._lingering
        }
        for sync_id in self._lives.keys() - active.keys():
            self._lives[sync_id].yielding = True
            self._lingering[sync_id] = now + LINGER
            self._agenda.drop(self._agenda.keys(sync_id))
            self._rosters.pop(sync_id, None)
            self._jobs.troubles.forget(sync_id)
            self._jobs.meter.forget(sync_id)
        self._usher_out(now)
        for sync_id in active.keys() - self._lives.keys():
            self._agenda.put(Key(sync_id, ROSTER_JOB), now)
        for sync_id, live in active.items():
            live.yielding, live.fence = False, self._ownership.fence(sync_id)
            # Its tables have changed, or the user has said something (`Registry.touch`).
            if live.tables is not self._rosters.get(sync_id):
                self._agenda.wake(Key(sync_id, ROSTER_JOB), now)
        self._lives = active

    def _usher_out(self, now: float) -> None:
        """Jobs of syncs that are not run here any more, and do not end by themselves."""
        for sync_id, until in list(self._lingering.items()):
            running = self._tasks.get(sync_id)
            if running is None:
                del self._lingering[sync_id]
            elif now >= until:
                for task in running:
                    task.cancel()

    async def _roster(self, live: Live) -> float | None:
        """Puts a sync's jobs on the agenda; those that it has keep their time."""
        tables = await tables_of(live, self._jobs.registry)
        if self._rosters.get(live.sync.id) is tables:
            return ROSTER
        self._rosters[live.sync.id] = tables
        sync_id, now = live.sync.id, self._now()
        listens = [Key(sync_id, listening.JOB, feed.name) for feed in feeds_of(live, tables)]
        lists = [Key(sync_id, listing.JOB, collection) for collection in tables.tables]
        rest = {
            Key(sync_id, ROSTER_JOB): now,
            Key(sync_id, rereading.JOB): now,
            Key(sync_id, LOOK): now + self._jobs.discovery_interval,
            Key(sync_id, truth.JOB): now + self._jobs.meter.interval,
        }
        known = self._agenda.keys(sync_id)
        self._agenda.drop(set(known) - {*listens, *lists, *rest})
        for key, due in {**dict.fromkeys((*listens, *lists), now), **rest}.items():
            self._agenda.put(key, due)
        # Whoever changed something, a token say, may have put right what failed.
        forgiven = self._jobs.troubles.forgive(sync_id)
        for key in self._agenda.keys(sync_id):
            if key.job == listing.JOB or key.job in forgiven:
                self._agenda.wake(key, now)
        return ROSTER

    # --- what is due ---------------------------------------------------------------------

    def _room(self) -> int:
        """How many more jobs may run: none while it is not certain what is ours."""
        return self._most - self._running if self._ownership.may_begin() else 0

    def _launch(self) -> None:
        for key in self._agenda.take(self._now(), self._room()):
            live = self._lives.get(key.sync_id)
            if live is not None:
                self._running += 1
                self._spawn(self._carry_out(key, live), f"{key.job} {key.sync_id}")

    async def _carry_out(self, key: Key, live: Live) -> None:
        after: float | None = ROSTER
        task = asyncio.current_task()
        running = self._tasks.setdefault(key.sync_id, set())
        if task is not None:
            running.add(task)
        try:
            with self._jobs.watch.job(key.job, live.sync.id, live.provider.name):
                after = await self._job(key, live)
        except OSError as error:
            log.warning("sync %s: %s waits for the database: %s", key.sync_id, key.job, error)
        except Forgotten as error:
            log.info("sync %s: %s: %s", key.sync_id, key.job, error)
        except Exception:  # one sync's trouble ends neither the service nor the others
            log.exception("sync %s: %s failed", key.sync_id, key.job)
        finally:
            self._running -= 1
            if task is not None:
                running.discard(task)
            if not running:
                self._tasks.pop(key.sync_id, None)
            self._agenda.done(key, self._now(), after)
            self._wake.set()

    def _job(self, key: Key, live: Live) -> Awaitable[float | None]:
        jobs = self._jobs
        if key.job == listening.JOB:
            return jobs.listening.hear(live, key.subject)
        if key.job == listing.JOB:
            return jobs.listing.carry_on(live, key.subject)
        if key.job == rereading.JOB:
            return jobs.rereading.work_off(live)
        if key.job == truth.JOB:
            return jobs.meter.look(live)
        if key.job == LOOK:
            return self._look(live)
        return self._roster(live)

    async def _look(self, live: Live) -> float | None:
        tables = await tables_of(live, self._jobs.registry)
        async with self._jobs.troubles.noting(live, LOOK, tables.tables.values()) as attempt:
            looked = await self._jobs.rediscovery.look(live)
            attempt.refused.update(looked.refused)
            if looked:
                self._agenda.wake(Key(live.sync.id, ROSTER_JOB), self._now())
            return self._jobs.discovery_interval
        return attempt.pause

    # --- what changed elsewhere ----------------------------------------------------------

    async def _look_around(self, now: float) -> None:
        """Wakes what marks ask for, and keeps the accounts. Never fails."""
        self._ticks += 1
        try:
            await self._jobs.epochs.follow()
            await self._wake_marked(now)
            if self._ticks % TALLY == 0:
                await self._keep_account()
            if now - self._pruned >= PRUNE:
                self._pruned = now
                await self._jobs.progress.prune_tombstones(TOMBSTONES)
        except OSError as error:
            log.warning("the sync waits for the database: %s", error)
        except Exception:  # a query that an administrator cancels ends no service
            log.exception("the sync cannot tell what is to be done; it looks again")

    async def _wake_marked(self, now: float) -> None:
        for sync_id, kinds in (await self._jobs.progress.dirty_syncs()).items():
            if kinds.records:
                self._agenda.wake(Key(sync_id, rereading.JOB), now)
            if kinds.wholes and self._ticks % MARKED == 0:
                for key in self._agenda.keys(sync_id):
                    if key.job == listing.JOB:
                        self._agenda.wake(key, now)

    async def _keep_account(self) -> None:
        counts = self._jobs.usage.drain()
        if not counts:
            return
        try:
            await self._jobs.progress.count_requests(counts)
        except OSError:
            self._jobs.usage.put_back(counts)
            raise
