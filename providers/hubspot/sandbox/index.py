"""What finds records of a type without walking over all of them.

Kept beside the state and never dumped: it is built from the records when it is first
asked for, and every step that writes, archives or deletes a record tells it. Ids are
numbers here, which is how HubSpot orders them.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import islice
from math import inf

from providers.hubspot.sandbox.state import ObjectKind, Portal, Record, Version


@dataclass(frozen=True, slots=True)
class Window:
    """Ids and modified dates (milliseconds since 1970), both ends included."""

    ids: tuple[float, float] = (-inf, inf)
    modified: tuple[float, float] = (-inf, inf)


class Index:
    """The records of one type by id and by modified date."""

    def __init__(self, kind: ObjectKind) -> None:
        self._modified: dict[int, int] = {}
        self._archived: set[int] = set()
        self._ids: list[int] = []
        for record in sorted(kind.records.values(), key=lambda each: int(each.id)):
            self._put(record)

    @property
    def all_live(self) -> bool:
        return not self._archived

    def keep(self, record: Record, now: float, lag: float) -> None:
        """A record was written or archived: search finds that after `lag` seconds."""
        live = record.archived is None
        record.versions.append(Version(now, dict(record.properties), live))
        while len(record.versions) > 1 and record.versions[1].since <= now - lag:
            del record.versions[0]
        self._put(record)

    def _put(self, record: Record) -> None:
        number = int(record.id)
        if number not in self._modified:
            self._ids.append(number)  # a new record's id is the greatest there is
        self._modified[number] = round(record.updated * 1000)
        if record.archived is None:
            self._archived.discard(number)
        else:
            self._archived.add(number)

    def drop(self, record: Record) -> None:
        """A record was deleted for good."""
        number = int(record.id)
        del self._modified[number]
        del self._ids[bisect_left(self._ids, number)]
        self._archived.discard(number)

    def page(self, after: int, count: int, *, archived: bool) -> list[str]:
        """So many ids from `after` on, of live or of archived records."""
        rest = islice(self._ids, bisect_left(self._ids, after), None)
        wanted = (number for number in rest if (number in self._archived) == archived)
        return [str(number) for number in islice(wanted, count)]

    def live(self, window: Window) -> list[int]:
        """The ids of the live records in a window, in order."""
        found = self.touched(window)
        return [number for number in found if number not in self._archived]

    def touched(self, window: Window) -> list[int]:
        """The same, with those that were archived meanwhile."""
        least, most = window.modified
        first, last = window.ids
        modified = self._modified
        ids = self._ids if first <= 0 else self._ids[bisect_left(self._ids, first) :]
        return [n for n in ids if least <= modified[n] <= most and n <= last]


class Indexes:
    """The indexes of a world, by portal and type."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, str], Index] = {}

    def of(self, portal: Portal, kind: ObjectKind) -> Index:
        place = (portal.id, kind.id)
        found = self._found.get(place)
        if found is None:
            found = self._found[place] = Index(kind)
        return found
