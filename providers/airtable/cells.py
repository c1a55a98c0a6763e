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

    `plain` is the type whose values the column takes as they are; `fit` gives any other
    value as the column takes it, or raises Misfit. `any_shape`: the column takes objects,
    and with them what Airtable is still working on.
    """

    id: str
    plain: type | None
    fit: Callable[[JSON], JSON]
    any_shape: bool
    name: str


# Exact types: a bool is an int to Python, and no number to the column.
_PLAIN: Final[Mapping[ColumnType, type]] = {
    ColumnType.TEXT: str,
    ColumnType.NUMERIC: int,
    ColumnType.BOOLEAN: bool,
}


class Cells(NamedTuple):
    """A table's cells by both keys, a record without any, and the links to other tables."""

    by_id: Mapping[str, Cell]
    by_name: Mapping[str, Cell]
    blank: Mapping[str, JSON]
    links: tuple[tuple[Field, str], ...]


def cells_of(collection: Collection) -> Cells:
    """The cells of a table; the fields that are no cells (the id) are only in `blank`."""
    return collection.once(_worked_out)


def _worked_out(collection: Collection) -> Cells:
    fields = [field for field in collection.fields if field.id[0] != "$"]
    cells = [_cell(field) for field in fields]
    return Cells(
        by_id={cell.id: cell for cell in cells},
        by_name={cell.name: cell for cell in cells},
        blank={field.id: field.empty for field in collection.fields},
        links=tuple((f, linked) for f in fields if (linked := linked_table(f)) is not None),
    )


def _cell(field: Field) -> Cell:
    kind = field.column_type
    any_shape = kind is ColumnType.JSONB
    return Cell(field.id, _PLAIN.get(kind), column_fitter(field), any_shape, field.name)
