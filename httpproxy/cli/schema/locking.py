"""`httpproxy schema lock` and `unlock`: which columns keep their names."""

from __future__ import annotations

from collections.abc import Iterable

from httpproxy.cli.desk import open_desk
from httpproxy.cli.failures import USAGE, Failure
from httpproxy.settings.reading import Settings
from httpproxy.store.layouts.choices import Choice
from httpproxy.store.layouts.evolution import Kept
from httpproxy.store.layouts.layout import Layout


async def lock(settings: Settings, name: str, text: str, *, locked: bool) -> None:
    """Locks or unlocks the names of `text`, TABLE or TABLE.COLUMN. Raises Failure."""
    async with open_desk(settings) as desk:
        sync, following = await desk.sync(name), desk.registry.following
        table, dot, column = text.partition(".")
        layout = table_named(await following.layouts(sync.id), table)
        field = _column(layout, column).field.id if dot else None
        if field is not None and not locked and layout.locked:
            raise Failure(
                f"all names of {table} are locked: `httpproxy schema unlock {name} {table}`"
            )
        collection = layout.table.collection.id
        if field is None:
            await following.lock_table(sync.id, collection, locked=locked)
        else:
            await following.choose(sync.id, collection, field, Choice(locked=locked))


def table_named(layouts: Iterable[Layout], name: str) -> Layout:
    """The layout of the table of this name. Raises Failure."""
    tables = {each.table.name: each for each in layouts}
    if name not in tables:
        raise Failure(f"there is no table {name!r}; there are: {', '.join(tables)}", USAGE)
    return tables[name]


def _column(layout: Layout, name: str) -> Kept:
    columns = {kept.column: kept for kept in layout.kept if kept.column}
    if name not in columns:
        table, names = layout.table.name, ", ".join(columns)
        raise Failure(f"{table} has no column {name!r}; there are: {names}", USAGE)
    return columns[name]
