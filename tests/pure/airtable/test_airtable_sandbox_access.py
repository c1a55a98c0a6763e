"""The simulator's doors: tokens, scopes, permissions, rates, encodings; and odd input."""

from __future__ import annotations

import gzip
import json

import pytest
from airtable_calls import API, CONTENT, NOON, Account
from hypothesis import given
from hypothesis import strategies as st

from providers.airtable.provider import AIRTABLE
from providers.airtable.sandbox.seed import BASE, READER_TOKEN, TOKEN
from providers.airtable.sandbox.state import BaseState, TokenState
from providers.http import Request, headers

TASKS = f"/v0/{BASE}/Tasks"


def call(sandbox, now, target=TASKS, token=TOKEN, **extra):
    pairs = [("Authorization", f"Bearer {token}"), *extra.items()]
    return sandbox.handle(Request("GET", API, target, headers(*pairs)), now)


@pytest.mark.parametrize(
    ("authorization", "error"),
    [
        (None, "AUTHENTICATION_REQUIRED"),
        ("Bearer", "AUTHENTICATION_REQUIRED"),
        ("Basic abc", "AUTHENTICATION_REQUIRED"),
        ("Bearer patWrong", "UNAUTHORIZED"),
    ],
)
def test_a_call_without_a_known_token_is_refused(authorization, error):
    pairs = headers(("Authorization", authorization)) if authorization else headers()
    answer = AIRTABLE.sandbox.create().handle(Request("GET", API, TASKS, pairs), NOON)
    assert (answer.status, json.loads(answer.body)["error"]["type"]) == (401, error)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_of_a_token_has_no_case(scheme):
    pairs = headers(("authorization", f"{scheme} {TOKEN}"))
    assert (
        AIRTABLE.sandbox.create().handle(Request("GET", API, TASKS, pairs), NOON).status == 200
    )


@pytest.mark.parametrize(
    ("token", "method", "path", "status", "error"),
    [
        (TOKEN, "GET", f"//v0/appOther/{BASE}", 403, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND"),
        (TOKEN, "GET", "/Nope", 403, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND"),
        (READER_TOKEN, "POST", "/Tasks", 403, "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND"),
        (READER_TOKEN, "GET", "/Tasks", 200, None),
        (TOKEN, "GET", "//v0/nowhere/at/all/really", 404, "NOT_FOUND"),
    ],
)
def test_what_a_token_may_not_see_or_do_is_refused(token, method, path, status, error):
    answer = Account(token).request(method, path, {"fields": {}} if method == "POST" else None)
    assert answer.status == status
    assert error is None or answer.error == error


@pytest.mark.parametrize(
    ("level", "allowed"),
    [("none", 0), ("read", 1), ("comment", 2), ("edit", 3), ("create", 4), ("owner", 4)],
)
def test_each_permission_level_allows_more_than_the_one_below(level, allowed):
    account = Account("patLevel")
    account.sandbox.world.tokens["patLevel"] = TokenState(
        "patLevel", "usrLevel", "l@example.com", "L", {BASE: level}
    )
    answers = [
        account.get("/Tasks"),
        account.post("/Tasks/recPlan0000000000/comments", {"text": "x"}),
        account.post("/Tasks", {"fields": {}}),
        account.post(
            f"//v0/meta/bases/{BASE}/tables",
            {"name": "N", "fields": [{"name": "A", "type": "date"}]},
        ),
    ]
    assert [a.status for a in answers] == [200] * allowed + [403] * (4 - allowed)


def test_not_found_may_be_a_text_or_an_object():
    path = f"//v0/bases/{BASE}/webhooks/achNope/payloads"
    assert Account().get(path).json == {"error": "NOT_FOUND"}
    as_object = Account(missing_as_string=False).get(path).json
    assert as_object == {"error": {"type": "NOT_FOUND"}}


# Rates -----------------------------------------------------------------------------


def test_the_sixth_request_in_a_second_costs_half_a_minute():
    sandbox = AIRTABLE.sandbox.create()
    assert [call(sandbox, NOON + i / 10).status for i in range(6)] == [200] * 5 + [429]
    refused = call(sandbox, NOON + 29.9)
    assert json.loads(refused.body)["error"]["type"] == "RATE_LIMIT_REACHED"
    assert "Retry-After" not in refused.headers
    assert call(sandbox, NOON + 30.6).status == 200


def test_five_in_every_second_are_fine_for_ever():
    sandbox = AIRTABLE.sandbox.create()
    assert {call(sandbox, NOON + i / 5).status for i in range(50)} == {200}


def test_bases_have_rates_of_their_own_and_a_user_one_for_all():
    sandbox = AIRTABLE.sandbox.create(token_rate=8)
    sandbox.world.bases["appOther"] = BaseState("appOther", "Other", "wsp1", NOON)
    sandbox.world.tokens[TOKEN].bases["appOther"] = "create"
    other = "/v0/meta/bases/appOther/tables"
    assert [call(sandbox, NOON).status for _ in range(5)] == [200] * 5
    assert [call(sandbox, NOON, other).status for _ in range(4)] == [200] * 3 + [429]


def test_two_tokens_on_one_base_share_its_rate():
    sandbox = AIRTABLE.sandbox.create()
    tokens = [TOKEN, READER_TOKEN] * 3
    assert [call(sandbox, NOON, token=t).status for t in tokens] == [200] * 5 + [429]


def test_calls_that_concern_no_base_are_in_no_bases_rate():
    sandbox = AIRTABLE.sandbox.create()
    assert {call(sandbox, NOON, "/v0/meta/whoami").status for _ in range(20)} == {200}


def test_a_limit_can_be_switched_off():
    sandbox = AIRTABLE.sandbox.create(base_rate=0, token_rate=0)
    assert {call(sandbox, NOON).status for _ in range(100)} == {200}


def test_a_spent_month_leaves_only_metadata():
    account = Account(monthly_calls=2)
    statuses = [account.get("/Tasks").status for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert account.get("/Tasks").error == "PUBLIC_API_BILLING_LIMIT_EXCEEDED"
    assert account.get(f"//v0/meta/bases/{BASE}/tables").status == 200
    assert account.get("//v0/meta/whoami").status == 200


# Encodings and odd input -----------------------------------------------------------


def test_answers_are_json_in_utf_8():
    answer = Account().get("/Tasks")
    assert answer.response.headers["Content-Type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize(("accepted", "packed"), [("gzip, deflate", True), ("identity", False)])
def test_answers_are_compressed_for_those_who_accept_it_if_switched_on(accepted, packed):
    extra = {"Accept-Encoding": accepted}
    plain = call(AIRTABLE.sandbox.create(), NOON, **extra)
    answer = call(AIRTABLE.sandbox.create(gzip=True), NOON, **extra)
    assert "Content-Encoding" not in plain.headers
    assert (answer.headers.get("Content-Encoding") == "gzip") is packed
    assert (gzip.decompress(answer.body) if packed else answer.body) == plain.body


def test_an_empty_answer_is_not_compressed():
    account = Account(gzip=True)
    hook = {"specification": {"options": {"filters": {"dataTypes": ["tableData"]}}}}
    webhook = account.post(f"//v0/bases/{BASE}/webhooks", hook).json["id"]
    path = f"/v0/bases/{BASE}/webhooks/{webhook}"
    answer = account.send(Request("DELETE", API, path, headers(("Accept-Encoding", "gzip"))))
    assert (answer.status, answer.response.body) == (200, b"")
    assert "Content-Encoding" not in answer.response.headers


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["id", "fields", "records", "typecast", "performUpsert", "fieldsToMergeOn", "Name",
             "Files", "Projects", "Owner", "Starts", "sort", "offset", "text", "url", "name",
             "type", "options", "specification", "filters", "dataTypes", "tables"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=15,
)  # fmt: skip


@given(
    route=st.sampled_from(AIRTABLE.routes),
    body=JSON | st.binary(max_size=20),
    query=st.text(max_size=20),
)
def test_no_request_however_odd_breaks_the_simulator(route, body, query):
    known = {
        "{base}": BASE, "{table}": "Tasks", "{record}": "recPlan0000000000", "{field}": "Files",
        "{comment}": "com1", "{webhook}": "ach1", "{endpoint}": "syn1", "{rest...}": "x",
    }  # fmt: skip
    path = route.path
    for name, value in known.items():
        path = path.replace(name, value)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    host = CONTENT if route.host else API
    request = Request(route.method, host, f"{path}?{query}", headers(), content)
    answer = Account().send(request)
    assert answer.status in {200, 400, 403, 404, 413, 422}


def test_text_that_postgres_could_not_hold_is_replaced_on_the_way_in():
    body = b'{"fields":{"Name":"a\\u0000b\\ud800c"}}'
    assert Account().post("/Tasks", body).json["fields"]["Name"] == "a\ufffdb\ufffdc"
