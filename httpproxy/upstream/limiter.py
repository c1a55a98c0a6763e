"""Waiting for permits: lanes on the event loop.

The decisions are `httpproxy.upstream.lane`'s; here are the clock, one timer per lane
that has waiters, and the futures. Uncontended, `acquire` neither suspends nor makes a
future. Lanes exist only while they are used; what stays of an idle account is its
budget.

The clock is time.monotonic and not loop.time(): uvloop's is cached per turn of the
loop, and a release stamped with an old time would give its slot back too early.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isinf
from types import TracebackType
from typing import Final, Self, TypeAlias

from httpproxy.upstream.budgets import strictest
from httpproxy.upstream.counts import Counts
from httpproxy.upstream.errors import WaitExpired
from httpproxy.upstream.lane import FLOOR, Lane, Priority, Ticket
from providers.spec import Budget

Key: TypeAlias = tuple[str, ...]

SWEEP: Final = 30.0  # seconds between looks for lanes that are idle


class _Line:
    """A lane in use, its budget, and its waiters' alarm."""

    __slots__ = ("alarm", "alarm_at", "budget", "clock", "counts", "lane")

    def __init__(
        self, budget: Budget, floor: float, clock: Callable[[], float], counts: Counts
    ) -> None:
        self.lane, self.budget, self.clock = Lane(budget, floor), budget, clock
        self.counts = counts
        self.alarm: asyncio.TimerHandle | None = None
        self.alarm_at: float | None = None

    def settle(self) -> None:
        """Let go all who may, and set the alarm for the next."""
        while self._deliver():
            pass

    def _deliver(self) -> bool:
        """One decision; True if a permit came back because its waiter is gone."""
        now = self.clock()
        granted, wake_at = self.lane.decide(now)
        refused = False
        for ticket in granted:
            future = _future(ticket)
            if future.done():  # cancelled since; its coroutine has not run yet
                self.lane.withdraw()
                refused = True
            else:
                future.set_result(True)
        self._set_alarm(None if refused else wake_at, now)
        return refused

    def _set_alarm(self, at: float | None, now: float) -> None:
        if at == self.alarm_at:
            return
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None
        self.alarm_at = at
        if at is not None:
            loop = asyncio.get_running_loop()
            self.alarm = loop.call_later(max(0.0, at - now), self._ring)

    def _ring(self) -> None:
        self.alarm = self.alarm_at = None
        self.settle()


def _future(ticket: Ticket) -> asyncio.Future[bool]:
    """What the ticket's coroutine awaits: True for a grant, False for the end of its time."""
    future = ticket.waiter
    if not isinstance(future, asyncio.Future):
        raise TypeError("a ticket of another adapter")
    return future


def _give_up(line: _Line, ticket: Ticket) -> None:
    """The waiter's time is over."""
    if line.lane.leave(ticket):
        _future(ticket).set_result(False)


def _abandon(line: _Line, ticket: Ticket) -> None:
    """Leave no trace of a waiter whose task was cancelled."""
    future = _future(ticket)
    if future.cancelled():
        line.lane.leave(ticket)
    elif future.result():  # granted, then cancelled before it could run
        line.lane.withdraw()
        line.settle()


class Permit:
    """The right to make one call now. Give it back when the call's answer has ended.

    `release` and `withdraw` are synchronous, and idempotent: the first one counts. As
    a context manager it is released at the end of the block.
    """

    __slots__ = ("_line",)

    def __init__(self, line: _Line) -> None:
        self._line: _Line | None = line

    def release(self) -> None:
        """The answer has ended (or will not come)."""
        line = self._line
        if line is not None:
            self._line = None
            line.lane.release(line.clock())
            if line.lane.waiting():
                line.settle()

    def withdraw(self) -> None:
        """Nothing was sent: the next one may go at once."""
        line = self._line
        if line is not None:
            self._line = None
            line.lane.withdraw()
            if line.lane.waiting():
                line.settle()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


@dataclass(frozen=True, slots=True)
class LaneState:
    """What a lane in use looks like now; `paused` is in seconds, 0 if it is not."""

    key: Key
    budget: Budget
    running: int
    waiting: dict[Priority, int]
    paused: float


class Limiter:
    """All lanes of this process.

    A lane's key is (provider, account, budget name): syncs of one account share one,
    and it keeps to the budgets of all of them.

    `counts` are by (provider, budget name): accounts come and go, what they share does not.
    """

    def __init__(
        self, *, floor: float = FLOOR, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._floor, self._clock = floor, clock
        self._shares: dict[Key, tuple[tuple[str, Budget], ...]] = {}
        self._lines: dict[Key, _Line] = {}
        self._sweeping: asyncio.TimerHandle | None = None
        self.counts: dict[tuple[str, str], Counts] = {}

    @property
    def total(self) -> Counts:
        """The counts of all lanes together."""
        return Counts.total(self.counts.values())

    # Budgets.

    def lane(self, key: Key, budget: Budget, owner: str = "") -> None:
        """Allot `budget` to `owner` (a sync's id) in the lane `key`, from now on."""
        others = (share for share in self._shares.get(key, ()) if share[0] != owner)
        self._allot(key, (*others, (owner, budget)))

    def visit(self, key: Key, budget: Budget) -> None:
        """A lane for the last calls of an owner that is gone: whatever holds there for
        others, and `budget` only if nobody has one."""
        if key not in self._lines and key not in self._shares:
            self._begin(key, budget)

    def forget(self, key: Key, owner: str = "") -> None:
        """The owner is gone; its budget no longer counts."""
        self._allot(key, tuple(s for s in self._shares.get(key, ()) if s[0] != owner))

    def _allot(self, key: Key, shares: tuple[tuple[str, Budget], ...]) -> None:
        if not shares:
            self._shares.pop(key, None)
            return
        self._shares[key] = shares
        line = self._lines.get(key)
        if line is not None:
            line.budget = strictest(budget for _, budget in shares)
            line.lane.reconfigure(line.budget)
            line.settle()

    # Permits.

    async def acquire(self, key: Key, priority: Priority, timeout: float) -> Permit:  # noqa: ASYNC109  a deadline in line
        """Wait for a permit, `timeout` seconds at most (inf: as long as it takes).

        Raises WaitExpired, at once if it is certain that the time will not do; and
        LookupError for a lane without a budget.
        """
        permit = self.take(key, priority)
        if permit is None:
            line = self._lines[key]
            await self._wait(line, priority, timeout)
            line.counts.grants[priority] += 1
            permit = Permit(line)
        return permit

    def take(self, key: Key, priority: Priority) -> Permit | None:
        """A permit if one is due at once, None if it has to be waited for."""
        line = self._lines.get(key) or self._open(key)
        if not line.lane.take(self._clock(), priority):
            return None
        line.counts.grants[priority] += 1
        return Permit(line)

    def pause(self, key: Key, seconds: float) -> None:
        """Silence for the whole lane; it only ever prolongs one."""
        line = self._lines.get(key) or self._open(key)
        line.lane.pause(self._clock() + seconds)
        if line.lane.waiting():
            line.settle()

    def states(self) -> Iterator[LaneState]:
        """The lanes in use, for metrics."""
        now = self._clock()
        for key, line in self._lines.items():
            lane = line.lane
            yield LaneState(
                key=key,
                budget=line.budget,
                running=lane.running,
                waiting={p: lane.waiting(p) for p in Priority},
                paused=max(0.0, lane.paused_until - now),
            )

    def close(self) -> None:
        """Cancel every timer; who still waits is its task's affair."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        for line in self._lines.values():
            if line.alarm is not None:
                line.alarm.cancel()

    async def _wait(self, line: _Line, priority: Priority, seconds: float) -> None:
        now = self._clock()
        if line.lane.not_before(now) - now > seconds:
            raise self._expired(line, priority)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        ticket = line.lane.join(priority, future)
        line.counts.waits[priority] += 1
        line.settle()
        expiry = None if isinf(seconds) else loop.call_later(seconds, _give_up, line, ticket)
        try:
            granted = await future
        except asyncio.CancelledError:
            _abandon(line, ticket)
            raise
        finally:
            line.counts.waited[priority] += self._clock() - now
            if expiry is not None:
                expiry.cancel()
        if not granted:
            raise self._expired(line, priority)

    def _expired(self, line: _Line, priority: Priority) -> WaitExpired:
        line.counts.expired[priority] += 1
        lane = line.lane
        return WaitExpired(lane.expected_wait(priority, self._clock()), lane.ahead(priority))

    def _open(self, key: Key) -> _Line:
        shares = self._shares.get(key)
        if shares is None:
            raise LookupError(f"no budget for the lane {key}")
        return self._begin(key, strictest(budget for _, budget in shares))

    def _begin(self, key: Key, budget: Budget) -> _Line:
        counts = self.counts.setdefault((key[0], key[-1]), Counts())
        line = self._lines[key] = _Line(budget, self._floor, self._clock, counts)
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(SWEEP, self.sweep)
        return line

    def sweep(self) -> None:
        """Drop the lanes that are idle, and come back while there are any."""
        now = self._clock()
        for key in [key for key, line in self._lines.items() if line.lane.idle(now)]:
            del self._lines[key]
        loop = asyncio.get_running_loop()
        self._sweeping = loop.call_later(SWEEP, self.sweep) if self._lines else None
