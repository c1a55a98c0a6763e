"""A simulated account for the lane: callers, a network, and the API counting calls.

Time is in whole milliseconds, so that "exactly one interval later" is exact. The model
knows nothing of how a lane works; it keeps, from the outside, what was granted and
ended, and checks after every decision what the lane owed at that moment.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass, field
from itertools import count

from httpproxy.upstream.lane import BACKGROUND, Lane, Priority, Ticket
from providers.spec import Budget


@dataclass(frozen=True)
class Call:
    """One caller. The API sees the call `seen` of the way from its start to its end;
    `patience` is how long it waits in the queue, None for ever; `sent` False: it turns
    out that nothing left, and the API sees nothing."""

    at: int
    priority: Priority
    latency: int
    seen: float = 0.0
    patience: int | None = None
    sent: bool = True


@dataclass(frozen=True)
class Pause:
    at: int
    length: int


@dataclass
class Account:
    """Runs calls and pauses through a lane; `run` returns when all is quiet."""

    budget: Budget
    floor: float = 0.0
    seen: list[float] = field(default_factory=list)
    order: list[Call] = field(default_factory=list)  # as granted
    granted_at: dict[int, int] = field(default_factory=dict)  # id(call) -> time
    expired: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lane = Lane(self.budget, self.floor)
        self.interval = int(self.budget.interval)
        self.queue: list[tuple[Call, Ticket]] = []
        self.running: set[int] = set()
        self.ended: list[int] = []
        self.quiet_until = -1
        self.since_floor = 0
        self.gap = self.budget.interval / self.budget.allowed_requests
        self.background_at = -math.inf
        self._soonest: dict[int, float] = {}
        self._events: list[tuple[int, int, str, object]] = []
        self._numbers = count()

    def run(self, calls: list[Call], pauses: tuple[Pause, ...] = ()) -> None:
        for call in calls:
            self._at(call.at, "arrive", call)
        for pause in pauses:
            self._at(pause.at, "pause", pause)
        while self._events:
            now, _, kind, what = heapq.heappop(self._events)
            getattr(self, f"_{kind}")(now, what)
            self._decide(now)
        assert not self.queue, "somebody was forgotten in the queue"
        assert self.lane.running == 0
        assert self.lane.waiting() == 0

    def _at(self, when: float, kind: str, what: object = None) -> None:
        heapq.heappush(self._events, (math.ceil(when), next(self._numbers), kind, what))

    def _arrive(self, now: int, call: Call) -> None:
        self._soonest[id(call)] = self.lane.not_before(now)
        if self.lane.take(now, call.priority):
            assert not self.queue, "a newcomer passed those who wait"
            self._grant(now, call)
            return
        self.queue.append((call, self.lane.join(call.priority, call)))
        if call.patience is not None:
            self._at(now + call.patience, "leave", call)

    def _leave(self, now: int, call: Call) -> None:
        for entry in self.queue:
            if entry[0] is call:
                assert self.lane.leave(entry[1])
                assert not self.lane.leave(entry[1])
                self.queue.remove(entry)
                self.expired.append(call)
                return

    def _end(self, now: int, call: Call) -> None:
        self.running.remove(id(call))
        if call.sent:
            self.ended.append(now)
            self.lane.release(now)
        else:
            self.lane.withdraw()

    def _pause(self, now: int, pause: Pause) -> None:
        self.quiet_until = max(self.quiet_until, now + pause.length)
        self.lane.pause(now + pause.length)

    def _wake(self, now: int, what: object) -> None:
        pass

    def _decide(self, now: int) -> None:
        granted, wake_at = self.lane.decide(now)
        for ticket in granted:
            entry = next(e for e in self.queue if e[1] is ticket)
            self._check_turn(now, entry[0])
            self.queue.remove(entry)
            self._grant(now, entry[0])
        owed = [call for call, _ in self.queue if not self._too_soon(now, call)]
        assert not (owed and self._room(now)), "a permit was due and somebody waits"
        assert wake_at == (self._due(now) if self.queue else None)
        assert self.lane.waiting() == len(self.queue)
        if wake_at is not None:
            assert wake_at > now
            self._at(wake_at, "wake")

    def _grant(self, now: int, call: Call) -> None:
        assert self._room(now), "more than the budget"
        assert not self._too_soon(now, call), "the sync is to spread its calls"
        if call.priority >= BACKGROUND:
            self.background_at = max(self.background_at, now - self.gap) + self.gap
        assert now >= self._soonest[id(call)], "before it was said to be possible"
        self.running.add(id(call))
        self.order.append(call)
        self.granted_at[id(call)] = now
        if call.sent:
            self.seen.append(now + call.seen * call.latency)
        self._at(now + call.latency, "end", call)

    def _too_soon(self, now: int, call: Call) -> bool:
        """Calls of the sync go one by one, spread evenly over the interval; one that came
        late is made up for."""
        return call.priority >= BACKGROUND and now < self.background_at

    def _check_turn(self, now: int, call: Call) -> None:
        waiting = [c for c, _ in self.queue]
        first = min(c.priority for c in waiting)
        peers = [c for c in waiting if c.priority == call.priority]
        assert peers[0] is call, "not in order of arrival within the class"
        if call.priority > first:
            assert self.floor, "passed over a more urgent one"
            assert self.since_floor >= int(1 / self.floor) - 1, "more than the floor"
            self.since_floor = 0
        elif any(c.priority > first for c in waiting):
            self.since_floor += 1
            ready = [c for c in waiting if c.priority > first and not self._too_soon(now, c)]
            if self.floor and ready:
                assert self.since_floor < int(1 / self.floor), "less than the floor"
        else:
            self.since_floor = 0

    def _cooling(self, now: int) -> list[int]:
        return [end for end in self.ended if end > now - self.interval]

    def _room(self, now: int) -> bool:
        cap = self.budget.max_concurrent_requests
        busy = len(self.running) + len(self._cooling(now))
        return (
            now >= self.quiet_until
            and busy < self.budget.allowed_requests
            and not (cap and len(self.running) >= cap)
        )

    def _due(self, now: int) -> float | None:
        """When the next permit is there for somebody who waits, if nothing ends before."""
        due = self._slot_due(now)
        spread = all(call.priority >= BACKGROUND for call, _ in self.queue)
        return max(due, self.background_at) if due is not None and spread else due

    def _slot_due(self, now: int) -> int | None:
        cap = self.budget.max_concurrent_requests
        if cap and len(self.running) >= cap:
            return None
        times = {now, self.quiet_until, *(end + self.interval for end in self.ended)}
        return min((t for t in times if t >= now and self._room(t)), default=None)


def busiest_window(seen: list[float], interval: float) -> int:
    """The most calls in any half-open window of `interval`: the API's own count."""
    times = sorted(seen)
    most = first = 0
    for last, moment in enumerate(times):
        while times[first] <= moment - interval:
            first += 1
        most = max(most, last - first + 1)
    return most
