"""The address: what is split, what travels on, what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpproxy.exchange.problems import Rejected
from httpproxy.gateway.address import Address, parse

LIMIT = 17_000


def refused(target: str) -> str:
    with pytest.raises(Rejected) as caught:
        parse(target, LIMIT)
    return caught.value.code


def test_a_target_is_unique_id_host_and_the_rest_as_it_came():
    assert parse(
        "/u1/api.airtable.com/v0/appX/My%20Table%2F%C3%A4?a=%27b%27&c", LIMIT
    ) == Address(
        "u1",
        "api.airtable.com",
        "/v0/appX/My%20Table%2F%C3%A4?a=%27b%27&c",
        "/v0/appX/My%20Table%2F%C3%A4",
    )


@pytest.mark.parametrize(
    "rest",
    ["/v0/app/T/?", "/v0//app", "//v0/app/T", "/a%2Fb", "/a%41%7e~'", "/?", "/", "/v0/a?x=%0A"],
)
def test_what_only_the_api_may_interpret_travels_on_verbatim(rest):
    assert parse(f"/u/h{rest}", LIMIT).target == rest


def test_https_before_the_host_is_tolerated():
    assert parse("/u/https://api.airtable.com/v0/x", LIMIT).host == "api.airtable.com"


def test_the_absolute_form_is_accepted_and_its_authority_ignored():
    assert parse("http://evil.example/u/api.airtable.com/v0", LIMIT).host == "api.airtable.com"


@pytest.mark.parametrize(
    "path",
    [
        "/u/h/../x", "/u/h/./x", "/u/h/%2e%2e/x", "/u/h/.%2E/x", "/u/h/%2e", "/u/h/a/..",
        "/u/h/a%5cb", "/u/h/a%00", "/u/h/a%0ab", "/u/h/a%0Db", "/u/h/%7f", "/u/h/%1f",
        "/u/h/a\\b", "/u/h/a b", '/u/h/"', "/u/h/<a>", "/u/h/{a}", "/u/h/a|b", "/u/h/a^b",
        "/u/h/`", "/u/h/#frag", "/u/h/%zz", "/u/h/%", "/u/h/%4", "/u/h/\u00e4", "/u/h/x?a=%00",
        "ftp://h/u/h/x", "u/h/x", "*",
    ],
)  # fmt: skip
def test_what_two_readers_could_take_differently_is_refused(path):
    assert refused(path) == "bad_target"


@pytest.mark.parametrize("path", ["/", "/u", "/u/", "/u/host", "/u/host?x", "//host/x"])
def test_a_target_without_id_host_and_path_is_an_unknown_address(path):
    assert refused(path) == "unknown_address"


def test_a_dot_inside_a_segment_is_no_dot_segment():
    assert parse("/u/h/...", LIMIT).path == "/..."
    assert parse("/u/h/.well-known/a%2e", LIMIT).path == "/.well-known/a%2e"


def test_a_long_target_is_refused_and_one_at_the_limit_is_not():
    assert parse("/u/h/" + "a" * (LIMIT - 5), LIMIT).host == "h"
    assert refused("/u/h/" + "a" * (LIMIT - 4)) == "target_too_long"


@given(st.text(max_size=200))
def test_any_text_is_an_address_or_a_rejection(text):
    try:
        address = parse(text, LIMIT)
    except Rejected as refusal:
        outcome = refusal.sent == "no"
    else:
        outcome = "/" not in address.host and text.endswith(address.target)
    assert outcome


@given(st.sampled_from(["%2e", "%2E", "."]), st.sampled_from(["", ".", "%2e", "%2E"]))
def test_every_spelling_of_a_dot_segment_is_refused(first, second):
    assert refused(f"/u/h/a/{first}{second}/b") == "bad_target"
