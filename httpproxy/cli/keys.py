"""`httpproxy keys`: API keys for the management port are made, shown once, and ended."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import click

from httpproxy.cli.failures import NOT_FOUND, USAGE, Failure
from httpproxy.cli.invocation import Invocation
from httpproxy.cli.output import as_json, as_table, json_option
from httpproxy.cli.running import run
from httpproxy.office import database_dsn
from httpproxy.settings.reading import Settings
from httpproxy.store.database import QUERIES, Database
from httpproxy.store.errors import NameTaken
from httpproxy.store.secrets.keys import SCOPES, Key, Keys, Scope

_DAY = 86_400.0


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
@click.option("--sync", "sync", help="Only with the sync of this name.")
@click.option("--days", type=click.IntRange(1, 3650), help="It ends after so many days.")
@click.pass_obj
def create(
    invocation: Invocation,
    name: str,
    scopes: tuple[Scope, ...],
    sync: str | None,
    days: int | None,
) -> None:
    """Make a key and print it. It is shown this once: only its hash is kept.

    \b
    Examples
      httpproxy keys create dashboard
      httpproxy keys create importer --scope write --sync crm --days 90
    """
    settings = invocation.settings()
    expires_in = None if days is None else days * _DAY
    key, token = run(settings, _create(settings, name, scopes, sync, expires_in))
    click.echo(token)
    click.echo(f"key {key.id} ({key.name}); it is not shown again", err=True)


@keys.command("list")
@json_option
@click.pass_obj
def list_(invocation: Invocation, wants_json: bool) -> None:
    """List the keys: what they may do, when they were used last. Never the keys themselves."""
    settings = invocation.settings()
    rows = [_told(key) for key in run(settings, _list(settings))]
    if wants_json:
        as_json(rows)
    else:
        as_table(list(_COLUMNS), [list(row.values()) for row in rows])


@keys.command()
@click.argument("name")
@click.pass_obj
def revoke(invocation: Invocation, name: str) -> None:
    """End the key of this NAME or id: within two seconds it opens nothing any more."""
    settings = invocation.settings()
    key = run(settings, _revoke(settings, name))
    if key is None:
        said = f"there is no key {name!r}; `httpproxy keys list` shows them"
        raise Failure(said, NOT_FOUND)
    click.echo(f"key {key.id} ({key.name}) is revoked")


@asynccontextmanager
async def _open_keys(settings: Settings) -> AsyncIterator[tuple[Keys, Database]]:
    async with database_dsn(settings) as dsn, Database(dsn, connections=1) as database:
        yield Keys(database, time.monotonic), database


async def _create(
    settings: Settings,
    name: str,
    scopes: tuple[Scope, ...],
    sync: str | None,
    expires_in: float | None,
) -> tuple[Key, str]:
    async with _open_keys(settings) as (keys, database):
        sync_id = None if sync is None else await _sync_id(database, sync)
        try:
            key, token = await keys.create(name, scopes, sync_id=sync_id, expires_in=expires_in)
        except NameTaken as error:
            said = f"{name!r} is taken by another key; revoke that one, or choose another name"
            raise Failure(said, USAGE) from error
        return key, token.reveal()


async def _sync_id(database: Database, name: str) -> str:
    async with database.connection() as connection:
        asked = await connection.execute(QUERIES["read_sync"], {"wanted": name})
        row = await asked.fetchone()
    if row is None:
        raise Failure(f"there is no sync {name!r}; `httpproxy sync list` shows them", NOT_FOUND)
    return str(row["id"])


async def _list(settings: Settings) -> list[Key]:
    async with _open_keys(settings) as (keys, _):
        return list(await keys.list())


async def _revoke(settings: Settings, name: str) -> Key | None:
    async with _open_keys(settings) as (keys, _):
        return await keys.revoke(name)


_COLUMNS = ("id", "name", "scopes", "sync", "state", "created", "expires", "used")


def _told(key: Key) -> dict[str, Any]:
    state = "valid" if key.valid else "revoked" if key.revoked_at else "expired"
    moments = (key.created_at, key.expires_at, key.last_used_at)
    told = [None if at is None else at.isoformat(timespec="seconds") for at in moments]
    scopes = ",".join(scope for scope in SCOPES if scope in key.scopes)
    values = (key.id, key.name, scopes, key.sync_id, state, *told)
    return dict(zip(_COLUMNS, values, strict=True))
