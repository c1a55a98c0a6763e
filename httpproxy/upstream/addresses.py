"""Which IP addresses nobody is sent to by a name or an address that he gave us. Pure.

Only unicast addresses of the open Internet pass. Everything that leads into the
operator's own networks, to the machine itself or to a cloud's metadata is prohibited,
also where it is embedded in an IPv6 address. The table is our own and not Python's
`is_global`, whose answers differ between Python's releases.

Source: the special-purpose address registries of IANA (RFC 6890 and its updates).
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

_V4: Final = {
    IPv4Network(network): why
    for network, why in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by a carrier"),  # and metadata at Alibaba Cloud
        ("127.0.0.0/8", "this machine"),
        ("168.63.129.16/32", "a cloud's metadata"),  # Azure
        ("169.254.0.0/16", "link-local"),  # and metadata at most clouds
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),  # and metadata at Oracle Cloud
        ("192.0.2.0/24", "for documentation"),
        ("192.88.99.0/24", "reserved"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
}
_V6: Final = {
    IPv6Network(network): why
    for network, why in (
        ("::/128", "unspecified"),
        ("::1/128", "this machine"),
        ("2001::/23", "reserved"),  # Teredo among them, which embeds an IPv4 address
        ("2001:db8::/32", "for documentation"),
        ("2002::/16", "6to4"),  # embeds an IPv4 address
        ("3fff::/20", "for documentation"),
        ("64:ff9b:1::/48", "private"),  # translated within one network
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "private"),
        ("ff00::/8", "multicast"),
    )
}
_GLOBAL: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")


@lru_cache(maxsize=4096)
def prohibited(address: str) -> str:
    """Why this address is not to be connected to; "" if it may be.

    `address` is what a resolver gives: an IP address. Anything else is prohibited.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return "no IP address"
    return _v4(parsed) if isinstance(parsed, IPv4Address) else _v6(parsed)


def _v4(address: IPv4Address) -> str:
    return next((why for network, why in _V4.items() if address in network), "")


def _v6(address: IPv6Address) -> str:
    if address.scope_id is not None:
        return "link-local"
    if address.ipv4_mapped is not None:  # the system makes an IPv4 connection of it
        return _v4(address.ipv4_mapped)
    if address in _NAT64:
        return _v4(IPv4Address(int(address) & 0xFFFFFFFF))
    special = next((why for network, why in _V6.items() if address in network), "")
    return special or ("" if address in _GLOBAL else "reserved")
