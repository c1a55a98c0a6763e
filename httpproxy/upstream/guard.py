"""No connection into the operator's own networks by a name that somebody else gave.

Whoever may name a server (an API's DNS, and a user's webhook, OAuth or database
address) could name one of ours: a database without a password, a cloud's metadata.
So a name is resolved here, every address that it has is checked, and the connection
goes to an address that was checked, never to the name once more: an answer of the DNS
that is another one the next time is checked the next time. What the operator names in
the settings is trusted.

    HTTP        `guarded_connector`; follow no redirects (allow_redirects=False), since
                the next place is the answerer's choice; whatever it names is checked,
                but it would get our request
    a database  `httpproxy.store.destinations`, with `look_up` for its host
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from httpproxy.upstream.addresses import prohibited

log = logging.getLogger(__name__)

AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]
_NAMED: Final = 253  # characters of a host name, at most


class Prohibited(OSError):
    """`host` leads to an address that is not to be connected to; `why` says what it is.

    An OSError, so that it passes through aiohttp as the failure to connect that it is.
    """

    def __init__(self, host: str, why: str) -> None:
        super().__init__(f"{host[:_NAMED]} leads to an address that is {why}")
        self.host, self.why = host, why


class CheckedResolver(AbstractResolver):
    """Resolves names, and raises Prohibited if any address of one is prohibited.

    Names and IP addresses in `trusted` are not checked. Any address, and not every one:
    a name with a public and a private address is one that somebody tampers with.
    """

    def __init__(self, resolver: AbstractResolver, trusted: Collection[str] = ()) -> None:
        self._resolver = resolver
        self._trusted = frozenset(trusted)
        self._vouched: set[str] = set()  # what trusted names lead to and others may not

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Every address of the name. Raises Prohibited, OSError."""
        found = await self._resolver.resolve(host, port, family)
        if host in self._trusted:
            self._vouched.update(each["host"] for each in found if prohibited(each["host"]))
            return found
        for each in found:
            _require(host, each["host"])
        return found

    async def close(self) -> None:
        """Closes what it resolves with."""
        await self._resolver.close()

    def socket(self, info: AddressInfo) -> socket.socket:
        """A socket for one address: aiohttp asks for it at each connect. This is where
        addresses come by that were never a name. Raises Prohibited."""
        family, kind, protocol, _, where = info
        address = where[0]
        if address not in self._trusted and address not in self._vouched:
            _require(address, address)
        return socket.socket(family, kind, protocol)


def _require(host: str, address: str) -> None:
    why = prohibited(address)
    if why:
        log.warning("not connected: %s leads to %s, which is %s", host, address, why)
        raise Prohibited(host, why)


def guarded_connector(
    trusted: Collection[str] = (), resolver: AbstractResolver | None = None, **options: Any
) -> aiohttp.TCPConnector:
    """A connector that connects to checked addresses alone; `options` are aiohttp's.

    Nothing is added to a call on an open connection. Call it where a loop runs.
    """
    checked = CheckedResolver(resolver or aiohttp.ThreadedResolver(), trusted)
    return aiohttp.TCPConnector(resolver=checked, socket_factory=checked.socket, **options)


async def look_up(
    host: str,
    port: int,
    *,
    getaddrinfo: Callable[..., Any] | None = None,
) -> Sequence[str]:
    """The addresses of a host, a name or an IP address, each of them checked.

    Raises Prohibited, OSError. Connect to one of these and not to the name.
    """
    ask = getaddrinfo or asyncio.get_running_loop().getaddrinfo
    found = await ask(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
    for address in addresses:
        _require(host, address)
    return addresses
