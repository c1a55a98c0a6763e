"""Intents: written before the first byte of a call leaves, so that no crash forgets it.

    begin ──> queue ──group──> Wire ──durable──> every caller's id
                ^                │
                └─── put back ───┘ the connection was lost

A call that is about to change something upstream is written down first. Its intent ends
with the commit of its answer, in that transaction (`commits`); or here, if there is nothing
to commit; or it is uncertain, and somebody looks what became of it. If this process ends,
another one finds its intents and looks after them.

As with commits there is no timer: what has queued while the last group was written goes
with the next, ends and doubts, for which nobody waits, among it. A group that was lost with
its connection is written again: an intent is written once, whatever happens. A caller that
gave up leaves none: what may have been written for it is ended.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Final, Self

import psycopg

from httpproxy.store.errors import Unavailable, is_away
from httpproxy.store.intents.columns import head_of, line
from httpproxy.store.intents.groups import Begun, Group
from httpproxy.store.intents.ledger import Ledger
from httpproxy.store.intents.values import (
    COUNT_BITS,
    Doubt,
    Intent,
    Kept,
    KeyInUse,
    OpenIntent,
    Outcome,
)
from httpproxy.store.intents.wire import Wire, open_wire
from providers.http import Response

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
_BACKOFF: Final = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_BUSY: Final = ("55P03", "57014", "40", "53")  # beginnings of SQLSTATEs: locked, no room


class Intents:
    """The intents of this process. Open it with `async with`; its task is the caller's own.

    `number` tells this process's number, which may change; ids of new intents have it.
    """

    def __init__(
        self, dsn: str, number: Callable[[], int], *, queue_intents: int = QUEUE_INTENTS
    ) -> None:
        self._dsn = dsn
        self._number = number
        self._queue_intents = queue_intents
        self._queue: deque[Begun] = deque()
        self._queued_bytes = 0
        self._lazy = Group()
        # Anywhere: should a number ever be given twice, the ids would still differ.
        self._count = secrets.randbits(COUNT_BITS)
        self._woken: asyncio.Future[None] | None = None
        self._connected = False
        self._busy_since: float | None = None
        self._now: Callable[[], float] = float  # the loop's clock, once there is a loop
        self._closing = False
        self._ledger = Ledger(dsn)
        self._tasks = asyncio.TaskGroup()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"Intents(available={self.available}, waiting={len(self._queue)})"

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
            wire = await open_wire(self._dsn)
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
        await self._ledger.__aexit__(kind, error, traceback)

    async def begin(self, intent: Intent) -> int:
        """Writes an intent down; returns its id when it is durable.

        Waits for as long as the database is away: bound it with `asyncio.timeout`. An
        intent whose caller stopped waiting is ended if it has been written. Raises
        KeyInUse, and Unavailable if it was not even queued (the queue is full, this is
        closed) or cannot be written.
        """
        written, claim = line(intent), intent.claim
        while True:
            intent_id = self._next_id()
            if await self._written(Begun(intent_id, written, self._future())) or claim is None:
                return intent_id
            kept = await self._ledger.kept(intent.sync_id, claim.key)
            if kept is not None:  # else it was freed a moment ago
                raise KeyInUse(kept)

    def end(self, intent_id: int) -> None:
        """Ends an intent, soon, and frees its key unless an answer is kept for it."""
        self._lazy.ends.append(intent_id)
        self._ring()

    def answer(self, intent_id: int, response: Response) -> None:
        """Ends an intent, soon; whoever repeats its key is told this answer."""
        self._lazy.answered.append((intent_id, (head_of(response), response.body)))
        self._ring()

    def doubt(self, intent_id: int, why: str, answer: Response | None = None) -> None:
        """Nobody knows what became of the call: somebody is to look, now. With an answer,
        whoever repeats its key is told that in the meantime."""
        told = None if answer is None else (head_of(answer), answer.body)
        self._lazy.doubts.append((intent_id, why, told))
        self._ring()

    async def due(self, limit: int = 20) -> list[Doubt]:
        """Takes intents to be looked at; see `Ledger.due`. Raises Unavailable."""
        return await self._ledger.due(self._number(), limit)

    async def looked(
        self,
        intent_id: int,
        why: str,
        again_in: float | None,
        *,
        outcome: Outcome | None = None,
        records: Sequence[str] = (),
    ) -> None:
        """What a look at an intent has brought; see `Ledger.looked`. Raises Unavailable."""
        await self._ledger.looked(intent_id, why, again_in, outcome=outcome, records=records)

    async def kept(self, sync_id: str, key: str) -> Kept | None:
        """What is known of a key, None if it is free. Raises Unavailable."""
        return await self._ledger.kept(sync_id, key)

    async def open(self, limit: int = 100) -> list[OpenIntent]:
        """The intents that stand, of all processes, oldest first. Raises Unavailable."""
        return await self._ledger.open(limit)

    async def count(self) -> Mapping[str, float]:
        """`open`, `uncertain`, `oldest_seconds` of all processes. Raises Unavailable."""
        return await self._ledger.count()

    async def prune(self, older_than_seconds: float) -> int:
        """Forgets keys that were claimed before; returns how many. Raises Unavailable."""
        return await self._ledger.prune(older_than_seconds)

    def _next_id(self) -> int:
        self._count = (self._count + 1) & ((1 << COUNT_BITS) - 1)
        return self._number() << COUNT_BITS | self._count

    def _future(self) -> asyncio.Future[bool]:
        return asyncio.get_running_loop().create_future()

    async def _written(self, begun: Begun) -> bool:
        """Whether it was written; False: its key is another's."""
        if self._closing or self._task is None or self._task.done():
            raise Unavailable("closed")
        size = self._queued_bytes + len(begun.line.body)
        if len(self._queue) >= self._queue_intents or (self._queue and size > QUEUE_BYTES):
            raise Unavailable("the database is away or slow, and too many calls wait for it")
        self._queue.append(begun)
        self._queued_bytes = size
        self._ring()
        try:
            return await begun.written
        except asyncio.CancelledError:
            if _was_written(begun):  # and the caller was cancelled before it heard of it
                self.end(begun.id)
            raise

    def _ring(self) -> None:
        woken = self._woken
        if woken is not None and not woken.done():
            woken.set_result(None)

    async def _run(self, wire: Wire | None) -> None:
        failures = 0
        while True:
            try:
                wire = wire or await open_wire(self._dsn)
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
            await wire.run([("ping", ())])

    def _take(self) -> Group:
        """The next group. Intents whose caller has given up and that never left are
        dropped; one that has left is written once more, for its end to find it."""
        group, self._lazy = self._lazy, Group()
        size = 0
        while self._queue and len(group.begins) < GROUP_INTENTS and size < GROUP_BYTES:
            begun = self._queue.popleft()
            self._queued_bytes -= len(begun.line.body)
            if begun.sent or not begun.written.done():
                begun.sent = True
                group.begins.append(begun)
                size += len(begun.line.body)
        return group

    def _put_back(self, group: Group) -> None:
        self._queue.extendleft(reversed(group.begins))
        self._queued_bytes += sum(len(begun.line.body) for begun in group.begins)
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
        results = await wire.run(group.steps())
        lost: set[int] = set()
        if claiming:
            won = results[-1]
            values = (won.get_value(n, 0) for n in range(won.ntuples))
            lost = {each.id for each in claiming} - {int(value or 0) for value in values}
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
