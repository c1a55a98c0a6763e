"""The differences between an API's schema and the tables, told to people. No I/O.

AUTOMATIC  followed at the next discovery, without anybody being asked
WAITING    would lose or bend values: waits until somebody accepts it
KEPT       stays as it is, for good: nothing to do, only to know
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from httpproxy.store.layouts.evolution import WIDER, Kept, Plan, Present, Retype
from httpproxy.store.layouts.layout import Layout
from httpproxy.store.layouts.tables import Column, is_named_after
from providers.record import Collection


class Stage(StrEnum):
    """Whose turn it is. See the module."""

    AUTOMATIC = "automatic"
    WAITING = "waiting"
    KEPT = "kept"


class What(StrEnum):
    """What is different upstream."""

    NEW_TABLE = "new table"
    TABLE_GONE = "table gone"
    TABLE_BACK = "table back"
    TABLE_RENAMED = "table renamed"
    NEW_COLUMN = "new column"
    COLUMN_RENAMED = "column renamed"
    NAME_LOCKED = "name locked"
    COLUMN_WIDER = "column wider"
    COLUMN_RETYPED = "column retyped"
    FIELD_GONE = "field gone"
    FIELD_BACK = "field back"
    TABLE_FULL = "table full"
    DESELECTED = "column deselected"


@dataclass(frozen=True, slots=True)
class Counts:
    """Values of a column that is to change its type: those it holds, those of them that
    the new type cannot hold, and those that are in `_extra` because the old one cannot."""

    held: int
    unfit: int
    beside: int


@dataclass(frozen=True, slots=True)
class Location:
    """Where a difference is. `table` and `column` are SQL names (a table that is to be
    made has the collection's name), `collection` and `field` the provider's ids."""

    table: str
    collection: str
    column: str | None = None
    field: str | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference. `was` and `becomes` are names or types, after `what`; `named` is
    what the API calls the field. `dependents` keep Postgres from changing a type."""

    what: What
    stage: Stage
    location: Location
    named: str | None = None
    was: str | None = None
    becomes: str | None = None
    reason: str = ""
    counts: Counts | None = None
    dependents: tuple[str, ...] = ()


def new_table(collection: Collection) -> Difference:
    """A collection that has no table yet."""
    location = Location(collection.name, collection.id)
    return Difference(What.NEW_TABLE, Stage.AUTOMATIC, location)


def gone_table(layout: Layout) -> Difference:
    """A collection that is not there any more."""
    return Difference(
        What.TABLE_GONE,
        Stage.KEPT if layout.removed else Stage.AUTOMATIC,
        _location(layout),
        reason="the table stays with its rows and is no longer synced",
    )


def of_table(
    layout: Layout,
    found: Collection,
    plan: Plan,
    present: Present,
    counts: Mapping[str, Counts],
) -> Iterator[Difference]:
    """The differences of one table; `counts` by column, of those whose type waits."""
    yield from _of_names(layout, found)
    yield from _of_columns(layout, plan)
    dependents = _by_new_name(plan, present.dependents)
    for retype in (*plan.retypes, *plan.waiting):
        name = retype.column.name
        yield _retyped(layout, retype, dependents.get(name, ()), counts.get(name))
    for kept in layout.kept:
        if kept.column and _is_gone(kept, plan):
            yield Difference(
                What.FIELD_GONE,
                Stage.KEPT if kept.removed else Stage.AUTOMATIC,
                _location(layout, Column(kept.field, kept.column)),
                kept.field.name,
                was=kept.field.column_type,
                reason="the column stays with its values and is no longer written",
            )


def _location(layout: Layout, column: Column | None = None) -> Location:
    table = layout.table
    if column is None:
        return Location(table.name, table.collection.id)
    return Location(table.name, table.collection.id, column.name, column.field.id)


def _of_names(layout: Layout, found: Collection) -> Iterator[Difference]:
    table, before, location = layout.table.name, layout.table.collection, _location(layout)
    renamed = found.name != before.name
    if layout.removed:
        yield Difference(What.TABLE_BACK, Stage.AUTOMATIC, location)
    if renamed or not is_named_after(table, found.table_name or found.name, found.id):
        yield Difference(
            What.TABLE_RENAMED,
            Stage.AUTOMATIC if renamed else Stage.KEPT,
            location,
            was=before.name if renamed else None,
            becomes=found.name,
            reason="the table keeps its name in SQL",
        )


def _of_columns(layout: Layout, plan: Plan) -> Iterator[Difference]:
    removed = {k.field.id for k in layout.kept if k.removed and k.column}
    added = {column.name for column in plan.added}
    before = {new: old for old, new in plan.renames}
    for kept in plan.fields:
        if kept.column is None:
            yield _without_column(layout, kept)
            continue
        column = Column(kept.field, kept.column)
        location, named = _location(layout, column), kept.field.name
        if column.name in added:
            type_ = kept.field.column_type
            yield Difference(What.NEW_COLUMN, Stage.AUTOMATIC, location, named, becomes=type_)
        elif kept.field.id in removed:
            yield Difference(What.FIELD_BACK, Stage.AUTOMATIC, location, named)
        if column.name in before:
            old = before[column.name]
            yield Difference(
                What.COLUMN_RENAMED, Stage.AUTOMATIC, location, named, old, column.name
            )
        if kept.locked and not _has_its_name(column):
            yield Difference(What.NAME_LOCKED, Stage.KEPT, location, named)


def _without_column(layout: Layout, kept: Kept) -> Difference:
    if kept.selected:
        what, reason = What.TABLE_FULL, "the table has no room for it: values are in _extra"
    else:
        what, reason = What.DESELECTED, "it is not selected, and nothing of it is kept"
    location = Location(layout.table.name, layout.table.collection.id, field=kept.field.id)
    return Difference(what, Stage.KEPT, location, kept.field.name, reason=reason)


def _has_its_name(column: Column) -> bool:
    field = column.field
    return field.column_name is not None or is_named_after(column.name, field.name, field.id)


def _retyped(
    layout: Layout, retype: Retype, dependents: tuple[str, ...], counts: Counts | None
) -> Difference:
    column, old = retype.column, retype.column.field.column_type
    why = WIDER.get(retype.to, {}).get(old)
    tried = any(k.pending is retype.to for k in layout.kept if k.field.id == column.field.id)
    if why is not None and tried and not dependents:
        reason = "something of yours was against it, such as a constraint, at the last try"
    elif dependents:
        reason = f"{', '.join(dependents)} shows it: Postgres keeps the type of such a column"
    else:
        reason = why or "values that do not fit the new type would go to _extra"
    return Difference(
        What.COLUMN_RETYPED if why is None else What.COLUMN_WIDER,
        Stage.AUTOMATIC if why is not None and not tried and not dependents else Stage.WAITING,
        _location(layout, column),
        column.field.name,
        old,
        retype.to,
        reason,
        counts,
        dependents,
    )


def _by_new_name(
    plan: Plan, dependents: Mapping[str, tuple[str, ...]]
) -> Mapping[str, tuple[str, ...]]:
    new = dict(plan.renames)
    return {new.get(column, column): names for column, names in dependents.items()}


def _is_gone(kept: Kept, plan: Plan) -> bool:
    if kept.removed:
        return all(k.field.id != kept.field.id for k in plan.fields)
    return kept.field.id in plan.removed
