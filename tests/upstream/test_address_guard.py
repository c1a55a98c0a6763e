"""No name and no address leads a connection into the operator's own networks."""

from __future__ import annotations

import socket

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver
from hypothesis import given
from hypothesis import strategies as st
from neighbours.recorder import Recorder, http

from httpproxy.upstream import guard
from httpproxy.upstream.addresses import prohibited
from httpproxy.upstream.client import UpstreamClient
from httpproxy.upstream.errors import AddressProhibited
from httpproxy.upstream.guard import Prohibited, guarded_connector, look_up
from providers.http import Request, headers

HOST = "api.airtable.com"
PRIVATE = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200",
    "127.0.0.1", "127.255.0.1", "168.63.129.16", "169.254.169.254", "172.16.0.1",
    "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1",
    "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:a9fe:a9fe",
    "::ffff:10.0.0.1", "::ffff:0:10.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1", "2001::1", "2001:0:7f00:1::", "2001:db8::1", "2002:7f00:1::",
    "2002:a9fe:a9fe::1", "2002:808:808::1", "3fff::1", "5f00::1", "100::1", "fc00::1",
    "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "2606:4700::1%1", "fec0::1", "ff02::1",
    "4000::1", "", "localhost", "127.1", "2130706433", "0x7f.1", "017700000001", "1.1.1.1 ",
    "8.8.8.8/32", "\u0661.1.1.1",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
    "126.255.255.255", "128.0.0.1", "168.63.129.17", "172.15.255.255", "172.32.0.0",
    "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
    "2606:4700::6810:84e5", "2a00:1450:4001:830::200e", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_on_the_open_internet_is_prohibited(address: str) -> None:
    assert prohibited(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_on_the_open_internet_is_not(address: str) -> None:
    assert prohibited(address) == ""


@given(st.ip_addresses())
def test_nothing_passes_that_the_system_itself_calls_private(address) -> None:
    if not address.is_global or address.is_multicast:
        tunnelled = address.version == 6 and (
            address.ipv4_mapped or str(address)[:5] == "64:ff"
        )
        assert prohibited(str(address)) or tunnelled


class Names(AbstractResolver):
    """A DNS that gives these answers, one after another; the last one again and again."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers, self.asked = list(answers), 0

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET):
        self.asked += 1
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            {
                "hostname": host,
                "host": address,
                "port": port,
                "family": socket.AF_INET6 if ":" in address else socket.AF_INET,
                "proto": 0,
                "flags": 0,
            }
            for address in addresses
        ]

    async def close(self) -> None:
        self.answers = [[]]


def refused(error: aiohttp.ClientConnectorError) -> bool:
    return isinstance(error.os_error, Prohibited)


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["1.1.1.1", "127.0.0.1"], ["::1"]])
async def test_a_name_is_not_connected_to_if_any_of_its_addresses_is_private(
    addresses: list[str], upstream: Recorder
) -> None:
    connector = guarded_connector(resolver=Names(addresses))
    async with aiohttp.ClientSession(connector=connector) as session:  # noqa: TID251
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await session.get(upstream.url.replace("127.0.0.1", "hook.example"))
    assert refused(caught.value)
    assert upstream.seen == []


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254"]
)
async def test_an_address_that_was_never_a_name_is_checked_too(
    host: str, upstream: Recorder
) -> None:
    port = upstream.url.rpartition(":")[2]
    async with aiohttp.ClientSession(connector=guarded_connector()) as session:  # noqa: TID251
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await session.get(f"http://{host}:{port}/")
    assert refused(caught.value)
    assert upstream.seen == []


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0177.0.0.1", "127.0.0.1.", "0"])
async def test_other_spellings_of_an_address_lead_nowhere(
    host: str, upstream: Recorder
) -> None:
    port = upstream.url.rpartition(":")[2]
    async with aiohttp.ClientSession(connector=guarded_connector()) as session:  # noqa: TID251
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"http://{host}:{port}/")
    assert upstream.seen == []


@pytest.fixture
def public_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.1 counts as public, so that something public can be connected to."""

    def but_one(address: str) -> str:
        return "" if address == "127.0.0.1" else prohibited(address)

    monkeypatch.setattr(guard, "prohibited", but_one)


async def test_a_name_that_changes_its_answer_is_checked_at_each_connect(
    public_loopback: None, upstream: Recorder
) -> None:
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    connector = guarded_connector(resolver=names, force_close=True, use_dns_cache=False)
    url = upstream.url.replace("127.0.0.1", "hook.example")
    async with aiohttp.ClientSession(connector=connector) as session:  # noqa: TID251
        async with session.get(url) as answer:
            assert answer.status == 200
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await session.get(url)
    assert refused(caught.value)
    assert len(upstream.seen) == 1


async def test_the_connection_goes_to_the_address_that_was_checked_and_asks_no_more(
    public_loopback: None, upstream: Recorder
) -> None:
    """Checked once and then resolved again by whoever connects: that is how rebinding wins."""
    names = Names(["127.0.0.1"], ["127.0.0.2"])
    url = upstream.url.replace("127.0.0.1", "hook.example")
    connector = guarded_connector(resolver=names)
    async with (
        aiohttp.ClientSession(connector=connector) as session,  # noqa: TID251
        session.get(url) as answer,
    ):
        assert answer.status == 200
    assert names.asked == 1


async def test_a_redirect_into_the_own_network_leads_nowhere(
    public_loopback: None, upstream: Recorder
) -> None:
    port = upstream.url.rpartition(":")[2]
    upstream.replies.append(http(302, ("Location", f"http://127.0.0.2:{port}/metadata")))
    connector = guarded_connector(resolver=Names(["127.0.0.1"]))
    url = upstream.url.replace("127.0.0.1", "hook.example")
    async with aiohttp.ClientSession(connector=connector) as session:  # noqa: TID251
        with pytest.raises(aiohttp.ClientConnectorError) as caught:
            await session.get(url)
    assert refused(caught.value)
    assert upstream.targets() == ["/"]


async def test_what_the_operator_names_is_trusted_and_nothing_else_for_it(
    upstream: Recorder,
) -> None:
    names = Names(["127.0.0.1"])
    connector = guarded_connector(["stand-in.internal"], names)
    async with aiohttp.ClientSession(connector=connector) as session:  # noqa: TID251
        async with session.get(
            upstream.url.replace("127.0.0.1", "stand-in.internal")
        ) as answer:
            assert answer.status == 200
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(upstream.url.replace("127.0.0.1", "other.example"))
    assert len(upstream.seen) == 1


def client(origins: dict[str, str]) -> UpstreamClient:
    return UpstreamClient(
        origins=origins, connect_timeout=60.0, timeout=60.0, max_response_bytes=1_000_000
    )


async def test_an_apis_name_that_leads_into_the_own_network_is_refused_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(aiohttp, "ThreadedResolver", lambda: Names(["10.0.0.7"]))
    call = Request("POST", HOST, "/v0/x?q=hidden", headers(("Authorization", "Bearer patX")))
    async with client({}) as poisoned:
        with pytest.raises(AddressProhibited) as caught:
            await poisoned.send(call)
    error = caught.value
    assert (error.sent, error.proxy_error) == ("no", "destination_ip_prohibited")
    assert f'upstreams: {{"{HOST}": "https://{HOST}"}}' in error.detail
    assert "10.0.0.7" not in error.detail, "who calls need not know our networks"
    assert "hidden" not in error.detail


async def test_an_apis_name_that_the_operator_names_may_lead_anywhere(
    monkeypatch: pytest.MonkeyPatch, upstream: Recorder
) -> None:
    monkeypatch.setattr(aiohttp, "ThreadedResolver", lambda: Names(["127.0.0.1"]))
    port = upstream.url.rpartition(":")[2]
    async with client({HOST: f"http://{HOST}:{port}"}) as private_link:
        answer = await private_link.send(Request("GET", HOST, "/v0/x", headers()))
    assert answer.status == 200


async def test_a_server_of_the_operator_is_reached_by_its_ipv6_address() -> None:
    async with client({HOST: "http://[::1]:9"}) as opened:
        with pytest.raises(Exception) as caught:  # noqa: PT011  refused, or no IPv6 here
            await opened.send(Request("GET", HOST, "/v0/x", headers()))
    assert not isinstance(caught.value, AddressProhibited)


async def test_look_up_gives_checked_addresses_or_none() -> None:
    assert await look_up("8.8.8.8", 443) == ["8.8.8.8"]
    for host in ("127.0.0.1", "::1", "localhost", "127.1", "2130706433"):
        with pytest.raises(Prohibited):
            await look_up(host, 5432)

    async def both(host: str, port: int, **_: object) -> list[object]:
        return [(0, 0, 0, "", ("8.8.8.8", port)), (0, 0, 0, "", ("192.168.0.9", port))]

    with pytest.raises(Prohibited, match=r"db\.example leads to an address that is private"):
        await look_up("db.example", 5432, getaddrinfo=both)
