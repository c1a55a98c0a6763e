"""Backfill and sweep: a collection listed from end to end, page by page.

    begin ──> page ──> page ──> … ──> last page ──> what is missing? ──> end
                │        where it goes on is kept       │
                └── images meet the rows                └── read again, one by one:
                    under the interval rule                 only what is gone is deleted

A run goes on where it was, whatever killed it. Nothing is deleted because a listing
lacks it: a missing record is read, and what the read says is committed. Rows that were
written after the run began are not its to judge. And if too many are missing, the
listing is doubted: the run is held until somebody has had a look.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from httpproxy.exchange.directory.syncs import Live, tables_of
from httpproxy.exchange.schema.rediscovery import Hint, Rediscovery
from httpproxy.store.errors import Forgotten, SeenLost, Stale
from httpproxy.store.layouts.tables import SyncTables, Table
from httpproxy.store.registry import Registry
from httpproxy.store.sync.progress import Progress
from httpproxy.store.sync.states import CollectionState, Run
from httpproxy.sync import plan
from httpproxy.sync.listening import feeds_of
from httpproxy.sync.plan import SweepPolicy
from httpproxy.sync.reading import Began, Reading
from httpproxy.sync.troubles import ELSEWHERE, JobAttempt, Troubles
from httpproxy.upstream.lane import Priority
from providers.spec import ListingExpired, Page

log = logging.getLogger(__name__)

JOB: Final = "list"
AT_ONCE: Final = 100  # records that are confirmed together
FEED_FIRST: Final = 1.0  # seconds until another look whether the feed is open
SAY_EVERY: Final = 10.0  # seconds between log lines on one run
HELD: Final = 5.0  # seconds until another look whether somebody said go on


@dataclass(frozen=True, slots=True)
class _Course:
    """A run under way: whose, and of what, by the layout of the moment."""

    live: Live
    tables: SyncTables
    table: Table

    @property
    def label(self) -> str:
        return f"sync {self.live.sync.name}: {self.table.collection.name}"


@dataclass(frozen=True, slots=True)
class _Turned:
    """A page that has come, when it was asked for, and by which layout."""

    page: Page
    began: Began
    course: _Course


@dataclass(frozen=True)
class Listing:
    """Lists collections. `wall_clock` gives seconds since the epoch."""

    reading: Reading
    progress: Progress
    registry: Registry
    rediscovery: Rediscovery
    troubles: Troubles
    policy: SweepPolicy
    wall_clock: Callable[[], float]

    async def carry_on(self, live: Live, collection: str) -> float | None:
        """Lists a collection if it is time; returns seconds until the next look.

        None if the sync has no such collection any more.
        """
        tables = await tables_of(live, self.registry)
        table = tables.tables.get(collection)
        if table is None:
            return None
        states = await self.progress.states(live.sync.id)
        state = next((s for s in states if s.collection == collection), None)
        if state is None:
            return None
        course = _Course(live, tables, table)
        next_ = self._next(course, state)
        if not isinstance(next_, Run | plan.NewRun):
            return next_
        async with self.troubles.noting(live, JOB, (table,)) as attempt:
            return await self._carry_on(course, state, next_, attempt)
        return attempt.pause

    def _next(
        self, course: _Course, state: CollectionState
    ) -> Run | plan.NewRun | float | None:
        """The run to go on with or to begin, or the seconds until another look."""
        # Marks ask again and again; what fails is left alone all the same.
        if left_alone := self.troubles.left_alone(course.live, JOB, state.collection):
            return left_alone
        if state.held is not None and not state.held.approved:
            return HELD
        if state.run is not None:
            return state.run
        wanted = plan.wanted(state, self.policy, self.wall_clock())
        if isinstance(wanted, plan.NewRun) and self._feed_is_closed(course, state):
            return FEED_FIRST
        return wanted

    async def _carry_on(
        self,
        course: _Course,
        state: CollectionState,
        next_: Run | plan.NewRun,
        attempt: JobAttempt,
    ) -> float | None:
        if isinstance(next_, Run):
            run = replace(next_, fence=course.live.fence)
        else:
            run = await self.progress.begin_run(
                course.table,
                next_.kind,
                self.reading.begin().start,
                thorough=next_.thorough,
                mark=state.whole_mark,
                fence=course.live.fence,
            )
            log.info("%s: %s begins: %s", course.label, run.kind, next_.why)
        try:
            approved = state.held is not None and state.held.approved
            await self._run(course, run, approved=approved)
        except Stale:
            log.info("%s: the %s goes on or begins anew elsewhere", course.label, run.kind)
            attempt.finished = False
            return ELSEWHERE
        except (ListingExpired, SeenLost) as lost:
            log.info("%s: the %s begins anew: %s", course.label, run.kind, lost)
            await self.progress.drop_run(course.table, run)
            attempt.finished = False
            return await self.troubles.lost(course.live, JOB, state.collection, lost)
        return 0.0

    def _feed_is_closed(self, course: _Course, state: CollectionState) -> bool:
        """Whether there is a feed that was not heard yet, and may still come."""
        if state.heard_at is not None or state.trouble is not None:
            return False
        feeds = feeds_of(course.live, course.tables)
        return any(c.id == state.collection for feed in feeds for c in feed.collections)

    async def _run(self, course: _Course, run: Run, *, approved: bool) -> None:
        """Takes in what is left of the pages; the next one is on its way meanwhile."""
        began = said = self.wall_clock()
        before = run.records
        if run.after is not None or run.pages == 0:
            turned = await self._fetch(course, run, run.after)
            while True:
                page = turned.page
                if page.after is None:
                    run = await self._take_in(run, turned)
                    break
                run, turned = await _both(
                    self._take_in(run, turned), self._fetch(course, run, page.after)
                )
                if course.live.halted:
                    return
                if self.wall_clock() - said >= SAY_EVERY:
                    said = self.wall_clock()
                    rate = (run.records - before) / max(said - began, 0.001)
                    log.info(
                        "%s: %s: %d records, %.0f a second",
                        course.label, run.kind, run.records, rate,
                    )  # fmt: skip
        await self._finish(course, run, approved=approved)

    async def _fetch(self, course: _Course, run: Run, after: str | None) -> _Turned:
        # A listing may take hours, and the layout change meanwhile.
        tables = await tables_of(course.live, self.registry)
        table = tables.tables.get(course.table.collection.id)
        if table is None:
            raise Forgotten(f"{course.label} is not of the sync any more")
        course = replace(course, tables=tables, table=table)
        began = self.reading.begin()
        conversation = course.live.provider.list_page(
            course.table.collection, after, run.thorough
        )
        page = await self.reading.ask(
            course.live, course.table, conversation, Priority.BACKFILL
        )
        return _Turned(page, began, course)

    async def _take_in(self, run: Run, turned: _Turned) -> Run:
        """The images, and then where to go on: a kill in between costs a second read."""
        page, course = turned.page, turned.course
        marks = await self.reading.take_in(
            course.live, course.tables, page.change, turned.began
        )
        await self.registry.mark_dirty(course.live.sync, marks)
        if page.change.schema_changed:
            await self.rediscovery.follow(course.live, Hint.FIELD)
        return await self.progress.turn_page(course.table, run, page.seen, page.after)

    async def _finish(self, course: _Course, run: Run, *, approved: bool) -> None:
        missing = await self.progress.missing(course.table, run)
        if missing.missing and not approved and plan.mass_delete(missing, self.policy):
            await self.progress.hold(course.table, run, missing)
            log.error(
                "%s: the listing lacks %d of %d rows: nothing is deleted. Have a look, then"
                " `httpproxy sync resume %s --delete-missing` goes on",
                course.label, missing.missing, missing.rows, course.live.sync.name,
            )  # fmt: skip
            return
        if missing.missing and not await self._confirm(course, run):
            return
        await self.progress.end_run(course.table, run)
        log.info(
            "%s: %s is complete: %d records, %d were missing", course.label, run.kind,
            run.records, missing.missing,
        )  # fmt: skip

    async def _confirm(self, course: _Course, run: Run) -> bool:
        """Reads what the listing lacks; what the reads say is committed. False if the sync
        was paused, changed or handed over meanwhile: then it is for later."""
        after: tuple[str, ...] | None = None
        while keys := await self.progress.missing_keys(course.table, run, after, AT_ONCE):
            after = keys[-1]
            marks = await self.reading.read_again(
                course.live, course.tables, course.table, keys, Priority.BACKFILL
            )
            await self.registry.mark_dirty(course.live.sync, marks)
            if course.live.halted:
                return False
        return True


async def _both(taking_in: Awaitable[Run], fetching: Awaitable[_Turned]) -> tuple[Run, _Turned]:
    """Waits for both, whatever becomes of either, so that none goes on unattended."""
    run, turned = await asyncio.gather(taking_in, fetching, return_exceptions=True)
    if isinstance(run, BaseException):
        raise run
    if isinstance(turned, BaseException):
        raise turned
    return run, turned
