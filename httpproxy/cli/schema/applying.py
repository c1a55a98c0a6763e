"""`httpproxy schema apply`: what waits is accepted, what is gone is dropped by its name."""

from __future__ import annotations

import sys

import click

from httpproxy.cli.desk import open_desk
from httpproxy.cli.failures import USAGE, Failure
from httpproxy.cli.schema.differences import as_text
from httpproxy.management.schema import AppliedPlan, SchemaPlan, SchemaWish, plan, spelled
from httpproxy.settings.reading import Settings


async def apply(settings: Settings, name: str, wish: SchemaWish, *, yes: bool) -> list[str]:
    """Brings the tables to the API's schema. Returns what there is to say. Raises Failure."""
    async with open_desk(settings) as desk:
        schemas = desk.services.schemas
        planned = plan(await schemas.compare(await desk.sync(name), wish.add), wish)
        _ask(planned, yes)
        return _said(name, await schemas.apply(planned))


def _said(name: str, applied: AppliedPlan) -> list[str]:
    planned, followed = applied.plan, applied.followed
    if followed.refused:
        told = "; ".join(f"{r.table}.{r.column}: {r.why}" for r in followed.refused)
        raise Failure(f"Postgres refused a part, all else is done: {told}")
    if not followed.changed and not planned.drops:
        return [f"{name}: there is nothing to apply"]
    accepted = [f"{spelled(each.location)} is {each.becomes} now" for each in planned.accepted]
    dropped = [f"dropped {spelled(location)}" for location in planned.drops]
    return [*accepted, *dropped, f"{name}: the tables have followed"]


def _ask(planned: SchemaPlan, yes: bool) -> None:
    """Shows what is about to be done and asks, unless nothing can be lost."""
    if yes or not (planned.accepted or planned.drops):
        return
    if not sys.stdin.isatty():
        raise Failure("nobody is there to be asked: add --yes to apply", USAGE)
    click.echo("\n".join(as_text(planned.comparison)))
    parts = [f"change {spelled(each.location)} to {each.becomes}" for each in planned.accepted]
    parts += [f"drop {spelled(location)} with its values" for location in planned.drops]
    click.confirm(f"\n{'; '.join(parts)}?", abort=True)
