"""A page of new records as one statement on its table, and its images as that one's rows.

    compiled(table)              how pages of a table's layout are written
    rows(table, layout, images)  images as the statement takes them

Values go by their place and not by name: Postgres reads that in a fifth less time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, cast

from psycopg.sql import SQL, Identifier, Literal

from httpproxy.store.layouts.statements import COMMA, TYPES, names
from httpproxy.store.layouts.tables import EXTRA, Column, Row, Table, row_of
from httpproxy.store.queries import load
from providers.record import JSON, ColumnType, Image

_LOAD: Final = SQL(load("commits/bulk.sql")["load"])

# One place of a JSON array as jsonb_populate_record would read it: JSON's null is NULL, and
# what does not fit is an error.
_READ: Final[Mapping[ColumnType, SQL]] = {
    ColumnType.TEXT: SQL("r->>{0}"),
    ColumnType.NUMERIC: SQL("(r->>{0})::numeric"),
    ColumnType.BOOLEAN: SQL("(r->>{0})::boolean"),
    ColumnType.DATE: SQL("(r->>{0})::date"),
    ColumnType.TIMESTAMPTZ: SQL("(r->>{0})::timestamptz"),
    ColumnType.TEXT_ARRAY: SQL(
        "CASE WHEN r->>{0} IS NOT NULL THEN ARRAY(SELECT jsonb_array_elements_text(r->{0})) END"
    ),
    ColumnType.JSONB: SQL("nullif(r->{0}, 'null')"),
}
_FIRST: Final = 4  # place of a column; record id, version, data and extra stand before


@dataclass(frozen=True, slots=True)
class PageLayout:
    """How the pages of one table are written, as long as it has this version.

    statement  `load` of bulk.sql
    columns    the columns' names, the key's first
    keys       the ids of the key's fields; `cells` those of the other columns' fields
    """

    version: int
    statement: bytes
    columns: tuple[str, ...]
    keys: frozenset[str]
    cells: tuple[str, ...]


def compiled(table: Table) -> PageLayout:
    """The layout of a table's pages. Costs a millisecond: keep it."""
    others = tuple(column for column in table.columns if column not in table.key)
    columns = (*table.key, *others)
    return PageLayout(
        table.version,
        _statement(table, columns),
        tuple(column.name for column in columns),
        frozenset(column.field.id for column in table.key),
        tuple(column.field.id for column in others),
    )


def _statement(table: Table, columns: Sequence[Column]) -> bytes:
    named = [Identifier(column.name) for column in columns]
    types = [column.field.column_type for column in columns]
    read = [_READ[kind].format(Literal(place)) for place, kind in enumerate(types, _FIRST)]
    found = [SQL("pg_typeof((NULL::{}).{})").format(names(table)["table"], n) for n in named]
    ours = [SQL("'{}'::regtype").format(TYPES[kind]) for kind in types]
    return _LOAD.format(
        table=names(table)["table"],
        extra=Identifier(EXTRA),
        number=Literal(table.number),
        version=Literal(table.version),
        sync_id=Literal(table.sync_id),
        collection_id=Literal(table.collection.id),
        columns=COMMA.join(named),
        values=COMMA.join(
            SQL("{} AS {}").format(value, name) for value, name in zip(read, named, strict=True)
        ),
        types_found=COMMA.join(found),
        types_ours=COMMA.join(ours),
    ).as_bytes(None)


def rows(table: Table, layout: PageLayout, images: Iterable[Image]) -> list[JSON]:
    """Whole images as the statement's rows. Most name each field once, and hold nothing
    that has no column: they take a third of the time of the others."""
    keys, cells = layout.keys, layout.cells
    width = len(keys) + len(cells)
    found: list[JSON] = []
    for image in images if table.without is None else map(table.without, images):
        values = image.values
        row: list[JSON] = [image.record_id, image.updated_at, image.data]
        try:
            if image.extra or len(values) != width or not keys <= values.keys():
                row += _placed(table, layout, image)
            else:
                row += [None, *image.key, *map(values.__getitem__, cells)]
        except KeyError:  # a column without a value, and a value without a column
            row += _placed(table, layout, image)
        found.append(row)
    return found


def _placed(table: Table, layout: PageLayout, image: Image) -> list[JSON]:
    row = row_of(table, image)
    values = cast("Row", row["v"])  # as of every whole image
    return [row.get("x"), *map(values.get, layout.columns)]
