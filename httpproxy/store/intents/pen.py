"""The pen: groups of intents written as they come, over one connection after another.

    write() ──> queue ──group──> Wire ──durable──> every caller's answer
                  ^                │
                  └─── put back ───┘ the connection was lost

As with commits there is no timer: what has queued while the last group was written goes
with the next; ends, answers and doubts, for which nobody waits, among it. A group that was
lost with its connection is written again: an intent is written once, whatever happens. A
caller that gave up leaves none: what may have been written for it is ended.

What the database does not take is tried one by one, and refused to whoever asked for it.
Nothing that Postgres says takes the service down.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

import psycopg

from httpproxy.store.errors import Unavailable, is_away
from httpproxy.store.intents.columns import Columns
from httpproxy.store.intents.groups import Answer, Begun, Group
from httpproxy.store.queries import load
from httpproxy.store.wire import Statement, Wire, open_wire

log = logging.getLogger(__name__)

QUEUE_INTENTS: Final = 5000
QUEUE_BYTES: Final = 128 * 1024 * 1024  # of their bodies
GROUP_INTENTS: Final = 1000
GROUP_BYTES: Final = 4 * 1024 * 1024
PING_SECONDS: Final = 2.0  # how soon an idle process notices that the database is away
STALL_SECONDS: Final = 5.0  # a group that takes longer means that it is as good as away
HANG_SECONDS: Final = 30.0  # and after this the connection is given up
DRAIN_SECONDS: Final = 5.0
BUSY_SECONDS: Final = 0.1  # until what somebody locks is tried again
TRIES: Final = 3  # of an intent whose key is locked, or for which there is no room
_TEXTS: Final = load("intents/intents.sql")
_SQL: Final = {name: text.encode() for name, text in _TEXTS.items()}
_PING: Final = Statement(_SQL["ping"])
_BACKOFF: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_BUSY: Final = ("55P03", "57014", "40", "53")  # beginnings of SQLSTATEs: locked, no room


class Pen:
    """Writes intents down. Open it with `async with`; its task is the caller's own."""

    def __init__(self, dsn: str, *, queue_intents: int = QUEUE_INTENTS) -> None:
        self._dsn = dsn
        self._queue_intents = queue_intents
        self._queue: deque[Begun] = deque()
        self._queued_bytes = 0
        self._lazy = Group()
        self._woken: asyncio.Future[None] | None = None
        self._connected = False
        self._busy_since: float | None = None
        self._now: Callable[[], float] = float  # the loop's clock, once there is a loop
        self._closing = False
        self._tasks = asyncio.TaskGroup()
        self._task: asyncio.Task[None] | None = None

    @property
    def available(self) -> bool:
        """False while the database is known to be away, or a group hangs."""
        if not self._connected:
            return False
        since = self._busy_since
        return since is None or self._now() - since < STALL_SECONDS

    @property
    def waiting(self) -> int:
        """How many intents wait to be written."""
        return len(self._queue)

    async def __aenter__(self) -> Self:
        try:
            wire = await _open(self._dsn)
        except psycopg.Error as error:
            raise Unavailable(f"the database is away: {error}") from error
        self._connected = True
        self._now = asyncio.get_running_loop().time
        await self._tasks.__aenter__()
        self._task = self._tasks.create_task(self._run(wire), name="intents")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closing = True
        self._ring()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=DRAIN_SECONDS)
            self._task.cancel()
        self._connected = False
        if self._lazy:
            log.warning("%d intents could not be ended before the end", len(self._lazy))
        for begun in self._queue:
            _tell(begun, Unavailable("the database was away until the end"))
        self._queue.clear()
        await self._tasks.__aexit__(kind, error, traceback)

    async def write(self, intent_id: int, columns: Columns) -> bool:
        """Whether an intent was written, once that is durable; False: its key is another's.

        Raises Unavailable if it is not even queued, or cannot be written. A caller that is
        cancelled leaves no intent.
        """
        if self._closing or self._task is None or self._task.done():
            raise Unavailable("closed")
        size = self._queued_bytes + len(columns.body)
        if len(self._queue) >= self._queue_intents or (self._queue and size > QUEUE_BYTES):
            raise Unavailable("the database is away or slow, and too many calls wait for it")
        begun = Begun(intent_id, columns, asyncio.get_running_loop().create_future())
        self._queue.append(begun)
        self._queued_bytes = size
        self._ring()
        try:
            return await begun.written
        except asyncio.CancelledError:
            if _was_written(begun):  # and the caller was cancelled before it heard of it
                self.end(intent_id)
            raise

    def end(self, intent_id: int) -> None:
        """Ends an intent, soon."""
        self._lazy.ends.append(intent_id)
        self._ring()

    def answer(self, intent_id: int, answer: Answer) -> None:
        """Ends an intent, soon, and keeps what is told for its key."""
        self._lazy.answered.append((intent_id, answer))
        self._ring()

    def doubt(self, intent_id: int, why: str, answer: Answer | None) -> None:
        """Makes an intent uncertain, soon."""
        self._lazy.doubts.append((intent_id, why, answer))
        self._ring()

    def _ring(self) -> None:
        woken = self._woken
        if woken is not None and not woken.done():
            woken.set_result(None)

    async def _run(self, wire: Wire | None) -> None:
        failures = 0
        while True:
            try:
                wire = wire or await _open(self._dsn)
                self._connected, failures = True, 0
                return await self._serve(wire)
            except psycopg.Error as error:
                self._connected, self._busy_since = False, None
                waiting = len(self._queue)
                log.warning("the database is away (%s); %d intents wait", error, waiting)
            finally:
                if wire is not None:
                    await wire.close()
            wire = None
            await asyncio.sleep(_BACKOFF[min(failures, len(_BACKOFF) - 1)])
            failures += 1

    async def _serve(self, wire: Wire) -> None:
        loop = asyncio.get_running_loop()
        while True:
            group = self._take()
            if group:
                self._busy_since = loop.time()
                hung = loop.call_later(HANG_SECONDS, wire.give_up)
                try:
                    await self._write(wire, group)
                finally:
                    hung.cancel()
                self._busy_since = None
            elif self._closing:
                return
            else:
                await self._wait(wire)

    async def _wait(self, wire: Wire) -> None:
        loop = asyncio.get_running_loop()
        woken = self._woken = loop.create_future()
        timer = loop.call_later(PING_SECONDS, self._ring)
        try:
            await woken
        finally:
            self._woken = None
            timer.cancel()
        if not self._queue and not self._lazy:
            await wire.run([_PING])

    def _take(self) -> Group:
        """The next group. Intents whose caller has given up and that never left are
        dropped; one that has left is written once more, for its end to find it."""
        group, self._lazy = self._lazy, Group()
        size = 0
        while self._queue and len(group.begins) < GROUP_INTENTS and size < GROUP_BYTES:
            begun = self._queue.popleft()
            self._queued_bytes -= len(begun.columns.body)
            if begun.sent or not begun.written.done():
                begun.sent = True
                group.begins.append(begun)
                size += len(begun.columns.body)
        return group

    def _put_back(self, group: Group) -> None:
        self._queue.extendleft(reversed(group.begins))
        self._queued_bytes += sum(len(begun.columns.body) for begun in group.begins)
        group.begins = []
        self._lazy.put_back(group)

    async def _write(self, wire: Wire, group: Group) -> None:
        try:
            await self._transact(wire, group)
        except psycopg.Error as error:
            if is_away(error):
                self._put_back(group)
                raise
            await self._write_alone(wire, group)

    async def _write_alone(self, wire: Wire, group: Group) -> None:
        """One by one: somewhere in the group is what the database does not take."""
        parts, busy = list(group.alone()), False
        for n, part in enumerate(parts):
            try:
                await self._transact(wire, part)
            except psycopg.Error as error:
                if is_away(error):
                    for left in reversed(parts[n:]):
                        self._put_back(left)
                    raise
                busy |= self._refuse(part, error)
        if busy:
            await asyncio.sleep(BUSY_SECONDS)

    async def _transact(self, wire: Wire, group: Group) -> None:
        claiming = group.claiming
        answers = await wire.run(
            [Statement(_SQL[name], columns, binary=True) for name, columns in group.steps()]
        )
        lost: set[int] = set()
        if claiming:
            won = {int(value or 0) for (value,) in answers[-1]}
            lost = {each.id for each in claiming} - won
        for begun in group.begins:
            written = begun.id not in lost
            if not _tell(begun, written) and written:
                self._lazy.ends.append(begun.id)

    def _refuse(self, part: Group, error: psycopg.Error) -> bool:
        """Part of a group that the database does not take; whether it is tried again."""
        state, said = error.sqlstate or "", error.diag.message_primary
        busy = state.startswith(_BUSY)
        for begun in part.begins:
            begun.tries += 1
            if begun.tries >= TRIES or not busy:
                _tell(begun, Unavailable(f"the intent cannot be written: {said}"))
                return False
        if not busy:
            log.error("an intent cannot be ended (%s): it is looked after later", said)
            return False
        self._put_back(part)
        return True


async def _open(dsn: str) -> Wire:
    return await open_wire(dsn, _TEXTS["settle_session"], _TEXTS["settle_transaction"])


def _was_written(begun: Begun) -> bool:
    future = begun.written
    return (
        future.done()
        and not future.cancelled()
        and future.exception() is None
        and future.result()
    )


def _tell(begun: Begun, result: bool | Exception) -> bool:
    """Tells whoever waits; False if nobody does any more."""
    future = begun.written
    if future.done():
        return False
    if isinstance(result, Exception):
        future.set_exception(result)
    else:
        future.set_result(result)
    return True
