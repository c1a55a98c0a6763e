"""Hosts, limits, credentials, and how Airtable says no."""

from __future__ import annotations

import gzip
import json

import pytest

from providers.airtable.provider import AIRTABLE
from providers.airtable.refusals import said
from providers.http import Request, Response, headers


def answer(status, body):
    return Response(status, headers(), json.dumps(body).encode())


def error(kind, message=None):
    return {"error": {"type": kind} | ({"message": message} if message else {})}


def test_one_base_gets_five_requests_a_second_and_a_sync_three_of_them():
    (budget,), (allotted,) = AIRTABLE.budgets, AIRTABLE.default_rates
    assert (budget.allowed_requests, budget.interval) == (5, 1.0)
    assert (allotted.name, allotted.allowed_requests, allotted.interval) == ("standard", 3, 1.0)


def test_after_a_rate_limit_airtable_wants_thirty_seconds_of_silence():
    assert (
        AIRTABLE.pause(answer(429, error("RATE_LIMIT_REACHED", "Rate limit exceeded"))) == 30.0
    )
    listed = {"errors": [{"error": "RATE_LIMIT_REACHED", "message": "Rate limit exceeded"}]}
    assert AIRTABLE.pause(answer(429, listed)) == 30.0
    assert AIRTABLE.pause(Response(429, headers(), b"<html>")) == 30.0


def test_a_spent_month_is_not_waited_for():
    assert AIRTABLE.pause(answer(429, error("PUBLIC_API_BILLING_LIMIT_EXCEEDED"))) is None


@pytest.mark.parametrize("status", [200, 403, 422, 500, 503])
def test_no_other_answer_asks_for_silence(status):
    assert AIRTABLE.pause(answer(status, error("RATE_LIMIT_REACHED"))) is None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"error": "NOT_FOUND"}, ("NOT_FOUND", "")),
        ({"error": {"type": "NOT_FOUND"}}, ("NOT_FOUND", "")),
        ({"error": {"type": "A", "message": "b"}}, ("A", "b")),
        ({"errors": [{"error": "A", "message": "b"}]}, ("A", "b")),
        ({"error": 5}, ("", "")),
        ({"errors": []}, ("", "")),
        ({"errors": {"type": "A"}}, ("", "")),
        ({"error": {"type": "A"}, "errors": [{"error": "B"}]}, ("A", "")),
        ([], ("", "")),
        ({}, ("", "")),
    ],
)
def test_an_error_is_read_in_all_its_shapes(body, expected):
    assert said(answer(400, body)) == expected


def test_an_error_is_read_through_compression():
    packed = gzip.compress(json.dumps(error("A", "b")).encode())
    assert said(Response(422, headers(("Content-Encoding", "gzip")), packed)) == ("A", "b")


def test_our_own_refusals_look_like_airtables_errors():
    members = AIRTABLE.refusal(404, "unknown_route", "No such route.", "req_1")
    assert members == {
        "error": {"type": "UNKNOWN_ROUTE", "message": "No such route. (request req_1)"}
    }


def test_a_credential_becomes_the_only_authorization():
    request = Request(
        "GET", "api.airtable.com", "/v0", headers(("authorization", "Bearer old"))
    )
    sent = AIRTABLE.authorize(request, "patNew")
    assert sent.headers.getall("Authorization") == ["Bearer patNew"]
    assert "patNew" not in repr(sent)
    assert request.headers["Authorization"] == "Bearer old"


def test_a_host_that_users_mistake_for_the_api_leads_to_it():
    assert AIRTABLE.host_hints["airtable.com"] == AIRTABLE.hosts[0]
