"""Airtable: hosts, limits, credentials, and how it says no."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any, Final

import orjson

from providers.airtable.created import list_created
from providers.airtable.credentials import (
    ACCOUNT_PROPERTY,
    OAUTH2,
    PERSONAL,
    TOKEN_HOST,
    inspect,
)
from providers.airtable.feeds import allowed, feeds, hang_up, listen
from providers.airtable.listing import list_page
from providers.airtable.mutations import MUTATIONS
from providers.airtable.plain import plain
from providers.airtable.reading import discover, read_records
from providers.airtable.refusals import said
from providers.airtable.routes import API_HOST, CONTENT_HOST, ROUTES
from providers.airtable.sandbox import seed
from providers.airtable.sandbox.server import AirtableSandbox
from providers.airtable.sandbox.switches import Switches
from providers.credentials import AppKeys, Grant
from providers.http import Request, Response, headers, with_bearer
from providers.record import JSON
from providers.routing import Router
from providers.sandbox import Example, SampleGrant, SandboxKit
from providers.selection import without
from providers.spec import Budget, Provider

# Five requests a second for each base, whoever asks. A new sync gets three of them: what
# goes past this proxy, at the same base, is not seen here.
STANDARD: Final = Budget("standard", allowed_requests=5, interval=1.0)
ALLOTTED: Final = Budget("standard", allowed_requests=3, interval=1.0)

PENALTY: Final = 30.0
BILLING_LIMIT: Final = "PUBLIC_API_BILLING_LIMIT_EXCEEDED"


def pause(response: Response) -> float | None:
    """Seconds of silence that Airtable wants after this answer, None if none.

    Over the limit, every request within the next 30 seconds fails too. A spent monthly
    quota also arrives as 429, but lasts until the month ends: no short pause helps, and
    callers had better go on seeing Airtable's own words than our timeouts.
    """
    if response.status != 429 or said(response)[0] == BILLING_LIMIT:
        return None
    return PENALTY


def refusal(_status: int, code: str, message: str, request_id: str) -> dict[str, JSON]:
    """Our error as pyairtable and airtable.js show it: they read `error` and no more."""
    return {"error": {"type": code.upper(), "message": f"{message} (request {request_id})"}}


def handle(upstream_id: str, _name: str) -> str:
    """How a collection is called in what the house tells: names of tables change."""
    return upstream_id


def sandbox(**switches: Any) -> AirtableSandbox:
    """A freshly seeded simulator; the switches are those of sandbox.switches."""
    return AirtableSandbox(Router(AIRTABLE), Switches(**switches))


_CREATE: Final = Request(
    "POST",
    API_HOST,
    f"/v0/{seed.BASE}/Tasks",
    headers(("Content-Type", "application/json")),
    orjson.dumps(
        {
            "fields": {
                "Name": "Water the plants",
                "Amount": 1.5,
                "Price": 20,
                "Done": True,
                "Due": "2026-12-24",
                "Tags": ["green"],
                "Projects": ["recGemini00000000"],
            }
        }
    ),
)

KIT: Final = SandboxKit(
    create=sandbox,
    account=seed.BASE,
    token=seed.TOKEN,
    collections=("Tasks", "Projects"),
    example=Example(
        _CREATE,
        "SELECT id, name, amount, price, cost, done, due, tags, projects, total_budget,"
        " created_time FROM {schema}.tasks WHERE id = '{record_id}'",
    ),
    grant=SampleGrant(
        OAUTH2.name,
        AppKeys(seed.CLIENT_ID, seed.CLIENT_SECRET),
        Grant(seed.OAUTH_TOKEN, seed.REFRESH_TOKEN),
    ),
    switches=asdict(Switches()),
)

AIRTABLE: Final = Provider(
    name="airtable",
    title="Airtable",
    hosts=(API_HOST, CONTENT_HOST),
    host_hints={
        "airtable.com": API_HOST,
        "www.airtable.com": API_HOST,
        "api.airtable.com:443": API_HOST,
    },
    token_hosts=(TOKEN_HOST,),
    routes=ROUTES,
    budgets=(STANDARD,),
    default_rates=(ALLOTTED,),
    credential_kinds=(PERSONAL, OAUTH2),
    account_variable="base",
    account_option="base",
    collection_option="table",
    authorize=with_bearer,
    inspect=inspect,
    handle=handle,
    account_property=ACCOUNT_PROPERTY,
    discover=discover,
    read_records=read_records,
    list_created=list_created,
    list_page=list_page,
    feeds=feeds,
    listen=listen,
    hang_up=hang_up,
    without=partial(without, members=("fields",), renames=True),
    plain=plain,
    omits_empty=True,
    allowed=allowed,
    pause=pause,
    refusal=refusal,
    mutations=MUTATIONS,
    sandbox=KIT,
)
