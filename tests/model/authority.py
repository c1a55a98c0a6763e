"""The upstream of the model: an API that numbers every change and shows the number.

A record is the list of all states that it ever had; a state's place in the list is its
version. Every write puts the version into the columns that it writes, so that a row tells
which states it comes from. A *revert* puts the values of before back: it is a version of
its own that looks like an older one.

    Chronicle the time, and what changed when
    Record    one record, its history, and the images that an answer would hold
    Style     what an API's answers tell: whole or partial, with which versions, and
              whether a deleted record is archived
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from providers.record import JSON, Collection, ColumnType, Field, Image, ImageKind

VALUES: Final = ("a", "b")
_FIELDS: Final = (
    Field("$id", "id", "id", ColumnType.TEXT, writable=False, column_name="id"),
    *(Field(name, name, "text", ColumnType.TEXT) for name in VALUES),
)
_ARCHIVED: Final = Field(
    "$archived", "archived", "bool", ColumnType.BOOLEAN, writable=False, column_name="archived"
)
PLAIN: Final = Collection("plain", "plain", _FIELDS)
KEPT: Final = Collection("kept", "kept", (*_FIELDS, _ARCHIVED))
_ODD: Final = 50.0  # seconds by which the `updatedAt` of an archived record may be off
_UNIQUE: Final = 1e-5  # seconds between the versions of edits at the same moment


class Life(StrEnum):
    """Whether a record is there."""

    LIVE = "live"
    ARCHIVED = "archived"
    GONE = "gone"


class Stamps(StrEnum):
    """The `updatedAt` of an API: to the microsecond, whole seconds, none, now and then."""

    UNIQUE = "unique"
    COARSE = "coarse"
    NONE = "none"
    SPOTTY = "spotty"


@dataclass(frozen=True, slots=True)
class Style:
    """What an API's answers tell.

    partial   a write's answer names only what was written (HubSpot)
    archives  a deletion archives (HubSpot); what is archived can be purged, and is read
              with an `updatedAt` that has nothing to do with those of its life
    """

    stamps: Stamps
    partial: bool = False
    archives: bool = False

    def __str__(self) -> str:
        flags = [n for n in ("partial", "archives") if getattr(self, n)]
        return " ".join(["updatedAt", self.stamps.value, *flags])

    @property
    def collection(self) -> Collection:
        return KEPT if self.archives else PLAIN


STYLES: Final = (
    Style(Stamps.NONE),
    Style(Stamps.UNIQUE),
    Style(Stamps.COARSE),
    Style(Stamps.UNIQUE, partial=True, archives=True),
    Style(Stamps.COARSE, partial=True, archives=True),
    Style(Stamps.SPOTTY, partial=True),
    Style(Stamps.SPOTTY),
    Style(Stamps.UNIQUE, archives=True),
)


@dataclass(frozen=True, slots=True)
class State:
    """A record between two changes; `moment` is when its values were last written, in
    seconds since the epoch."""

    life: Life
    values: tuple[str, ...]
    moment: float


@dataclass
class Chronicle:
    """The upstream's time, and its records in the order of their changes."""

    now: float = 0.0  # seconds since the epoch
    changes: list[Record] = field(default_factory=list)


class Record:
    """One record and everything it has been."""

    def __init__(self, record_id: str, style: Style, life: Life, chronicle: Chronicle) -> None:
        self.id = record_id
        self.style = style
        self._chronicle = chronicle
        self.states = [State(life, ("0",) * len(VALUES), chronicle.now)]

    @property
    def version(self) -> int:
        return len(self.states) - 1

    @property
    def now(self) -> State:
        return self.states[-1]

    # Changes: each returns whether the API does it; the new version is `version`.

    def write(self, columns: Iterable[str] = VALUES) -> bool:
        """Writes the version into some columns."""
        return self._write(columns, lambda _: str(len(self.states)))

    def revert(self, columns: Iterable[str] = VALUES) -> bool:
        """Writes what some columns held before what they hold."""
        return self._write(columns, self._before)

    def create(self) -> bool:
        """Makes the record, or brings it back."""
        if self.now.life is Life.LIVE:
            return False
        state = replace(self.now, life=Life.LIVE)
        if self.now.life is Life.GONE:  # a new record has values of its own
            values = (str(len(self.states)),) * len(VALUES)
            state = State(Life.LIVE, values, self._moment())
        return self._become(state)

    def delete(self) -> bool:
        """Deletes the record; archives it where the API does that, any number of times."""
        if self.style.archives and self.now.life is not Life.GONE:
            return self._end(Life.ARCHIVED)
        return self.purge()

    def purge(self) -> bool:
        """Deletes the record for good."""
        return self.now.life is not Life.GONE and self._end(Life.GONE)

    def _end(self, life: Life) -> bool:
        return self._become(replace(self.now, life=life))

    def _write(self, columns: Iterable[str], token: Callable[[str], str]) -> bool:
        if self.now.life is not Life.LIVE:
            return False
        written = set(columns)
        values = tuple(
            token(name) if name in written else value
            for name, value in zip(VALUES, self.now.values, strict=True)
        )
        return self._become(State(Life.LIVE, values, self._moment()))

    def _become(self, state: State) -> bool:
        self.states.append(state)
        self._chronicle.changes.append(self)
        return True

    def _moment(self) -> float:
        return self._chronicle.now + _UNIQUE * len(self.states)

    def _before(self, column: str) -> str:
        at = VALUES.index(column)
        older = (s.values[at] for s in reversed(self.states))
        return next((v for v in older if v != self.now.values[at]), self.now.values[at])

    # Answers

    def ending(self, version: int) -> Image:
        """What is known of a deletion: the kind and the record, and no `updatedAt`."""
        archived = self.states[version].life is Life.ARCHIVED
        kind = ImageKind.ARCHIVE if archived else ImageKind.DELETE
        told: JSON = {"version": version, "columns": []}
        return Image(self.style.collection.id, (self.id,), kind, data=told)

    def image(self, version: int, columns: Iterable[str] | None = None) -> Image:
        """What an answer says of this version; with `columns` it names only these."""
        state, style = self.states[version], self.style
        collection = style.collection.id
        if state.life is Life.GONE:
            return self.ending(version)
        archived = state.life is Life.ARCHIVED
        named = VALUES if columns is None else tuple(columns)
        values: dict[str, JSON] = {
            name: value
            for name, value in zip(VALUES, state.values, strict=True)
            if name in named
        }
        values["$id"] = self.id
        if style.archives:
            values["$archived"] = archived
        kind = ImageKind.REPLACE if columns is None else ImageKind.MERGE
        stamp = self.stamp(version)
        told: JSON = {"version": version, "columns": list(named)}
        return Image(collection, (self.id,), kind, values, updated_at=stamp, data=told)

    def stamp(self, version: int) -> str | None:
        """The `updatedAt` of a version, in ISO 8601; None where the API tells none."""
        stamps, state = self.style.stamps, self.states[version]
        moment = state.moment
        if state.life is Life.ARCHIVED:
            moment += (0.0, _ODD, -_ODD)[version % 3]
        if stamps is Stamps.NONE or (stamps is Stamps.SPOTTY and version % 3 == 0):
            return None
        if stamps is Stamps.COARSE:
            moment //= 1
        return datetime.fromtimestamp(moment, UTC).isoformat()
