"""What a live check finds of an Airtable token: bases, scopes, permissions."""

from __future__ import annotations

import contextlib
from typing import Any

import orjson
import pytest
from airtable_calls import NOON

from providers.airtable.credentials import SCOPES, inspect
from providers.airtable.provider import AIRTABLE, sandbox
from providers.airtable.sandbox.seed import BASE, OAUTH_TOKEN, SEEDED, TOKEN, USER
from providers.airtable.sandbox.state import BaseState, TokenState
from providers.credentials import AppKeys, Inspection, Lack, Reach
from providers.http import Request, Response, headers
from providers.oauth import asked
from providers.spec import Refused, Unrecognised

OTHER = "appOther000000000"
PAT = "patTried00000000.x"


def check(token: TokenState, account: str | None = None) -> Inspection:
    """What is found of a token at a sandbox that has a second base."""
    box = sandbox(base_rate=0, token_rate=0)
    box.world.bases[OTHER] = BaseState(OTHER, "Other", "wspDemo0000000000", SEEDED)
    box.world.tokens[token.secret] = token
    conversation = inspect(token.secret, account)
    request = next(conversation)
    while True:
        answer = box.handle(AIRTABLE.authorize(request, token.secret), NOON)
        try:
            request = conversation.send(answer)
        except StopIteration as done:
            found: Inspection = done.value
            return found


def token(*scopes: str, **bases: str) -> TokenState:
    return TokenState(PAT, USER, "a@example.com", "A", bases or {BASE: "create"}, [*scopes])


def told(scopes: list[str], **bases: str) -> TokenState:
    """An OAuth token, of which whoami tells the scopes."""
    return TokenState("oaaX", USER, "a@example.com", "A", bases or {BASE: "create"}, scopes)


def test_a_token_of_one_base_is_for_that_base():
    found = check(token(*SCOPES))
    assert found == Inspection(
        account=BASE,
        accounts=(Reach(BASE, "Demo"),),
        user=USER,
        scopes=tuple(SCOPES),
        missing=(),
    )


def test_a_token_of_several_bases_is_for_the_one_that_is_named():
    several = {BASE: "create", OTHER: "edit"}
    assert check(token(*SCOPES, **several)).account is None
    assert check(token(*SCOPES, **several), OTHER).account == OTHER
    elsewhere = check(token(*SCOPES, **several), "appElse0000000000")
    assert elsewhere.account is None
    assert {reach.id for reach in elsewhere.accounts} == {BASE, OTHER}


@pytest.mark.parametrize("scope", SCOPES)
def test_a_scope_that_is_missing_is_named(scope: str):
    scopes = [each for each in SCOPES if each != scope]
    assert check(told(scopes)).missing == (Lack(scope, *SCOPES[scope]),)


def test_without_reading_of_schemas_no_base_is_known():
    found = check(told(["data.records:read"]), BASE)
    assert (found.account, found.accounts) == (None, ())
    assert found.missing[0] == Lack("schema.bases:read", *SCOPES["schema.bases:read"])
    assert found.missing[0].required


class Silent:
    """A sandbox whose whoami does not tell the scopes: a personal access token's."""

    def __init__(self, *scopes: str) -> None:
        self.box = sandbox(base_rate=0, token_rate=0)
        self.box.world.tokens[PAT] = token(*scopes)

    def check(self) -> Inspection:
        conversation = inspect(PAT, None)
        request = next(conversation)
        try:
            while True:
                answer = self.box.handle(AIRTABLE.authorize(request, PAT), NOON)
                if request.path.endswith("whoami"):
                    answer = Response(200, body=orjson.dumps({"id": USER}))
                request = conversation.send(answer)
        except StopIteration as done:
            found: Inspection = done.value
            return found


@pytest.mark.parametrize("scope", ["data.records:read", "schema.bases:read", "webhook:manage"])
def test_where_scopes_are_not_told_they_show_by_what_is_refused(scope: str):
    found = Silent(*(each for each in SCOPES if each != scope)).check()
    assert found.scopes is None
    assert found.missing == (Lack(scope, *SCOPES[scope]),)


def test_where_nothing_is_refused_nothing_is_missing():
    assert Silent(*SCOPES).check().missing == ()


def test_a_user_who_may_only_read_is_told_so():
    (lack,) = check(token(*SCOPES, **{BASE: "read"})).missing
    assert "may only read in Demo" in lack.needed_for
    assert not lack.required


def test_bases_come_in_pages():
    conversation = inspect(TOKEN, "appB")
    next(conversation)
    conversation.send(Response(200, body=b'{"id": "usrX", "scopes": []}'))
    first: dict[str, Any] = {
        "bases": [{"id": "appA", "name": "A", "permissionLevel": "create"}],
        "offset": "it/r 1",
    }
    request = conversation.send(Response(200, body=orjson.dumps(first)))
    assert request.target == "/v0/meta/bases?offset=it%2Fr%201"
    last = {"bases": [{"id": "appB", "name": "B", "permissionLevel": "none"}, 5, {"id": 7}]}
    with pytest.raises(StopIteration) as done:
        conversation.send(Response(200, body=orjson.dumps(last)))
    assert done.value.value.account is None  # no level, no reach
    assert [reach.id for reach in done.value.value.accounts] == ["appA"]


def test_pages_without_an_end_come_to_one():
    conversation = inspect(TOKEN, None)
    next(conversation)
    conversation.send(Response(200, body=b'{"id": "usrX", "scopes": []}'))
    turns = 0
    with contextlib.suppress(StopIteration):
        for turns in range(100):  # noqa: B007  # counted
            conversation.send(Response(200, body=b'{"bases": [], "offset": "on"}'))
    assert turns < 99


def test_a_token_that_ends_in_the_middle_is_not_recognised():
    conversation = inspect(TOKEN, None)
    next(conversation)
    conversation.send(Response(200, body=b'{"id": "usrX"}'))
    with pytest.raises(Unrecognised):
        conversation.send(Response(401))


def test_an_answer_that_is_no_json_is_refused():
    conversation = inspect(TOKEN, None)
    next(conversation)
    with pytest.raises(Refused, match="cannot be read"):
        conversation.send(Response(200, body=b"<html>"))


def test_an_app_without_a_secret_says_its_id_in_the_form():
    oauth = AIRTABLE.credential_kinds[1].oauth
    assert oauth is not None
    public = oauth.refresh(AppKeys("id"), "r")
    assert "Authorization" not in public.headers
    assert asked(public)[1] == AppKeys("id")
    assert "Authorization" in oauth.refresh(AppKeys("id", "s"), "r").headers
    assert (public.host, public.target) == ("airtable.com", "/oauth2/v1/token")


# --- the simulated token endpoint -------------------------------------------------------


def refresh(box: Any, token: str, now: float = NOON) -> Response:
    oauth = AIRTABLE.credential_kinds[1].oauth
    assert oauth is not None
    answer: Response = box.handle(oauth.refresh(AIRTABLE.sandbox.grant.app, token), now)
    return answer


def whoami(box: Any, token: str, now: float = NOON) -> int:
    request = AIRTABLE.authorize(Request("GET", AIRTABLE.hosts[0], "/v0/meta/whoami"), token)
    return int(box.handle(request, now).status)


GIVEN = AIRTABLE.sandbox.grant.tokens.refresh_token or ""


@pytest.mark.parametrize("ends", [True, False])
def test_a_refresh_ends_the_access_token_before_it(ends: bool):
    box = sandbox(refresh_ends_access=ends)
    assert whoami(box, OAUTH_TOKEN) == 200
    assert refresh(box, GIVEN).ok
    assert whoami(box, OAUTH_TOKEN) == (401 if ends else 200)


@pytest.mark.parametrize("ends", [True, False])
def test_a_refresh_token_that_comes_twice_ends_the_grant(ends: bool):
    box = sandbox(reuse_ends_grant=ends)
    new = orjson.loads(refresh(box, GIVEN).body)
    assert refresh(box, GIVEN).status == 400
    assert whoami(box, new["access_token"]) == (401 if ends else 200)
    assert refresh(box, new["refresh_token"]).ok != ends


def test_a_refresh_token_that_nobody_uses_expires():
    box = sandbox(refresh_lifetime=100.0)
    new = orjson.loads(refresh(box, GIVEN).body)
    assert refresh(box, new["refresh_token"], NOON + 101).status == 400


def test_the_token_host_has_nothing_but_the_endpoint():
    box = sandbox()
    form = headers(("Content-Type", "application/x-www-form-urlencoded"))
    assert box.handle(Request("POST", "airtable.com", "/login", form), NOON).status == 404
    app = AIRTABLE.sandbox.grant.app
    body = f"client_id={app.client_id}&client_secret={app.client_secret}&grant_type=password"
    asked_for = Request("POST", "airtable.com", "/oauth2/v1/token", form, body.encode())
    answer = box.handle(asked_for, NOON)
    assert (answer.status, orjson.loads(answer.body)["error"]) == (
        400,
        "unsupported_grant_type",
    )
