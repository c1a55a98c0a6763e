"""`httpproxy sync pause`, `resume` and `resync`: the user's word on what the sync does.

They change the database; a serving process does as it says there a moment later.
"""

from __future__ import annotations

import click

from httpproxy.cli.desk import open_desk
from httpproxy.cli.failures import Failure
from httpproxy.cli.invocation import Invocation
from httpproxy.cli.running import run
from httpproxy.cli.sync.reports import wrongs
from httpproxy.management.problems import Declined
from httpproxy.office import wall_clock
from httpproxy.settings.reading import Settings

_ALL = "\0all"  # no table's name: what --delete-missing means without one


@click.command()
@click.argument("name")
@click.pass_obj
def pause(invocation: Invocation, name: str) -> None:
    """Pause the sync NAME: nothing is read from its API until it is resumed.

    Calls through the gateway go on and are committed as ever. What changes meanwhile
    elsewhere is found when the sync is resumed.
    """
    settings = invocation.settings()
    run(settings, _pause(settings, name))
    click.echo(f"{name} is paused; calls through the gateway go on and are committed")
    click.echo(f"  -> `httpproxy sync resume {name}` lets it go on")


@click.command()
@click.argument("name")
@click.option(
    "--delete-missing",
    is_flag=False,
    flag_value=_ALL,
    metavar="[TABLE]",
    help="Go on with the held sweep of TABLE, or with every one: records that the API no"
    " longer has, by a read of each, are deleted.",
)
@click.pass_obj
def resume(invocation: Invocation, name: str, delete_missing: str | None) -> None:
    """Let the paused sync NAME go on, and say what is held in it.

    A sweep is held when a listing lacks so many records that the listing may be wrong.
    Nothing is deleted then until you say so with --delete-missing.

    \b
    Examples
      httpproxy sync resume crm
      httpproxy sync resume crm --delete-missing contact
    """
    settings = invocation.settings()
    for line in run(settings, _resume(settings, name, delete_missing)):
        click.echo(line)


@click.command()
@click.argument("name")
@click.argument("tables", nargs=-1, metavar="[TABLE]...")
@click.pass_obj
def resync(invocation: Invocation, name: str, tables: tuple[str, ...]) -> None:
    """Read every record of the sync NAME anew, or of some of its TABLES.

    The rows stay and can be read meanwhile; writes go on. It ends a listing that is
    under way, or held.

    \b
    Examples
      httpproxy sync resync crm
      httpproxy sync resync crm contact company
    """
    settings = invocation.settings()
    for line in run(settings, _resync(settings, name, tables)):
        click.echo(line)


async def _pause(settings: Settings, name: str) -> None:
    async with open_desk(settings) as desk:
        await desk.services.steering.pause(await desk.sync(name))


async def _resume(settings: Settings, name: str, delete_missing: str | None) -> list[str]:
    """Lets a sync go on. Returns what there is to say."""
    wanted = {None: False, _ALL: True}.get(delete_missing, [delete_missing or ""])
    async with open_desk(settings) as desk:
        try:
            resumed = await desk.services.steering.resume(await desk.sync(name), wanted)
        except Declined as declined:
            if declined.code != "nothing_held":
                raise
            raise Failure(f"--delete-missing: {declined.detail}") from declined
    said = [f"{name} goes on" if resumed.was_paused else f"{name} was not paused"]
    goes_on = "the sweep goes on; what a read does not find is deleted"
    said += [f"{each.table}: {goes_on}" for each in resumed.agreed]
    return [*said, *wrongs(resumed.held, wall_clock())]


async def _resync(settings: Settings, name: str, tables: tuple[str, ...]) -> list[str]:
    async with open_desk(settings) as desk:
        sync = await desk.sync(name)
        named = await desk.services.steering.resync(sync, tables)
    said = [f"{len(named)} of {name}'s tables will be read anew, while `httpproxy serve` runs"]
    if sync.status == "paused":
        said.append(f"  -> {name} is paused: `httpproxy sync resume {name}` first")
    return [*said, f"  -> `httpproxy sync watch {name}` shows how far it is"]
