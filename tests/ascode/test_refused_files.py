"""Files that cannot be applied: every place that is wrong is told, and nothing is done."""

from __future__ import annotations

import pytest
from api.desk import AIRTABLE
from ascode.site import CREDENTIALS, FILE, OAUTH, SYNCS, Current, Site, told

from httpproxy.management.ascode.declared import Misdeclared
from httpproxy.store.errors import NameTaken


async def refused(site: Site, text: str) -> dict[str, str]:
    """What is said of each place; nothing was done."""
    with pytest.raises(Misdeclared) as caught:
        await site.apply(text)
    return {each.member: each.detail for each in caught.value.wrongs}


async def test_secrets_that_are_needed_and_missing_end_it_before_anything_is_done(
    site: Site,
) -> None:
    found = await site.plan(FILE, {})
    assert [each.member for each in found.missing] == [
        "[credentials.base] access_token",
        "[credentials.portal] access_token",
    ]
    with pytest.raises(Misdeclared, match="env:HUBSPOT is not there"):
        await site.apply(FILE, {"env:AIRTABLE": AIRTABLE.token})
    assert (await site.current()) == Current()


async def test_what_there_cannot_be_is_told_by_place_before_anything_is_done(
    site: Site,
) -> None:
    found = await refused(site, """
        [oauth_apps.a]
        provider = "stripe"
        client_id = "x"

        [credentials.c]
        kind = "stripe_oauth2"
        access_token = "env:AIRTABLE"

        [credentials.d]
        kind = "airtable_oauth2"
        access_token = "env:AIRTABLE"
        oauth_app = "nobody"

        [syncs.e]
        provider = "stripe"
        credential = "d"

        [syncs.f]
        provider = "airtable"
        credential = "nobody"
        rate_limits.search = { allowed_requests = 1, interval = 1 }

        [syncs.g]
        provider = "airtable"
        collection_ids = ["hubspot:contact"]

        [syncs.h]
        provider = "airtable"
        rate_limit = { allowed_requests = 1, interval = 1 }
        rate_limits.standard = { allowed_requests = 1, interval = 1 }

        [syncs.i]
        provider = "airtable"
    """)  # fmt: skip
    assert list(found) == [
        "[oauth_apps.a] provider",
        "[credentials.c] kind",
        "[credentials.d] oauth_app",
        "[syncs.e] provider",
        "[syncs.f] rate_limits.search",
        "[syncs.g] collection_ids[0]",
        "[syncs.h] rate_limit",
        "[syncs.i] credential",
    ]
    assert "this version has airtable, hubspot" in found["[syncs.e] provider"]


async def test_what_a_thing_was_made_with_stays(site: Site) -> None:
    portal = CREDENTIALS[CREDENTIALS.index("[credentials.portal]") :]
    await site.apply(OAUTH + portal)
    found = await refused(
        site,
        """
        [oauth_apps.product]
        provider = "hubspot"
        client_id = "x"

        [credentials.granted]
        kind = "airtable_token"
        access_token = "env:AIRTABLE"
        base_id = "appOther"

        [credentials.portal]
        kind = "airtable_token"
        access_token = "env:AIRTABLE"
        """,
    )
    assert list(found) == [
        "[oauth_apps.product] provider",
        "[credentials.granted] base_id",
        "[credentials.portal] kind",
    ]


async def test_a_sync_keeps_its_provider_account_and_schema(site: Site) -> None:
    await site.apply(FILE)
    found = await refused(site, """
        [syncs.crm]
        provider = "airtable"
        account = "appX"

        [syncs."Tasks of Acme"]
        provider = "airtable"
        schema = "other"

        [syncs."Tasks of Acme".columns.Tasks]
        Name = { name = "x" }
    """)  # fmt: skip
    assert list(found) == [
        "[syncs.crm] provider",
        "[syncs.crm] account",
        "[syncs.Tasks of Acme] schema",
    ]
    unknown = FILE.replace("Amount = {", "Amonut = {")
    (said,) = (await refused(site, unknown)).items()
    assert said == (
        "[syncs.Tasks of Acme] columns.Tasks.Amonut",
        "there is no field 'Amonut' in 'Tasks' of the sync.",
    )


async def test_a_step_that_fails_leaves_what_is_done_and_the_rest_for_the_next_time(
    site: Site,
) -> None:
    await site.apply(CREDENTIALS + SYNCS.split('[syncs."Tasks')[0])
    twice = FILE.replace('status = "paused"', 'external_id = "crm-1"').replace("50", "60")
    with pytest.raises(NameTaken):
        await site.apply(twice)
    assert told(await site.plan(twice)) == {"create Tasks of Acme": []}
    assert (await site.sync("crm")).rate_limit.allowed_requests == 60
