"""What an answer said, committed before the answer is passed on.

Every exchange waits for its commit; all that wait at once share one transaction. There
is no timer: whatever has queued while the last transaction ran goes with the next. One
connection does all of it.

    caller ──commit()──> Queue ──batch──> Writer ──COMMIT──> every caller's Applied
                           ^                │
                           └── put back ────┘ the connection was lost

A caller that stops waiting loses nothing: its commit stays queued and is applied when
the database is back. To do one twice is harmless: the guard lets an image pass once,
and then finds the same content. A value or a table that Postgres refuses is dealt with
alone (`rescue`); it never fails its neighbours.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

import psycopg

from httpproxy.store.commits.batch import Applied, Commit, Pending, Queue, mark, pending
from httpproxy.store.commits.rescue import Rescue
from httpproxy.store.commits.troubles import DatabaseTrouble, trouble_of
from httpproxy.store.commits.writer import UNREADABLE, BatchOutcome, Writer, open_writer
from httpproxy.store.errors import Unavailable, is_away
from providers.record import Image

__all__ = ["Applied", "Commit", "Committer"]

log = logging.getLogger(__name__)

QUEUE_IMAGES: Final = 20_000  # at some KB each
PING_SECONDS: Final = 2.0  # how soon an idle process notices that the database is away
STALL_SECONDS: Final = 5.0  # a batch that takes longer means that it is as good as away
DRAIN_SECONDS: Final = 5.0
GIVE_UP: Final = 20  # lost connections until a commit is set aside
LOCKED_SECONDS: Final = 1.0  # until a table that somebody holds is tried again
_BACKOFF: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


class Committer:
    """Commits what answers said. Open it with `async with`; its task is the caller's
    own: should it fail, the caller is cancelled.
    """

    def __init__(self, dsn: str, *, queue_images: int = QUEUE_IMAGES) -> None:
        self._dsn = dsn
        self._queue_images = queue_images
        self._queue = Queue()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._clock = 0
        self._connected = False
        self._busy_since: float | None = None
        self._moved = 0.0  # when the queue last moved, while it holds anything
        self.made = self.batches = 0  # commits that were settled, and in how many groups
        self._now: Callable[[], float] = float  # the loop's clock, once there is a loop
        self.heard: Callable[[], None] | None = None  # called when something was committed
        self._closing = False
        self._rescue = Rescue(dsn)
        self._unheard: list[tuple[Pending, tuple[Image, ...]]] = []
        self._tasks = asyncio.TaskGroup()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"Committer(available={self.available}, waiting={len(self._queue)})"

    @property
    def misfits(self) -> int:
        """How many values were set aside because their column could not hold them."""
        return self._rescue.misfits

    @property
    def quarantined(self) -> int:
        """How many images the user's tables refused."""
        return self._rescue.quarantined

    @property
    def waiting(self) -> int:
        """How many commits wait."""
        return len(self._queue)

    @property
    def lag(self) -> float:
        """For how many seconds commits have waited without one being dealt with."""
        if not self._queue and self._busy_since is None:
            return 0.0
        return self._now() - self._moved

    @property
    def available(self) -> bool:
        """False while the database is known to be away, or a commit hangs."""
        if not self._connected:
            return False
        since = self._busy_since
        return since is None or self._now() - since < STALL_SECONDS

    def clock(self) -> int:
        """`start` for an exchange that begins now. No database call.

        It is the last value of the clock that this process has seen committed: every
        image with an earlier end was complete before this exchange began.
        """
        return self._clock

    def saw(self, tick: int) -> None:
        """Another connection of this process has committed at this value of the clock."""
        self._clock = max(self._clock, tick)
        if self.heard is not None:
            self.heard()

    async def __aenter__(self) -> Self:
        try:
            writer = await self._connect()
        except psycopg.Error as error:
            raise Unavailable(f"the database is away: {error}") from error
        self._now = asyncio.get_running_loop().time
        await self._tasks.__aenter__()
        self._task = self._tasks.create_task(self._run(writer), name="committer")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=DRAIN_SECONDS)
            self._task.cancel()
        self._connected = False
        left = self._queue.drain()
        if left:
            log.error("%d commits could not be made before the end", len(left))
        for item in left:
            item.settle(Unavailable("the database was away until the end"))
        await self._tasks.__aexit__(kind, error, traceback)

    async def commit(self, commit: Commit) -> Applied:
        """Commits what an answer said; returns when it is in the database.

        Waits for as long as the database is away: bound it with `asyncio.timeout`. The
        commit then stays queued. Raises Unavailable if it was not even queued (the queue
        is full, or this is closed), SetAside if the user's table refuses an image,
        LookupError for a collection that the sync does not have.
        """
        future: asyncio.Future[Applied] = asyncio.get_running_loop().create_future()
        item = pending(commit, _settler(future))
        if not item.images and not commit.change.dirty and commit.intent is None:
            return Applied(0)
        while self._queue.images >= self._queue_images:
            if not self.available:
                raise Unavailable("the database is away and the queue is full")
            self._room.clear()
            await self._room.wait()
        if self._closing or self._task is None or self._task.done():
            raise Unavailable("closed")
        if not self._queue and self._busy_since is None:
            self._moved = self._now()
        self._queue.put(item)
        self._wake.set()
        return await future

    async def _run(self, writer: Writer | None) -> None:
        failures = 0
        while True:
            try:
                writer = writer or await self._connect()
                failures = 0
                return await self._serve(writer)
            except psycopg.Error as error:
                if not is_away(error):
                    raise
                self._connected, self._busy_since = False, None
                self._room.set()  # whoever waits for room is told that there is none
                log.warning("the database is away; %d commits wait", len(self._queue))
            finally:
                if writer is not None:
                    await writer.close()
            writer = None
            await asyncio.sleep(_BACKOFF[min(failures, len(_BACKOFF) - 1)])
            failures += 1

    async def _connect(self) -> Writer:
        writer = await open_writer(self._dsn)
        try:
            self._clock = await writer.forward_clock(self._clock)
        except BaseException:
            await writer.close()
            raise
        self._connected = True
        return writer

    async def _serve(self, writer: Writer) -> None:
        while True:
            await self._mark(writer)
            batch = self._queue.take(self._now())
            self._room.set()
            if batch:
                self._busy_since = self._now()
                await self._apply(writer, batch)
                self._busy_since = None
            elif self._closing and not self._queue:
                return
            else:
                await self._wait(writer)

    async def _wait(self, writer: Writer) -> None:
        patience = PING_SECONDS
        if self._queue:
            patience = max(self._queue.next_due() - self._now(), 0.01)
        self._wake.clear()
        try:
            async with asyncio.timeout(patience):
                await self._wake.wait()
        except TimeoutError:
            await writer.ping()

    def _lose(self, batch: Sequence[Pending]) -> None:
        """The connection was lost: the batch goes to the next one."""
        for item in batch:
            item.losses += 1
        self._queue.put_back(batch)

    async def _apply(self, writer: Writer, batch: list[Pending]) -> None:
        try:
            if batch[0].losses >= GIVE_UP:
                outcome = await self._rescue.give_up(writer, batch[0])
            else:
                await self._rescue.look_up(writer, batch[0])
                outcome = await writer.transact(batch, self._rescue.layout)
        except (psycopg.Error, *UNREADABLE) as error:
            if trouble_of(error) is DatabaseTrouble.AWAY:
                self._lose(batch)
                raise
            await self._apply_alone(writer, batch)
        else:
            self._settle(batch, outcome)

    async def _apply_alone(self, writer: Writer, batch: Sequence[Pending]) -> None:
        """One by one: somewhere in the batch is what the database does not take."""
        for n, item in enumerate(batch):
            outcome = None
            if not self._queue.is_held(item, self._now()):
                try:
                    outcome = await self._rescue.transact(writer, item)
                except psycopg.Error:
                    self._lose(batch[n:])
                    raise
                if outcome is None:
                    self._moved = self._now()  # somebody holds its table: nothing is stuck
                    self._queue.hold(item, self._now() + LOCKED_SECONDS)
            if outcome is None:
                self._queue.put_back([item])
            else:
                self._settle([item], outcome)

    def _settle(self, batch: Sequence[Pending], outcome: BatchOutcome) -> None:
        self._clock = max(self._clock, outcome.tick)
        self._moved = self._now()
        self.made, self.batches = self.made + len(batch), self.batches + 1
        for item in batch:
            overlaps = _overlaps(item, outcome) if outcome.overlaps else ()
            applied = Applied(len(item.images) - len(overlaps), overlaps, outcome.token)
            heard = item.settle(item.refused or applied)
            if overlaps and (item.refused or not heard):
                self._unheard.append((item, overlaps))
        if self.heard is not None:
            self.heard()

    async def _mark(self, writer: Writer) -> None:
        """Marks overlaps that nobody has heard of, for which their intents stood so far."""
        while self._unheard:
            item, overlaps = self._unheard[0]
            tables = item.commit.tables.tables
            try:
                await writer.mark(
                    [
                        mark(tables[i.collection].number, i.key, "overlapping answers")
                        for i in overlaps
                    ]
                )
                await writer.end([item])
            except psycopg.Error as error:
                trouble = trouble_of(error)
                if trouble is DatabaseTrouble.AWAY:
                    raise
                if trouble is DatabaseTrouble.BUSY:
                    return  # somebody holds a row of these: later
                log.exception("request %s: overlaps are not marked", item.commit.request_id)
            del self._unheard[0]


def _overlaps(item: Pending, outcome: BatchOutcome) -> tuple[Image, ...]:
    tables = item.commit.tables.tables
    return tuple(
        image
        for image in item.images
        if (tables[image.collection].number, image.record_id) in outcome.overlaps
    )


def _settler(future: asyncio.Future[Applied]) -> Callable[[Applied | Exception], bool]:
    """Tells whoever waits; False if nobody does any more."""

    def settle(result: Applied | Exception) -> bool:
        if future.done():
            return False
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
        return True

    return settle
