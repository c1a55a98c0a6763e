"""Where a reader of the streams is, what it wants, and what it is told.

    Place    an event's place: era, transaction, number; a cursor is one, as text
    Wanted   which events, or records, a reader wants
    Unread, RecordPlace    what is told, in pages; an Event is what it says when it is read

Pure. Within an era transactions are ordered, and events by their numbers within one; an era
begins when the end of the database's history was lost, and all of it comes after the eras
before.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, Protocol

from providers.record import JSON

LAST_SEQ: Final = (1 << 62) - 1  # numbers fit into an event's id
LAST_TRANSACTION: Final = (1 << 63) - 1
_THREE: Final = r"(0|[1-9]\d{0,18})\.(0|[1-9]\d{0,18})\.(0|[1-9]\d{0,11})"
_WRITTEN: Final = re.compile(rf"{_THREE}(?:~{_THREE})?".encode())
_LONGEST: Final = 160  # characters of a cursor

EventKind = Literal["created", "updated", "deleted"]


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """An event's place in the order in which events are told.

    `since` is of readers of the records that are still behind it: when they began, what had
    been deleted up to there was gone already, so that they need not hear of it.
    """

    era: int
    transaction: int
    seq: int
    since: Place | None = field(default=None, compare=False)

    def write(self) -> str:
        """The place as a cursor: one word of letters, digits, `-` and `_`."""
        plain = f"{self.seq}.{self.transaction}.{self.era}"
        if self.since is not None:
            plain += f"~{self.since.seq}.{self.since.transaction}.{self.since.era}"
        return urlsafe_b64encode(plain.encode()).rstrip(b"=").decode()

    @classmethod
    def read(cls, text: str) -> Place:
        """The place that `write` has written. Raises ValueError."""
        found = None
        if len(text) <= _LONGEST and text.isascii():
            padded = text + "=" * (-len(text) % 4)
            try:
                found = _WRITTEN.fullmatch(urlsafe_b64decode(padded))
            except Error as error:
                raise ValueError("this is no cursor of ours") from error
        if found is None:
            raise ValueError("this is no cursor of ours")
        seq, transaction, era, *begun = (int(part) for part in found.groups() if part)
        since = cls(begun[2], begun[1], begun[0]) if begun else None
        place = cls(era, transaction, seq, since)
        parts = (place,) if since is None else (place, since)
        if (
            any(p.seq > LAST_SEQ or p.transaction > LAST_TRANSACTION for p in parts)
            or place.write() != text
        ):
            raise ValueError("this is no cursor of ours")
        return place


class Chosen(Protocol):
    """What readers choose by."""

    @property
    def sync_id(self) -> str: ...
    @property
    def collection_id(self) -> str: ...
    @property
    def event(self) -> str: ...
    @property
    def origin(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events a reader wants; None is all of them. `collection_ids` and `event`
    (created, updated, deleted) and `origin` (proxy, sync, mutation, sql) are the stored
    ones."""

    sync_ids: Sequence[str] | None = None
    collection_ids: Sequence[str] | None = None
    event: Sequence[str] | None = None
    origin: Sequence[str] | None = None
    _sets: tuple[frozenset[str] | None, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        wanted = (self.sync_ids, self.collection_ids, self.event, self.origin)
        sets = tuple(None if each is None else frozenset(each) for each in wanted)
        object.__setattr__(self, "_sets", sets)

    def takes(self, one: Chosen) -> bool:
        """Whether it is wanted: what the statements in streams.sql call `fits`."""
        sync_ids, collection_ids, events, origins = self._sets
        return (
            (sync_ids is None or one.sync_id in sync_ids)
            and (collection_ids is None or one.collection_id in collection_ids)
            and (events is None or one.event in events)
            and (origins is None or one.origin in origins)
        )


@dataclass(frozen=True, slots=True)
class Event:
    """A committed change of a record.

    `collection_id` is the provider's, `data` the record as the API spelled it (None if it
    was not told), `changes` what the row said before, by the fields' ids: of the columns that
    an update changed, of all that a deletion took. `_extra` among them is what no column
    held, by upstream name.
    """

    place: Place
    event_id: str
    sync_id: str
    collection_id: str
    upstream_id: str
    upstream_updated_at: datetime | None
    event: EventKind
    data: JSON
    changes: Mapping[str, JSON] | None
    origin: str
    request_id: str
    inserted_at: datetime


@dataclass(frozen=True, slots=True)
class Unread:
    """An event, and `size` bytes of JSON that `read` reads."""

    place: Place
    sync_id: str
    collection_id: str
    event: EventKind
    origin: str
    size: int
    read: Callable[[], Event]


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events in their order, or against it. `next` is where to go on: all before it was
    looked at. `end`: there is no more by now. Up to `reach` nothing was left out: at the end
    that is beyond `next`."""

    events: tuple[Unread, ...]
    next: Place
    end: bool
    reach: Place


@dataclass(frozen=True, slots=True)
class RecordPlace:
    """A record and its newest event, without what it says."""

    place: Place
    sync_id: str
    collection_id: str
    upstream_id: str
    event: EventKind
    upstream_updated_at: datetime | None
    inserted_at: datetime
    origin: str
    request_id: str


@dataclass(frozen=True, slots=True)
class RecordPage:
    """Records, each at its newest place. `next`, `end` and `reach` as of `EventPage`."""

    records: tuple[RecordPlace, ...]
    next: Place
    end: bool
    reach: Place
