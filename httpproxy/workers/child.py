"""One worker process as its parent sees it, and the parent as a worker sees it.

They share a pair of sockets. The worker says READY on it; its end of it closing tells the
worker to drain and leave. So it is told, too, when the parent is killed, and a signal that
somebody sends to all processes at once (a terminal, systemd) is never taken for a second.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

READY: Final = b"ready"


@dataclass
class Child:
    """A running worker process. Made by `spawn`."""

    process: asyncio.subprocess.Process
    line: socket.socket
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def alive(self) -> bool:
        return self.process.returncode is None

    async def hear(self) -> None:
        """Waits for the worker's word, or for its end without one."""
        loop = asyncio.get_running_loop()
        try:
            said = await loop.sock_recv(self.line, len(READY))
        except OSError:
            return
        if said == READY:
            self.ready.set()

    async def until_ready(self, seconds: float) -> bool:
        """Whether the worker serves, within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self.hear()
        except TimeoutError:
            return False
        return self.ready.is_set()

    def dismiss(self) -> None:
        """Asks it to finish its calls and to leave."""
        with suppress(OSError):  # it was asked before, or is gone
            self.line.shutdown(socket.SHUT_RDWR)

    async def until_gone(self, seconds: float) -> None:
        """Waits for its end; then it is killed."""
        try:
            async with asyncio.timeout(seconds):
                await self.process.wait()
        except TimeoutError:
            self.kill()
            await self.process.wait()
        finally:
            self.line.close()

    def kill(self) -> None:
        if self.alive:
            self.process.kill()


async def spawn(command: Sequence[str], inherited: Sequence[int], line: socket.socket) -> Child:
    """Starts a worker that inherits these descriptors; `line` is our end of the pair.

    In a session of its own: Ctrl-C in our terminal is for us to pass on.
    """
    process = await asyncio.create_subprocess_exec(
        *command, pass_fds=tuple(inherited), stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    line.setblocking(False)
    return Child(process, line)


def same_program(arguments: Sequence[str]) -> list[str]:
    """The command that runs this program with other arguments."""
    # -P: a folder called httpproxy where it is started is not it.
    return [sys.executable or "python3", "-P", "-m", "httpproxy", *arguments]


def say_ready(parent: socket.socket) -> None:
    """Tells the parent that this worker serves."""
    with suppress(OSError):  # it is gone, which is heard in another way
        parent.send(READY)


def when_dismissed(parent: socket.socket, stop: asyncio.Event) -> None:
    """Has `stop` set when the parent wants this worker to end, or is gone."""
    loop = asyncio.get_running_loop()

    def hear() -> None:
        try:
            said = parent.recv(16)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if not said:
            loop.remove_reader(parent)
            stop.set()

    parent.setblocking(False)
    loop.add_reader(parent, hear)
