"""Which headers travel on."""

import pytest
from multidict import CIMultiDict

from httpproxy.exchange.messages.headers import forwarded, returned
from httpproxy.exchange.problems import Rejected


def sent(*pairs, body_length=0):
    return list(forwarded(CIMultiDict(pairs), body_length, "here").items())


def test_unknown_headers_travel_on_in_order_and_repeated():
    pairs = [("X-A", "1"), ("Accept", "x"), ("x-a", "2"), ("traceparent", "00-ab-cd-01")]
    assert sent(*pairs) == [*pairs, ("Via", "1.1 here")]


@pytest.mark.parametrize(
    "name",
    [
        "Connection", "Keep-Alive", "Proxy-Connection", "TE", "Upgrade", "Trailer",
        "Proxy-Authorization", "Host", "Expect", "Forwarded", "X-Forwarded-For",
        "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "HTTP2-Settings",
    ],
)  # fmt: skip
def test_what_belongs_to_this_hop_stays_here(name):
    assert sent((name, "x"), ("Accept", "y")) == [("Accept", "y"), ("Via", "1.1 here")]


def test_headers_that_connection_names_stay_here():
    pairs = (("Connection", "close, X-Hop"), ("X-Hop", "1"), ("x-hop", "2"), ("X-End", "3"))
    assert sent(*pairs) == [("X-End", "3"), ("Via", "1.1 here")]


@pytest.mark.parametrize("name", ["Authorization", "content-type", "HOST", "Content-Length"])
def test_connection_cannot_be_used_to_drop_what_the_call_means(name):
    with pytest.raises(Rejected) as caught:
        sent(("Connection", f"keep-alive, {name}"), (name, "x"))
    assert caught.value.code == "bad_header"


@pytest.mark.parametrize(
    "name", ["X-HTTP-Method-Override", "x-http-method", "X-METHOD-OVERRIDE"]
)
def test_no_other_method_is_smuggled_past_what_was_understood(name):
    with pytest.raises(Rejected) as caught:
        sent((name, "DELETE"))
    assert caught.value.code == "bad_header"


def test_a_chunked_body_gets_a_content_length():
    pairs = sent(("Transfer-Encoding", "chunked"), body_length=12)
    assert pairs == [("Content-Length", "12"), ("Via", "1.1 here")]


def test_via_is_appended_to_and_our_own_mark_is_a_loop():
    assert ("Via", "1.0 a, 1.1 b, 1.1 here") in sent(("Via", "1.0 a"), ("Via", "1.1 b"))
    with pytest.raises(Rejected) as caught:
        sent(("Via", "1.0 a, 1.1 here (comment)"))
    assert caught.value.code == "loop_detected"


def test_a_value_that_is_not_utf8_is_refused_because_it_could_not_travel_unchanged():
    assert ("X", "caf\u00e9") in sent(("X", "caf\u00e9"))
    with pytest.raises(Rejected) as caught:
        sent(("X", b"caf\xe9".decode("utf-8", "surrogateescape")))
    assert caught.value.code == "bad_header"


def test_answers_keep_repeated_cookies_and_lose_only_the_listed_headers():
    upstream = CIMultiDict(
        [
            ("Set-Cookie", "a=1"),
            ("Set-Cookie", "b=2"),
            ("Date", "x"),
            ("Server", "y"),
            ("Alt-Svc", "h3"),
            ("X-Accel-Redirect", "/secret"),
            ("x-accel-anything", "1"),
            ("Httpproxy-Commit", "applied"),
            ("Connection", "X-Hop"),
            ("X-Hop", "1"),
            ("Transfer-Encoding", "chunked"),
            ("Location", "https://api.airtable.com/x"),
        ]
    )
    assert list(returned(upstream).items()) == [
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("Date", "x"),
        ("Server", "y"),
        ("Location", "https://api.airtable.com/x"),
    ]
