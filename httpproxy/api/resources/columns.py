"""`/v1/syncs/{sync}/columns`: which fields have columns, and how these are called."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from httpproxy.api.operations import Answer, Ask, Listing, Operation
from httpproxy.management.columns import ColumnDocument, ColumnPatch, TableLock

_ONE: Final = "/v1/syncs/{sync}/columns/{collection_id}/{field}"
_TAG: Final = "columns"


class ColumnsAsked(Listing):
    """Of which collection; all of them if it is not named."""

    collection_id: str | None = Field(None, description="Or its name, or an alias.")


async def listed(ask: Ask) -> Answer:
    """A page of columns."""
    asked: ColumnsAsked = ask.query
    sync = await ask.sync(ask.path["sync"])
    columns = ask.house.services.columns
    return Answer.of_page(
        await columns.page(sync, asked.collection_id, asked.limit, asked.cursor)
    )


async def shown(ask: Ask) -> Answer:
    """One column."""
    sync = await ask.sync(ask.path["sync"])
    place = ask.path["collection_id"], ask.path["field"]
    column = await ask.house.services.columns.get(sync, *place)
    return Answer(column, etag=column.etag)


async def changed(ask: Ask) -> Answer:
    """One column, as it is from now on."""
    sync = await ask.sync(ask.path["sync"])
    place = ask.path["collection_id"], ask.path["field"]
    columns = ask.house.services.columns
    column = await columns.change(sync, *place, ask.body, ask.if_match)
    return Answer(column, etag=column.etag)


async def locked(ask: Ask) -> Answer:
    """The columns of a table, whose names stay or do not."""
    sync = await ask.sync(ask.path["sync"])
    collection = ask.path["collection_id"]
    return Answer(await ask.house.services.columns.lock(sync, collection, ask.body))


OPERATIONS: Final = (
    Operation(
        "GET",
        "/v1/syncs/{sync}/columns",
        "read",
        listed,
        "List the columns of a sync's tables",
        tag=_TAG,
        query=ColumnsAsked,
        answer=list[ColumnDocument],
        reach="sync",
        problems=("unknown_sync", "unknown_collection"),
    ),
    Operation(
        "GET",
        _ONE,
        "read",
        shown,
        "Get a column",
        tag=_TAG,
        answer=ColumnDocument,
        reach="sync",
        problems=("unknown_sync", "unknown_collection", "unknown_column"),
    ),
    Operation(
        "PATCH",
        _ONE,
        "admin",
        changed,
        "Select or deselect a field, name its column, lock the name",
        tag=_TAG,
        description="The field is named by its id or name, or by its column's name. What the"
        " body does not name stays. A field that is deselected loses its column with all that"
        " this holds; from then on nothing of it is kept, neither in events. One that is"
        " selected again gets a column, and its collection is read anew.",
        body=ColumnPatch,
        answer=ColumnDocument,
        reach="sync",
        problems=(
            "unknown_sync",
            "unknown_collection",
            "unknown_column",
            "in_use",
            "changed_meanwhile",
        ),
    ),
    Operation(
        "PATCH",
        "/v1/syncs/{sync}/columns/{collection_id}",
        "admin",
        locked,
        "Lock or unlock the names of all columns of a table",
        tag=_TAG,
        body=TableLock,
        answer=list[ColumnDocument],
        reach="sync",
        problems=("unknown_sync", "unknown_collection"),
    ),
)
