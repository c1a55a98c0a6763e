"""This process among the others that serve the same database.

    async with Presence(…)        registered: `number` is its name among the processes
        keep()                    the loop of beats: a task of the service
        trusted()                 whether what it holds is still its own
        when_lost(act)            … and if not: what to let go of

A process that is not heard of for LEASE seconds is declared gone, and what it held is
given to others. It must know that by itself before they do: a lease is trusted only for
nine tenths of that time, counted from before its last beat was asked for, by a clock that
goes on while the machine sleeps.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

from httpproxy.sharing.machine import has_ended, whereabouts
from httpproxy.store.errors import Fenced
from httpproxy.store.sharing.processes import BEAT, LEASE, Processes

log = logging.getLogger(__name__)

TRUSTED: Final = 0.9 * LEASE
PATIENCE: Final = 1.5 * BEAT  # a beat that takes longer counts as missed
STARTING: Final = LEASE  # … but a process that begins holds nothing yet, and can wait
LEAVING: Final = 3.0  # seconds for the last word; without it the lease runs out
_AWAKE: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def awake_clock() -> float:
    """Seconds that go on while the process is stopped and while the machine sleeps."""
    return time.clock_gettime(_AWAKE)


def process_name() -> str:
    """This process as people know it: the machine and its process id there."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Presence:
    """A registered process. `name` is for people, `roles` those of the settings."""

    def __init__(
        self,
        processes: Processes,
        name: str,
        roles: Sequence[str],
        clock: Callable[[], float] = awake_clock,
    ) -> None:
        self._processes, self._name, self._roles = processes, name, tuple(roles)
        self._clock = clock
        self._at = whereabouts(os.getpid())
        self._number = 0
        self._alone = False
        self._until = float("-inf")  # the lease is trusted before this moment
        self._missed = float("-inf")  # when the database was last found to be away
        self._lost: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"Presence(number={self._number}, alone={self._alone})"

    @property
    def number(self) -> int:
        """The process's number; another one once it was declared gone."""
        return self._number

    @property
    def alone(self) -> bool:
        """Whether the last beat found no other process."""
        return self._alone

    def trusted(self) -> bool:
        """Whether this process may act on what it holds.

        Its lease holds; or it was alone, and has found the database away ever since, where
        nobody else could have taken anything. A process that slept has to beat first.
        """
        now = self._clock()
        return now < self._until or (self._alone and now - self._missed < PATIENCE + BEAT)

    def when_lost(self, act: Callable[[], None]) -> None:
        """Has `act` called whenever this process finds that it was declared gone. It has
        its new number by then."""
        self._lost.append(act)

    async def __aenter__(self) -> Self:
        await self._register(STARTING)
        await self._beat(STARTING)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._until = self._missed = float("-inf")
        try:
            async with asyncio.timeout(LEAVING):
                await self._processes.leave(self._number)
        except OSError as gone:  # TimeoutError is one
            log.warning("the others learn in %.0f s that this process ends: %s", LEASE, gone)

    async def keep(self) -> None:
        """Beats until it is cancelled. Never fails: what goes wrong is tried again."""
        while True:
            await asyncio.sleep(BEAT)
            began, held = self._clock(), self.trusted()
            try:
                await self._beat_or_return()
            except OSError as error:
                ended = self._clock()
                # After a gap, in which it slept, it cannot tell who has come meanwhile.
                awake = held and ended - began < PATIENCE + BEAT
                self._missed = ended if awake else float("-inf")
                said = str(error) or f"no answer in {PATIENCE:g} s"
                log.warning("the database hears nothing of this process: %s", said)
            except Exception:  # a query that an administrator cancels ends no service
                log.exception("the database was not told that this process is there")

    async def _beat_or_return(self) -> None:
        try:
            await self._beat(PATIENCE)
        except Fenced as fenced:
            await self._register(PATIENCE)
            await self._beat(PATIENCE)
            log.warning("%s; it goes on as process %d", fenced, self._number)
            for act in self._lost:
                act()

    async def _bury(self) -> int:
        """Declares gone who ran on this machine and runs no more; returns how many.

        A process that was killed and started again need not wait for its own lease.
        """
        machine, buried = self._at.machine, 0
        if machine is None:
            return 0
        for neighbour in await self._processes.neighbours(self._number, machine):
            if has_ended(neighbour.at):
                await self._processes.declare_gone(neighbour)
                buried += 1
        return buried

    async def _register(self, patience: float) -> None:
        self._until = float("-inf")
        async with asyncio.timeout(patience):
            self._number = await self._processes.register(self._name, self._roles, self._at)

    async def _beat(self, patience: float) -> None:
        asked = self._clock()
        async with asyncio.timeout(patience):
            beat = await self._processes.beat(self._number)
            others = beat.others - (await self._bury() if beat.others else 0)
        self._alone = others <= 0
        self._until = asked + TRUSTED
