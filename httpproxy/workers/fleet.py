"""The workers of one machine, kept running and replaced one by one.

    Place    a name and a listening socket, which stay; its processes come and go
    Fleet    starts a process in each place, and keeps one there

The socket of a place is open here until the end: what waits in its queue when a process
ends is taken by the next one, and nobody is refused. A process that ends by itself is
started again, a little later each time it does; if none serves any more and none comes
up, that is said and the whole ends. A replacement (SIGHUP) is ready before the process
before it is asked to leave, so that there is always somebody to answer.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from httpproxy.sockets import SHARES_PORTS, Handed, Sockets, listen, port_of
from httpproxy.workers.child import Child, spawn

log = logging.getLogger(__name__)

START_SECONDS: Final = 60.0  # until a worker must be ready; migrations are done by then
LEAVE_SECONDS: Final = 75.0  # a drain takes a minute at most, and what is around it
STEADY: Final = 10.0  # seconds after which a worker that ends has not failed to start
GIVE_UP: Final = 5  # starts in a row that came to nothing, while no worker serves
_BACKOFF: Final = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)

Command = Callable[[Handed], Sequence[str]]


class WorkersFailed(Exception):
    """No worker serves, and none comes up; their own lines in the log say why."""


@dataclass
class Place:
    """Where one worker runs."""

    name: str
    gateway: Sockets
    child: Child | None = None
    failures: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def serves(self) -> bool:
        return self.child is not None and self.child.alive and self.child.ready.is_set()


def gateway_sockets(host: str, port: int, count: int, given: Sockets) -> list[Sockets]:
    """Sockets of one port for `count` workers, each with a queue of its own where the
    system can do that. Raises OSError."""
    if given:  # from systemd: one queue, from which all take
        return [given] * count
    first = listen(host, port, shared=SHARES_PORTS)
    if not SHARES_PORTS:
        return [first] * count
    more = (listen(host, port_of(first), shared=True) for _ in range(count - 1))
    return [first, *more]


class Fleet:
    """Keeps a worker in each place. `command` makes a worker's command line of what it is
    handed; `folder` is where the workers meet; `api` are their second door's sockets."""

    def __init__(
        self, places: Sequence[Place], command: Command, folder: Path, api: Sockets
    ) -> None:
        self.places = places
        self._command, self._folder, self._api = command, folder, api
        self._ending = asyncio.Event()
        self._rolling = asyncio.Lock()

    async def start(self) -> None:
        """Starts all workers; returns when all serve. Raises WorkersFailed."""
        served = await asyncio.gather(*(self._fill(place) for place in self.places))
        if not all(served):
            await self.end()
            raise WorkersFailed("a worker does not start; its lines in the log say why")

    async def keep(self) -> None:
        """Keeps them running until `end`. Raises WorkersFailed."""
        await asyncio.gather(*(self._keep(place) for place in self.places))

    async def roll(self) -> None:
        """Replaces every process, one after the other. One that does not come up leaves
        the one before it in its place, and ends the round."""
        if self._rolling.locked():
            log.warning("the workers are being replaced already")
            return
        async with self._rolling:
            for place in self.places:
                if self._ending.is_set() or not await self._replace(place):
                    return
            log.info("all %d workers have been replaced", len(self.places))

    async def end(self) -> None:
        """Asks all workers to finish their calls, and waits for them. Nothing is restarted.

        The sockets are closed here first: in a queue that nobody will empty, a client would
        wait for the end only to be cut off; like this it is refused.
        """
        self._ending.set()
        for place in self.places:
            for each in place.gateway:
                each.close()
            if place.child is not None:
                place.child.dismiss()
        await asyncio.gather(*(self._empty(place) for place in self.places))
        async with self._rolling:  # a replacement that was on its way is gone by then, too
            pass

    def kill(self) -> None:
        """Ends all workers at once."""
        self._ending.set()
        for place in self.places:
            if place.child is not None:
                place.child.kill()

    async def _start(self, place: Place) -> Child:
        ours, theirs = socket.socketpair()
        doors = {"gateway": place.gateway, "api": self._api}
        sockets = {door: some for door, some in doors.items() if some}
        with theirs:
            handed = Handed(sockets, place.name, self._folder, theirs)
            return await spawn(self._command(handed), handed.descriptors(), ours)

    async def _fill(self, place: Place) -> bool:
        """Starts a process in a place; whether it serves."""
        place.child = await self._start(place)
        return await place.child.until_ready(START_SECONDS)

    async def _empty(self, place: Place) -> None:
        async with place.turn:  # one that was being started is there by now
            if place.child is not None:
                place.child.dismiss()
                await place.child.until_gone(LEAVE_SECONDS)

    async def _keep(self, place: Place) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        while place.child is not None and not self._ending.is_set():
            child = place.child
            await child.process.wait()
            async with place.turn:
                if self._ending.is_set() or place.child is not child:
                    began = loop.time()
                    continue
                steady = child.ready.is_set() and loop.time() - began >= STEADY
                place.failures = 0 if steady else place.failures + 1
                log.error("worker %s ended with %s", place.name, child.process.returncode)
                self._look_at_all()
                if await self._pause(_BACKOFF[min(place.failures, len(_BACKOFF) - 1)]):
                    return
                await child.until_gone(0.0)
                began = loop.time()
                if not await self._fill(place):
                    place.child.kill()

    def _look_at_all(self) -> None:
        """Raises WorkersFailed if this leads nowhere."""
        tries = sum(place.failures for place in self.places)
        if tries >= GIVE_UP and not any(place.serves for place in self.places):
            raise WorkersFailed(f"no worker serves, and {tries} starts came to nothing")

    async def _pause(self, seconds: float) -> bool:
        """Waits; whether the end came meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                await self._ending.wait()
        except TimeoutError:
            pass
        return self._ending.is_set()

    async def _replace(self, place: Place) -> bool:
        async with place.turn:
            before, new = place.child, await self._start(place)
            if not await new.until_ready(START_SECONDS) or self._ending.is_set():
                log.error("worker %s is not replaced: no new process came up", place.name)
                new.dismiss()
                await new.until_gone(LEAVE_SECONDS)
                return False
            place.child, place.failures = new, 0
        if before is not None:
            before.dismiss()
            await before.until_gone(LEAVE_SECONDS)
        log.info("worker %s has been replaced", place.name)
        return True
