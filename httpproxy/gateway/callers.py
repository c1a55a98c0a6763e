"""Which client a request comes from: the peer, or whom a trusted proxy speaks for.

Only what limits clients asks for it; no API is ever told. A proxy is believed by its
address, and what it says is read from the right, where the last proxy has written: what
stands further left may have been sent by the client itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

X_FORWARDED_FOR: Final = "X-Forwarded-For"
_PREFIX_V6: Final = 64  # what one customer of a provider has at least


class TrustedProxies:
    """The proxies that are believed, by address or network. Raises ValueError."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ip_network(each) for each in networks]

    def trusts(self, peer: str) -> bool:
        """Whether this address is a proxy's; a socket without one is local, and trusted."""
        address = _parsed(peer)
        if address is None:
            return peer == ""
        return any(
            address.version == network.version and address in network
            for network in self._networks
        )

    def caller(self, peer: str, forwarded_for: Iterable[str]) -> str:
        """The client behind a connection from `peer`, as a key to count by.

        `forwarded_for` are the values of X-Forwarded-For. Addresses of IPv6 that one
        customer may choose from are one key.
        """
        hops = [hop for value in forwarded_for for hop in value.split(",")]
        nearest = peer
        while hops and self.trusts(nearest):
            hop = _parsed(hops.pop())
            if hop is None:
                break
            nearest = str(hop)
        return key_of(nearest)


def key_of(peer: str) -> str:
    """What an address is counted under."""
    address = _parsed(peer)
    if isinstance(address, IPv6Address):
        return str(ip_network((address, _PREFIX_V6), strict=False))
    return str(address or peer)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """An address as proxies write it: bare, in brackets, or with a port; None if none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
