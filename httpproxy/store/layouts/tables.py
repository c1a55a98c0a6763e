"""From collections to tables: names, columns and rows. Pure.

    Column     a field and the name of its column
    Table      a collection and its table; turns images into rows
    SyncTables the tables of one sync

Columns belong to fields by the field's id, so a rename upstream renames the column
and keeps the data. A name, once given, stays until its field is renamed.

A row is what `tables.sql` takes: the values by column name, ready for Postgres, and
what no column can hold (`extra`). Names of the user's making reach SQL only through
`statements`, which quotes them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Final

from providers.record import JSON, Collection, Field, Image, ImageKind, Schema
from providers.selection import Without
from providers.values import Misfit, fit

MAX_NAME: Final = 63
EXTRA: Final = "_extra"
INSERTED_AT: Final = "_sync_inserted_at"
UPDATED_AT: Final = "_sync_updated_at"
ARCHIVED: Final = "$archived"
# Postgres gives every table columns of these names.
SYSTEM_COLUMNS: Final = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
GONE: Final = (ImageKind.ARCHIVE, ImageKind.DELETE)

_WORD_BREAK: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SPELT: Final = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l"}
)
_NOT_NAME: Final = re.compile(r"[^a-z0-9]+")
_SUFFIX: Final = re.compile(r"_\d+\Z")


def snake_case(text: str) -> str:
    """The text in ASCII letters, digits and single underscores, at most 63 bytes.

    "Due Date" -> "due_date", "firstName" -> "first_name", "Größe" -> "grosse".
    Empty if nothing of the text can be kept.
    """
    plain = unicodedata.normalize("NFKD", text.translate(_SPELT))
    words = _WORD_BREAK.sub("_", plain.encode("ascii", "ignore").decode()).lower()
    return _NOT_NAME.sub("_", words).strip("_")[:MAX_NAME].rstrip("_")


def free_name(wanted: str, fallback: str, taken: Iterable[str]) -> str:
    """A column, table or schema name for `wanted` that is not in `taken`.

    Of several that want one name the first gets it, the next `name_`, `name_2`, and
    so on. `fallback` (an id of the provider's) stands in where nothing of the wanted
    name can be kept.
    """
    used = frozenset(taken) | SYSTEM_COLUMNS
    stem = snake_case(wanted) or snake_case(fallback) or "unnamed"
    suffixes = (("_" if n == 1 else f"_{n}") if n else "" for n in count())
    return next(name for s in suffixes if (name := stem[: MAX_NAME - len(s)] + s) not in used)


def is_named_after(name: str, wanted: str, fallback: str) -> bool:
    """Whether `free_name` could have given this name."""
    stem = snake_case(wanted) or snake_case(fallback) or "unnamed"
    suffix = _SUFFIX.search(name)
    suffixes = {"", "_", suffix[0] if suffix else ""}
    return any(name == stem[: MAX_NAME - len(s)] + s for s in suffixes)


@dataclass(frozen=True, slots=True)
class Column:
    """A field and its column. `field.column_type` is the type the column really has."""

    field: Field
    name: str


@dataclass(frozen=True)
class Table:
    """A collection's table.

    `number` is the collection's id in the registry, `version` that of the layout; both
    together name one layout of one table.
    `columns` are those of the fields that exist upstream, key columns first; columns
    of removed fields stay in the database and are no longer written.
    `without` makes of an image one that holds nothing of the fields that the user has
    deselected; None if there are none.
    """

    sync_id: str
    number: int
    version: int
    schema_name: str
    name: str
    collection: Collection
    columns: tuple[Column, ...]
    without: Without | None = field(default=None, compare=False)

    def selected(self, image: Image) -> Image:
        """The image, of which all that it holds may be kept."""
        return image if self.without is None else self.without(image)

    @cached_property
    def names(self) -> Mapping[str, str]:
        """Field id -> column name."""
        return {column.field.id: column.name for column in self.columns}

    @cached_property
    def key(self) -> tuple[Column, ...]:
        """The primary key's columns, in the order of the collection's key."""
        by_id = {column.field.id: column for column in self.columns}
        return tuple(by_id[field_id] for field_id in self.collection.key)

    @cached_property
    def empties(self) -> Mapping[str, JSON]:
        """What omitted cells mean, where it is not NULL."""
        return {c.name: c.field.empty for c in self.columns if c.field.empty is not None}

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """Column name -> the field's upstream name, for all but system fields."""
        return {c.name: c.field.name for c in self.columns if not c.field.id.startswith("$")}

    @property
    def archived_column(self) -> str | None:
        return self.names.get(ARCHIVED)


@dataclass(frozen=True)
class SyncTables:
    """The tables of one sync, by their collections' ids."""

    schema: Schema
    tables: Mapping[str, Table]


Row = dict[str, JSON]


def row_of(table: Table, image: Image, *, sorted_out: bool = False) -> Row:
    """The part of a row that comes from the image.

    `sorted_out`: what is extra beside an empty column was put there because the column
    does not take it.

    k  the key; v  the values by column name; x  what no column holds, by upstream name
    n  upstream names that `v` answers for: on a merge they leave `_extra`
    """
    if image.kind in GONE:
        return {"k": list(image.key)}
    names = table.names
    whole = image.kind is ImageKind.REPLACE
    values: Row = dict(table.empties) if whole else {}
    extra: Row = dict(image.extra)
    try:
        values.update({names[field_id]: value for field_id, value in image.values.items()})
    except KeyError:
        _sort_out(table, image, values, extra)
    if extra:
        _place(table, image, values, extra, sorted_out)
    for column, part in zip(table.key, image.key, strict=True):
        values[column.name] = part
    row: Row = {"k": list(image.key), "v": values, "f": whole}
    if extra:
        row["x"] = extra
    if not whole:
        row["n"] = [table.labels[name] for name in values if name in table.labels]
    return row


def _sort_out(table: Table, image: Image, values: Row, extra: Row) -> None:
    """Values whose field has no column are extra; of unknown fields there are none."""
    fields, names = table.collection.by_id, table.names
    for field_id, value in image.values.items():
        if field_id in names:
            values[names[field_id]] = value
        elif field_id in fields and value is not None:
            extra[fields[field_id].name] = value


def _place(table: Table, image: Image, values: Row, extra: Row, sorted_out: bool) -> None:
    """Gives a value its column if the column, or its name, came after the image was read.

    A whole image, read by the old name, has the field empty. The column of a value that
    does not fit is NULL: what it held is no longer so.
    """
    for name in list(extra):
        field = table.collection.by_name.get(name)
        if field is None or _answers_for(image, field, sorted_out):
            continue
        column = table.names.get(field.id)
        if column is None:
            continue
        try:
            values[column] = fit(field.column_type, extra[name])
        except Misfit:
            values[column] = None
        else:
            del extra[name]


def _answers_for(image: Image, field: Field, sorted_out: bool) -> bool:
    if field.id not in image.values:
        return False
    empty = image.values[field.id] in (None, field.empty)
    return sorted_out or not empty or image.kind is not ImageKind.REPLACE


def is_deleted(image: Image) -> bool:
    """Whether the record is a tombstone after this image."""
    return image.kind in GONE or image.values.get(ARCHIVED) is True


def folded(images: Iterable[Image]) -> tuple[Image, ...]:
    """Images of one answer with at most one per record: the later over the earlier."""
    found: dict[tuple[str, tuple[str, ...]], Image] = {}
    unnamed: list[Image] = []
    for image in images:
        if image.match is not None:
            unnamed.append(image)
            continue
        place = (image.collection, image.key)
        earlier = found.pop(place, None)
        found[place] = image if earlier is None else _over(earlier, image)
    return (*found.values(), *unnamed)


def _over(earlier: Image, later: Image) -> Image:
    if later.kind is not ImageKind.MERGE or earlier.kind in GONE:
        return later
    extra = {**earlier.extra, **later.extra}
    return Image(
        later.collection,
        later.key,
        earlier.kind,
        {**earlier.values, **later.values},
        extra,
        later.updated_at or earlier.updated_at,
        later.data,
    )
