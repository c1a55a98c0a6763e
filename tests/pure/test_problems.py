"""Our own answers: one table, one shape."""

import json

import pytest

from httpproxy.exchange.problems import PROBLEMS, Rejected, body


@pytest.mark.parametrize("code", sorted(PROBLEMS))
def test_every_problem_has_the_promised_members(code):
    problem = json.loads(body(Rejected(code, "Do this."), "POST", "req1", None))
    assert problem == {
        "type": f"urn:httpproxy:problem:{code}",
        "title": PROBLEMS[code].title,
        "status": PROBLEMS[code].status,
        "detail": "Do this.",
        "instance": "urn:httpproxy:request:req1",
        "source": "proxy",
        "code": code,
        "request_id": "req1",
        "sent": "no",
        "retry_safe": True,
    }


@pytest.mark.parametrize(
    ("method", "sent", "safe"),
    [
        ("POST", "no", True), ("POST", "unknown", False), ("POST", "yes", False),
        ("DELETE", "unknown", False), ("GET", "unknown", True), ("GET", "yes", True),
    ],
)  # fmt: skip
def test_repeating_is_safe_if_nothing_was_sent_or_nothing_is_written(method, sent, safe):
    rejected = Rejected("upstream_failed", "x", sent=sent)
    assert json.loads(body(rejected, method, "r", None))["retry_safe"] is safe


def test_the_providers_own_members_are_added_and_never_replace_ours():
    def refusal(status, code, message, request_id):
        return {"status": "error", "message": message, "correlationId": request_id}

    problem = json.loads(body(Rejected("unknown_address", "Do."), "GET", "r", refusal))
    assert problem["status"] == 404
    assert problem["correlationId"] == "r"
    assert problem["message"] == "Do. (httpproxy: unknown_address, sent: no)"


def test_504_is_only_for_time():
    assert {c for c, k in PROBLEMS.items() if k.status == 504} == {
        "permit_timeout",
        "upstream_timeout",
    }
