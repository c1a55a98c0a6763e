"""What this process holds of one lane, and what it says of it to the others. Pure.

A `Lane` grants permits from the slots that are its own; they are part of what the database
says is ours (`share`), never more. Between two words with the database (`offer`, then
`learn` with what it answered, or `failed`) both only shrink:

    offer     what is given back leaves the lane first, and only what is free in it goes
    (lost)    whatever became of the word: the database has at least `keep` for us
    learn     the lane gets what the database has for us

So a slot is never in two lanes, whatever is lost, late or said twice.

When to speak: at once where somebody urgent waits who should have more than there is here,
where something is to be handed over, and of a pause; else now and then while the lane is
used, more often the more permits it gives. Speaking at once takes credit, which permits
earn, so that under load it stays cheap. Who is alone takes all and is silent.
"""

from __future__ import annotations

from math import inf
from typing import Final

from httpproxy.sharing.shares import Limit, apportion
from httpproxy.store.sharing.terms import Found, Offer
from httpproxy.upstream.budgets import strictest
from httpproxy.upstream.lane import BACKGROUND, Lane, Priority
from providers.spec import Budget

EARNED: Final = 0.2  # words that a permit earns
SINGLY: Final = 0.3  # … while nobody else uses the lane: one that begins is heard sooner
CREDIT: Final = 8.0  # words in hand, at most; who rested has them all
RESTED: Final = 1.0  # seconds without use
BUSY: Final = 0.5  # seconds between words while permits earn one each time
CALM: Final = 1.0  # … while most of the slots are free
LOADED: Final = 3.0  # … while they are in use, and permits are few
HURRY: Final = (0.0, 0.05, 0.1, 0.2, 0.3, 0.3, 0.3, 0.6, 1.2)  # … while somebody urgent waits
AWAY: Final = 1.0  # … while the database does not answer
LINGER: Final = 3.0  # how long slots that nobody uses stay here
TURN: Final = 4.0  # seconds, at least, that a slot stays with those who take turns


class Holding:
    """This process's part of a lane. Times are seconds of a monotonic clock.

    `me` is the process's number, `alone` whether it is the only one.
    """

    __slots__ = (
        "_credit", "_found", "_in_vain", "_leaving", "_listed", "_paid", "_retry_at",
        "_soon", "_spoke_alone", "_spoke_at", "_told", "_told_pause", "_used_at", "budget",
        "lane", "name", "share",
    )  # fmt: skip

    def __init__(self, name: str, lane: Lane) -> None:
        """`lane` has no slots yet, and the limit that this process knows of."""
        self.name, self.lane, self.budget = name, lane, lane.budget
        self.share = 0  # the slots that the database has for us, at least
        self._found: Found | None = None
        self._listed = False  # whether the database knows us as one who uses the lane
        self._leaving = False  # nobody does here
        self._soon = True  # there is something to say
        self._spoke_at, self._spoke_alone = -inf, False
        self._retry_at = self._told_pause = self._used_at = -inf
        self._told = False  # whether the others take us for somebody who wants slots
        self._credit, self._paid = CREDIT, 0
        self._in_vain = 0

    def __repr__(self) -> str:
        return f"Holding({self.name} {self.lane.slots} of {self.share})"

    def know(self, budget: Budget) -> None:
        """This process knows of another limit: a smaller one holds at once, a larger one
        once the others know none that is smaller."""
        self.budget = budget
        both = strictest((self.lane.budget, budget))
        self.lane.reconfigure(both, min(self.lane.slots, both.allowed_requests))
        self._soon = True

    def void(self) -> None:
        """What was held is not ours any more."""
        self.share = 0
        self.lane.resize(0)
        self._found = None
        self._told = self._listed = False
        self._soon = True

    def leave(self) -> bool:
        """Nobody uses the lane here any more; whether the database knows that by now."""
        self._leaving = True
        return not self._listed and not self.share

    # What is said.

    def offer(self, me: int, alone: bool, now: float, *, last: bool = False) -> Offer:
        """What to say now. What it gives back is out of the lane when this returns.

        The `last` word gives back all that is free.
        """
        wants = self._wants(now)
        self._leaving = self._leaving and not any(wants)
        target, limit = (0, 0) if self._leaving or last else self._aim(me, alone, now)
        keep = min(self.share, max(limit, self.lane.bound(now)))
        self.lane.resize(min(limit, keep))
        self.share = keep
        pause = self._pause_to_tell(now)
        self._spoken(me, alone, now, told=any(wants))
        return Offer(
            lane=self.name,
            keep=keep,
            ask=max(0, target - keep),
            wants=wants,
            requests=self.budget.allowed_requests,
            period=self.budget.interval,
            concurrent=self.budget.max_concurrent_requests,
            judged=self.lane.budget.interval,
            pause=pause,
            leaves=self._leaving and not keep,
        )

    def learn(self, me: int, alone: bool, found: Found, now: float) -> None:
        """Takes over what the database answered to the last offer."""
        held = found.held(me)
        gained = held > self.share
        self.share, self._found = held, found
        self._listed = any(share.process == me for share in found.shares)
        theirs = Budget(self.budget.name, found.slots, found.period, found.concurrent)
        budget = strictest((theirs, self.budget))
        self.lane.reconfigure(budget, min(self.lane.slots, held))
        if found.paused:
            self.lane.pause(now + found.paused)
            self._told_pause = max(self._told_pause, self.lane.paused_until)
        if not self._leaving:
            target, limit = self._aim(me, alone, now)
            self.lane.resize(limit)
            self._in_vain = 0 if gained or target <= held else self._in_vain + 1

    def failed(self, now: float) -> None:
        """The last offer was lost, or its answer was."""
        self._retry_at = now + AWAY
        self._soon = True
        self._told_pause = -inf

    # When.

    def due(self, me: int, alone: bool, now: float) -> float:
        """When there is something to say next; inf: not before something happens."""
        if self._leaving and self.lane.waiting():
            self._leaving, self._soon = False, True
        if now < self._retry_at:
            return self._retry_at
        if self._leaving:
            return now if self._listed else inf
        if self._soon or self._pause_to_tell(now):
            return now
        if self._found is None:
            return inf
        if alone:
            whole = self.share >= self._found.slots
            return inf if whole else self._spoke_at + min(max(self._found.cold_in, 0.05), CALM)
        return now if self._spoke_alone else self._next_word(me, now)

    def _next_word(self, me: int, now: float) -> float:
        wants = self._wants(now)
        target, _ = self._aim(me, False, now)
        earned = self._earned(me)
        hurry = self._credit + earned >= 1
        times = [self._spoke_at + BUSY] if earned >= 1 else []
        if target > self.share and self._waits_for_slots():
            wait = HURRY[min(self._in_vain, len(HURRY) - 1)]
            times.append(self._spoke_at + (wait if hurry else max(wait, CALM)))
        if self.share > self.lane.slots:  # somebody lacks them
            free = self.share > self.lane.bound(now)
            times.append(now if free else self.lane.frees_at(now))
        if self.share or any(wants):
            loaded = self.share and 2 * self.lane.bound(now) >= self.share
            times.append(self._spoke_at + (LOADED if loaded else CALM))
        elif self._told:
            times.append(self._spoke_at + BUSY)
        return max(now, min(times, default=inf))

    def _earned(self, me: int) -> float:
        """The words that the permits since the last one have earned."""
        shares = self._found.shares if self._found else ()
        singly = not any(any(share.wants) for share in shares if share.process != me)
        return (SINGLY if singly else EARNED) * (self.lane.grants - self._paid)

    def _waits_for_slots(self) -> bool:
        lane = self.lane
        urgent = any(lane.waiting(p) for p in Priority if p < BACKGROUND)
        return urgent or (bool(lane.waiting()) and not lane.slots)

    # How many.

    def _aim(self, me: int, alone: bool, now: float) -> tuple[int, int]:
        """The slots that we should have, and those that the lane may use of what it has."""
        if alone:
            whole = self.budget.allowed_requests
            return whole, min(self.share, whole)
        wants = {me: self._wants(now)}
        found = self._found
        if found is None:
            whole = self.budget.allowed_requests
            cap = self.budget.max_concurrent_requests
            return apportion(Limit(whole, cap), wants)[me], self.share
        others = [share for share in found.shares if share.process != me]
        wants |= {share.process: share.wants for share in others}
        turn = int(found.moment // max(TURN, 2 * found.period))
        limit = Limit(found.slots, found.concurrent, turn=turn)
        targets = apportion(limit, wants)
        lacking = sum(max(0, targets[s.process] - s.slots) for s in others) - found.free
        surplus = self.share - targets[me]
        if surplus > 0 and lacking > 0:
            return targets[me], self.share - min(surplus, lacking)
        idle = not any(wants[me]) and now - self._used_at >= LINGER
        if idle or (any(wants[me]) and surplus > max(1, targets[me] // 4)):
            return targets[me], targets[me]
        return targets[me], min(self.share, found.slots)

    def _wants(self, now: float) -> tuple[int, ...]:
        """What is used and waited for. The sync may want to be faster by as much as it is
        fast: its next page is asked for when this one is there, so only one ever waits."""
        wants = self.lane.wants(now)
        if any(wants):
            if now - self._used_at > RESTED:
                self._credit = CREDIT
            self._used_at = now
        return tuple(
            max(want, 2 * (want - waiting) + 1)
            if p >= BACKGROUND and (waiting := self.lane.waiting(p))
            else want
            for p, want in zip(Priority, wants, strict=True)
        )

    # What has been said.

    def _pause_to_tell(self, now: float) -> float:
        until = self.lane.paused_until
        return until - now if until > max(now, self._told_pause) else 0.0

    def _spoken(self, me: int, alone: bool, now: float, *, told: bool) -> None:
        self._credit = max(0.0, min(CREDIT, self._credit + self._earned(me)) - 1)
        self._paid = self.lane.grants
        self._spoke_at, self._spoke_alone, self._told = now, alone, told
        self._told_pause = max(self._told_pause, self.lane.paused_until)
        self._soon = False
