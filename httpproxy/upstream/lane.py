"""Who goes next: the rate limit of one account as a synchronous decision.

Pure: no clock, no task, no lock. Time is an argument in seconds of any monotonic
clock; `decide` changes the state and returns who goes now and when to ask again, and
an adapter (`httpproxy.upstream.limiter`) does the waking.

The limit is `allowed_requests` (N) in any window of `interval` (T) seconds, *as the
API sees it*. We know when we let a call go and when its answer had ended, not when the
API saw it in between. So a lane has N slots. A call occupies one from its grant g
until T after its end e, and the API sees it at some moment s with g <= s <= e.

Why that is strict: suppose the API saw N + 1 calls within less than T, and let j be
the one granted last. Every other call i of them has g_i <= g_j and, since s_j - s_i < T,
e_i >= s_i > s_j - T >= g_j - T. So e_i + T > g_j: at the moment of j's grant all N
others still occupied their slots, and there was none for j. Hence no window of length
T holds more than N calls, whatever the network's jitter. A token bucket has no such
property: it lets a full bucket go and then its refill, nearly 2N in one window.

What it costs: at most N calls per T plus the time of a call, instead of N per T.
A call that never left gives its slot back at once (`withdraw`). A call whose
connection was given up counts as ended then; what the API's machine may still read
from its buffers afterwards is the only thing outside the proof.

Who goes first: the classes of `Priority`, first come first served within one. A free
slot is never left idle while somebody waits. So that a stream of writes cannot starve
the sync, every `1/floor`-th grant that would pass over a waiting lower class goes to
one instead, the lower classes taking turns; that is the most a higher class can lose,
one place in `1/floor`, however long the lower queue.

The sync's own classes (`BACKGROUND`) do not burst: they are let go T / N apart. A backfill
that took all N slots at once would leave a write nothing until they come back, T later
(ten seconds at HubSpot); spread out, a slot comes back every T / N, and the write has the
next one. What the sync may use is the same.

Several processes share one limit: each has a lane of its own with some of the N slots,
together no more than N, and `resize` changes how many. The proof asks no more than that
a slot which goes from one lane to another is free when it goes: a lane gives back no
slots below `bound`.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from enum import IntEnum
from typing import Final, NamedTuple

from providers.spec import Budget

FLOOR: Final = 0.1


class Priority(IntEnum):
    """The classes, the most urgent first."""

    WRITE = 0
    READ = 1
    REREAD = 2
    INCREMENTAL = 3
    BACKFILL = 4


BACKGROUND: Final = Priority.REREAD  # this class and all below it


class Ticket:
    """A place in the queue. `waiter` is the adapter's own, unread here."""

    __slots__ = ("priority", "waiter")

    def __init__(self, priority: Priority, waiter: object = None) -> None:
        self.priority, self.waiter = priority, waiter

    def __repr__(self) -> str:
        return f"Ticket({self.priority.name})"


class Decision(NamedTuple):
    """`granted` go now, in this order; ask again at `wake_at`.

    `wake_at` is None if nobody waits, or if only the end of a running call can help.
    """

    granted: list[Ticket]
    wake_at: float | None


class Lane:
    """The permits of one budget of one account.

    Calls take turns as `join` (or `take`) -> granted by `decide` -> `release`. Time
    never goes backwards: each `now` is at least the one before.
    """

    __slots__ = (
        "_budget", "_cap", "_ended", "_every", "_gap", "_held", "_occupied", "_passed",
        "_paused_until", "_queues", "_slots", "_spread_from", "_turn", "_waiting", "grants",
    )  # fmt: skip

    def __init__(self, budget: Budget, floor: float = FLOOR, slots: int | None = None) -> None:
        """`floor` is the share of grants kept for lower classes, 0 (none) to 0.5.

        `slots` of the budget's are this lane's, 0 or more; None: all of them.
        """
        if not 0 <= floor <= 0.5:
            raise ValueError(f"the floor is a share between 0 and 0.5, not {floor}")
        self._every = int(1 / floor) if floor else 0
        self._held = 0
        self._ended: deque[float] = deque()  # when each cooling slot's call ended
        self._occupied: deque[Priority] = deque()  # who took the slots that are not free
        self.grants = 0  # since the start
        self._queues: dict[Priority, OrderedDict[Ticket, None]] = {}
        self._waiting = 0
        self._passed = 0  # grants in a row that passed over a waiting lower class
        self._turn = Priority.WRITE  # the lower class that had the last floor grant
        self._paused_until = float("-inf")
        self._spread_from = float("-inf")  # the next grant to the sync is due a gap later
        self.reconfigure(budget, slots)

    def __repr__(self) -> str:
        return (
            f"Lane({self._slots}/{self._budget.interval:g}s held={self._held}"
            f" cooling={len(self._ended)} waiting={self._waiting})"
        )

    # What there is.

    @property
    def running(self) -> int:
        """Calls that are granted and not ended."""
        return self._held

    @property
    def slots(self) -> int:
        """The slots that are this lane's."""
        return self._slots

    @property
    def budget(self) -> Budget:
        """The limit that it keeps, with the others if `slots` is less."""
        return self._budget

    @property
    def paused_until(self) -> float:
        """No grant before this time; -inf if there was never a pause."""
        return self._paused_until

    def waiting(self, priority: Priority | None = None) -> int:
        """How many wait, in one class or in all."""
        if priority is None:
            return self._waiting
        return len(self._queues.get(priority, ()))

    def idle(self, now: float) -> bool:
        """Nothing is remembered here that a new lane would not know."""
        return (
            not self._waiting
            and not self._held
            and now >= self._paused_until
            and now >= self._spread_from + self._gap
            and not self._cooling(now)
        )

    def wants(self, now: float) -> tuple[int, ...]:
        """Slots that are in use and that are waited for, by class."""
        self._cooling(now)
        used = [0] * len(Priority)
        for priority in self._occupied:
            used[priority] += 1
        return tuple(used[p] + self.waiting(p) for p in Priority)

    def bound(self, now: float) -> int:
        """The slots that this lane cannot be without now: those that are not free, and
        as many as its running calls need under the cap."""
        cap, whole = self._budget.max_concurrent_requests, self._budget.allowed_requests
        needed = -(-self._held * whole // cap) if cap else 0
        return max(self._held + self._cooling(now), needed)

    def frees_at(self, now: float) -> float:
        """When the next slot is free, if no call ends before; inf: that must come first."""
        return self._ended[0] + self._budget.interval if self._cooling(now) else float("inf")

    # What happens.

    def take(self, now: float, priority: Priority) -> bool:
        """One permit at once, if one is due and nobody waits for it."""
        if self._waiting or self._room(now) < 1 or self._too_soon(priority, now):
            return False
        self._held += 1
        self._note(priority, now)
        return True

    def join(self, priority: Priority, waiter: object = None) -> Ticket:
        """A place at the end of a class; ask `decide` afterwards."""
        ticket = Ticket(priority, waiter)
        queue = self._queues.get(priority)
        if queue is None:
            queue = self._queues[priority] = OrderedDict()
        queue[ticket] = None
        self._waiting += 1
        return ticket

    def leave(self, ticket: Ticket) -> bool:
        """Give up waiting; False if the ticket does not wait (any more)."""
        queue = self._queues.get(ticket.priority)
        if queue is None or ticket not in queue:
            return False
        del queue[ticket]
        self._shrink(ticket.priority, queue)
        return True

    def release(self, now: float) -> None:
        """A granted call's answer has ended; its slot comes back T later."""
        self._held -= 1
        self._ended.append(now)

    def withdraw(self) -> None:
        """A granted call never left; its slot is free at once."""
        self._held -= 1
        self._occupied.pop()

    def pause(self, until: float) -> None:
        """No grant before `until`, for all. Only ever prolongs a pause."""
        self._paused_until = max(self._paused_until, until)

    def reconfigure(self, budget: Budget, slots: int | None = None) -> None:
        """Another limit from now on; who waits keeps its place."""
        if budget.allowed_requests < 1 or budget.interval <= 0:
            raise ValueError(f"a lane needs at least one request per interval: {budget}")
        self._budget = budget
        self.resize(budget.allowed_requests if slots is None else slots)

    def resize(self, slots: int) -> None:
        """So many of the limit's slots are this lane's from now on, and so much of its cap."""
        whole, cap = self._budget.allowed_requests, self._budget.max_concurrent_requests
        self._slots = slots = min(slots, whole)
        self._cap = cap * slots // whole if cap else slots
        self._gap = self._budget.interval / max(1, slots)

    def decide(self, now: float) -> Decision:
        """Grant all that is due at `now`."""
        granted: list[Ticket] = []
        if self._waiting:
            due = min(self._room(now), self._waiting)
            while len(granted) < due and (ticket := self._next(now)) is not None:
                granted.append(ticket)
            self._held += len(granted)
        return Decision(granted, self._wake_at(now) if self._waiting else None)

    # What is to be expected.

    def not_before(self, now: float) -> float:
        """No grant can come before this time, whatever happens."""
        if self._held or self._slots < self._budget.allowed_requests:
            # A running call may turn out never to have left; others may give slots back.
            return max(now, self._paused_until)
        earliest = self.earliest(now)
        return now if earliest is None else earliest

    def earliest(self, now: float) -> float | None:
        """When the next grant is due if no running call ends; None if that must come first."""
        if self._held >= self._cap:
            return None
        missing = self._held + self._cooling(now) + 1 - self._slots
        if missing <= 0:
            return max(now, self._paused_until)
        if missing > len(self._ended):
            return None
        return max(self._ended[missing - 1] + self._budget.interval, self._paused_until)

    def expected_wait(self, priority: Priority, now: float) -> float:
        """Seconds that a newcomer of this class would wait: an estimate.

        It takes every running call to end now and nobody more urgent to arrive.
        """
        ahead = self.ahead(priority)
        if priority >= BACKGROUND:
            spread = self._spread_from + (ahead + 1) * self._gap - now
            return max(spread, self._expected_slot(ahead, now))
        return self._expected_slot(ahead, now)

    def _expected_slot(self, ahead: int, now: float) -> float:
        cooling = self._cooling(now)
        free = max(0, self._slots - self._held - cooling)
        if ahead < free:
            return max(0.0, self._paused_until - now)
        rounds, nth = divmod(ahead - free, max(1, self._slots))
        first = self._ended[nth] if nth < cooling else now
        due = first + (rounds + 1) * self._budget.interval
        return max(due, self._paused_until) - now

    def ahead(self, priority: Priority) -> int:
        """How many wait in this class and in the more urgent ones."""
        return sum(len(queue) for p, queue in self._queues.items() if p <= priority)

    # How.

    def _cooling(self, now: float) -> int:
        """Slots of ended calls that are not back yet, after dropping those that are."""
        ended, interval = self._ended, self._budget.interval
        while ended and ended[0] + interval <= now:
            ended.popleft()
            self._occupied.popleft()
        return len(ended)

    def _room(self, now: float) -> int:
        if now < self._paused_until:
            return 0
        return min(self._slots - self._cooling(now), self._cap) - self._held

    def _wake_at(self, now: float) -> float | None:
        """When the next grant is due; somebody waits."""
        earliest = self.earliest(now)
        if earliest is None or min(self._queues) < BACKGROUND:
            return earliest
        return max(earliest, self._spread_from + self._gap)

    def _too_soon(self, priority: Priority, now: float) -> bool:
        return priority >= BACKGROUND and now < self._spread_from + self._gap

    def _note(self, priority: Priority, now: float) -> None:
        """A grant to the sync puts the next one off; one that came late is made up for."""
        self.grants += 1
        self._occupied.append(priority)
        if priority >= BACKGROUND:
            self._spread_from = max(self._spread_from + self._gap, now - self._gap)

    def _next(self, now: float) -> Ticket | None:
        """Take the next one out of the queues; None if it is too soon for all who wait."""
        first = chosen = min(self._queues)
        if self._too_soon(first, now):
            return None
        lower = [p for p in self._queues if p > first]
        if lower and self._every:
            self._passed += 1
            ready = [p for p in lower if not self._too_soon(p, now)]
            if ready and self._passed >= self._every:
                chosen = min(ready, key=lambda p: (p <= self._turn, p))
                self._turn = chosen
                self._passed = 0
        else:
            self._passed = 0
        self._note(chosen, now)
        queue = self._queues[chosen]
        ticket, _ = queue.popitem(last=False)
        self._shrink(chosen, queue)
        return ticket

    def _shrink(self, priority: Priority, queue: OrderedDict[Ticket, None]) -> None:
        self._waiting -= 1
        if not queue:
            del self._queues[priority]
