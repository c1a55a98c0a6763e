"""What an API's answer says of its records.

    Field       one attribute of a record: the provider's id and type, our column type
    Collection  a type of record (an Airtable table, HubSpot contacts) and its fields
    Schema      the collections that one sync covers, found by id, name or alias
    Image       what one answer says of one record
    Dirty       what an answer leaves open: a record or a collection to be read again
    Change      everything one answer means: images and what they leave open

An image's values are already in the form that its column takes, and keyed by
field id, so that the store needs no knowledge of any provider. What no column can
hold (a field we have not discovered yet, a value that does not fit its type) is in
`extra` under the upstream's own name: nothing an API said is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, TypeVar

T = TypeVar("T")

JSON = str | int | float | bool | None | list["JSON"] | dict[str, "JSON"]

EMPTY: Final[Mapping[str, JSON]] = MappingProxyType({})


class ColumnType(StrEnum):
    """The Postgres types that a user's column can have.

    The values that go with them in `Image.values`: TEXT str, NUMERIC int or float or
    a decimal string, BOOLEAN bool, DATE "YYYY-MM-DD", TIMESTAMPTZ ISO 8601 with an
    offset, TEXT_ARRAY list of str, JSONB any JSON value.
    """

    TEXT = "text"
    NUMERIC = "numeric"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMPTZ = "timestamptz"
    TEXT_ARRAY = "text[]"
    JSONB = "jsonb"


@dataclass(frozen=True, slots=True)
class Field:
    """One attribute of a collection.

    `id` is the provider's own, stable over renames ("fldX…", a HubSpot property
    name); system fields, which every record of a provider has outside its own
    fields, have ids beginning with "$" and a fixed `column_name`.
    `empty` is what an omitted cell means: None, or False for an Airtable checkbox.
    `options` are the values that an enumeration takes, as far as they are known; None for
    any other field, and where nobody knows them.
    """

    id: str
    name: str
    type: str
    column_type: ColumnType
    writable: bool = True
    empty: JSON = None
    column_name: str | None = None
    options: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Collection:
    """A type of record. `key` names the fields (by id) that identify a record.

    `table_name` is what the user's table is derived from; `aliases` are the further
    spellings under which paths name the collection (HubSpot: contacts, 0-1).
    """

    id: str
    name: str
    fields: tuple[Field, ...]
    key: tuple[str, ...] = ("$id",)
    table_name: str = ""
    aliases: frozenset[str] = frozenset()

    @cached_property
    def by_id(self) -> Mapping[str, Field]:
        return {f.id: f for f in self.fields}

    @cached_property
    def by_name(self) -> Mapping[str, Field]:
        return {f.name: f for f in self.fields if not f.id.startswith("$")}

    def once(self, work_out: Callable[[Collection], T]) -> T:
        """`work_out(self)`, worked out for the first call only.

        What it returns lives as long as the collection; readers that look at every
        answer keep there what follows from the fields alone.
        """
        if work_out not in self._worked_out:
            self._worked_out[work_out] = work_out(self)
        found: T = self._worked_out[work_out]
        return found

    @cached_property
    def _worked_out(self) -> dict[Callable[[Collection], Any], Any]:
        return {}


@dataclass(frozen=True)
class Schema:
    """The collections that one sync covers."""

    collections: tuple[Collection, ...]

    @cached_property
    def _by_spelling(self) -> Mapping[str, Collection]:
        found: dict[str, Collection] = {}
        for spellings in (
            lambda c: c.aliases,
            lambda c: (c.name,),
            lambda c: (c.id,),  # last, so that an id wins over a name spelled like it
        ):
            for collection in self.collections:
                found.update(dict.fromkeys(spellings(collection), collection))
        return found

    @cached_property
    def _by_field(self) -> Mapping[str, Collection]:
        return {f.id: c for c in self.collections for f in c.fields if f.id[0] != "$"}

    def find(self, spelling: str) -> Collection | None:
        """The collection with this id, name or alias; spelling is exact."""
        return self._by_spelling.get(spelling)

    def owner_of(self, field_id: str) -> Collection | None:
        """The collection that has this field, where field ids are unique (Airtable)."""
        return self._by_field.get(field_id)


class ImageKind(StrEnum):
    """How an image meets the row.

    REPLACE  the whole record: fields it does not name are empty
    MERGE    some fields: columns it does not name stay as they are
    ARCHIVE  the record is archived upstream: the row stays, marked `archived`
    DELETE   the record is gone: so is the row
    """

    REPLACE = "replace"
    MERGE = "merge"
    ARCHIVE = "archive"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Image:
    """What one answer says of one record.

    `key` holds the values of the collection's key fields, in their order. Where the
    answer names the record only by another field (`DELETE …?idProperty=email`), `key`
    is empty and `match` is (field id, value): the store looks the key up.
    `updated_at` is the upstream's own version stamp (ISO 8601), None if it has none.
    `data` is the record for the events: as the API spelled it, but for names that may change
    the fields' ids.
    """

    collection: str
    key: tuple[str, ...]
    kind: ImageKind
    values: Mapping[str, JSON] = field(default_factory=lambda: EMPTY)
    extra: Mapping[str, JSON] = field(default_factory=lambda: EMPTY)
    updated_at: str | None = None
    data: JSON = None
    match: tuple[str, str] | None = None

    @property
    def record_id(self) -> str:
        """The key as one string: "rec…", "512", "17:512" for a pair."""
        return ":".join(self.key)


@dataclass(frozen=True, slots=True)
class Dirty:
    """A record (or, with `key` None, a whole collection) that is to be read again.

    `updated_at` is the version that the record was seen to have, where only that was
    told: a row that has this version already needs no reading.
    """

    collection: str
    key: tuple[str, ...] | None
    reason: str
    updated_at: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Everything one answer means for the database.

    `unmapped` counts the records that belong to no collection of the sync.
    `schema_changed` asks for rediscovery: a field or collection was written or seen
    that the schema does not know.
    """

    images: tuple[Image, ...] = ()
    dirty: tuple[Dirty, ...] = ()
    unmapped: int = 0
    schema_changed: bool = False


NO_CHANGE: Final = Change()


def merged(changes: Iterable[Change]) -> Change:
    """Several changes as one, in order."""
    parts = tuple(changes)
    return Change(
        images=tuple(i for c in parts for i in c.images),
        dirty=tuple(d for c in parts for d in c.dirty),
        unmapped=sum(c.unmapped for c in parts),
        schema_changed=any(c.schema_changed for c in parts),
    )
