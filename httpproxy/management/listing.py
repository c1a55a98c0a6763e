"""What lists have in common: the place in them that a cursor stands for, and filters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, TypeVar

from pydantic import JsonValue, TypeAdapter, ValidationError

from httpproxy.management.models import Metadata
from httpproxy.management.paging import Page, read_cursor, write_cursor
from httpproxy.management.problems import Declined

T = TypeVar("T")
Row = TypeVar("Row")

Place = tuple[str, str]
"""When a thing was made, and its id: lists are in that order."""

_METADATA: Final = TypeAdapter(Metadata)


def page_of(
    rows: Sequence[Row], limit: int, place: Callable[[Row], tuple[datetime, str]]
) -> tuple[Sequence[Row], str | None]:
    """The rows of a page and the cursor of the next, from one row more than it has."""
    if len(rows) <= limit:
        return rows, None
    kept = rows[:limit]
    at, id_ = place(kept[-1])
    return kept, write_cursor(at.isoformat(), id_)


def paged(rows: Sequence[Row], next_: str | None, told: Callable[[Row], T]) -> Page[T]:
    """A page of documents, from its rows."""
    return Page([told(row) for row in rows], next_)


def place_of(cursor: str | None) -> Place | None:
    """Where a list goes on. Raises Declined for a cursor that is not ours."""
    if cursor is None:
        return None
    at, id_ = (str(part) for part in read_cursor(cursor, str, str))
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or not id_.isprintable():
        raise Declined(
            "bad_parameter",
            "This is no cursor of ours. Take the one of the page before, or leave it out.",
            "cursor",
        )
    return moment.isoformat(), id_


def read_metadata(text: str | None) -> dict[str, JsonValue] | None:
    """What is to be contained in the metadata, from the JSON of a parameter. Raises
    Declined."""
    if text is None:
        return None
    try:
        return _METADATA.validate_json(text, strict=True)
    except ValidationError as error:
        detail = 'metadata must be a JSON object that theirs contain, such as {"customer":42}.'
        raise Declined("bad_parameter", detail, "metadata") from error


def is_id(text: str) -> bool:
    """Whether something could be called so: what Postgres stores no text of is not there."""
    return text.isprintable() and len(text) <= 500
