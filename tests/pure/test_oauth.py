"""Token endpoints: what is asked, and how their answers read."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from providers.credentials import AppKeys, Grant
from providers.http import Response, headers
from providers.oauth import asked, basic, read_grant, secrets_in, token_request
from providers.spec import Refused


def answer(status: int, body: Any) -> Response:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return Response(status, headers(("Content-Type", "application/json")), content)


def test_a_grant_is_read_with_its_tokens_and_its_life():
    grant = read_grant(
        answer(200, {"access_token": "a", "refresh_token": "r", "expires_in": 3600})
    )
    assert grant == Grant("a", "r", 3600.0)
    assert repr(grant) == "Grant(expires_in=3600.0)"


@pytest.mark.parametrize(
    ("told", "seconds"),
    [("1800", 1800.0), (0, None), (-5, None), (True, None), ("soon", None), (None, None)],
)
def test_a_life_that_is_no_number_of_seconds_is_not_known(told: Any, seconds: float | None):
    body = {"access_token": "a", "expires_in": told}
    assert read_grant(answer(200, body)) == Grant("a", None, seconds)


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        [],
        {},
        {"access_token": ""},
        {"access_token": 5},
        {"access_token": "two\r\nlines"},
        {"access_token": "a", "refresh_token": 7},
    ],
)
def test_a_good_answer_without_a_token_is_refused_and_spends_nothing(body: Any):
    with pytest.raises(Refused) as caught:
        read_grant(answer(200, body))
    assert not caught.value.spent


@pytest.mark.parametrize(
    "body",
    [
        {"error": "invalid_grant", "error_description": "used"},
        {"status": "BAD_REFRESH_TOKEN", "message": "used"},
        {"error": "odd", "status": "BAD_REFRESH_TOKEN", "message": "used"},
    ],
)
def test_a_grant_that_is_gone_has_to_be_given_anew(body: Any):
    with pytest.raises(Refused, match="authorise the app again") as caught:
        read_grant(answer(400, body))
    assert caught.value.spent
    assert "used" in caught.value.said


@pytest.mark.parametrize(
    ("status", "body", "remedy"),
    [
        (401, {"error": "invalid_client"}, "client secret"),
        (400, {"status": "BAD_CLIENT_ID", "message": "no"}, "client secret"),
        (401, b"", "client secret"),
        (429, {}, "tried again"),
        (409, {"error": "conflict"}, "tried again"),
        (503, b"<html>", "tried again"),
        (400, {"error": ["odd"]}, "Check the OAuth app"),
    ],
)
def test_any_other_no_may_pass(status: int, body: Any, remedy: str):
    with pytest.raises(Refused) as caught:
        read_grant(answer(status, body))
    assert not caught.value.spent
    assert remedy in caught.value.remedy


def test_what_an_app_sends_is_what_the_endpoint_reads():
    proof = ("Authorization", basic("a:b", "c d/é"))
    request = token_request("h", "/t", [("grant_type", "refresh_token"), ("x", "ä&=")], proof)
    form, app = asked(request)
    assert form == {"grant_type": "refresh_token", "x": "ä&="}
    assert app == AppKeys("a:b", "c d/é")
    in_form = token_request("h", "/t", [("client_id", "i"), ("client_secret", "s")])
    assert asked(in_form)[1] == AppKeys("i", "s")
    odd = token_request("h", "/t", [], ("Authorization", "Basic §"))
    assert asked(odd)[1] == AppKeys("", "")


def test_neither_secret_nor_token_is_shown():
    request = token_request(
        "h", "/t", [("refresh_token", "hush")], ("Authorization", "Basic x")
    )
    assert "hush" not in repr(request)
    assert "Basic x" not in repr(request)
    assert "hush" not in repr(AppKeys("id", "hush"))


def test_what_an_api_quotes_of_a_call_for_tokens_can_be_hidden():
    form = [("refresh_token", "hush+1"), ("client_id", "a"), ("client_secret", "hush/2")]
    in_form = token_request("h", "/t", form)
    in_header = token_request("h", "/t", form[:1], ("Authorization", basic("a", "hush/2")))
    for request in (in_form, in_header):
        proof = request.headers.get("Authorization", "Basic none").removeprefix("Basic ")
        quoted = f"no hush+1, hush/2, {proof}: ".encode() + request.body
        hidden = Response(400, body=quoted).hiding(secrets_in(request)).body.decode()
        assert "hush" not in hidden
        assert proof not in hidden or request is in_form
        assert hidden.startswith("no …, ")
    untouched = Response(400, body=b"no")
    assert untouched.hiding(("", "hush")) is untouched
