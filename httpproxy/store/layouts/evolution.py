"""How a table follows its collection. Pure.

`plan` compares the layout a table has with what discovery found and returns the steps
between them; `following` takes them. Nothing is dropped, and no step waits for another:

    a new field          gets a column
    another name         renames the column, unless both names make the same one, or the
                         name is locked
    a wider type         changes the column's type (`WIDER`)
    any other type       waits: the column keeps its type and goes on being filled, and
                         what does not fit it is in `_extra`, until somebody accepts it
    a column that        keeps its type, whatever the new one: Postgres does not change a
    something shows      column that a view of the user's depends on
    a removed field      keeps its column, which is no longer written
    a field come back    has its old column again
    a deselected field   has no column, whatever becomes of it, until it is selected again
    a name of the        stays, whatever the field is called, and is nobody else's
    user's own
"""

from __future__ import annotations

from collections.abc import Collection as Sized
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from httpproxy.store.layouts.tables import (
    EXTRA,
    INSERTED_AT,
    UPDATED_AT,
    Column,
    free_name,
    is_named_after,
    snake_case,
)
from providers.record import JSON, Collection, ColumnType, Field
from providers.values import Misfit, fit

# Postgres ends at 1,600 columns, dropped ones included. What has no column is in `_extra`.
MAX_COLUMNS: Final = 1500
OURS: Final = (EXTRA, INSERTED_AT, UPDATED_AT)

_T: Final = ColumnType
_AS_TEXT: Final = "every value has a text of its own that says the same"
_AS_LIST: Final = "every value becomes the one text of a list"
_AS_JSON: Final = "JSON holds every value as it is"

# To -> from -> why no value is lost and none means anything else afterwards. All other
# changes wait. A JSON value as text is among those: the text "5" and the number 5 would
# become the same. So is a moment as a date: its time would be lost.
WIDER: Final[Mapping[ColumnType, Mapping[ColumnType, str]]] = {
    _T.TEXT: {
        _T.NUMERIC: _AS_TEXT,
        _T.BOOLEAN: _AS_TEXT,
        _T.DATE: _AS_TEXT,
        _T.TIMESTAMPTZ: _AS_TEXT,
        _T.TEXT_ARRAY: "a list becomes its JSON text, which can be read back",
    },
    _T.TEXT_ARRAY: {
        _T.TEXT: _AS_LIST,
        _T.NUMERIC: _AS_LIST,
        _T.BOOLEAN: _AS_LIST,
        _T.DATE: _AS_LIST,
        _T.TIMESTAMPTZ: _AS_LIST,
    },
    _T.TIMESTAMPTZ: {
        # Both APIs spell a date that is given as a moment in this way.
        _T.DATE: "a day becomes its midnight in UTC",
    },
    _T.JSONB: {
        _T.TEXT: _AS_JSON,
        _T.NUMERIC: _AS_JSON,
        _T.BOOLEAN: _AS_JSON,
        _T.DATE: _AS_JSON,
        _T.TIMESTAMPTZ: _AS_JSON,
        _T.TEXT_ARRAY: _AS_JSON,
    },
}


def widens(old: ColumnType, new: ColumnType) -> bool:
    """Whether a column may change its type without anybody being asked."""
    return old in WIDER.get(new, {})


@dataclass(frozen=True, slots=True)
class Kept:
    """A field as the registry has it.

    `field.column_type` is the type that the column has in fact; `pending` the one that
    the field asks for, if that is another. `column` is None if the table is full, and if
    the field is not `selected`: then nothing of it is kept. `locked`: the column keeps its
    name. `own_name`: what the user calls the column; it is locked then.
    """

    field: Field
    column: str | None
    removed: bool = False
    pending: ColumnType | None = None
    locked: bool = False
    selected: bool = True
    own_name: str | None = None


@dataclass(frozen=True, slots=True)
class Present:
    """What a table has in fact, by hand or by us.

    `dropped` counts the columns that Postgres goes on counting; `dependents` names, by
    column, what keeps Postgres from changing its type.
    """

    columns: frozenset[str] = frozenset()
    dropped: int = 0
    dependents: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Retype:
    """A column (by its new name, with its old type) and the type that it is to have."""

    column: Column
    to: ColumnType


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps from one layout to the next, in the order in which they are taken.

    relabels  upstream names, old and new: what is in `_extra` follows
    unwanted  new upstream names of deselected fields: what is in `_extra` goes
    retypes   changes that are made; those of `waiting` are not
    awaiting  columns for which values that were read before may wait in `_extra`
    removed   ids of the fields that are gone
    fields    all fields to be recorded, in order
    reread    whether the records have to be read again to have all their values in place
    """

    renames: tuple[tuple[str, str], ...]
    relabels: tuple[tuple[str, str], ...]
    unwanted: tuple[str, ...]
    retypes: tuple[Retype, ...]
    waiting: tuple[Retype, ...]
    added: tuple[Column, ...]
    awaiting: tuple[Column, ...]
    removed: tuple[str, ...]
    fields: tuple[Kept, ...]
    changed: bool
    reread: bool


def layout(collection: Collection) -> tuple[Kept, ...]:
    """The fields of a new collection with their columns."""
    return plan((), collection, Present()).fields


def plan(
    kept: Sized[Kept],
    collection: Collection,
    present: Present,
    accepted: Sized[str] = (),
) -> Plan:
    """The steps that bring a table to `collection`.

    `accepted` are the ids of the fields whose columns may lose values to `_extra`.
    """
    known = {k.field.id: _there(k, present) for k in kept}
    chosen = _names(collection, known, present)
    fields = tuple(
        _settled(f, known.get(f.id), chosen[f.id], collection, present, accepted)
        for f in collection.fields
    )
    pairs = [(known[k.field.id], k) for k in fields if k.field.id in known]
    relabelled = [(b.field.name, k) for b, k in pairs if b.field.name != k.field.name]
    gone = tuple(i for i, k in known.items() if not k.removed and i not in chosen)
    added = tuple(
        Column(k.field, k.column)
        for k in fields
        if k.column and (k.field.id not in known or known[k.field.id].column is None)
    )
    unfamiliar = [k for k in fields if k.selected and _unfamiliar(known.get(k.field.id), k)]
    return Plan(
        renames=tuple(
            (before.column, k.column)
            for before, k in pairs
            if before.column and k.column and before.column != k.column
        ),
        relabels=tuple((old, k.field.name) for old, k in relabelled if k.selected),
        unwanted=tuple(k.field.name for _, k in relabelled if not k.selected),
        retypes=tuple(_retypes(pairs)),
        waiting=tuple(
            Retype(Column(k.field, k.column), k.pending)
            for k in fields
            if k.column and k.pending
        ),
        added=added,
        awaiting=tuple(Column(k.field, k.column) for k in unfamiliar if k.column),
        removed=gone,
        fields=fields,
        changed=bool(gone or added) or fields != tuple(k for k in kept if not k.removed),
        reread=bool(unfamiliar),
    )


def _retypes(pairs: Iterable[tuple[Kept, Kept]]) -> Iterator[Retype]:
    """The changes of type between two layouts, each with the column's new name."""
    for before, now in pairs:
        old, to = before.field.column_type, now.field.column_type
        if before.column and now.column and old is not to:
            yield Retype(Column(replace(now.field, column_type=old), now.column), to)


def _there(kept: Kept, present: Present) -> Kept:
    """A column that the user has dropped is none."""
    if kept.column is None or kept.column in present.columns:
        return kept
    return replace(kept, column=None)


def _settled(
    wanted: Field,
    kept: Kept | None,
    column: str | None,
    collection: Collection,
    present: Present,
    accepted: Sized[str],
) -> Kept:
    """The field as it is to be recorded: with the type that its column can have now."""
    if kept is None:
        return Kept(wanted, column)
    same = replace(kept, field=wanted, column=column, removed=False, pending=None)
    if kept.column is None or column is None:
        return same
    old, new = kept.field.column_type, wanted.column_type
    held = kept.column in present.dependents or wanted.id in collection.key
    if old is new or (not held and (widens(old, new) or wanted.id in accepted)):
        return same
    here = replace(wanted, column_type=old, empty=_empty(wanted, old))
    return replace(same, field=here, pending=new)


def _empty(wanted: Field, column_type: ColumnType) -> JSON:
    """What an omitted cell means, as a column of another type takes it."""
    try:
        return fit(column_type, wanted.empty)
    except Misfit:
        return None


def _unfamiliar(before: Kept | None, now: Kept) -> bool:
    """Whether its values, read so far, may have another place or form now."""
    if before is None or before.removed:
        return True
    if before.column is None and now.column is not None:
        return True
    return _said(before) != _said(now)


def _said(kept: Kept) -> tuple[str, ColumnType, ColumnType | None]:
    return kept.field.name, kept.field.column_type, kept.pending


def _renames(kept: Kept, wanted: Field) -> bool:
    if kept.column is None or kept.locked:
        return False
    if wanted.column_name is not None:  # of a system field; a name of the user's own is over
        return not is_named_after(kept.column, wanted.column_name, wanted.id)
    if snake_case(kept.field.name) != snake_case(wanted.name):
        return True
    # The name was locked when the field was renamed.
    return not is_named_after(kept.column, wanted.name, wanted.id)


def _names(
    collection: Collection, known: Mapping[str, Kept], present: Present
) -> dict[str, str | None]:
    """Field id -> column name. Fixed names are given first, then in the fields' order."""
    renamed = {f.id for f in collection.fields if f.id in known and _renames(known[f.id], f)}
    staying = {k.column for i, k in known.items() if k.column and i not in renamed}
    leaving = {k.column for i, k in known.items() if k.column and i in renamed}
    taken = staying | (present.columns - leaving) | set(OURS)
    kept_free = {k.own_name: i for i, k in known.items() if k.own_name and not k.column}
    chosen: dict[str, str | None] = {}
    for each in sorted(collection.fields, key=lambda f: f.column_name is None):
        kept = known.get(each.id)
        if kept is not None and not kept.selected:
            chosen[each.id] = None
        elif kept is not None and kept.column is not None and each.id not in renamed:
            chosen[each.id] = kept.column
        elif len(taken) + present.dropped >= MAX_COLUMNS:
            chosen[each.id] = kept.column if kept else None
        else:
            others = {name for name, whose in kept_free.items() if whose != each.id}
            name = _free(each, kept, taken | others if others else taken)
            chosen[each.id] = name
            taken.add(name)
    return chosen


def _free(wanted: Field, kept: Kept | None, taken: Sized[str]) -> str:
    """A name that is not taken: the user's own as it is, if there is one."""
    own = kept.own_name if kept else None
    if own is not None and own not in taken:
        return own
    return free_name(own or wanted.column_name or wanted.name, wanted.id, taken)
