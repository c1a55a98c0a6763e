"""`httpproxy sync`: list, show, token, delete.

The others have rooms of their own: `creation`, `watch`, `steering`, `verifying`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import click

from httpproxy.cli.desk import Desk, open_desk
from httpproxy.cli.failures import USAGE, Failure
from httpproxy.cli.invocation import Invocation
from httpproxy.cli.output import as_json, as_table, json_option
from httpproxy.cli.running import run
from httpproxy.cli.sync.creation import create, read_token
from httpproxy.cli.sync.reports import as_data, tell, totals, wrongs
from httpproxy.cli.sync.steering import pause, resume, resync
from httpproxy.cli.sync.summary import summary
from httpproxy.cli.sync.verifying import verify
from httpproxy.cli.sync.watch.command import watch
from httpproxy.lifecycle import OtherAccount, end_sync, replace_token
from httpproxy.office import wall_clock
from httpproxy.settings.reading import Settings
from httpproxy.store.registry import Sync
from httpproxy.sync.health import Health
from providers.catalog import PROVIDERS


@click.group(short_help="Make, see, steer and delete syncs.")
def sync() -> None:
    """Make, see, steer and delete syncs: an account of an API and the tables it fills.

    These commands work while `httpproxy serve` runs and while it does not.
    """


for _part in (create, watch, pause, resume, resync, verify):
    sync.add_command(_part)


@sync.command(name="list")
@json_option
@click.pass_obj
def list_syncs(invocation: Invocation, wants_json: bool) -> None:
    """List the syncs, and what is wrong with which."""
    settings = invocation.settings()
    found = run(settings, _found(settings))
    if wants_json:
        as_json([each.data for each in found])
        return
    columns = ("name", "provider", "account", "schema", "phase", "tables", "rows", "lag")
    rows = []
    for each in found:
        known, (phase, count, lag) = each.data, totals(each.collections)
        own = (known["name"], known["provider"], known["account"], known["schema"])
        rows.append((*own, phase, len(known["tables"]), count, lag))
    as_table(columns, rows)
    for each in found:
        for line in wrongs(each.collections, wall_clock()):
            click.echo(line if line.startswith(" ") else f"{each.data['name']}/{line}")


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
    (found,) = run(settings, _found(settings, name))
    if wants_json:
        as_json(found.data)
        return
    for label in ("name", "id", "provider", "account", "status", "schema", "api_root"):
        click.echo(f"{label.replace('_', ' '):10}{found.data[label]}")
    for rate in found.data["rates"]:
        how = " by default" if rate["source"] == "default" else ""
        amount = f"{rate['allowed_requests']}/{rate['interval']:g} s"
        click.echo(f"{'rate':10}{rate['budget']}: {amount}{how}")
    click.echo("")
    tell(found.collections, wall_clock())
    for table in found.data["tables"]:
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


@dataclass(frozen=True, slots=True)
class _Found:
    """A sync: its JSON, and how its collections are."""

    data: dict[str, Any]
    collections: list[Health]


async def _found(settings: Settings, name: str | None = None) -> list[_Found]:
    async with open_desk(settings) as desk:
        found = await desk.registry.syncs() if name is None else [await desk.sync(name)]
        return [await _one(desk, each) for each in found]


async def _one(desk: Desk, one: Sync) -> _Found:
    known = summary(one, await desk.registry.tables(one), desk.office.settings.gateway_url)
    there = await desk.health(one)
    return _Found({**known, **as_data(there)}, there)


async def _replace_token(settings: Settings, name: str) -> None:
    async with open_desk(settings) as desk:
        one = await desk.sync(name)
        try:
            await replace_token(desk.office, one, read_token(PROVIDERS[one.provider]))
        except OtherAccount as error:
            raise Failure(f"{error}. Make a sync of its own for that account") from error


async def _delete(settings: Settings, name: str, drop_tables: bool) -> None:
    async with open_desk(settings) as desk:
        await end_sync(desk.office, await desk.sync(name), drop_tables=drop_tables)
