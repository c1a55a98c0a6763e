"""`httpproxy sync`: list, show, token, delete.

The others have rooms of their own: `creation`, `changing`, `watch`, `steering`, `verifying`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click
import orjson

from httpproxy.cli.desk import Desk, open_desk
from httpproxy.cli.failures import USAGE, Failure
from httpproxy.cli.invocation import Invocation
from httpproxy.cli.managing import model
from httpproxy.cli.output import as_json, as_table, json_option
from httpproxy.cli.running import run
from httpproxy.cli.sync.changing import update
from httpproxy.cli.sync.creation import create, read_token
from httpproxy.cli.sync.reports import as_data, tell, totals, wrongs
from httpproxy.cli.sync.steering import pause, resume, resync
from httpproxy.cli.sync.summary import summary
from httpproxy.cli.sync.verifying import verify
from httpproxy.cli.sync.watch.command import watch
from httpproxy.management.syncs.documents import SyncFilters
from httpproxy.management.syncs.service import Seen
from httpproxy.office import wall_clock
from httpproxy.settings.reading import Settings
from httpproxy.sync.health import Health, Phase
from providers.catalog import PROVIDERS


@click.group(short_help="Make, see, steer and delete syncs.")
def sync() -> None:
    """Make, see, steer and delete syncs: an account of an API and the tables it fills.

    These commands work while `httpproxy serve` runs and while it does not.
    """


for _part in (create, update, watch, pause, resume, resync, verify):
    sync.add_command(_part)


@sync.command(name="list")
@click.option("--provider", help="Only those of this provider.")
@click.option("--status", type=click.Choice(["active", "paused"]))
@click.option(
    "--health",
    type=click.Choice([phase.value for phase in Phase]),
    help="Only those at this phase.",
)
@click.option("--external-id", metavar="ID", help="The one of your own id.")
@click.option("--metadata", metavar="JSON", help="Only those whose metadata contain this.")
@click.option(
    "--credential", "credential_id", metavar="ID", help="Only those that use this credential."
)
@json_option
@click.pass_obj
def list_syncs(
    invocation: Invocation, /, wants_json: bool, health: str | None, **given: str | None
) -> None:
    """List the syncs, and what is wrong with which.

    \b
    Examples
      httpproxy sync list --health failing
      httpproxy sync list --metadata '{"customer": 42}' --json
    """
    settings = invocation.settings()
    filters = model(SyncFilters, {**given, "health": Phase(health) if health else None})
    if wants_json:
        as_json(run(settings, _listed(settings, filters)))
        return
    found = run(settings, _seen(settings, filters))
    columns = ("name", "provider", "account", "schema", "phase", "tables", "rows", "lag")
    rows = []
    for each in found:
        known, (at, count, lag) = each.document, totals(each.health)
        own = (known.name, known.provider, known.account, known.connection.schema_)
        rows.append((*own, at, len(known.collection_ids), count, lag))
    as_table(columns, rows)
    for each in found:
        for line in wrongs(each.health, wall_clock()):
            click.echo(line if line.startswith(" ") else f"{each.document.name}/{line}")


@sync.command()
@click.argument("name")
@json_option
@click.pass_obj
def show(invocation: Invocation, name: str, wants_json: bool) -> None:
    """Show one sync by NAME or id: its API root, its health, its tables and their columns.

    The API root is what your client takes as its base URL. The unique id in it is not a
    secret that opens anything by itself, but need not be published either.
    """
    settings = invocation.settings()
    known, there = run(settings, _shown(settings, name))
    if wants_json:
        as_json(known)
        return
    for label in ("name", "id", "provider", "account", "status", "schema", "api_root"):
        click.echo(f"{label.replace('_', ' '):10}{known[label]}")
    if known["external_id"] is not None:
        click.echo(f"{'your id':10}{known['external_id']}")
    if known["metadata"]:
        click.echo(f"{'metadata':10}{orjson.dumps(known['metadata']).decode()}")
    for rate in known["rates"]:
        how = " by default" if rate["source"] == "default" else ""
        amount = f"{rate['allowed_requests']}/{rate['interval']:g} s"
        click.echo(f"{'rate':10}{rate['budget']}: {amount}{how}")
    click.echo("")
    tell(there, wall_clock())
    for table in known["tables"]:
        click.echo(f"\n{table['name']}  ({table['collection']})")
        as_table(("column", "type", "field"), [tuple(c.values()) for c in table["columns"]])


@sync.command()
@click.argument("name")
@click.pass_obj
def token(invocation: Invocation, name: str) -> None:
    """Give the sync NAME another token of the same account; a running service takes it up.

    The token is read from HTTPPROXY_TOKEN, a hidden prompt or standard input. All syncs
    of the account use it.
    """
    settings = invocation.settings()
    run(settings, _replace_token(settings, name))
    click.echo(f"{name} has another token")


@sync.command()
@click.argument("name")
@click.option("--drop-tables", is_flag=True, help="Drop its schema and every row as well.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def delete(invocation: Invocation, name: str, drop_tables: bool, yes: bool) -> None:
    """Delete the sync NAME and its stored credential. Its API root ends working.

    The tables stay, unless --drop-tables. Nothing is deleted in the API.
    """
    settings = invocation.settings()
    if not yes:
        if not sys.stdin.isatty():
            raise Failure("nobody is there to be asked: add --yes to delete", USAGE)
        lost = " and every row of its tables" if drop_tables else ""
        click.confirm(f"Delete the sync {name}{lost}?", abort=True)
    run(settings, _delete(settings, name, drop_tables))
    click.echo(f"deleted {name}" + (" and its tables" if drop_tables else "; its tables stay"))


async def _seen(settings: Settings, filters: SyncFilters) -> list[Seen]:
    async with open_desk(settings) as desk:
        return await desk.services.syncs.seen(filters)


async def _listed(settings: Settings, filters: SyncFilters) -> list[dict[str, Any]]:
    async with open_desk(settings) as desk:
        found = await desk.services.syncs.seen(filters)
        return [await _data(desk, each) for each in found]


async def _shown(settings: Settings, name: str) -> tuple[dict[str, Any], Sequence[Health]]:
    async with open_desk(settings) as desk:
        one = await desk.sync(name)
        (seen,) = await desk.services.syncs.seen(SyncFilters(), one.id)
        return await _data(desk, seen), seen.health


async def _data(desk: Desk, seen: Seen) -> dict[str, Any]:
    tables = await desk.registry.tables(seen.sync)
    return {**summary(seen.document, tables), **as_data(seen.health)}


async def _replace_token(settings: Settings, name: str) -> None:
    async with open_desk(settings) as desk:
        one = await desk.sync(name)
        token = read_token(PROVIDERS[one.provider])
        await desk.services.syncs.making.replace_token(one, token)


async def _delete(settings: Settings, name: str, drop_tables: bool) -> None:
    async with open_desk(settings) as desk:
        one = await desk.sync(name)
        await desk.services.syncs.delete(one, drop_tables=drop_tables)
