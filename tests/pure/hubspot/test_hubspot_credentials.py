"""What a live check finds of a HubSpot token, and how a collection is called."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from providers.credentials import Inspection, Lack, Reach
from providers.http import Request, Response, headers
from providers.hubspot.credentials import inspect, missing
from providers.hubspot.objects import handle
from providers.hubspot.provider import HUBSPOT
from providers.hubspot.sandbox.kit import (
    OAUTH_TOKEN,
    PORTAL,
    READ_ONLY_TOKEN,
    TOKEN,
    create,
)
from providers.spec import Refused

NOW = 1_795_262_400.0


def check(token: str, answer: Response) -> Inspection:
    conversation = inspect(token, None)
    next(conversation)
    with pytest.raises(StopIteration) as done:
        conversation.send(answer)
    found: Inspection = done.value.value
    return found


def of_sandbox(token: str) -> Inspection:
    return check(token, create().handle(next(inspect(token, None)), NOW))


def test_a_token_tells_its_portal_whoever_asks():
    for token, name in ((TOKEN, f"portal {PORTAL}"), (OAUTH_TOKEN, f"portal{PORTAL}")):
        found = of_sandbox(token)
        assert found.account == str(PORTAL)
        (reach,) = found.accounts
        assert reach == Reach(str(PORTAL), reach.name)
        assert reach.name.startswith(name)
        assert found.user in ("101", "102")
        assert found.scopes is not None
        assert "*" not in found.scopes


def test_who_may_only_read_lacks_the_scopes_of_writing():
    assert of_sandbox(READ_ONLY_TOKEN).missing == tuple(
        Lack(f"crm.objects.{name}.write", f"writing {name} with this credential", False)
        for name in ("companies", "contacts")
    )


def test_objects_whose_properties_cannot_be_seen_are_named():
    (lack,) = missing(["crm.objects.deals.read", "crm.objects.deals.write"])
    assert lack == Lack("crm.schemas.deals.read", "discovering the properties of deals", True)


def test_a_token_that_may_read_no_objects_is_of_no_use():
    for scopes in ([], ["oauth", "crm.objects.owners.read"], ["crm.schemas.deals.read"]):
        (lack,) = missing(scopes)
        assert lack.required
        assert lack.scope == "crm.objects.contacts.read"


def test_scopes_that_are_not_told_are_not_said_to_be_missing():
    found = check(TOKEN, Response(200, body=orjson.dumps({"hubId": 5, "userId": 7})))
    assert found == Inspection("5", (Reach("5", "portal 5"),), "7", None, ())


@pytest.mark.parametrize("scopes", [["a", 5, None], [], None, "odd", 7])
def test_odd_scopes_break_nothing(scopes: Any):
    body = orjson.dumps({"hubId": 5, "scopes": scopes})
    assert check(TOKEN, Response(200, body=body)).account == "5"


def test_handles_are_singular_where_hubspot_has_such_a_name():
    assert handle("0-1", "contacts") == "contact"
    assert handle("0-2", "companies") == "company"
    assert handle("2-345", "cars") == "cars"
    pair = "associations_company_contact"
    assert handle(pair, pair) == pair


# --- the simulated token endpoint -------------------------------------------------------


def test_the_life_that_is_left_of_a_token_is_told():
    box = create(access_lifetime=100.0)
    question = next(inspect(OAUTH_TOKEN, None))
    assert orjson.loads(box.handle(question, NOW).body)["expires_in"] == 1800  # unused yet
    request = HUBSPOT.authorize(
        Request("GET", HUBSPOT.hosts[0], "/integrations/v1/me"), OAUTH_TOKEN
    )
    assert box.handle(request, NOW).ok
    assert orjson.loads(box.handle(question, NOW + 40).body)["expires_in"] == 60
    assert box.handle(question, NOW + 101).status == 404
    assert box.handle(request, NOW + 101).status == 401


def test_only_refreshing_is_simulated():
    form = headers(("Content-Type", "application/x-www-form-urlencoded"))
    request = Request("POST", HUBSPOT.hosts[0], "/oauth/v1/token", form, b"grant_type=password")
    answer = create().handle(request, NOW)
    oauth = HUBSPOT.credential_kinds[1].oauth
    assert oauth is not None
    with pytest.raises(Refused) as caught:
        oauth.read(answer)
    assert not caught.value.spent
