"""Items without a database: each tells its number."""

from __future__ import annotations

from typing import Any

from httpproxy.store.streams.places import Place, Unread
from httpproxy.streams.items import Item


def numbered(n: int, *, size: int = 10, record: tuple[str, ...] | None = None) -> Item[Any]:
    """The item of this number; those of odd numbers are updates, the others deletions."""

    def never() -> Any:
        raise AssertionError("a number says nothing")

    kind = "updated" if n % 2 else "deleted"
    unread = Unread(Place(1, 0, n), "sync", "collection", kind, "proxy", size, never)
    return Item(unread, lambda: n, size, record)
