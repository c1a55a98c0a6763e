"""Several processes on one limit, simulated: their lanes, what they say to a database, and
the API counting calls.

Words to the database are lost, come late, in another order, or take effect without the
answer getting through; processes are killed, or stopped and go on; their clocks have
nothing to do with each other. The database is a few lines that do what the statements of
`store/migrations/0005_permits.sql` do (tests/store/test_shared_lanes.py is about those).
After every event no lane has slots that the database does not have for its process.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from math import inf

from httpproxy.sharing.holding import Holding
from httpproxy.store.sharing.terms import Found, Offer, Share
from httpproxy.upstream.lane import Lane, Priority, Ticket
from providers.spec import Budget

LEASE = 1.0  # seconds until a process that is not heard of is gone
PATIENCE = 0.4  # seconds for an answer
TICK = 0.1


@dataclass(frozen=True)
class Call:
    """One caller of a process; the API sees the call `seen` of the way to its end."""

    at: float
    member: int
    priority: Priority
    latency: float
    seen: float


@dataclass(frozen=True)
class Blow:
    """What happens to a process: it is stopped for so long, or ends at once (inf)."""

    at: float
    member: int
    length: float


@dataclass(frozen=True)
class Wire:
    """The way of one word: seconds there and back; inf: lost."""

    there: float
    back: float


@dataclass
class Shelf:
    """The database: one lane, and which processes are there."""

    budget: Budget
    there: set[int] = field(default_factory=set)
    shares: dict[int, Share] = field(default_factory=dict)
    serials: dict[int, int] = field(default_factory=dict)
    cooling: int = 0
    cold_at: float = -inf

    def deal(self, process: int, serial: int, offer: Offer, now: float) -> Found | None:
        """None: declared gone, or said before something that was said since."""
        if process not in self.there or self.serials.get(process, 0) >= serial:
            return None
        self.serials[process] = serial
        if self.cold_at <= now:
            self.cooling = 0
        for gone in [p for p in self.shares if p not in self.there]:
            self.cooling += self.shares.pop(gone).slots
            self.cold_at = now + self.budget.interval
        held = self.shares[process].slots if process in self.shares else 0
        keep = min(held, offer.keep)
        self.shares[process] = Share(process, keep, offer.wants)
        got = max(0, min(offer.ask, self.free))
        self.shares[process] = Share(process, keep + got, offer.wants)
        return Found(
            offer.lane, self.budget.allowed_requests, self.budget.interval,
            self.budget.max_concurrent_requests, self.cooling, max(0.0, self.cold_at - now),
            0.0, now + 1e9, tuple(self.shares.values()),
        )  # fmt: skip

    @property
    def free(self) -> int:
        held = sum(share.slots for share in self.shares.values())
        return self.budget.allowed_requests - held - self.cooling


class Member:
    """A process, whose clock shows `offset` more than the time."""

    def __init__(self, budget: Budget, number: int, offset: float) -> None:
        self.number, self.offset = number, offset
        self.lane = Lane(budget, slots=0)
        self.holding = Holding("lane", self.lane)
        self.serial = 0
        self.word: int | None = None  # the one that is on its way
        self.stopped = False
        self.trusted = True
        self.running: dict[int, Call] = {}


@dataclass
class House:
    """Runs calls and blows; `run` returns when the time is over."""

    budget: Budget
    members: int
    wires: Iterator[Wire]
    offsets: list[float]
    seen: list[float] = field(default_factory=list)
    served: list[tuple[float, Call]] = field(default_factory=list)
    words: int = 0

    def __post_init__(self) -> None:
        self.now = 0.0
        self.numbers = count(1)
        self.shelf = Shelf(self.budget)
        self.all = [
            Member(self.budget, self._register(), offset)
            for offset, _ in zip(self.offsets, range(self.members), strict=False)
        ]
        self._events: list[tuple[float, int, str, tuple[object, ...]]] = []
        self._order = count()
        self._ids = count()
        self.seen_once: set[int] = set()

    def _register(self) -> int:
        number = next(self.numbers)
        self.shelf.there.add(number)
        return number

    def run(self, calls: list[Call], blows: list[Blow], until: float) -> None:
        for call in calls:
            self._at(call.at, "arrive", call)
        for blow in blows:
            self._at(blow.at, "strike", blow)
        for number in range(int(until / TICK)):
            self._at(number * TICK, "tick")
        while self._events and self._events[0][0] <= until:
            self.now, _, kind, what = heapq.heappop(self._events)
            getattr(self, f"_{kind}")(*what)
            for member in self.all:
                if not member.stopped:
                    self._go_on(member)
                self._check(member)

    def _at(self, when: float, kind: str, *what: object) -> None:
        if when < inf:
            heapq.heappush(self._events, (when, next(self._order), kind, what))

    # What happens.

    def _tick(self) -> None:
        pass

    def _arrive(self, call: Call) -> None:
        member = self.all[call.member]
        if not member.stopped:
            member.lane.join(call.priority, call)

    def _strike(self, blow: Blow) -> None:
        member = self.all[blow.member]
        if member.stopped:
            return
        member.stopped = True
        for identity, call in member.running.items():
            # What it had sent is there; what it had not will not be.
            self._at(self.now, "see", member, identity, call)
        if blow.length > LEASE:  # who ends by itself says so at once
            noticed = LEASE if blow.length < inf else 0.0
            self._at(blow.at + noticed, "declare", member.number)
        self._at(blow.at + blow.length, "wake", member, blow.length > LEASE)

    def _declare(self, number: int) -> None:
        self.shelf.there.discard(number)

    def _wake(self, member: Member, lost: bool) -> None:
        """It goes on; what ended meanwhile ends now. Its lease tells it that it was gone."""
        member.stopped = False
        for identity in list(member.running):
            self._end(member, identity)
        member.word = None
        if lost:
            member.trusted = False
            self._at(self.now + 0.05, "beat", member)
        else:
            member.holding.failed(self.now + member.offset)

    def _beat(self, member: Member) -> None:
        if not member.stopped:
            member.number = self._register()
            member.holding.void()
            member.trusted = True

    def _see(self, member: Member, identity: int, call: Call) -> None:
        if identity in member.running and identity not in self.seen_once:
            self.seen_once.add(identity)
            self.seen.append(self.now)

    def _end(self, member: Member, identity: int) -> None:
        if identity in member.running and not member.stopped:
            self._see(member, identity, member.running[identity])
            del member.running[identity]
            member.lane.release(self.now + member.offset)

    def _execute(
        self, member: Member, number: int, serial: int, offer: Offer, back: float
    ) -> None:
        found = self.shelf.deal(number, serial, offer, self.now)
        if found is not None:
            self._at(self.now + back, "answer", member, number, serial, found)

    def _answer(self, member: Member, number: int, serial: int, found: Found) -> None:
        if member.word != serial or member.stopped:
            return
        member.word = None
        if number == member.number:
            member.holding.learn(number, False, found, self.now + member.offset)
        else:
            member.holding.void()

    def _expire(self, member: Member, serial: int) -> None:
        if member.word == serial and not member.stopped:
            member.word = None
            member.holding.failed(self.now + member.offset - 0.9)  # asks again soon

    # What a process does whenever it is awake.

    def _go_on(self, member: Member) -> None:
        clock = self.now + member.offset
        if member.trusted:
            for ticket in member.lane.decide(clock).granted:
                self._grant(member, ticket)
        if member.word is None and member.holding.due(member.number, False, clock) <= clock:
            offer = member.holding.offer(member.number, False, clock)
            member.serial += 1
            self.words += 1
            member.word = member.serial
            wire = next(self.wires)
            self._at(
                self.now + wire.there,
                "execute", member, member.number, member.serial, offer, wire.back,
            )  # fmt: skip
            self._at(self.now + PATIENCE, "expire", member, member.serial)

    def _grant(self, member: Member, ticket: Ticket) -> None:
        call = ticket.waiter
        assert isinstance(call, Call)
        identity = next(self._ids)
        member.running[identity] = call
        running = sum(len(other.running) for other in self.all if not other.stopped)
        assert running <= (self.budget.max_concurrent_requests or inf), "over the cap"
        self.served.append((self.now, call))
        self._at(self.now + call.seen * call.latency, "see", member, identity, call)
        self._at(self.now + call.latency, "end", member, identity)

    def _check(self, member: Member) -> None:
        if member.stopped or not member.trusted:
            return
        share = self.shelf.shares.get(member.number)
        assert member.lane.slots <= (share.slots if share else 0), "a slot in two lanes"
        assert self.shelf.free >= 0, "more is held than there is"


def busiest(seen: list[float], interval: float) -> int:
    """The most calls in any window a microsecond shorter than the interval."""
    times = sorted(seen)
    most = first = 0
    for last, moment in enumerate(times):
        while times[first] <= moment - interval + 1e-6:
            first += 1
        most = max(most, last - first + 1)
    return most
