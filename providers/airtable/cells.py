"""How the cells of a table are read: what follows from its fields, worked out once.

Every answer is read cell by cell; nothing that is the same for all answers is looked
up again for each of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from providers.airtable.fields import column_fitter, linked_table
from providers.record import JSON, Collection, ColumnType, Field


class Cell(NamedTuple):
    """One field's cells.

    `plain` are the types whose values the column takes as they are; `fit` gives any other
    value as the column takes it, or raises Misfit. `any_shape`: the column takes objects,
    and with them what Airtable is still working on.
    """

    id: str
    plain: frozenset[type]
    fit: Callable[[JSON], JSON]
    any_shape: bool
    name: str


# Exact types: a bool is an int to Python, and no number to the column. A float that was read
# from JSON is finite (`providers.body`).
_PLAIN: Final[Mapping[ColumnType, frozenset[type]]] = {
    ColumnType.TEXT: frozenset({str}),
    ColumnType.NUMERIC: frozenset({int, float}),
    ColumnType.BOOLEAN: frozenset({bool}),
    ColumnType.JSONB: frozenset({str, int, float, bool}),
}


class Cells(NamedTuple):
    """A table's cells by both keys, a record without any, and the links to other tables.

    `distinct`: no field is named like a field's id.
    """

    by_id: Mapping[str, Cell]
    by_name: Mapping[str, Cell]
    distinct: bool
    blank: Mapping[str, JSON]
    links: tuple[tuple[Field, str], ...]


def cells_of(collection: Collection) -> Cells:
    """The cells of a table; the fields that are no cells (the id) are only in `blank`."""
    return collection.once(_worked_out)


def _worked_out(collection: Collection) -> Cells:
    fields = [field for field in collection.fields if field.id[0] != "$"]
    cells = [_cell(field) for field in fields]
    by_id, by_name = {cell.id: cell for cell in cells}, {cell.name: cell for cell in cells}
    return Cells(
        by_id,
        by_name,
        distinct=by_id.keys().isdisjoint(by_name.keys()),
        blank={field.id: field.empty for field in collection.fields},
        links=tuple((f, linked) for f in fields if (linked := linked_table(f)) is not None),
    )


def _cell(field: Field) -> Cell:
    kind = field.column_type
    plain, any_shape = _PLAIN.get(kind, frozenset()), kind is ColumnType.JSONB
    return Cell(field.id, plain, column_fitter(field), any_shape, field.name)
