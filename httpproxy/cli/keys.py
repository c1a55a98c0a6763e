"""`httpproxy keys`: API keys for the management port are made, shown once, and ended.

What is done is `management.keys`, as the API does it.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import click

from httpproxy.cli.failures import NOT_FOUND, Failure, explaining_names
from httpproxy.cli.invocation import Invocation
from httpproxy.cli.managing import model, pages
from httpproxy.cli.output import as_json, as_table, json_option
from httpproxy.cli.running import run
from httpproxy.management.keys import MOST_DAYS, ApiKeys, KeyDocument, MadeKey, NewKey
from httpproxy.management.problems import Declined
from httpproxy.office import database_dsn
from httpproxy.settings.reading import Settings
from httpproxy.store.database import Database
from httpproxy.store.registry import Sync
from httpproxy.store.roster import Roster
from httpproxy.store.secrets.keys import SCOPES, Keys, Scope

T = TypeVar("T")

_COLUMNS: Final = {
    "id": "id",
    "name": "name",
    "scopes": "scopes",
    "sync": "sync_id",
    "state": "state",
    "created": "created_at",
    "expires": "expires_at",
    "used": "last_used_at",
}


@click.group()
def keys() -> None:
    """API keys for the management port (8081)."""


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    default=["read"],
    show_default=True,
    type=click.Choice(SCOPES),
    help="What it may do; write includes read, admin both. Can be repeated.",
)
@click.option("--sync", "sync_id", metavar="SYNC", help="Only with the sync of this name.")
@click.option("--days", type=click.IntRange(1, MOST_DAYS), help="It ends after so many days.")
@json_option
@click.pass_obj
def create(
    invocation: Invocation,
    name: str,
    scopes: tuple[Scope, ...],
    sync_id: str | None,
    days: int | None,
    wants_json: bool,
) -> None:
    """Make a key and print it. It is shown this once: only its hash is kept.

    \b
    Examples
      httpproxy keys create dashboard
      httpproxy keys create importer --scope write --sync crm --days 90
    """
    wanted = model(
        NewKey,
        {
            "name": name,
            "scopes": list(dict.fromkeys(scopes)),
            "sync_id": sync_id,
            "expires_in_days": days,
        },
    )
    made = _work(invocation.settings(), lambda service: _create(service, wanted))
    if wants_json:
        as_json(made.model_dump(mode="json"))
        return
    click.echo(made.key)
    click.echo(f"key {made.id} ({made.name}); it is not shown again", err=True)


@keys.command("list")
@json_option
@click.pass_obj
def list_(invocation: Invocation, wants_json: bool) -> None:
    """List the keys: what they may do, when they were used last. Never the keys themselves."""

    async def listed(service: ApiKeys) -> list[KeyDocument]:
        return await pages(lambda limit, cursor: service.page(limit, cursor, None))

    rows = [each.model_dump(mode="json") for each in _work(invocation.settings(), listed)]
    if wants_json:
        as_json(rows)
    else:
        as_table(list(_COLUMNS), [[_cell(row[n]) for n in _COLUMNS.values()] for row in rows])


@keys.command()
@click.argument("name")
@json_option
@click.pass_obj
def show(invocation: Invocation, name: str, wants_json: bool) -> None:
    """Show the key of this NAME or id. Never the key itself."""
    found = _work(invocation.settings(), lambda service: service.get(name, None))
    told = found.model_dump(mode="json")
    if wants_json:
        as_json(told)
        return
    for column, member in _COLUMNS.items():
        click.echo(f"{column:<9}{_cell(told[member]) or ''}".rstrip())


@keys.command()
@click.argument("name")
@click.pass_obj
def revoke(invocation: Invocation, name: str) -> None:
    """End the key of this NAME or id: within two seconds it opens nothing any more."""
    key = _work(invocation.settings(), lambda service: service.revoke(name, None))
    click.echo(f"key {key.id} ({key.name}) is revoked")


async def _create(service: ApiKeys, wanted: NewKey) -> MadeKey:
    try:
        with explaining_names("key; revoke that one, or"):
            return await service.create(wanted, None)
    except Declined as error:
        if error.members.get("member") != "sync_id":
            raise
        said = f"there is no sync {wanted.sync_id!r}; `httpproxy sync list` shows them"
        raise Failure(said, NOT_FOUND) from error


def _work(settings: Settings, do: Callable[[ApiKeys], Awaitable[T]]) -> T:
    """Does something with keys: on the database alone."""

    async def done() -> T:
        async with database_dsn(settings) as dsn, Database(dsn, connections=1) as database:

            async def find_sync(id_or_name: str) -> Sync | None:
                entry = await Roster(database).entry(id_or_name)
                return entry.sync if entry else None

            return await do(ApiKeys(Keys(database, time.monotonic), find_sync))

    return run(settings, done())


def _cell(value: Any) -> Any:
    return ",".join(value) if isinstance(value, list) else value
