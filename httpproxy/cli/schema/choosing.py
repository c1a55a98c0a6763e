"""`httpproxy schema columns`, `select`, `deselect` and `rename`: what is wanted of columns."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import click
from pydantic import ValidationError

from httpproxy.cli.desk import open_desk
from httpproxy.cli.failures import USAGE, Failure
from httpproxy.cli.invocation import Invocation
from httpproxy.cli.output import as_json, as_table, json_option
from httpproxy.cli.running import run
from httpproxy.cli.schema.locking import table_named
from httpproxy.management.columns import ColumnDocument, ColumnPatch, Columns
from httpproxy.management.models import wrongs
from httpproxy.management.paging import MAX_LIMIT
from httpproxy.management.services import make_services
from httpproxy.settings.reading import Settings
from httpproxy.store.registry import Sync

_HEADINGS: Final = ("table", "column", "type", "field", "")


@click.command()
@click.argument("name")
@click.argument("table", required=False)
@json_option
@click.pass_obj
def columns(invocation: Invocation, name: str, table: str | None, wants_json: bool) -> None:
    """List the columns of the sync NAME, or of one TABLE, with their fields."""
    settings = invocation.settings()
    found = run(settings, _listed(settings, name, table))
    if wants_json:
        as_json([column.model_dump(mode="json") for column in found])
    else:
        as_table(_HEADINGS, [_line(column) for column in found])


@click.command()
@click.argument("name")
@click.argument("location", metavar="TABLE.FIELD")
@click.pass_obj
def select(invocation: Invocation, name: str, location: str) -> None:
    """Give a field of the sync NAME a column again; its records are read anew."""
    settings = invocation.settings()
    column = run(settings, _choose(settings, name, location, {"selected": True}))
    told = f"{column.table}.{column.name}" if column.name else location
    click.echo(f"{told} is selected; `httpproxy serve` reads its records anew")


@click.command()
@click.argument("name")
@click.argument("location", metavar="TABLE.COLUMN")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def deselect(invocation: Invocation, name: str, location: str, yes: bool) -> None:
    """Drop a column of the sync NAME, and keep nothing of its field from now on.

    Neither rows nor events nor `_extra` hold its values then. Calls are passed on as they
    are, and `httpproxy schema select` brings the column back.
    """
    settings = invocation.settings()
    if not yes:
        if not sys.stdin.isatty():
            raise Failure("nobody is there to be asked: add --yes to deselect", USAGE)
        click.confirm(f"drop {location} with its values?", abort=True)
    column = run(settings, _choose(settings, name, location, {"selected": False}))
    click.echo(f"{column.table}: nothing of {_clean(column.field_name)} is kept any more")


@click.command()
@click.argument("name")
@click.argument("location", metavar="TABLE.COLUMN")
@click.argument("new_name")
@click.pass_obj
def rename(invocation: Invocation, name: str, location: str, new_name: str) -> None:
    """Call a column of the sync NAME something else, whatever its field is called.

    The name stays until `httpproxy schema unlock` gives the column its field's name again.
    """
    settings = invocation.settings()
    column = run(settings, _choose(settings, name, location, {"name": new_name}))
    click.echo(f"{location} is called {new_name} from now on" if column.name else
               f"{location} will be called {new_name} when it is selected")  # fmt: skip


async def _listed(settings: Settings, name: str, table: str | None) -> list[ColumnDocument]:
    async with _open(settings, name) as (sync, columns_, layouts):
        wanted = None if table is None else table_named(layouts, table).table.collection.id
        found: list[ColumnDocument] = []
        cursor: str | None = None
        while True:
            page = await columns_.page(sync, wanted, MAX_LIMIT, cursor)
            found += page.items
            cursor = page.next
            if cursor is None:
                return found


async def _choose(
    settings: Settings, name: str, location: str, said: dict[str, Any]
) -> ColumnDocument:
    table, _, field = location.partition(".")
    if not field:
        raise Failure(f"{location!r} is not TABLE.COLUMN", USAGE)
    async with _open(settings, name) as (sync, columns_, layouts):
        collection = table_named(layouts, table).table.collection.id
        return await columns_.change(sync, collection, field, _wanted(said))


def _wanted(said: dict[str, Any]) -> ColumnPatch:
    try:
        return ColumnPatch(**said)
    except ValidationError as error:
        told = "; ".join(f"{each.member} {each.detail}" for each in wrongs(error))
        raise Failure(told, USAGE) from error


@asynccontextmanager
async def _open(
    settings: Settings, name: str
) -> AsyncIterator[tuple[Sync, Columns, list[Any]]]:
    async with open_desk(settings) as desk:
        sync = await desk.sync(name)
        layouts = await desk.registry.following.layouts(sync.id)
        yield sync, make_services(desk.office).columns, layouts


def _line(column: ColumnDocument) -> tuple[str | None, ...]:
    name = column.name if column.selected else None
    told = ", ".join(_states(column))
    return column.table, name, column.column_type, _clean(column.field_name), told


def _states(column: ColumnDocument) -> Iterator[str]:
    if not column.selected:
        yield "not selected"
    elif column.name is None:
        yield "in _extra: the table is full"
    if column.own_name:
        yield "name of your own"
    elif column.locked:
        yield "name locked"
    if column.pending_type:
        yield f"{column.pending_type} waits"
    if column.removed:
        yield "field gone"


def _clean(text: str) -> str:
    """Names are the API's users' making: none may steer a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
