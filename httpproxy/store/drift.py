"""The differences between an API's schema and the tables, told to people. Pure.

AUTOMATIC  followed at the next discovery, without anybody being asked
WAITING    would lose or bend values: waits until somebody accepts it
KEPT       stays as it is, for good: nothing to do, only to know
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from httpproxy.store.evolution import WIDER, Kept, Plan, Present, Retype
from httpproxy.store.layout import Layout
from httpproxy.store.tables import Column, is_named_after
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


@dataclass(frozen=True, slots=True)
class Counts:
    """Values of a column that is to change its type: those it holds, those of them that
    the new type cannot hold, and those that are in `_extra` because the old one cannot."""

    held: int
    unfit: int
    beside: int


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference. `table` and `column` are SQL names, `field` is the API's; a table
    that is to be made has the collection's name."""

    what: What
    stage: Stage
    table: str
    column: str | None = None
    field: str | None = None
    was: str | None = None
    becomes: str | None = None
    reason: str = ""
    counts: Counts | None = None


def new_table(collection: Collection) -> Difference:
    """A collection that has no table yet."""
    return Difference(What.NEW_TABLE, Stage.AUTOMATIC, collection.name, becomes=collection.name)


def gone_table(layout: Layout) -> Difference:
    """A collection that is not there any more."""
    return Difference(
        What.TABLE_GONE,
        Stage.AUTOMATIC if not layout.removed else Stage.KEPT,
        layout.table.name,
        was=layout.table.collection.name,
        reason="the table stays with its rows and is no longer synced",
    )


def of_table(
    layout: Layout,
    found: Collection,
    plan: Plan,
    present: Present,
    counts: Mapping[str, Counts],
) -> Iterator[Difference]:
    """The differences of one table; `counts` by column, of those whose type changes."""
    yield from _of_names(layout, found)
    yield from _of_columns(layout, plan)
    table, dependents = layout.table.name, _by_new_name(plan, present.dependents)
    for retype in plan.retypes:
        yield _retyped(table, retype, (), counts)
    for retype in plan.waiting:
        yield _retyped(table, retype, dependents.get(retype.column.name, ()), counts)
    for kept in layout.kept:
        if kept.column and _is_gone(kept, plan):
            yield _gone(table, kept)


def _of_names(layout: Layout, found: Collection) -> Iterator[Difference]:
    table, before = layout.table.name, layout.table.collection
    if layout.removed:
        yield Difference(What.TABLE_BACK, Stage.AUTOMATIC, table, becomes=found.name)
    if found.name != before.name:
        yield Difference(
            What.TABLE_RENAMED,
            Stage.AUTOMATIC,
            table,
            was=before.name,
            becomes=found.name,
            reason="the table keeps its name in SQL",
        )
    elif not is_named_after(table, found.table_name or found.name, found.id):
        yield Difference(
            What.TABLE_RENAMED,
            Stage.KEPT,
            table,
            becomes=found.name,
            reason="the table keeps its name in SQL",
        )


def _of_columns(layout: Layout, plan: Plan) -> Iterator[Difference]:
    table = layout.table.name
    removed = {k.field.id: k for k in layout.kept if k.removed}
    for column in plan.added:
        yield _about(What.NEW_COLUMN, table, column, becomes=column.field.column_type)
    for kept in plan.fields:
        if kept.column is None:
            yield Difference(
                What.TABLE_FULL,
                Stage.KEPT,
                table,
                field=kept.field.name,
                reason="the table has no room for another column: values are in _extra",
            )
            continue
        column = Column(kept.field, kept.column)
        if kept.field.id in removed and removed[kept.field.id].column:
            yield _about(What.FIELD_BACK, table, column)
        if kept.locked and not _has_its_name(column):
            yield _about(What.NAME_LOCKED, table, column, stage=Stage.KEPT)
    by_name = {k.column: k for k in plan.fields if k.column}
    for old, new in plan.renames:
        column = Column(by_name[new].field, new)
        yield _about(What.COLUMN_RENAMED, table, column, was=old, becomes=new)


def _has_its_name(column: Column) -> bool:
    field = column.field
    return field.column_name is not None or is_named_after(column.name, field.name, field.id)


def _about(
    what: What,
    table: str,
    column: Column,
    *,
    stage: Stage = Stage.AUTOMATIC,
    was: str | None = None,
    becomes: str | None = None,
) -> Difference:
    return Difference(what, stage, table, column.name, column.field.name, was, becomes)


def _retyped(
    table: str, retype: Retype, dependents: tuple[str, ...], counts: Mapping[str, Counts]
) -> Difference:
    column, old = retype.column, retype.column.field.column_type
    why = WIDER.get(retype.to, {}).get(old)
    if dependents:
        reason = f"{', '.join(dependents)} shows it: Postgres keeps the type of such a column"
    elif why is not None:
        reason = why
    else:
        reason = "values that do not fit the new type would go to _extra"
    return Difference(
        What.COLUMN_RETYPED if why is None or dependents else What.COLUMN_WIDER,
        Stage.AUTOMATIC if why is not None and not dependents else Stage.WAITING,
        table,
        column.name,
        column.field.name,
        old,
        retype.to,
        reason,
        counts.get(column.name),
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


def _gone(table: str, kept: Kept) -> Difference:
    return Difference(
        What.FIELD_GONE,
        Stage.KEPT if kept.removed else Stage.AUTOMATIC,
        table,
        kept.column,
        kept.field.name,
        was=kept.field.column_type,
        reason="the column stays with its values and is no longer written",
    )
