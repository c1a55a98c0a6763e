"""What is told: a document, with what readers choose it by. Pure.

An item is made of what the store has; the document and its JSON are made when somebody wants
them, and the JSON once, however many do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from httpproxy.store.streams.places import Place, RecordPlace, Unread
from httpproxy.streams.documents import Document

D_co = TypeVar("D_co", bound=Document, covariant=True)
T_co = TypeVar("T_co", covariant=True)


class Item(Generic[D_co]):
    """A document that can be told.

    `size`: about how many bytes of JSON it is; `record`: what an item that comes later takes
    its place for, None if none does; `tell` makes the document.
    """

    __slots__ = (
        "_json",
        "_seq",
        "collection_id",
        "event",
        "origin",
        "place",
        "record",
        "size",
        "sync_id",
        "tell",
    )

    def __init__(
        self,
        of: Unread | RecordPlace,
        tell: Callable[[], D_co],
        size: int,
        record: tuple[str, ...] | None = None,
    ) -> None:
        self.place = of.place
        self.sync_id, self.collection_id = of.sync_id, of.collection_id
        self.event, self.origin = of.event, of.origin
        self.tell, self.size, self.record = tell, size, record
        self._json = b""
        self._seq = ""

    @property
    def seq(self) -> str:
        """Its place, as a cursor."""
        if not self._seq:
            self._seq = self.place.write()
        return self._seq

    @property
    def json(self) -> bytes:
        """The document as JSON."""
        if not self._json:
            self._json = self.tell().model_dump_json().encode()
        return self._json


@dataclass(frozen=True, slots=True)
class StreamPage(Generic[T_co]):
    """What was told. `next` is the place of the last that was looked at; up to `reach` there
    was nothing else. `end`: there was no more by then."""

    items: tuple[T_co, ...]
    next: Place
    end: bool
    reach: Place
