"""`httpproxy schema`: what has changed in an API's schema, and the user's word on it.

Tables follow by themselves wherever nothing can be lost. What could lose a value waits
until somebody has seen it here and accepts it; what is gone upstream is dropped only by
its name.
"""

from __future__ import annotations

import click

from httpproxy.cli.desk import open_desk
from httpproxy.cli.failures import DIFFERS
from httpproxy.cli.invocation import Invocation
from httpproxy.cli.output import as_json, json_option
from httpproxy.cli.running import run
from httpproxy.cli.schema import applying, choosing, locking
from httpproxy.cli.schema.differences import as_text
from httpproxy.management.schema import SchemaComparison, SchemaWish, schema_document
from httpproxy.settings.reading import Settings


@click.group(short_help="Follow the API's schema; choose and name columns.")
def schema() -> None:
    """Follow the API's schema: see what changed, accept it; choose columns and names.

    New, renamed and removed fields and wider types are followed by `httpproxy serve`
    itself; docs/schema.md has the table. These commands work while it runs and while it
    does not.
    """


@schema.command()
@click.argument("name")
@json_option
@click.option(
    "--exit-code", is_flag=True, help="End with 4 if anything is to follow or waits, else 0."
)
@click.pass_obj
def diff(invocation: Invocation, name: str, wants_json: bool, exit_code: bool) -> int:
    """Show how the API's schema and the tables of the sync NAME differ.

    Asks the API, changes nothing, and counts what a change of type would cost.

    \b
      +  comes          ~  changes, nothing is lost      !  waits for `schema apply`
      -  gone upstream  =  stays as it is
    """
    settings = invocation.settings()
    comparison = run(settings, _compared(settings, name))
    if wants_json:
        as_json(schema_document(comparison).model_dump(mode="json", by_alias=True))
    else:
        click.echo("\n".join(as_text(comparison)))
    return DIFFERS if exit_code and comparison.open else 0


@schema.command()
@click.argument("name")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="TABLE.COLUMN",
    help="Accept the new type of this column only; repeat it for more.",
)
@click.option(
    "--drop",
    "drops",
    multiple=True,
    metavar="TABLE.COLUMN",
    help="Drop this column, whose field is gone upstream, with its values.",
)
@click.option(
    "--add",
    "additions",
    multiple=True,
    metavar="COLLECTION",
    help="Take this collection into the sync, by its name in the API.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def apply(
    invocation: Invocation,
    name: str,
    columns: tuple[str, ...],
    drops: tuple[str, ...],
    additions: tuple[str, ...],
    yes: bool,
) -> None:
    """Bring the tables of the sync NAME to the API's schema, with what waits.

    Without options every type that waits is accepted; with any of them, what it names.
    A value that its new type cannot hold goes to `_extra` of its row: nothing is lost.
    What follows by itself follows at once.

    \b
    Examples
      httpproxy schema apply crm
      httpproxy schema apply crm --column contact.score
      httpproxy schema apply crm --drop contact.old_notes
    """
    settings = invocation.settings()
    wish = SchemaWish(columns=list(columns), drop=list(drops), add=list(additions))
    for line in run(settings, applying.apply(settings, name, wish, yes=yes)):
        click.echo(line)


@schema.command()
@click.argument("name")
@click.argument("location", metavar="TABLE[.COLUMN]")
@click.pass_obj
def lock(invocation: Invocation, name: str, location: str) -> None:
    """Let a column keep its name when its field is renamed, or all of a TABLE's.

    Your queries go on working; the values are the field's, whatever its name.
    """
    settings = invocation.settings()
    run(settings, locking.lock(settings, name, location, locked=True))
    click.echo(f"{location} keeps its name" + ("" if "." in location else "s"))


@schema.command()
@click.argument("name")
@click.argument("location", metavar="TABLE[.COLUMN]")
@click.pass_obj
def unlock(invocation: Invocation, name: str, location: str) -> None:
    """Let a column, or all of a TABLE's, take the names of their fields again, now.

    A name of your own ends if it is unlocked by itself; it stays if its table is.
    """
    settings = invocation.settings()
    run(settings, locking.lock(settings, name, location, locked=False))
    click.echo(f"{location} has the names of the API's fields" if "." not in location else
               f"{location} has the name of its field")  # fmt: skip


for _command in (choosing.columns, choosing.select, choosing.deselect, choosing.rename):
    schema.add_command(_command)


async def _compared(settings: Settings, name: str) -> SchemaComparison:
    async with open_desk(settings) as desk:
        return await desk.services.schemas.compare(await desk.sync(name))
