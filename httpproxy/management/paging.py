"""Lists: in pages, and by filters that several of them have.

A cursor is where the next page begins, opaque to who carries it. It stands for a place, the
last item that was told, and not for a number of items: pages stay right while things come
and go.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar

import orjson
from pydantic import Field, JsonValue, TypeAdapter, ValidationError

from httpproxy.management.models import Metadata
from httpproxy.management.problems import Declined

T = TypeVar("T")
Row = TypeVar("Row")

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000

Made = tuple[str, str]
"""When a thing was made (ISO 8601), and its id: most lists are in that order."""

_METADATA: Final = TypeAdapter(Metadata)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a list, and the cursor of the next one; None if this is the last."""

    items: Sequence[T]
    next: str | None = None

    def told(self, as_: Callable[[T], Row]) -> Page[Row]:
        """The same page, of each item as it is told."""
        return Page([as_(each) for each in self.items], self.next)


def write_cursor(*parts: str | int) -> str:
    """A cursor that `read_cursor` reads back."""
    return urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")


def read_cursor(text: str, *types: type[str | int]) -> tuple[str | int, ...]:
    """The parts of a cursor. Raises Declined for one that we did not write."""
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        parts = orjson.loads(urlsafe_b64decode(padded))
        right = isinstance(parts, list) and [type(part) for part in parts] == list(types)
    except ValueError:
        right = False
    if not right:
        raise no_cursor()
    return tuple(parts)


def no_cursor() -> Declined:
    """The word that a cursor is none that we wrote."""
    return Declined(
        "bad_parameter",
        "This is no cursor of ours. Take the one in the Link header of the page before,"
        " or leave it out to begin anew.",
        "cursor",
    )


# --- lists in the order in which things were made ------------------------------------------


def page_of(
    rows: Sequence[Row], limit: int, place: Callable[[Row], tuple[datetime, str]]
) -> Page[Row]:
    """A page, from one row more than it has. `place` is when a row was made, and its id."""
    if len(rows) <= limit:
        return Page(rows)
    kept = rows[:limit]
    at, id_ = place(kept[-1])
    return Page(kept, write_cursor(at.isoformat(), id_))


def made_of(cursor: str | None) -> Made | None:
    """Behind what such a list goes on. Raises Declined for a cursor that is not ours."""
    if cursor is None:
        return None
    at, id_ = (str(part) for part in read_cursor(cursor, str, str))
    try:
        said = datetime.fromisoformat(at)
        moment = said.astimezone(UTC) if said.tzinfo else None  # Postgres takes fewer offsets
    except (ValueError, OverflowError):
        moment = None
    if moment is None or not id_.isprintable():
        raise no_cursor()
    return moment.isoformat(), id_


# --- lists that are at hand as a whole -----------------------------------------------------


def page_among(
    items: Sequence[T], limit: int, cursor: str | None, place: Callable[[T], tuple[str, ...]]
) -> Page[T]:
    """A page of items, each known by its `place`. Raises Declined for a cursor that is not
    ours, and for one whose item is gone."""
    first = 0
    if cursor is not None and items:
        after = read_cursor(cursor, *(str for _ in place(items[0])))
        first = next((n for n, each in enumerate(items, 1) if place(each) == after), 0)
        if not first:
            detail = "What the page before ended with is not there any more: begin anew."
            raise Declined("bad_parameter", detail, "cursor")
    kept = items[first : first + limit]
    more = first + limit < len(items)
    return Page(kept, write_cursor(*place(kept[-1])) if more else None)


# --- filters -------------------------------------------------------------------------------

METADATA_FILTER: Final[Any] = Field(
    None, max_length=8192, description='A JSON object that theirs contain: `{"customer":42}`.'
)


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
