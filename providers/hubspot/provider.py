"""HubSpot as a `Provider`: hosts, budgets, credentials, and how it says no."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from providers.http import Response, with_bearer
from providers.hubspot.calls import HOST, error_body
from providers.hubspot.created import list_created
from providers.hubspot.credentials import (
    ACCOUNT_PROPERTY,
    OAUTH2,
    PRIVATE_APP,
    identify,
    inspect,
)
from providers.hubspot.discovery import discover
from providers.hubspot.feeds import allowed, feeds, hang_up, listen
from providers.hubspot.listing import list_page
from providers.hubspot.mutations import MUTATIONS
from providers.hubspot.objects import handle
from providers.hubspot.plain import plain
from providers.hubspot.reading import read_records
from providers.hubspot.routes import ROUTES
from providers.hubspot.sandbox.kit import SANDBOX
from providers.record import JSON
from providers.selection import without
from providers.spec import Budget, Provider

STANDARD: Final = Budget("standard", 100, 10.0)
SEARCH: Final = Budget("search", 5, 1.0)

# How long a 429 of each policy asks for silence. The rolling window is empty after its
# ten seconds. The daily limit ends at midnight in the portal's time zone: no short pause
# helps, and callers had better go on seeing HubSpot's own words than our timeouts.
_PAUSES: Final[Mapping[str, float | None]] = {
    "SECONDLY": 1.0,
    "TEN_SECONDLY_ROLLING": 10.0,
    "DAILY": None,
}


def pause(response: Response) -> float | None:
    """Seconds of silence that a 429 asks for, None for any other answer.

    A 423 is no matter of the account: one record is locked, and its caller waits.
    """
    if response.status != 429:
        return None
    body = error_body(response)
    policy = body.get("policyName")
    if isinstance(policy, str) and policy in _PAUSES:
        return _PAUSES[policy]
    # Some answers carry the policy only in the sentence: "your daily limit".
    said = str(body.get("message")).upper()
    named = (seconds for name, seconds in _PAUSES.items() if f" {name} LIMIT" in said)
    return next(named, _PAUSES["TEN_SECONDLY_ROLLING"])


def refusal(_status: int, code: str, message: str, request_id: str) -> dict[str, JSON]:
    """The members of an error body that both HubSpot clients show."""
    return {
        "status": "error",
        "message": message,
        "category": code.upper(),
        "correlationId": request_id,
    }


HUBSPOT: Final = Provider(
    name="hubspot",
    title="HubSpot",
    hosts=(HOST,),
    host_hints={"api.hubspot.com": HOST},
    routes=ROUTES,
    budgets=(STANDARD, SEARCH),
    default_rates=(STANDARD, SEARCH),
    credential_kinds=(PRIVATE_APP, OAUTH2),
    collection_option="object",
    authorize=with_bearer,
    inspect=inspect,
    handle=handle,
    account_property=ACCOUNT_PROPERTY,
    identify=identify,
    discover=discover,
    read_records=read_records,
    list_created=list_created,
    list_page=list_page,
    feeds=feeds,
    listen=listen,
    hang_up=hang_up,
    without=partial(without, members=("properties", "propertiesWithHistory"), renames=False),
    plain=plain,
    allowed=allowed,
    pause=pause,
    refusal=refusal,
    mutations=MUTATIONS,
    sandbox=SANDBOX,
)
