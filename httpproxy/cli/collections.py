"""`httpproxy collections CREDENTIAL`: what a stored credential reaches."""

from __future__ import annotations

from functools import partial

import click

from httpproxy.cli.invocation import Invocation
from httpproxy.cli.managing import pages, work
from httpproxy.cli.output import as_json, as_table, json_option
from httpproxy.management.collections import CollectionDocument
from httpproxy.management.paging import MAX_LIMIT
from httpproxy.management.services import Services


@click.command(short_help="List the collections that a credential reaches.")
@click.argument("credential")
@click.option(
    "--refresh",
    is_flag=True,
    help="Ask the API anew, and let the tables of the credential's syncs follow.",
)
@click.option("--fields", "tells_fields", is_flag=True, help="Show their fields, too.")
@json_option
@click.pass_obj
def collections(
    invocation: Invocation, credential: str, refresh: bool, tells_fields: bool, wants_json: bool
) -> None:
    """List the collections that a CREDENTIAL reaches, as they were last discovered."""

    async def listed(services: Services) -> list[CollectionDocument]:
        if refresh:
            await services.collections.refresh(credential, MAX_LIMIT)
        return await pages(partial(services.collections.page, credential))

    found = work(invocation.settings(), listed)
    if wants_json:
        as_json([each.model_dump(mode="json") for each in found])
    elif tells_fields:
        rows = [
            [each.name, field.name, field.type, field.column_type, field.writable]
            for each in found
            for field in each.fields
        ]
        as_table(["collection", "field", "type", "column type", "writable"], rows)
    else:
        as_table(["id", "name", "fields"], [[c.id, c.name, len(c.fields)] for c in found])
