"""Whatever a client sends, it reaches the host and the account that it named, or nothing."""

from __future__ import annotations

import re
from functools import cache
from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from httpproxy.exchange.messages import headers as travelling
from httpproxy.exchange.problems import Rejected
from httpproxy.gateway.address import parse
from httpproxy.upstream import wire
from httpproxy.upstream.client import UpstreamClient
from httpproxy.upstream.errors import Unsendable
from providers.catalog import PROVIDERS
from providers.http import Request, headers
from providers.routing import Router

QUICK = settings(deadline=None, database=None, max_examples=300)
HOSTS = [host for provider in PROVIDERS.values() for host in provider.hosts]
LIMIT = 17_000

# Pieces of which people have made targets that two readers take differently.
PIECES = st.sampled_from([
    "/", "//", "\\", "%2f", "%2F", "%5c", "%252f", "..", ".", "%2e%2e", "%2e", ";", "@", ":",
    ":443", "?", "#", "%23", "%3f", "%00", "%0a", "%0d%0a", "\r\n", "\t", " ", "%20", "[", "]",
    "[::1]", "127.0.0.1", "169.254.169.254", "localhost", "evil.example", ".evil.example",
    "https://", "http://", "HTTPS://", "//evil.example", "user:pass@", *HOSTS,
    *(host.upper() for host in HOSTS), *(host + "." for host in HOSTS), "u1", "v0", "crm",
    "appX", "\u0430pi.airtable.com", "api。airtable。com", "%E2%80%AE", "\x7f", "=", "&", "+",
])  # fmt: skip
TARGETS = st.lists(PIECES | st.text(max_size=3), max_size=12).map("".join).map("/u1/".__add__)


@cache
def client() -> UpstreamClient:
    """Only for the address that it would call; it is never opened."""
    return UpstreamClient(
        origins={}, connect_timeout=1.0, timeout=1.0, max_response_bytes=1_000
    )


@QUICK
@given(TARGETS)
@example("/u1/api.hubapi.com.evil.com/x")
@example("/u1/api.hubapi.com@evil.com/x")
@example("/u1/api.hubapi.com:443/x")
@example("/u1/https://api.airtable.com//evil.example/x")
@example("/u1/api.airtable.com/\\evil.example")
@example("http://evil.example/u1/api.airtable.com/v0")
def test_a_call_goes_to_the_very_host_that_stands_in_the_path_or_nowhere(target: str) -> None:
    try:
        address = parse(target, LIMIT)
    except Rejected:  # which is said before anything is sent
        return
    if address.host not in HOSTS:  # what the directory asks: byte for byte
        return
    written = f"/{address.unique_id}/{address.host}{address.target}"
    assert written in (target, re.sub("/https://", "/", target, count=1)) or "://" in target
    url = client()._url(Request("GET", address.host, address.target, headers()))
    assert (url.scheme, url.host, url.port) == ("https", address.host, 443)
    assert (url.user, url.password, url.fragment) == (None, None, "")
    assert str(url) == f"https://{address.host}{address.target}"
    assert url.raw_path_qs == address.target
    wire.headers_for(Request("GET", address.host, address.target, headers()))


@QUICK
@given(TARGETS, st.sampled_from(["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS"]))
@pytest.mark.parametrize("name", PROVIDERS)
def test_a_route_takes_its_variables_from_the_path_and_makes_up_nothing(
    name: str, target: str, method: str
) -> None:
    router = Router(PROVIDERS[name])
    try:
        address = parse(target, LIMIT)
    except Rejected:
        return
    for host in (*HOSTS, address.host):
        match = router.match(method, host, address.path)
        if match is None:
            continue
        assert host in PROVIDERS[name].hosts
        readable = unquote(address.path, errors="replace")
        assert all(value in readable for value in match.variables.values())


@QUICK
@given(base=st.text(max_size=20) | st.sampled_from(["appA", "appB", "appA%", "appa", "appA\0"]))
def test_only_the_syncs_own_base_is_taken_for_it_in_whatever_spelling(base: str) -> None:
    """Two syncs, swapped and mangled: the base that the API reads is the one that we read."""
    router = Router(PROVIDERS["airtable"])
    path = f"/v0/{quote(base, safe='')}/Tasks"
    match = router.match("GET", "api.airtable.com", path)
    if match is None or match.route.path.split("/")[2] != "{base}":
        return
    ours = match.variables[PROVIDERS["airtable"].account_variable or ""] == "appA"
    assert ours == (base == "appA")


NAMES = st.sampled_from([
    "Host", "host", "Connection", "Transfer-Encoding", "transfer-encoding", "Content-Length",
    "Authorization", "Cookie", "X-Forwarded-For", "Forwarded", "Expect", "Upgrade", "TE",
    "Trailer", "Keep-Alive", "Proxy-Authorization", "Via", "X-Accel-Redirect", "X-A", "x-a",
    "Httpproxy-Commit", "Content-Type", "Content-Encoding", "Idempotency-Key",
]) | st.text(min_size=1, max_size=6)  # fmt: skip
VALUES = st.sampled_from([
    "", "close", "keep-alive", "X-A", "Authorization", "chunked", "gzip, chunked", "0", "5",
    "1.1 httpproxy", "1.1 other", "a\r\nX-Evil: 1", "a\nb", "a\0b", "a\x7f", "caf\udce9",
    "\u20ac", "close, X-A, Host", "trailers", ",,,", " ",
]) | st.text(max_size=10)  # fmt: skip
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=8)
OF_A_CONNECTION = {
    "connection",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
NEVER_FORWARDED = OF_A_CONNECTION | {"expect", "forwarded", "x-forwarded-for"}


@QUICK
@given(FIELDS, st.binary(max_size=20))
def test_no_field_splits_a_message_or_belongs_to_another_connection(
    fields: list[tuple[str, str]], body: bytes
) -> None:
    incoming = CIMultiDict(fields)
    try:
        out = travelling.forwarded(incoming, len(body), "httpproxy")
        sent = wire.headers_for(Request("POST", "api.airtable.com", "/v0/x", out, body))
    except (Rejected, Unsendable):
        return
    assert sent.getall("Host") == ["api.airtable.com"]
    assert sent.getall("Content-Length") == [str(len(body))]
    names = {name.lower() for name in sent}
    assert names.isdisjoint(NEVER_FORWARDED)
    for name, value in sent.items():
        assert re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name)
        assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value)
        value.encode()  # nothing that would be lost on the way


@QUICK
@given(FIELDS)
def test_no_field_of_an_answer_speaks_for_this_connection_or_for_us(
    fields: list[tuple[str, str]],
) -> None:
    out = travelling.returned(CIMultiDict(fields))
    names = {name.lower() for name in out}
    assert names.isdisjoint(OF_A_CONNECTION)
    assert not [n for n in names if n.startswith(("x-accel-", "httpproxy-"))]


@QUICK
@given(st.dictionaries(st.text(max_size=5), st.none() | st.text(max_size=5), max_size=3))
def test_what_a_problem_tells_is_json_whatever_it_is_about(members: dict[str, Any]) -> None:
    for provider in PROVIDERS.values():
        shown = provider.refusal(403, "code", f"{members}", "request-1")
        assert isinstance(shown, dict)
