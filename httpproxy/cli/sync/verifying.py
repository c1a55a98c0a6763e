"""`httpproxy sync verify`: is what the tables say what the API says?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import click

from httpproxy.cli.desk import open_desk
from httpproxy.cli.failures import FAILED, USAGE, Failure
from httpproxy.cli.invocation import Invocation
from httpproxy.cli.output import as_json, as_table, json_option
from httpproxy.cli.running import run
from httpproxy.management.syncs.steering import SAMPLE, Looked, Verify, chosen
from httpproxy.settings.reading import Settings

# A serving process does not know of this one's calls, nor this one of its: so it takes
# only a fifth of what the sync may use.
_SHARE: Final = 5
_NAMED: Final = 10  # records of a kind


@click.command()
@click.argument("name")
@click.argument("table", required=False)
@click.option(
    "--sample",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    help=f"Compare N rows of each table, taken by chance. Default {SAMPLE}.",
)
@click.option("--all", "everything", is_flag=True, help="Compare all that the API lists.")
@click.option("--repair", is_flag=True, help="Put right what differs.")
@json_option
@click.pass_context
def verify(  # noqa: PLR0913 - one per option
    context: click.Context,
    name: str,
    table: str | None,
    *,
    sample: int | None,
    everything: bool,
    repair: bool,
    wants_json: bool,
) -> None:
    """Compare rows of the sync NAME, or of its TABLE, with what the API says of them now.

    It works beside `httpproxy serve`, at a fifth of the sync's rate. What changed a moment
    ago elsewhere also differs: look again before you call it drift. The exit code is 1 if
    rows differ that were not repaired.

    \b
    Examples
      httpproxy sync verify crm
      httpproxy sync verify crm contact --all --repair
    """
    if everything and sample is not None:
        raise Failure("--all compares every record: leave out --sample", USAGE)
    invocation: Invocation = context.obj
    settings = invocation.settings()
    wish = Verify(
        collection_ids=[table] if table else None,
        sample=sample or SAMPLE,
        all=everything,
        repair=repair,
    )
    looked = run(settings, _verified(settings, name, wish))
    if wants_json:
        as_json([{"table": each.health.table, **asdict(each.finding)} for each in looked])
    else:
        _tell(looked, name, repair=repair)
    if any(each.open for each in looked):
        context.exit(FAILED)


async def _verified(settings: Settings, name: str, wish: Verify) -> list[Looked]:
    async with open_desk(settings) as desk:
        sync, steering = await desk.sync(name), desk.services.steering
        there = await steering.health(sync)
        tables = chosen(there, wish.collection_ids or (), sync, "collection_ids")
        looked: list[Looked] = []
        async with steering.verifying(sync, share=_SHARE) as verifying:
            for table in tables:
                click.echo(f"comparing {table.table} …", err=True)
                looked += await verifying.look(table, wish)
        return looked


def _tell(looked: Sequence[Looked], name: str, *, repair: bool) -> None:
    columns = ("table", "compared", "same", "differ", "lacking", "moved", "repaired")
    as_table(columns, [_line(each) for each in looked])
    for each in looked:
        for what, ids in (("differ", each.finding.drifted), ("lacking", each.finding.absent)):
            if ids:
                more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
                click.echo(f"{each.health.table}, {what}: {', '.join(ids[:_NAMED])}{more}")
    if any(each.open for each in looked):
        again = "they were written meanwhile and will be read again"
        anew = f"`httpproxy sync verify {name} --repair` puts them right"
        click.echo(f"  -> {again if repair else anew}")


def _line(each: Looked) -> tuple[str | int, ...]:
    found = each.finding
    wrong = len(found.drifted), len(found.absent)
    return (each.health.table, found.checked, found.same, *wrong, found.moved, found.repaired)
