"""Listening sockets: made here, or handed in by whoever started the process.

A socket that was handed in stays open elsewhere (in the parent of workers, in systemd):
what waits in its queue when this process ends is its successor's. A socket of our own
goes with us, so what waits in its queue at the end is accepted before it is closed.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson

BACKLOG: Final = 1024
SHARES_PORTS: Final = hasattr(socket, "SO_REUSEPORT")

Sockets = tuple[socket.socket, ...]
Factory = Callable[[], asyncio.BaseProtocol]


@dataclass(frozen=True)
class Handed:
    """What a process is handed by the one that started it.

    sockets  listening ones, by door ("gateway", "api")
    worker   its name among the workers of one parent; they meet in `folder`
    parent   a socket to the parent: it is told when we are ready, and when it ends, or has
             no more to say, we are to end; None: there is no parent
    """

    sockets: Mapping[str, Sockets] = field(default_factory=dict)
    worker: str = "0"
    folder: Path | None = None
    parent: socket.socket | None = None

    def spelled(self) -> str:
        """As an argument of the process that inherits the descriptors."""
        sockets = {
            door: [each.fileno() for each in some] for door, some in self.sockets.items()
        }
        parent = None if self.parent is None else self.parent.fileno()
        told = {"sockets": sockets, "worker": self.worker, "parent": parent}
        return orjson.dumps({**told, "folder": f"{self.folder}"}).decode()

    def descriptors(self) -> list[int]:
        """What the process has to inherit."""
        sockets = [each.fileno() for some in self.sockets.values() for each in some]
        return sockets if self.parent is None else [*sockets, self.parent.fileno()]


def handed(spelled: str) -> Handed:
    """What `Handed.spelled` says, in the process that inherited it. Raises OSError."""
    told = orjson.loads(spelled)
    return Handed(
        sockets={door: adopted(numbers) for door, numbers in told["sockets"].items()},
        worker=told["worker"],
        folder=Path(told["folder"]),
        parent=socket.socket(fileno=told["parent"]),
    )


def given(descriptors: Mapping[str, Sequence[int]]) -> dict[str, Sockets]:
    """Sockets from systemd, by its names, as those of our doors: what is called "api" is
    the second one's, everything else the gateway's. Raises OSError."""
    found: dict[str, Sockets] = {}
    for name, numbers in descriptors.items():
        door = "api" if name == "api" else "gateway"
        found[door] = (*found.get(door, ()), *adopted(numbers))
    return found


def adopted(descriptors: Sequence[int]) -> Sockets:
    """Inherited descriptors as the sockets that they are. Raises OSError."""
    found = tuple(socket.socket(fileno=number) for number in descriptors)
    for each in found:
        each.setblocking(False)
    return found


def listen(host: str, port: int, *, shared: bool = False) -> Sockets:
    """Sockets that listen on all addresses of a host name, on one port.

    Port 0 is one that is free. With `shared`, others may listen on the same port, each with
    a queue of its own (SHARES_PORTS). Raises OSError.
    """
    kind = socket.SOCK_STREAM
    found = socket.getaddrinfo(host or None, port, type=kind, flags=socket.AI_PASSIVE)
    made: list[socket.socket] = []
    try:
        for family, _, protocol, _, address in dict.fromkeys(found):
            where = (address[0], port, *address[2:])
            made.append(_listening(socket.socket(family, kind, protocol), where, shared))
            port = made[0].getsockname()[1]
    except OSError:
        for each in made:
            each.close()
        raise
    return tuple(made)


def _listening(made: socket.socket, where: tuple[object, ...], shared: bool) -> socket.socket:
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if made.family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.setblocking(False)
        made.bind(where)
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        said = f"error while attempting to bind on address {where!r}: {error.strerror}"
        raise OSError(error.errno, said) from error
    return made


def port_of(sockets: Sequence[socket.socket]) -> int:
    """The port that sockets listen on."""
    port: int = sockets[0].getsockname()[1]
    return port


@asynccontextmanager
async def accepting(factory: Factory, sockets: Sequence[socket.socket]) -> AsyncIterator[None]:
    """Makes a protocol for every connection while the block runs.

    What is in the queues at the end is accepted, and the sockets are closed: where others
    hold them too (a parent, a successor, systemd), theirs stay open.
    """
    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(factory, sock=each.dup(), backlog=BACKLOG) for each in sockets
    ]
    try:
        yield
    finally:
        for server in servers:
            server.close()
        for each in sockets:
            await _accept_the_rest(loop, factory, each)
            each.close()


async def _accept_the_rest(
    loop: asyncio.AbstractEventLoop, factory: Factory, listening: socket.socket
) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:  # there are no more
            return
        connection.setblocking(False)
        await loop.connect_accepted_socket(factory, connection)
