"""`serve --workers N`: the process that serves nothing itself and watches those that do.

It opens the database, an embedded one if there is no other, and brings it to this
program's schema; then the sockets; then the workers. It ends last.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from httpproxy.office import Office, open_office
from httpproxy.settings.reading import Settings, in_url
from httpproxy.sockets import Sockets, listen, port_of
from httpproxy.tasks import Tasks
from httpproxy.workers.fleet import Command, Fleet, Place, WorkersFailed, gateway_sockets

log = logging.getLogger(__name__)

Announce = Callable[[Office, str, str | None], Awaitable[None]]


async def supervise(
    settings: Settings, given: Mapping[str, Sockets], command: Command, announce: Announce
) -> None:
    """Runs `settings.workers` workers until SIGTERM or SIGINT, and replaces them on SIGHUP.

    `given` are sockets from systemd, by door. `announce` is called when all serve, with the
    URLs of gateway and second door. Raises WorkersFailed, and OSError if a port is taken.
    """
    async with open_office(settings) as office:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hp-")))
            places, api = _open_ports(settings, given, stack)
            fleet = Fleet(places, command, folder, api)
            watched = _Watched(fleet)
            watched.listen()
            try:
                await fleet.start()
                await announce(office, *_urls(settings, places[0].gateway, api))
                await watched.until_stopped()
            finally:
                await fleet.end()


def _urls(settings: Settings, gateway: Sockets, api: Sockets) -> tuple[str, str | None]:
    if gateway:
        settings = settings.model_copy(update={"gateway_port": port_of(gateway)})
    second = f"http://{in_url(settings.api_host)}:{port_of(api)}" if api else None
    return settings.gateway_url, second


def _open_ports(
    settings: Settings, given: Mapping[str, Sockets], stack: ExitStack
) -> tuple[list[Place], Sockets]:
    """The places with their sockets, and the second door's; they close with the stack."""
    doors: list[Sockets] = [()] * settings.workers
    if "gateway" in settings.roles:
        host, port = settings.gateway_host, settings.gateway_port
        doors = gateway_sockets(host, port, settings.workers, given.get("gateway", ()))
    api = given.get("api", ())
    if "api" in settings.roles and not api:
        api = listen(settings.api_host, settings.api_port)
    for each in {each for door in (*doors, api) for each in door}:
        stack.callback(each.close)
    return [Place(f"{n}", door) for n, door in enumerate(doors, 1)], api


class _Watched:
    """A fleet that hears the signals of this process."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._stopped = asyncio.Event()
        self._round = asyncio.Event()
        self._failed: WorkersFailed | None = None

    def listen(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._round.set)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)

    def _stop(self) -> None:
        if self._stopped.is_set():  # asked for a second time
            log.warning("the workers are ended at once")
            self._fleet.kill()
        self._stopped.set()

    async def until_stopped(self) -> None:
        """Waits for the first signal to end. Raises WorkersFailed."""
        async with Tasks() as tasks:
            tasks.start(self._keep(), "workers")
            tasks.start(self._roll(), "replacements")
            await self._stopped.wait()
        if self._failed is not None:
            raise self._failed

    async def _keep(self) -> None:
        try:
            await self._fleet.keep()
        except WorkersFailed as failed:
            self._failed = failed
            self._stopped.set()

    async def _roll(self) -> None:
        while True:
            await self._round.wait()
            self._round.clear()
            await self._fleet.roll()
