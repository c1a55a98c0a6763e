"""The columns of a sync's tables: which fields have one, how it is called, whether that stays.

A field that is not selected has no column, and nothing of it is kept. `store.layouts.choices`
does it; here it is asked for and told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Final

from pydantic import AfterValidator, Field, WithJsonSchema

from httpproxy.management.models import Model
from httpproxy.management.naming import collection_named, public_id_of
from httpproxy.management.paging import Page, page_among
from httpproxy.management.patching import etag_of, require_match
from httpproxy.management.problems import Declined
from httpproxy.office import Office
from httpproxy.store.errors import Indispensable, NameTaken
from httpproxy.store.layouts.choices import Choice, is_column_name
from httpproxy.store.layouts.evolution import Kept
from httpproxy.store.layouts.layout import Layout
from httpproxy.store.layouts.tables import MAX_NAME, snake_case
from httpproxy.store.registry import Sync
from providers.catalog import PROVIDERS
from providers.record import Schema

_PATTERN: Final = rf"^[a-z][a-z0-9_]{{0,{MAX_NAME - 1}}}$"
_NAMED: Final = 50  # of the fields that there are, to who asked for another one


def _column_name(text: str) -> str:
    if not is_column_name(text):
        raise ValueError(
            "must begin with one of a to z and hold only these, digits and underscores, at most"
            f" {MAX_NAME} of them, and be no name that Postgres has for itself, such as xmin"
        )
    return text


ColumnName = Annotated[
    str,
    AfterValidator(_column_name),
    WithJsonSchema({"type": "string", "pattern": _PATTERN}),
]


class ColumnPatch(Model):
    """What can be said of a column."""

    name: ColumnName | None = Field(None, description="In SQL; null: that of its field.")
    locked: bool = Field(False, description="The name stays when the field is renamed.")
    selected: bool = Field(True, description="The field has a column.")


class TableLock(Model):
    """What can be said of all columns of a table."""

    locked: bool = Field(description="All names stay when their fields are renamed.")


class ColumnDocument(Model):
    """A field of a collection, and its column."""

    collection_id: str
    table: str
    field_id: str = Field(description="The provider's, stable over renames.")
    field_name: str = Field(description="What the API calls the field.")
    type: str = Field(description="The provider's.")
    name: str | None = Field(
        description="Of the column, in SQL; null: it has none, its values are in _extra, or,"
        " if it is not selected, nowhere."
    )
    own_name: bool = Field(description="The name was given by a user, and stays.")
    column_type: str = Field(description="The column's type in Postgres.")
    pending_type: str | None = Field(description="The type that it is to have: it waits.")
    selected: bool
    locked: bool
    writable: bool = Field(description="The API takes values for it.")
    key: bool = Field(description="It tells records apart.")
    system: bool = Field(description="Every record of the provider has it.")
    removed: bool = Field(description="The field is gone upstream; the column stays.")

    @property
    def etag(self) -> str:
        """The tag of what can be set."""
        settable = ColumnPatch.model_construct(
            name=self.name, locked=self.locked, selected=self.selected
        )
        return etag_of(settable)


class Columns:
    """Tells and changes what users want of columns. Raises Declined, and InUse for a column
    that something of the user's shows."""

    def __init__(self, office: Office) -> None:
        self._following = office.registry.following

    async def page(
        self, sync: Sync, collection: str | None, limit: int, cursor: str | None
    ) -> Page[ColumnDocument]:
        """The columns of a sync, or of one of its collections, in the tables' order."""
        layouts = await self._following.layouts(sync.id)
        if collection is not None:
            layouts = [_layout(sync, layouts, collection)]
        columns = [each for layout in layouts for each in _columns(sync, layout)]
        return page_among(columns, limit, cursor, lambda c: (c.collection_id, c.field_id))

    async def get(self, sync: Sync, collection: str, field: str) -> ColumnDocument:
        """A column, by its field's id or name, or by its own name."""
        layout = _layout(sync, await self._following.layouts(sync.id), collection)
        return _told(sync, layout, _kept(layout, field))

    async def change(
        self,
        sync: Sync,
        collection: str,
        field: str,
        wanted: ColumnPatch,
        if_match: str | None = None,
    ) -> ColumnDocument:
        """Changes what `wanted` names; what it does not name stays. A name of null, and
        `locked` false, end a name of the user's own."""
        layout = _layout(sync, await self._following.layouts(sync.id), collection)
        kept = _kept(layout, field)
        require_match(_told(sync, layout, kept).etag, if_match)
        choice = _choice(wanted, kept)
        if layout.locked and not choice.of(kept).locked:
            detail = f"All names of {layout.table.name} are locked: unlock the table first."
            raise Declined("bad_body", detail, "locked" if choice.name is None else "name")
        where = layout.table.collection.id
        try:
            await self._following.choose(sync.id, where, kept.field.id, choice)
        except NameTaken as error:
            detail = (
                f"{layout.table.name} has another column {error.value!r}, or keeps the name."
            )
            raise Declined("bad_body", f"{detail} Choose another one.", "name") from error
        except Indispensable as error:
            detail = f"{kept.field.name} cannot be left out: {error}."
            raise Declined("bad_body", detail, "selected") from error
        return await self.get(sync, where, kept.field.id)

    async def lock(
        self, sync: Sync, collection: str, lock: TableLock
    ) -> Sequence[ColumnDocument]:
        """Lets all columns of a table keep their names, or take those of their fields
        again, unless users have given them others. Returns them."""
        layout = _layout(sync, await self._following.layouts(sync.id), collection)
        where = layout.table.collection.id
        await self._following.lock_table(sync.id, where, locked=lock.locked)
        now = _layout(sync, await self._following.layouts(sync.id), where)
        return [*_columns(sync, now)]


def _choice(wanted: ColumnPatch, kept: Kept) -> Choice:
    """What a patch names. Raises Declined if it contradicts itself."""
    named = set(wanted.model_fields_set)
    if {"name", "locked"} <= named:
        if (wanted.name, wanted.locked) == (kept.column, kept.locked):
            named -= {"name", "locked"}  # as it is, whoever chose the name
        elif bool(wanted.name) is not wanted.locked:
            detail = "A name of your own is locked; without one, a column is called like its"
            raise Declined("bad_body", f"{detail} field: leave out locked.", "locked")
    return Choice(
        name=(wanted.name or "") if "name" in named else None,
        locked=wanted.locked if "locked" in named else None,
        selected=wanted.selected if "selected" in named else None,
    )


def _layout(sync: Sync, layouts: Sequence[Layout], collection: str) -> Layout:
    by_id = {each.table.collection.id: each for each in layouts}
    schema = Schema(tuple(each.table.collection for each in layouts))
    found = collection_named(PROVIDERS[sync.provider], schema, collection, "collection_id")
    return by_id[found.id]


def _kept(layout: Layout, text: str) -> Kept:
    """The field of this id, or else of this name, or of the column that is called so, or
    would be if there were one."""
    live = sorted(layout.kept, key=lambda kept: kept.removed)
    spellings: tuple[Callable[[Kept], str | None], ...] = (
        lambda kept: kept.field.id,
        lambda kept: kept.field.name,
        lambda kept: kept.column or kept.own_name or snake_case(kept.field.name),
    )
    for spelling in spellings:
        for kept in live:
            if spelling(kept) == text:
                return kept
    names = [kept.field.name for kept in live]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    detail = f"{layout.table.name} has no field {text[:80]!r}; there are"
    raise Declined("unknown_column", f"{detail} {', '.join(names[:_NAMED])}{more}.")


def _columns(sync: Sync, layout: Layout) -> Iterator[ColumnDocument]:
    return (_told(sync, layout, kept) for kept in layout.kept)


def _told(sync: Sync, layout: Layout, kept: Kept) -> ColumnDocument:
    collection, field = layout.table.collection, kept.field
    return ColumnDocument(
        collection_id=public_id_of(PROVIDERS[sync.provider], collection),
        table=layout.table.name,
        field_id=field.id,
        field_name=field.name,
        type=field.type,
        name=kept.column,
        own_name=kept.own_name is not None,
        column_type=field.column_type.value,
        pending_type=kept.pending.value if kept.pending else None,
        selected=kept.selected,
        locked=kept.locked,
        writable=field.writable,
        key=field.id in collection.key,
        system=field.id.startswith("$"),
        removed=kept.removed,
    )
