"""Who a request comes from: only a trusted proxy is believed when it says for whom it calls."""

from __future__ import annotations

import pytest

from httpproxy.gateway.callers import TrustedProxies, key_of

NGINX = TrustedProxies(("127.0.0.0/8", "::1", "10.0.0.0/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "caller"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("127.0.0.1", ["1.1.1.1, 198.51.100.7"], "198.51.100.7"),
        ("127.0.0.1", ["1.1.1.1", "198.51.100.7"], "198.51.100.7"),
        ("127.0.0.1", ["1.1.1.1, 198.51.100.7, 10.1.2.3"], "198.51.100.7"),
        ("127.0.0.1", ["198.51.100.7:4711"], "198.51.100.7"),
        ("127.0.0.1", ["[2001:db8:1:2:3::4]:4711"], "2001:db8:1:2::/64"),
        ("127.0.0.1", ["2001:db8:1:2:3::5"], "2001:db8:1:2::/64"),
        ("127.0.0.1", ["::ffff:198.51.100.7"], "198.51.100.7"),
        ("127.0.0.1", ["1.1.1.1, unknown"], "127.0.0.1"),
        ("127.0.0.1", [""], "127.0.0.1"),
        ("::ffff:127.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("::1", ["fe80::1%eth0"], "fe80::/64"),
        ("", ["198.51.100.7"], "198.51.100.7"),
    ],
)
def test_a_caller_is_the_nearest_address_that_is_no_trusted_proxy(
    peer: str, forwarded: list[str], caller: str
) -> None:
    assert NGINX.caller(peer, forwarded) == caller


def test_who_trusts_nobody_counts_its_peers() -> None:
    nobody = TrustedProxies(())
    assert nobody.caller("127.0.0.1", ["198.51.100.7"]) == "127.0.0.1"
    assert not nobody.trusts("127.0.0.1")


def test_what_is_no_address_is_counted_under_its_own_name() -> None:
    assert key_of("") == ""
    assert key_of("nonsense") == "nonsense"


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(ValueError, match="nginx"):
        TrustedProxies(("nginx",))
