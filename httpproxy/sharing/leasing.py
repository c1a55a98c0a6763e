"""Permits among processes: the loop that speaks with the database for all lanes.

    limiter ──opened, wanted, closed──> Leasing ──offers──> Permits
            <──slots, pauses, limits──           <──found──

What is said, and when, is `holding`'s, one for each lane; here are the one call for all
that are due, the clock, and what becomes of it when the database does not answer. One
call at a time: the database takes the words of a process in their order.

    alone                       everything is ours; one call at a lane's first use
    others are there            words now and then, at once where somebody urgent waits
    the database is away        what is held goes on while `presence` trusts it
    declared gone meanwhile     nothing is ours; asked for anew
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from typing import Final, Protocol

from httpproxy.sharing.holding import Holding
from httpproxy.sharing.presence import awake_clock
from httpproxy.store.errors import Fenced
from httpproxy.store.sharing.permits import Permits
from httpproxy.upstream.limiter import Key, Limiter, Line

log = logging.getLogger(__name__)

TICK: Final = 0.25  # seconds between looks for what is due while nobody asks
PATIENCE: Final = 3.0  # seconds for an answer of the database
AGAIN: Final = 0.2  # seconds until a process that was declared gone has another number
EXCUSED: Final = 5.0  # seconds for which an outage that was just seen counts as one


class Present(Protocol):
    """This process among the others (`httpproxy.sharing.presence.Presence`)."""

    @property
    def number(self) -> int: ...

    @property
    def alone(self) -> bool: ...

    def trusted(self) -> bool: ...

    def when_lost(self, act: Callable[[], None]) -> None: ...


class Leasing:
    """Shares the limiter's limits with the other processes, from now on.

    `beyond`: while the database is away, what was held last goes on beyond the lease; a
    process that the others have given up for gone may then call while they do.
    """

    def __init__(
        self,
        permits: Permits,
        limiter: Limiter,
        presence: Present,
        *,
        beyond: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._permits, self._presence, self._clock = permits, presence, clock
        self._beyond = beyond
        self._held: dict[Key, tuple[Line, Holding]] = {}
        self._serial = 0
        self._wake = asyncio.Event()
        self._was_trusted = True
        self._failing = False
        self._away_at = float("-inf")  # when the database was last found to be away
        self.calls = 0  # of the database, since the start
        limiter.share_with(self)
        presence.when_lost(self._void)

    def __repr__(self) -> str:
        return f"Leasing({len(self._held)} lanes, {self.calls} calls)"

    # What the limiter asks.

    def trusted(self) -> bool:
        """Whether what the lanes hold is still ours."""
        return self._presence.trusted() or (
            self._beyond and awake_clock() - self._away_at < EXCUSED
        )

    def opened(self, line: Line) -> None:
        """A lane is used from now on."""
        self._held[line.key] = (line, Holding(json.dumps(line.key), line.lane))

    def wanted(self, line: Line) -> None:
        """Somebody waits, or there is something to tell the others."""
        held = self._held.get(line.key)
        if held is None:
            return
        holding = held[1]
        if holding.budget != line.budget:
            holding.know(line.budget)
        present = self._presence
        if holding.due(present.number, present.alone, self._clock()) <= self._clock():
            self._wake.set()

    def closed(self, line: Line) -> bool:
        """A lane is idle; it is told to the others, and gone when they know."""
        _, holding = self._held[line.key]
        if not holding.leave():
            self._wake.set()
            return False
        del self._held[line.key]
        return True

    # The loop.

    async def keep(self) -> None:
        """Speaks with the database until it is cancelled. Never fails."""
        while True:
            self._wake.clear()
            try:
                pause = await self._once()
            except Exception:  # what goes wrong with one word is not the end of all
                log.exception("permits could not be shared out")
                pause = TICK
            if pause > 0:
                try:
                    async with asyncio.timeout(pause):
                        await self._wake.wait()
                except TimeoutError:
                    continue

    async def leave(self) -> None:
        """The last word: what is free goes back at once. What is in use comes back when
        the others find that this process is gone. After the last call, before the
        presence ends. Never fails: without it, all of it comes back in that way."""
        holding_some = [held for held in self._held.values() if held[1].share]
        if holding_some:
            try:
                await self._speak(holding_some, last=True)
            except Exception:  # the end of the service goes on
                log.exception("permits were not given back")

    async def _once(self) -> float:
        """Says what is due; returns for how long there is nothing to say."""
        now, present = self._clock(), self._presence
        if (trusted := self.trusted()) and not self._was_trusted:
            for line, _ in self._held.values():
                line.settle()
        self._was_trusted = trusted
        when = [
            (holding.due(present.number, present.alone, now), line, holding)
            for line, holding in self._held.values()
        ]
        due = [(line, holding) for at, line, holding in when if at <= now]
        if due:
            await self._speak(due)
            return 0.0
        return min([TICK, *(at - now for at, _, _ in when)])

    async def _speak(self, due: list[tuple[Line, Holding]], *, last: bool = False) -> None:
        """One exchange for these lanes."""
        number, alone, now = self._presence.number, self._presence.alone, self._clock()
        self._serial += 1
        self.calls += 1
        offers = [holding.offer(number, alone, now, last=last) for _, holding in due]
        began = awake_clock()
        try:
            async with asyncio.timeout(PATIENCE):
                found = await self._permits.exchange(number, self._serial, offers)
        except Fenced:
            self._void()
            await asyncio.sleep(AGAIN)
            return
        except OSError as error:  # TimeoutError is one
            if awake_clock() - began < PATIENCE + AGAIN:  # we were not stopped meanwhile
                self._away_at = awake_clock()
            self._failed(due, error)
            return
        except Exception as error:
            self._failed(due, error)
            raise
        self._failing = False
        now = self._clock()
        for line, holding in due:
            if number != self._presence.number:
                holding.void()
            elif holding.name in found:
                holding.learn(number, alone, found[holding.name], now)
            else:
                holding.failed(now)
            line.settle()

    def _failed(self, due: list[tuple[Line, Holding]], error: Exception) -> None:
        now = self._clock()
        for _, holding in due:
            holding.failed(now)
        if not self._failing:
            said = str(error) or f"no answer in {PATIENCE:g} s"
            log.warning("permits are shared out no more for now: %s", said)
        self._failing = True

    def _void(self) -> None:
        for _, holding in self._held.values():
            holding.void()
        self._wake.set()
