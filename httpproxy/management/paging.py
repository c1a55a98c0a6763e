"""Lists in pages: a cursor is where the next page begins, opaque to who carries it."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import orjson

from httpproxy.management.problems import Declined

T = TypeVar("T")

DEFAULT_LIMIT: Final = 100
MAX_LIMIT: Final = 1000


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a list, and the cursor of the next one; None if this is the last."""

    items: Sequence[T]
    next: str | None = None


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
        raise Declined(
            "bad_parameter",
            "This is no cursor of ours. Take the one in the Link header of the page before,"
            " or leave it out to begin anew.",
            "cursor",
        )
    return tuple(parts)
