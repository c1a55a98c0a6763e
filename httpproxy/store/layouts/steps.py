"""The steps that bring one table to what discovery found, taken in one transaction.

`evolution` says which they are. Each function works on a connection that is in a
transaction; the sync is locked.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Final

import psycopg

from httpproxy.store.database import QUERIES, Connection
from httpproxy.store.layouts import evolution, layout, statements
from httpproxy.store.layouts.evolution import Plan, Present, Retype
from httpproxy.store.layouts.layout import Layout
from httpproxy.store.layouts.tables import Table
from providers.record import Collection

log = logging.getLogger(__name__)

LOCK_TIMEOUT: Final = "2s"
_REPAIRED: Final = "the table was repaired"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A column (or, with `column` "", a table) that Postgres would not change, and why."""

    table: str
    column: str
    why: str


@dataclass(frozen=True, slots=True)
class Taken:
    """The steps that were taken. `again` says why the records are to be read again, if
    they are."""

    plan: Plan
    refused: tuple[Refusal, ...]
    changed: bool
    again: str | None


async def bound_waiting(connection: Connection) -> None:
    """Commits wait behind whoever waits for a table: nobody does for long."""
    await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")


def renamed(known: Layout, found: Collection) -> bool:
    """Whether the collection has other names now, or is back."""
    before = known.table.collection
    return known.removed or found.name != before.name or found.aliases != before.aliases


async def take(
    connection: Connection, known: Layout, found: Collection, accepted: AbstractSet[str]
) -> Taken:
    """Changes the table; what the registry has of it is changed by `record`."""
    table = known.table
    await bound_waiting(connection)
    presents = await layout.read_presents(connection, table.schema_name)
    repaired = table.name not in presents
    if repaired:
        await layout.repair(connection, table)
        presents = await layout.read_presents(connection, table.schema_name)
    present = presents[table.name]
    plan = evolution.plan(known.kept, found, present, accepted)
    await _rename(connection, table, plan.renames)
    if plan.relabels:
        await connection.execute(statements.rename_extra(table, plan.relabels))
    if plan.unwanted:
        await connection.execute(statements.forget_extra(table, plan.unwanted))
    refused = [r for each in plan.retypes if (r := await _retype(connection, table, each))]
    if plan.added:
        additions = replace(table, columns=plan.added)
        await connection.execute(statements.add_columns(additions))
    if refused:
        held = _holding(present, plan, refused)
        plan = evolution.plan(known.kept, found, held, accepted)
    changed = repaired or plan.changed or renamed(known, found)
    again = _REPAIRED if repaired else _again(known, found, plan)
    return Taken(plan, tuple(refused), changed, again)


async def record(
    connection: Connection, known: Layout, found: Collection, taken: Taken
) -> None:
    """Puts down what the table is now, and what follows from it for its records."""
    number, plan = known.table.number, taken.plan
    await layout.save_fields(connection, number, plan.fields)
    await connection.execute(
        QUERIES["remove_fields"], {"number": number, "gone": list(plan.removed)}
    )
    await connection.execute(
        QUERIES["update_collection"],
        {"number": number, "name": found.name, "aliases": sorted(found.aliases)},
    )
    if taken.again is not None:
        # In the same transaction: if we end now, nobody else would know.
        parameters = {"number": number, "reason": taken.again}
        await connection.execute(QUERIES["want_again"], parameters)


def _again(known: Layout, found: Collection, plan: Plan) -> str | None:
    before = known.table.collection
    if known.removed:
        return "it is back"
    if found.name != before.name:
        # What was written under its new name so far was taken for another's.
        return f"it was renamed from {before.name}"
    if not plan.reread:
        return None
    if plan.relabels:
        # What was read by name in between may be in the column of another field.
        return "fields were renamed"
    return "fields were added" if plan.added else "fields have another type"


def _holding(present: Present, plan: Plan, refused: Sequence[Refusal]) -> Present:
    """The table, with the columns that could not be changed as such."""
    before = {new: old for old, new in plan.renames}
    held = {before.get(r.column, r.column): (r.why,) for r in refused}
    return replace(present, dependents={**present.dependents, **held})


async def _rename(
    connection: Connection, table: Table, renames: Sequence[tuple[str, str]]
) -> None:
    """Renames columns; two that swap their names go by way of a third."""
    leaving = {old for old, _ in renames}
    if any(new in leaving for _, new in renames):
        detour = [(old, f"_sync_moving_{n}") for n, (old, _) in enumerate(renames)]
        await _rename(connection, table, detour)
        renames = [(by, new) for (_, by), (_, new) in zip(detour, renames, strict=True)]
    for old, new in renames:
        await connection.execute(statements.rename_column(table, old, new))


async def _retype(connection: Connection, table: Table, retype: Retype) -> Refusal | None:
    """Changes the type of a column, unless something of the user's is against it: a
    policy, a constraint, an index. Then it keeps its type."""
    try:
        async with connection.transaction():
            await connection.execute(statements.keep_unfit(table, retype))
            await connection.execute(statements.change_type(table, retype))
    except psycopg.OperationalError:  # held by somebody, or the database is away
        raise
    except psycopg.Error as error:
        why = error.diag.message_primary or str(error)
        column = retype.column
        log.warning(
            "column %s.%s.%s keeps its type %s (%s); values that do not fit go to _extra",
            table.schema_name,
            table.name,
            column.name,
            column.field.column_type,
            why,
        )
        return Refusal(table.name, column.name, why)
    return None
