"""`httpproxy mutate`: records created, updated, upserted and deleted at an API.

The same as `POST /v1/mutations/run`. This process calls the API itself, under the rate limit
that it shares with those that serve, and needs none of them.
"""

from __future__ import annotations

import json
import sys
from typing import Any, Final

import click
from multidict import CIMultiDict

from httpproxy.cli.failures import FAILED, NOT_FOUND, USAGE, Failure
from httpproxy.cli.invocation import Invocation
from httpproxy.cli.managing import model
from httpproxy.cli.output import as_json, as_table, json_option
from httpproxy.cli.running import run
from httpproxy.exchange.forwarding.idempotency import HEADER
from httpproxy.mutations.documents import LONGEST_WAIT, WAIT, Mutated, Mutation
from httpproxy.mutations.run import Caller
from httpproxy.office import request_ids
from httpproxy.service import open_service
from httpproxy.settings.reading import Settings

_KINDS: Final = ("create", "update", "upsert", "delete")


@click.command(short_help="Create, update, upsert or delete records.")
@click.argument("kind", type=click.Choice(_KINDS))
@click.argument("sync")
@click.argument("collection")
@click.option("--data", help="Records as JSON, one or a list; else from standard input.")
@click.option("--match", multiple=True, help="For upsert: a field that finds the record.")
@click.option("--typecast", is_flag=True, help="Airtable makes of values what fits.")
@click.option("--idempotency-key", help="What makes a repeat of the command safe.")
@click.option("--await", "awaited", multiple=True, help="Wait for replica:NAME.")
@click.option(
    "--await-timeout",
    type=click.FloatRange(0, LONGEST_WAIT),
    default=WAIT,
    help=f"Seconds, {LONGEST_WAIT:g} at most.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be done; send nothing.")
@json_option
@click.pass_obj
def mutate(
    invocation: Invocation, /, kind: str, data: str | None, wants_json: bool, **given: Any
) -> None:
    """Change records at the API: their rows are in the database when this ends.

    Ends with 1 if not all of them were written.
    """
    members = {
        "kind": kind,
        "sync_id": given["sync"],
        "collection_id": given["collection"],
        "data": _records(data),
        "match": list(given["match"]),
        "typecast": given["typecast"],
        "await_consumer_ids": list(given["awaited"]),
        "await_consumers_timeout": given["await_timeout"],
        "dry_run": given["dry_run"],
    }
    asked = model(Mutation, members)
    settings = invocation.settings()
    mutated = run(settings, _run(settings, asked, given["idempotency_key"]))
    _show(mutated, wants_json=wants_json)
    if any(result.status != "applied" for result in mutated.results):
        click.get_current_context().exit(FAILED)


def _records(data: str | None) -> Any:
    text = data if data is not None else sys.stdin.read()
    try:
        return json.loads(text)  # orjson makes floats of integers of more than 64 bits
    except ValueError as error:
        raise Failure(f"the records are no valid JSON: {error}", USAGE) from error


async def _run(settings: Settings, asked: Mutation, key: str | None) -> Mutated:
    """The mutation, by a service that opens no door."""
    headers: CIMultiDict[str] = CIMultiDict({HEADER: key} if key is not None else {})
    async with open_service(settings.model_copy(update={"roles": ()})) as service:
        sync = await service.office.registry.sync(asked.sync_id)
        if sync is None:
            said = f"there is no sync {asked.sync_id!r}; `httpproxy sync list` shows them"
            raise Failure(said, NOT_FOUND)
        caller = Caller(request_ids()(), headers)
        return await service.house.mutations.run(sync, asked, asked.kind, caller)


def _show(mutated: Mutated, *, wants_json: bool) -> None:
    if wants_json or mutated.preview is not None:
        as_json(mutated.model_dump(mode="json"))
        return
    columns = ("index", "status", "id", "committed", "error")
    as_table(
        columns,
        (
            (
                each.index,
                each.status,
                each.upstream_id,
                each.committed,
                each.error.message if each.error else None,
            )
            for each in mutated.results
        ),
    )
    if mutated.awaited is False:
        click.echo("not all who were to be awaited have it yet", err=True)
