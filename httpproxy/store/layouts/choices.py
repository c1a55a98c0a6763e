"""What users want of single columns: a name of their own, a name that stays, or no column.

A choice is made in one transaction, with all that follows from it for the table. Each
function works on a connection that is in a transaction; the sync is locked.

A field that is not selected has no column. What the table held of it is gone, and nothing
of it is kept from then on (`Table.selected`). When it is selected again it has a column
again, by the plan that gives one to a new field, and its records are read anew.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

import psycopg

from httpproxy.store.database import Connection
from httpproxy.store.errors import Indispensable, InUse, NameTaken
from httpproxy.store.layouts import layout, statements, steps
from httpproxy.store.layouts.evolution import OURS, Kept, Present
from httpproxy.store.layouts.layout import Layout
from httpproxy.store.layouts.tables import MAX_NAME, SYSTEM_COLUMNS, Column, Table
from httpproxy.store.queries import load

_QUERIES: Final = load("layouts/choices.sql")
# What needs no quotes, whichever query names it; names of ours begin with an underscore.
_NAME: Final = re.compile(rf"[a-z][a-z0-9_]{{0,{MAX_NAME - 1}}}", re.ASCII)


def is_column_name(text: str) -> bool:
    """Whether a user may call a column so."""
    return bool(_NAME.fullmatch(text)) and text not in SYSTEM_COLUMNS


@dataclass(frozen=True, slots=True)
class Choice:
    """What is wanted of a column; None leaves that part as it is.

    name      a name of the user's own, which is locked with it; "" ends it: the column has
              the name of its field
    locked    whether the column keeps its name when its field is renamed; False ends a name
              of the user's own, too
    selected  whether the field has a column
    """

    name: str | None = None
    locked: bool | None = None
    selected: bool | None = None

    def of(self, kept: Kept) -> Kept:
        """The field as it is to be."""
        own, locked = kept.own_name, kept.locked
        if self.name is not None:
            own, locked = self.name or None, bool(self.name)
        if self.locked is not None:
            locked = self.locked
            own = own if locked else None
        selected = kept.selected if self.selected is None else self.selected
        return replace(kept, own_name=own, locked=locked, selected=selected)


@dataclass(frozen=True, slots=True)
class Made:
    """What came of a choice: whether anything is other than before, and the columns for
    which values may wait in `_extra`."""

    changed: bool = False
    awaiting: tuple[Column, ...] = ()


async def make(
    connection: Connection, known: Layout, present: Present, field: str, choice: Choice
) -> Made:
    """Makes a choice for the field of this id.

    Raises LookupError for an unknown field, Indispensable, NameTaken, InUse.
    """
    kept = next((k for k in known.kept if k.field.id == field), None)
    if kept is None:
        raise LookupError(f"{field} is no field of {known.table.collection.id}")
    wanted = choice.of(kept)
    if wanted == kept:
        return Made()
    _check(known, present, kept, wanted)
    await steps.bound_waiting(connection)
    if kept.selected and not wanted.selected:
        await _deselect(connection, known.table, kept, present)
        wanted = replace(wanted, column=None)
    elif wanted.own_name and wanted.column in present.columns:
        if wanted.column != wanted.own_name:
            renaming = statements.rename_column(known.table, wanted.column, wanted.own_name)
            await connection.execute(renaming)
        wanted = replace(wanted, column=wanted.own_name)
    await _save(connection, known.table, kept, wanted)
    return Made(True, await _follow(connection, known))


def _check(known: Layout, present: Present, kept: Kept, wanted: Kept) -> None:
    """Raises Indispensable, NameTaken."""
    field, own = wanted.field, wanted.own_name
    if not wanted.selected and (
        field.id.startswith("$") or field.id in known.table.collection.key
    ):
        raise Indispensable(f"{field.name} tells records apart, or is not theirs to leave out")
    if own is None or own in (kept.own_name, kept.column):
        return
    others = {k.own_name for k in known.kept if k.field.id != field.id}
    if not is_column_name(own) or own in present.columns.union(OURS) or own in others:
        raise NameTaken("name", own)


async def _deselect(connection: Connection, table: Table, kept: Kept, present: Present) -> None:
    if kept.column is not None and kept.column in present.columns:
        await drop(connection, table, kept.column)
    if present.columns:
        spellings = (kept.field.name, kept.field.id)
        await connection.execute(statements.forget_extra(table, spellings))


async def drop(connection: Connection, table: Table, column: str) -> None:
    """Drops a column. Raises InUse if something of the user's shows it."""
    try:
        await connection.execute(statements.drop_column(table, column))
    except psycopg.errors.DependentObjectsStillExist as error:
        said = error.diag
        raise InUse(f"{said.message_primary}: {said.message_detail}") from error


async def _save(connection: Connection, table: Table, kept: Kept, wanted: Kept) -> None:
    parameters = {
        "number": table.number,
        "field": wanted.field.id,
        "column_name": wanted.column,
        "own_name": wanted.own_name,
        "locked": wanted.locked,
        "selected": wanted.selected,
    }
    await connection.execute(_QUERIES["choose_field"], parameters)
    if (wanted.column, wanted.selected) != (kept.column, kept.selected):
        await connection.execute(_QUERIES["next_layout"], {"number": table.number})


async def _follow(connection: Connection, known: Layout) -> tuple[Column, ...]:
    """What the plan makes of the choice: a column that is there again, a name that is the
    field's again."""
    if known.removed:
        return ()
    found = await layout.read_layouts(connection, known.table.sync_id)
    now = next(each for each in found if each.table.number == known.table.number)
    taken = await steps.take(connection, now, now.upstream, frozenset())
    if taken.changed:
        await steps.record(connection, now, now.upstream, taken)
    return taken.plan.awaiting
