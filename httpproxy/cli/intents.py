"""`httpproxy intents`: which calls are under way, and of which nobody knows what became."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import click

from httpproxy.cli.desk import open_desk
from httpproxy.cli.invocation import Invocation
from httpproxy.cli.output import as_json, as_table, json_option
from httpproxy.cli.running import run
from httpproxy.cli.wording import duration
from httpproxy.management.intents import IntentDocument, OpenIntents
from httpproxy.settings.reading import Settings

SHOWN: Final = 100  # without --json; the oldest
_COLUMNS: Final = ("age", "sync", "call", "state", "looks", "next look", "why")


@click.command(short_help="List the calls that are under way or in doubt.")
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
    found = run(settings, _found(settings, name, limit))
    if wants_json:
        as_json([each.model_dump(mode="json") for each in found])
        return
    as_table(_COLUMNS, [_line(each) for each in found])


async def _found(settings: Settings, name: str | None, limit: int) -> Sequence[IntentDocument]:
    """The intents. Raises Failure."""
    async with open_desk(settings) as desk:
        sync = None if name is None else await desk.sync(name)
        return (await OpenIntents(desk.office).page(limit, None, sync)).items


def _line(intent: IntentDocument) -> tuple[str, ...]:
    due = intent.next_look
    return (
        duration(intent.age),
        intent.sync or intent.sync_id,
        f"{intent.method} {intent.path}",
        intent.state,
        str(intent.looks),
        "" if due is None else "now" if due <= 0 else f"in {duration(due)}",
        "".join(
            c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in intent.why or ""
        ),
    )
