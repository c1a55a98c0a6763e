"""How connections end when the gateway does, without a call being lost.

A client that keeps its connection sends its next call whenever it likes, also at the very
moment at which we want to close. What has reached us by then must be answered:

    a call under way        is answered, with `Connection: close`
    a connection at rest    is closed once nothing has come on it for QUIET seconds: the
                            client's next call would cross our close on the way
    a call that has begun   (some of its head is here, or waits in the system's buffer)
                            is waited for

aiohttp alone closes connections at rest at once, and drops what comes meanwhile.
"""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
from typing import Final

from aiohttp import web

from httpproxy.gateway.answer import Answer

QUIET: Final = 0.5  # a client at work sends its next call sooner; one at rest is not hit
LOOK: Final = 0.02  # seconds between looks at the connections
CANCELLING: Final = 1.0  # seconds for handlers whose time is over


class DrainingConnection(web.RequestHandler):
    """A connection that knows when it is at rest."""

    __slots__ = ("_has_begun", "_quiet_since")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._has_begun = False
        self._quiet_since = self._loop.time()
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        waiter = self._waiter
        # Still waiting for a request after these bytes: they are the beginning of one.
        self._has_begun = waiter is not None and not waiter.done()
        self._quiet_since = self._loop.time()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        ending = isinstance(self._manager, DrainingServer) and self._manager.draining
        if ending and isinstance(resp, Answer):
            resp.close = True
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._quiet_since = self._loop.time()

    def end_if_quiet(self, now: float) -> None:
        """Closes the connection if it is at rest, and has been for QUIET seconds."""
        waiter = self._waiter
        if waiter is None or waiter.done() or self._messages or self._has_begun:
            return
        if now - self._quiet_since >= QUIET and not self._unread():
            self.force_close()

    def _unread(self) -> int:
        """How many bytes wait in the system's buffer, not read yet."""
        at = None if self.transport is None else self.transport.get_extra_info("socket")
        if at is None:
            return 0
        counted = fcntl.ioctl(at.fileno(), termios.FIONREAD, b"\0" * 4)
        return int(struct.unpack("i", counted)[0])


class DrainingServer(web.Server):
    """The connections of a gateway."""

    draining = False

    async def drain(self, seconds: float) -> None:
        """Answers what is under way, and returns when no connection is left.

        New connections are accepted no more by then. What takes longer than `seconds` is
        cancelled.
        """
        self.draining = True
        now = self._loop.time()
        deadline = now + seconds
        while self.connections and now < deadline:
            for connection in self.connections:
                if isinstance(connection, DrainingConnection):
                    connection.end_if_quiet(now)
            await asyncio.sleep(LOOK)
            now = self._loop.time()
        await self.shutdown(CANCELLING)
