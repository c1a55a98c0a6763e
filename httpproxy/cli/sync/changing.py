"""`httpproxy sync update`: what can be set of a sync, changed as by the API's PATCH."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from httpproxy.cli.desk import open_desk
from httpproxy.cli.failures import USAGE, Failure
from httpproxy.cli.invocation import Invocation
from httpproxy.cli.managing import model, read_object
from httpproxy.cli.output import as_json
from httpproxy.cli.running import run
from httpproxy.cli.sync.creation import read_rates
from httpproxy.management.syncs.documents import SyncDocument, SyncPatch
from httpproxy.management.syncs.standing import as_limit
from httpproxy.settings.reading import Settings
from providers.catalog import PROVIDERS
from providers.spec import Provider

_NONE: Final = "none"


@click.command()
@click.argument("name")
@click.option("--name", "new_name", metavar="NAME", help="Another name.")
@click.option(
    "--collection",
    "collections",
    multiple=True,
    metavar="COLLECTION",
    help="The collections that it has from now on, all of them; repeat it. What is new gets a"
    " table; what is left out is no longer synced and keeps its table.",
)
@click.option("--all-collections", is_flag=True, help="All that there are, later ones too.")
@click.option(
    "--rate",
    "rates",
    multiple=True,
    metavar="[BUDGET=]N/SECONDS",
    help="The most that it may use of a budget; BUDGET=none: the provider's default.",
)
@click.option("--credential", metavar="ID", help="Another credential of the same account.")
@click.option("--external-id", metavar="ID", help='Your own id of it; "none": it has none.')
@click.option("--metadata", metavar="JSON", help="Merged; null takes a member away.")
@click.option("--json", "wants_json", is_flag=True, help="JSON, for scripts.")
@click.pass_obj
def update(invocation: Invocation, /, name: str, wants_json: bool, **given: Any) -> None:
    """Change the sync NAME; what no option names stays.

    \b
    Examples
      httpproxy sync update crm --metadata '{"customer": 42}'
      httpproxy sync update crm --collection contact --collection company
      httpproxy sync update crm --rate 50/10 --rate search=none
    """
    if not any(given.values()):
        raise Failure("nothing to change: say what by an option", USAGE)
    if given["collections"] and given["all_collections"]:
        raise Failure("--all-collections says all: leave out --collection", USAGE)
    settings = invocation.settings()
    changed = run(settings, _changed(settings, name, given))
    if wants_json:
        as_json(changed.model_dump(mode="json", by_alias=True))
        return
    tables = ", ".join(each.table for each in changed.connection.tables)
    click.echo(f"{changed.name} is changed; its tables: {tables}")


async def _changed(settings: Settings, name: str, given: Mapping[str, Any]) -> SyncDocument:
    async with open_desk(settings) as desk:
        sync = await desk.sync(name)
        patch = model(SyncPatch, _members(PROVIDERS[sync.provider], given))
        document, _ = await desk.services.syncs.change(sync.id, patch)
        return document


def _members(provider: Provider, given: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch that the options stand for. Raises Failure."""
    members: dict[str, Any] = {}
    if given["new_name"] is not None:
        members["name"] = given["new_name"]
    if given["collections"] or given["all_collections"]:
        members["collection_ids"] = list(given["collections"]) or None
    if given["rates"]:
        ends = f"={_NONE}"
        rates = read_rates(
            provider, tuple(text for text in given["rates"] if not text.endswith(ends))
        )
        gone = [text.removesuffix(ends) for text in given["rates"] if text.endswith(ends)]
        known = [budget.name for budget in (*provider.default_rates, *provider.budgets)]
        for name in gone:
            if name not in known:
                there = ", ".join(dict.fromkeys(known))
                raise Failure(f"--rate {name}{ends}: no such budget; there are {there}", USAGE)
        limits = {rate.name: as_limit(rate).model_dump() for rate in rates}
        members["rate_limits"] = {**dict.fromkeys(gone), **limits}
    if given["credential"] is not None:
        members["credential_id"] = given["credential"]
    if given["external_id"] is not None:
        own = given["external_id"]
        members["external_id"] = None if own == _NONE else own
    if given["metadata"] is not None:
        members["metadata"] = read_object("--metadata", given["metadata"])
    return members
