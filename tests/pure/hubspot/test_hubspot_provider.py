"""HubSpot's own ways: whose token, how long to wait, how it says no."""

from __future__ import annotations

import gzip

import orjson
import pytest
from hubspot_portal import Portal

from providers.http import Request, Response, headers
from providers.hubspot.provider import HUBSPOT, identify, pause, refusal
from providers.hubspot.sandbox.kit import (
    OAUTH_TOKEN,
    OTHER_TOKEN,
    READ_ONLY_TOKEN,
    TOKEN,
)
from providers.spec import Refused, Unrecognised


@pytest.mark.parametrize(
    ("token", "portal"),
    [
        (TOKEN, "48000001"),
        (READ_ONLY_TOKEN, "48000001"),
        (OAUTH_TOKEN, "48000001"),
        (OTHER_TOKEN, "48000002"),
    ],
)
def test_a_token_leads_to_its_portal(token: str, portal: str):
    assert Portal().converse(identify(token)) == portal


def test_private_apps_and_oauth_apps_ask_in_different_places():
    private = next(identify(TOKEN))
    assert (private.method, private.path) == (
        "POST",
        "/oauth/v2/private-apps/get/access-token-info",
    )
    assert orjson.loads(private.body) == {"tokenKey": TOKEN}
    oauth = next(identify("CKzy/+x=="))
    assert (oauth.method, oauth.target) == ("GET", "/oauth/v1/access-tokens/CKzy%2F%2Bx%3D%3D")


@pytest.mark.parametrize("token", ["pat-na1-no-such", "CNoSuchToken"])
def test_a_token_that_hubspot_does_not_know_is_unrecognised(token: str):
    with pytest.raises(Unrecognised):
        Portal().converse(identify(token))


@pytest.mark.parametrize("token", ["", "..", ".", "a b", "é", "a\n", "x" * 5000])
def test_what_is_no_token_is_not_asked_about(token: str):
    with pytest.raises(Unrecognised):
        next(identify(token))


@pytest.mark.parametrize("status", [400, 401, 404])
def test_hubspots_no_means_unrecognised(status: int):
    conversation = identify(TOKEN)
    next(conversation)
    with pytest.raises(Unrecognised):
        conversation.send(Response(status))


@pytest.mark.parametrize("status", [403, 429, 500, 502])
def test_other_trouble_says_nothing_of_the_token(status: int):
    conversation = identify(TOKEN)
    next(conversation)
    with pytest.raises(Refused):
        conversation.send(Response(status, body=b"<html>"))


def test_an_answer_without_a_portal_recognises_nobody():
    conversation = identify(TOKEN)
    next(conversation)
    with pytest.raises(Unrecognised):
        conversation.send(Response(200, body=b'{"hubId": null}'))


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ({"policyName": "TEN_SECONDLY_ROLLING"}, 10.0),
        ({"policyName": "SECONDLY"}, 1.0),
        ({"policyName": "DAILY"}, None),
        ({"message": "You have reached your ten_secondly_rolling limit."}, 10.0),
        ({"message": "You have reached your secondly limit."}, 1.0),
        ({"message": "You have reached your daily limit."}, None),
        ({"policyName": "SOMETHING_NEW"}, 10.0),
        ({}, 10.0),
        ([], 10.0),
        ({"policyName": ["SECONDLY"], "message": 7}, 10.0),
    ],
)
def test_a_429_asks_for_a_pause_by_its_policy(body: object, seconds: float | None):
    assert pause(Response(429, body=orjson.dumps(body))) == seconds
    packed = gzip.compress(orjson.dumps(body))
    assert pause(Response(429, headers(("Content-Encoding", "gzip")), packed)) == seconds


def test_pauses_beside_429():
    assert pause(Response(429, body=b"<html>")) == 10.0
    assert [pause(Response(status)) for status in (200, 404, 423, 477, 500, 503)] == [None] * 6


def test_the_simulators_429_is_understood():
    portal = Portal(requests_per_ten_seconds=1)
    portal.step = 0.0
    portal.call("GET", "/crm/v3/owners")
    refused = portal.send(Request("GET", "api.hubapi.com", "/crm/v3/owners"))
    assert (refused.status, pause(refused)) == (429, 10.0)


def test_the_credential_becomes_the_one_authorization():
    request = Request(
        "POST",
        "api.hubapi.com",
        "/x?y",
        headers(("X-A", "1"), ("authorization", "Bearer old"), ("X-A", "2")),
        b"body",
    )
    sent = HUBSPOT.authorize(request, "new")
    assert list(sent.headers.items()) == [
        ("X-A", "1"),
        ("Authorization", "Bearer new"),
        ("X-A", "2"),
    ]
    assert (sent.target, sent.body) == ("/x?y", b"body")


def test_our_refusal_has_what_the_clients_show():
    assert refusal(504, "permit_timeout", "No permit in time.", "r-1") == {
        "status": "error",
        "message": "No permit in time.",
        "category": "PERMIT_TIMEOUT",
        "correlationId": "r-1",
    }


def test_the_description_is_whole():
    assert HUBSPOT.hosts == ("api.hubapi.com",)
    assert HUBSPOT.host_hints == {"api.hubspot.com": "api.hubapi.com"}
    rates = {b.name: (b.allowed_requests, b.interval) for b in HUBSPOT.budgets}
    assert rates == {"standard": (100, 10.0), "search": (5, 1.0)}
    assert HUBSPOT.account_variable is None
    assert [k.name for k in HUBSPOT.credential_kinds] == [
        "hubspot_private_app",
        "hubspot_oauth2",
    ]
