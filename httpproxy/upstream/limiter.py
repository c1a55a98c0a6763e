"""All rate limits of this process: lanes on the event loop, found by their keys.

The decisions are `httpproxy.upstream.lane`'s, the waiting is `line`'s. Uncontended,
`acquire` neither suspends nor makes a future. Lanes exist only while they are used; what
stays of an idle account is its budget.

By itself a limiter has every limit to itself. With a `Lessor` each lane begins without
slots, and has those that the lessor finds for it among the other processes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from httpproxy.upstream.budgets import strictest
from httpproxy.upstream.counts import Counts
from httpproxy.upstream.lane import Lane, Priority
from httpproxy.upstream.line import Key, Line, Permit
from providers.spec import Budget

__all__ = ["Key", "LaneState", "Lessor", "Limiter", "Line", "Permit"]

SWEEP: Final = 30.0  # seconds between looks for lanes that are idle


class Lessor(Protocol):
    """Who finds slots for lanes that share their limits with other processes'."""

    def trusted(self) -> bool:
        """Whether what the lanes hold is still theirs. Asked for every permit."""

    def opened(self, line: Line) -> None:
        """A lane is used from now on; it has no slots yet."""

    def wanted(self, line: Line) -> None:
        """Somebody waits in the lane, or it was paused, or allotted another budget."""

    def closed(self, line: Line) -> bool:
        """A lane is idle. Whether it may go: nothing is held for it any more."""


@dataclass(frozen=True, slots=True)
class LaneState:
    """What a lane in use looks like now; `paused` is in seconds, 0 if it is not.

    `budget` is the whole limit, `slots` what this process has of it, and `wants` what it
    uses and waits for, by class.
    """

    key: Key
    budget: Budget
    slots: int
    running: int
    waiting: dict[Priority, int]
    wants: dict[Priority, int]
    paused: float


class Limiter:
    """All lanes of this process.

    A lane's key is (provider, account, budget name): syncs of one account share one,
    and it keeps to the budgets of all of them.

    `counts` are by (provider, budget name): accounts come and go, what they share does not.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._allotted: dict[Key, tuple[tuple[str, Budget], ...]] = {}
        self._lines: dict[Key, Line] = {}
        self._lessor: Lessor | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self.counts: dict[tuple[str, str], Counts] = {}

    @property
    def total(self) -> Counts:
        """The counts of all lanes together."""
        return Counts.total(self.counts.values())

    def share_with(self, lessor: Lessor) -> None:
        """The limits are not this process's alone from now on. Before the first call."""
        if self._lines:
            raise RuntimeError("lanes are in use that have their limits to themselves")
        self._lessor = lessor

    # Budgets.

    def lane(self, key: Key, budget: Budget, owner: str = "") -> None:
        """Allot `budget` to `owner` (a sync's id) in the lane `key`, from now on."""
        others = (share for share in self._allotted.get(key, ()) if share[0] != owner)
        self._allot(key, (*others, (owner, budget)))

    def visit(self, key: Key, budget: Budget) -> None:
        """A lane for the last calls of an owner that is gone: whatever holds there for
        others, and `budget` only if nobody has one."""
        if key not in self._lines and key not in self._allotted:
            self._begin(key, budget)

    def forget(self, key: Key, owner: str = "") -> None:
        """The owner is gone; its budget no longer counts."""
        self._allot(key, tuple(s for s in self._allotted.get(key, ()) if s[0] != owner))

    def _allot(self, key: Key, shares: tuple[tuple[str, Budget], ...]) -> None:
        if not shares:
            self._allotted.pop(key, None)
            return
        self._allotted[key] = shares
        line = self._lines.get(key)
        if line is None:
            return
        budget = strictest(budget for _, budget in shares)
        if budget == line.budget:
            return
        line.budget = budget
        if self._lessor is None:
            line.lane.reconfigure(budget)
        else:
            self._lessor.wanted(line)
        line.settle()

    # Permits.

    async def acquire(self, key: Key, priority: Priority, timeout: float) -> Permit:  # noqa: ASYNC109  a deadline in line
        """Wait for a permit, `timeout` seconds at most (inf: as long as it takes).

        Raises WaitExpired, at once if it is certain that the time will not do; and
        LookupError for a lane without a budget.
        """
        line = self._lines.get(key) or self._open(key)
        return line.take(priority) or await line.wait(priority, timeout)

    def take(self, key: Key, priority: Priority) -> Permit | None:
        """A permit if one is due at once, None if it has to be waited for."""
        line = self._lines.get(key) or self._open(key)
        return line.take(priority)

    def pause(self, key: Key, seconds: float) -> None:
        """Silence for the whole lane; it only ever prolongs one."""
        line = self._lines.get(key) or self._open(key)
        line.lane.pause(self._clock() + seconds)
        if line.lane.waiting():
            line.settle()
        if self._lessor is not None:
            self._lessor.wanted(line)

    def expected_wait(self, key: Key, priority: Priority) -> float:
        """Seconds that a call of this class would wait if it came now: an estimate."""
        line = self._lines.get(key)
        return 0.0 if line is None else line.lane.expected_wait(priority, self._clock())

    def states(self) -> Iterator[LaneState]:
        """The lanes in use, for metrics."""
        now = self._clock()
        for key, line in self._lines.items():
            lane = line.lane
            yield LaneState(
                key=key,
                budget=lane.budget,
                slots=lane.slots,
                running=lane.running,
                waiting={p: lane.waiting(p) for p in Priority},
                wants=dict(zip(Priority, lane.wants(now), strict=True)),
                paused=max(0.0, lane.paused_until - now),
            )

    def close(self) -> None:
        """Cancel every timer; who still waits is its task's affair."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        for line in self._lines.values():
            line.close()

    def _open(self, key: Key) -> Line:
        shares = self._allotted.get(key)
        if shares is None:
            raise LookupError(f"no budget for the lane {key}")
        return self._begin(key, strictest(budget for _, budget in shares))

    def _begin(self, key: Key, budget: Budget) -> Line:
        counts = self.counts.setdefault((key[0], key[-1]), Counts())
        lane = Lane(budget, slots=None if self._lessor is None else 0)
        line = self._lines[key] = Line(key, budget, lane, self._clock, counts)
        if self._lessor is not None:
            line.trusted, line.wanted = self._lessor.trusted, self._lessor.wanted
            self._lessor.opened(line)
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(SWEEP, self.sweep)
        return line

    def sweep(self) -> None:
        """Drop the lanes that are idle, and come back while there are any."""
        now = self._clock()
        idle = [line for line in self._lines.values() if line.lane.idle(now)]
        for line in idle:
            if self._lessor is None or self._lessor.closed(line):
                del self._lines[line.key]
        loop = asyncio.get_running_loop()
        self._sweeping = loop.call_later(SWEEP, self.sweep) if self._lines else None
