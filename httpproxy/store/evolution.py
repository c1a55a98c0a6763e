"""How a table follows its collection. Pure.

`plan` compares the layout a table has with what discovery found and returns the steps
between them; `layout` takes them. Nothing is ever dropped:

    a new field        gets a column
    another name       renames the column, unless both names make the same one
    another type       changes the column's type; what cannot follow goes to `_extra`
    a removed field    keeps its column, which is no longer written
    a field come back  has its old column again
"""

from __future__ import annotations

from collections.abc import Collection as Sized
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from httpproxy.store.tables import EXTRA, INSERTED_AT, UPDATED_AT, Column, free_name, snake_case
from providers.record import Collection, ColumnType, Field

# Postgres ends at 1,600 columns, dropped ones included. What has no column is in `_extra`.
MAX_COLUMNS: Final = 1500
OURS: Final = (EXTRA, INSERTED_AT, UPDATED_AT)


@dataclass(frozen=True, slots=True)
class Kept:
    """A field as the registry has it. `column` is None if the table is full."""

    field: Field
    column: str | None
    removed: bool


@dataclass(frozen=True, slots=True)
class Retype:
    """A column (by its new name) whose type should change."""

    column: Column
    to: ColumnType


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps from one layout to the next, in the order in which they are taken.

    `fields` are all fields to be recorded with their columns' names, in order; their
    types are those discovered, which a retype may still refuse. Values that were read
    before the change may wait in `_extra` for the columns of `awaiting`.
    """

    renames: tuple[tuple[str, str], ...]
    relabels: tuple[tuple[str, str], ...]
    retypes: tuple[Retype, ...]
    added: tuple[Column, ...]
    awaiting: tuple[Column, ...]
    removed: tuple[str, ...]
    fields: tuple[tuple[Field, str | None], ...]
    changed: bool


def layout(collection: Collection) -> tuple[tuple[Field, str | None], ...]:
    """The fields of a new collection with their columns' names."""
    return plan((), collection, ()).fields


def plan(kept: Sized[Kept], collection: Collection, in_table: Sized[str]) -> Plan:
    """The steps that bring a table to `collection`.

    `in_table` names the columns that the table has in fact, the user's own included.
    """
    known = {k.field.id: k for k in kept}
    renamed = {f.id for f in collection.fields if f.id in known and _renames(known[f.id], f)}
    staying = {k.column for k in kept if k.column and k.field.id not in renamed}
    leaving = {k.column for k in kept if k.column and k.field.id in renamed}
    taken = staying | (set(in_table) - leaving) | set(OURS)
    chosen = _names(collection, known, renamed, taken)
    pairs = [(known[f.id], f, chosen[f.id]) for f in collection.fields if f.id in known]
    fields = tuple((f, chosen[f.id]) for f in collection.fields)
    gone = tuple(k.field.id for k in kept if not k.removed and k.field.id not in chosen)
    return Plan(
        renames=tuple((k.column, n) for k, _, n in pairs if k.column and n and k.column != n),
        relabels=tuple((k.field.name, f.name) for k, f, _ in pairs if k.field.name != f.name),
        retypes=tuple(
            Retype(Column(replace(f, column_type=k.field.column_type), n), f.column_type)
            for k, f, n in pairs
            if n and k.field.column_type is not f.column_type
        ),
        added=tuple(
            Column(f, name) for f, name in fields if name and _columnless(known.get(f.id))
        ),
        awaiting=tuple(
            Column(f, name) for f, name in fields if name and _unfamiliar(known.get(f.id), f)
        ),
        removed=gone,
        fields=fields,
        changed=bool(gone)
        or any(k.removed for k, _, _ in pairs)
        or fields != tuple((k.field, k.column) for k in kept if not k.removed),
    )


def _columnless(kept: Kept | None) -> bool:
    return kept is None or kept.column is None


def _unfamiliar(kept: Kept | None, field: Field) -> bool:
    """Whether its values had no place in the layout before."""
    if kept is None or kept.column is None or kept.removed:
        return True
    return (kept.field.name, kept.field.column_type) != (field.name, field.column_type)


def _renames(kept: Kept, field: Field) -> bool:
    if field.column_name is not None or kept.column is None:
        return False
    return snake_case(kept.field.name) != snake_case(field.name)


def _names(
    collection: Collection, known: Mapping[str, Kept], renamed: set[str], taken: set[str]
) -> dict[str, str | None]:
    """Field id -> column name. Fixed names are given first, then in the fields' order."""
    chosen: dict[str, str | None] = {}
    for field in sorted(collection.fields, key=lambda f: f.column_name is None):
        kept = known.get(field.id)
        if kept is not None and kept.column is not None and field.id not in renamed:
            chosen[field.id] = kept.column
        elif len(taken) >= MAX_COLUMNS:
            chosen[field.id] = kept.column if kept else None
        else:
            name = free_name(field.column_name or field.name, field.id, taken)
            chosen[field.id] = name
            taken.add(name)
    return chosen
