"""`httpproxy sync`: list, show, delete; `create` is in `httpproxy.cli.creation`."""

from __future__ import annotations

import sys
from typing import Any

import click

from httpproxy.cli.creation import create, read_token
from httpproxy.cli.failures import USAGE, Failure, no_such_sync
from httpproxy.cli.invocation import Invocation
from httpproxy.cli.output import as_json, as_table
from httpproxy.cli.running import run
from httpproxy.cli.summary import summary
from httpproxy.newsync import OtherAccount, replace_token
from httpproxy.service import open_office
from httpproxy.settings import Settings
from providers.catalog import PROVIDERS

json_option = click.option("--json", "wants_json", is_flag=True, help="JSON, for scripts.")


@click.group(short_help="Make, see and delete syncs.")
def sync() -> None:
    """Make, see and delete syncs: an account of an API and the tables it fills.

    These commands work while `httpproxy serve` runs and while it does not.
    """


sync.add_command(create)


@sync.command(name="list")
@json_option
@click.pass_obj
def list_syncs(invocation: Invocation, wants_json: bool) -> None:
    """List the syncs."""
    settings = invocation.settings()
    found = run(settings, _summaries(settings))
    if wants_json:
        as_json(found)
        return
    columns = ("name", "provider", "account", "schema", "status", "tables")
    rows = [[*(s[name] for name in columns[:5]), len(s["tables"])] for s in found]
    as_table(columns, rows)


@sync.command()
@click.argument("name")
@json_option
@click.pass_obj
def show(invocation: Invocation, name: str, wants_json: bool) -> None:
    """Show one sync by NAME or id: its API root, its tables and their columns.

    The API root is what your client takes as its base URL. The unique id in it is not a
    secret that opens anything by itself, but need not be published either.
    """
    settings = invocation.settings()
    found = run(settings, _summaries(settings, name))[0]
    if wants_json:
        as_json(found)
        return
    for label in ("name", "id", "provider", "account", "status", "schema", "api_root"):
        click.echo(f"{label.replace('_', ' '):10}{found[label]}")
    for rate in found["rates"]:
        click.echo(
            f"{'rate':10}{rate['budget']}: {rate['allowed_requests']}/{rate['interval']:g} s"
        )
    for table in found["tables"]:
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


async def _summaries(settings: Settings, name: str | None = None) -> list[dict[str, Any]]:
    async with open_office(settings) as office:
        if name is None:
            found = await office.registry.syncs()
        else:
            one = await office.registry.sync(name)
            if one is None:
                raise no_such_sync(name)
            found = [one]
        return [
            summary(one, await office.registry.tables(one), settings.gateway_url)
            for one in found
        ]


async def _replace_token(settings: Settings, name: str) -> None:
    async with open_office(settings) as office:
        one = await office.registry.sync(name)
        if one is None:
            raise no_such_sync(name)
        try:
            await replace_token(office, one, read_token(PROVIDERS[one.provider]))
        except OtherAccount as error:
            raise Failure(f"{error}. Make a sync of its own for that account") from error


async def _delete(settings: Settings, name: str, drop_tables: bool) -> None:
    async with open_office(settings) as office:
        one = await office.registry.sync(name)
        if one is None:
            raise no_such_sync(name)
        await office.registry.delete_sync(one, drop_tables=drop_tables)
