"""A fresh sandbox: two portals, their tokens, and a few records to start from."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

import orjson

from providers.credentials import AppKeys, Grant
from providers.http import Request, headers
from providers.hubspot.sandbox.association_types import association_types
from providers.hubspot.sandbox.catalogue import standard_kinds
from providers.hubspot.sandbox.server import HubSpotSandbox
from providers.hubspot.sandbox.state import Portal, Token, World, stamp
from providers.hubspot.sandbox.switches import Switches
from providers.record import JSON
from providers.sandbox import Example, SampleGrant, SandboxKit

HOST: Final = "api.hubapi.com"
PORTAL: Final = 48_000_001
OTHER_PORTAL: Final = 48_000_002
TOKEN: Final = "pat-na1-11111111-1111-4111-8111-111111111111"  # noqa: S105 -- opens nothing but the sandbox
READ_ONLY_TOKEN: Final = "pat-na1-22222222-2222-4222-8222-222222222222"  # noqa: S105 -- opens nothing but the sandbox
OAUTH_TOKEN: Final = "CNSandboxOAuthAccessTokenOfPortal48000001"  # noqa: S105 -- opens nothing but the sandbox
REFRESH_TOKEN: Final = "na1-demo-refresh-token-of-portal-48000001"  # noqa: S105 -- opens nothing but the sandbox
CLIENT_ID: Final = "00000000-0000-4000-8000-000000000002"
CLIENT_SECRET: Final = "demo-client-secret-opens-the-sandbox"  # noqa: S105 -- opens nothing but the sandbox
OTHER_TOKEN: Final = "pat-na1-33333333-3333-4333-8333-333333333333"  # noqa: S105 -- opens nothing but the sandbox

_SEEDED: Final = 1_767_225_600.0  # 2026-01-01 00:00 UTC
_READ_ONLY: Final = [
    f"crm.{what}.{name}.read"
    for what in ("objects", "schemas")
    for name in ("contacts", "companies")
]


def create(**switches: Any) -> HubSpotSandbox:
    """A fresh simulator. Raises TypeError for a switch that is none.

    requests_per_ten_seconds=100   per app, in any ten seconds
    searches_per_second=5          per portal
    requests_per_day=250_000       per portal
    search_lag=0.0                 seconds until search finds a write
    access_lifetime=1800.0         seconds that an OAuth app's access token is good for

    What HubSpot's documents leave open:

    full_answers=False             writes answer with every property, not with some
    cleared_as_null=False          a cleared property is answered as null, not as ""
    numeric_association_ids=True   v4 answers hold record ids as numbers, not strings
    merge_makes_new_id=True        a merge makes a third id; False keeps the primary's
    merged_ids_in_batch_read=False a batch read finds merged records by their old ids
    removed_in_archived_lists=False  `archived=true` lists merged and deleted records too
    associations_touch_records=False an association moves its records' modified date
    associations_of_archived=False an archived record's associations can still be read
    lifecycle_stage_only_forward=True a backward move is ignored without a word
    missing_archive_is_204=True    archiving what never existed is no error
    standard_schemas=True          schemas of HubSpot's own types can be read, too
    dated_batch_create_status=201  or 200, as the dated descriptions also say
    dated_association_archive_status=200  or 204, as v4 has it
    """
    world = World(
        portals={str(p): _portal(p) for p in (PORTAL, OTHER_PORTAL)},
        tokens={
            TOKEN: Token(PORTAL, "private", 7001, 101),
            READ_ONLY_TOKEN: Token(PORTAL, "private", 7002, 101, _READ_ONLY),
            OAUTH_TOKEN: Token(PORTAL, "oauth", 7003, 102),
            OTHER_TOKEN: Token(OTHER_PORTAL, "private", 7004, 201),
        },
        apps={CLIENT_ID: CLIENT_SECRET},
        grants={REFRESH_TOKEN: [CLIENT_ID, OAUTH_TOKEN]},
    )
    sandbox = HubSpotSandbox(world, Switches())
    for path, body in _SEEDS:
        answer = sandbox.handle(_post(path, body, TOKEN), _SEEDED)
        if not answer.ok:
            raise ValueError(f"the seed of {path} was refused: {answer.body.decode()}")
    world.calls.clear()
    world.days.clear()
    sandbox.switches = Switches(**switches)
    return sandbox


def _portal(portal_id: int) -> Portal:
    return Portal(
        portal_id,
        kinds=standard_kinds(_SEEDED),
        association_types=association_types(),
        owners={
            str(portal_id * 10 + at): {
                "id": str(portal_id * 10 + at),
                "email": f"{first.lower()}@example.com",
                "type": "PERSON",
                "firstName": first,
                "lastName": last,
                "userId": 100 + at,
                "userIdIncludingInactive": 100 + at,
                "createdAt": stamp(_SEEDED),
                "updatedAt": stamp(_SEEDED),
                "archived": archived,
                "teams": [],
            }
            for at, (first, last, archived) in enumerate(
                (
                    ("Ada", "Lovelace", False),
                    ("Grace", "Hopper", False),
                    ("Alan", "Turing", True),
                ),
                start=1,
            )
        },
    )


def _post(path: str, body: JSON, token: str | None = None) -> Request:
    pairs = [("Content-Type", "application/json")]
    if token is not None:
        pairs.append(("Authorization", f"Bearer {token}"))
    return Request("POST", HOST, path, headers(*pairs), orjson.dumps(body))


def _many(*inputs: dict[str, JSON]) -> JSON:
    return {"inputs": [{"properties": properties} for properties in inputs]}


# Companies get ids …01 and …02, contacts …03 to …05, deals …06 and …07.
_SEEDS: Final[tuple[tuple[str, JSON], ...]] = (
    (
        "/crm/v3/objects/companies/batch/create",
        _many(
            {
                "name": "Analytical Engines",
                "domain": "engines.example",
                "numberofemployees": "12",
            },
            {"name": "Compilers & Co", "domain": "compilers.example", "city": "Arlington"},
        ),
    ),
    (
        "/crm/v3/objects/contacts/batch/create",
        _many(
            {"email": "charles@engines.example", "firstname": "Charles", "lastname": "Babbage"},
            {"email": "grace@compilers.example", "firstname": "Grace", "score": "42"},
            {"email": "mary@engines.example", "firstname": "Mary", "is_partner": "true"},
        ),
    ),
    (
        "/crm/v3/objects/deals/batch/create",
        _many(
            {"dealname": "Difference engine", "amount": "17000.50"},
            {"dealname": "A first compiler", "amount": "900", "dealstage": "contractsent"},
        ),
    ),
    (
        "/crm/v4/associations/contacts/companies/labels",
        {"name": "adviser", "label": "Adviser", "inverseLabel": "Advised by"},
    ),
    (
        "/crm/v4/associations/contacts/companies/batch/associate/default",
        {
            "inputs": [
                {"from": {"id": "50000000003"}, "to": {"id": "50000000001"}},
                {"from": {"id": "50000000004"}, "to": {"id": "50000000002"}},
            ]
        },
    ),
    (
        "/crm/v3/associations/contacts/deals/batch/create",
        {
            "inputs": [
                {
                    "from": {"id": "50000000003"},
                    "to": {"id": "50000000006"},
                    "type": "contact_to_deal",
                }
            ]
        },
    ),
)

EXAMPLE: Final = Example(
    request=_post(
        "/crm/v3/objects/contacts",
        {
            "properties": {
                "firstname": "Ada",  # no email: it is unique, and examples are repeated
                "score": "9007199254740993",
                "is_partner": "true",
                "birthday": "1815-12-10",
                "next_call": "2026-12-01T09:30:00Z",
                "hs_buying_role": "CHAMPION;DECISION_MAKER",
            }
        },
    ),
    select=(
        "SELECT id, firstname, score, is_partner, birthday, next_call, hs_buying_role\n"
        "  FROM {schema}.contact WHERE id = '{record_id}'"
    ),
)

SANDBOX: Final = SandboxKit(
    create=create,
    account=str(PORTAL),
    token=TOKEN,
    collections=("contacts", "companies", "deals"),
    example=EXAMPLE,
    grant=SampleGrant(
        "hubspot_oauth2",
        AppKeys(CLIENT_ID, CLIENT_SECRET),
        Grant(OAUTH_TOKEN, REFRESH_TOKEN),
    ),
    switches=asdict(Switches()),
)
