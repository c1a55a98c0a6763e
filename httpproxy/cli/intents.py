"""`httpproxy intents`: which calls are under way, and of which nobody knows what became."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from httpproxy.cli.desk import open_desk
from httpproxy.cli.invocation import Invocation
from httpproxy.cli.output import as_json, as_table, json_option
from httpproxy.cli.running import run
from httpproxy.cli.wording import duration
from httpproxy.settings.reading import Settings
from httpproxy.store.intents.ledger import Ledger
from httpproxy.store.intents.values import OpenIntent

SHOWN: Final = 100  # without --json; the oldest
_COLUMNS: Final = ("age", "sync", "call", "state", "looks", "next look", "why")


@click.command()
@click.option("--sync", "name", metavar="NAME", help="Only those of this sync.")
@click.option("--limit", default=SHOWN, show_default=True, help="How many at most.")
@json_option
@click.pass_obj
def intents(invocation: Invocation, name: str | None, limit: int, wants_json: bool) -> None:
    """List the calls that are under way or in doubt, the oldest first.

    A call is written down before it leaves, and crossed out once its answer is in the
    tables. One that got no answer, or whose process is gone, is uncertain: the API is read,
    at growing intervals, until it is known what became of it.

    \b
    Example
      httpproxy intents --sync crm
    """
    settings = invocation.settings()
    found, names = run(settings, _found(settings, name, limit))
    if wants_json:
        as_json([_members(each, names) for each in found])
        return
    as_table(_COLUMNS, [_line(each, names) for each in found])


async def _found(
    settings: Settings, name: str | None, limit: int
) -> tuple[list[OpenIntent], Mapping[str, str]]:
    """The intents, and the names of their syncs by id. Raises Failure."""
    async with open_desk(settings) as desk, Ledger(desk.office.dsn) as ledger:
        wanted = None if name is None else (await desk.sync(name)).id
        names = {sync.id: sync.name for sync in await desk.registry.syncs()}
        return await ledger.open(limit, wanted), names


def _line(intent: OpenIntent, names: Mapping[str, str]) -> tuple[str, ...]:
    due = intent.due_in
    return (
        duration(intent.age),
        names.get(intent.sync_id, intent.sync_id),
        f"{intent.method} {intent.path}",
        intent.state,
        str(intent.looks),
        "" if due is None else "now" if due <= 0 else f"in {duration(due)}",
        "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in intent.why),
    )


def _members(intent: OpenIntent, names: Mapping[str, str]) -> dict[str, Any]:
    """One intent for scripts; durations are seconds, ids of 63 bits are text."""
    return {
        "id": str(intent.id),
        "process": intent.process,
        "sync": names.get(intent.sync_id),
        "sync_id": intent.sync_id,
        "request_id": intent.request_id,
        "method": intent.method,
        "path": intent.path,
        "state": intent.state,
        "age": intent.age,
        "looks": intent.looks,
        "next_look": intent.due_in,
        "why": intent.why or None,
    }
