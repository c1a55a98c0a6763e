"""What the rows of a record have shown, held against what upstream had.

A row tells the versions it comes from, so checking it is looking it up. The *floor* of a
column is the oldest version that its history so far leaves possible: everything that the
row shows moves it on, everything that was acknowledged moves it on, and it never goes
back. A row that no version from the floor on explains is a violation of

    I2   read-your-writes: it is older than a write that was acknowledged
    I3   monotone rows: it is older than what it has shown before
    I4   no invention: upstream never had it
    I9   deletes stay deleted: it is back, and upstream did not bring it back

Where every answer is whole, the row has one floor; else each column has its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.model.authority import VALUES, Life, Record, State

LIFE: Final = "life"
COLUMNS: Final = (LIFE, *VALUES)


class Violation(AssertionError):
    """An invariant does not hold; the text tells which, and the schedule."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a user's table; None is a column that no answer has named yet."""

    life: Life
    values: tuple[str | None, ...]

    def shows(self, column: str) -> str | None:
        return self.life if column == LIFE else self.values[VALUES.index(column)]


def _had(state: State, column: str) -> str | None:
    return state.life if column == LIFE else state.values[VALUES.index(column)]


class Watch:
    """Follows the row of one record."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.row: Row | None = None
        self.unknown: set[str] = set()
        self._whole = not (record.style.partial or record.style.archives)
        self._floors = dict.fromkeys(COLUMNS, 0)

    def see(self, row: Row | None) -> None:
        """The next row of the committed history, None if it was deleted."""
        empty = {c for c in VALUES if row is not None and row.shows(c) is None}
        newly = empty if self.row is None else empty & self.unknown
        self.row, self.unknown = row, newly
        self._place("I3/I4/I9", strictly_gone=True)

    def reach(self, invariant: str, version: int, columns: tuple[str, ...] = COLUMNS) -> None:
        """From now on the row shows this version of some columns, or a later one."""
        for column in COLUMNS if self._whole else (LIFE, *columns):
            self._floors[column] = max(self._floors[column], version)
        self._place(invariant, strictly_gone=False)

    def is_complete(self) -> None:
        """Raises Violation if there is a column that no answer has named (I10)."""
        if self.unknown and self.record.now.life is Life.LIVE:
            raise self._violation("I10: never read", sorted(self.unknown))

    def equals_upstream(self) -> None:
        """Raises Violation unless the row is what upstream has (I1)."""
        state, row = self.record.now, self.row
        if state.life is Life.LIVE:
            same = row is not None and row == Row(state.life, state.values)
        elif state.life is Life.ARCHIVED:
            same = row is None or row.life is Life.ARCHIVED
        else:  # what was archived first may stay so: nothing tells of its end
            same = row is None or (row.life is Life.ARCHIVED and self._was_archived())
        if not same:
            raise self._violation("I1")

    def _was_archived(self) -> bool:
        return any(s.life is Life.ARCHIVED for s in self.record.states)

    def _place(self, invariant: str, *, strictly_gone: bool) -> None:
        """Moves the floors to the oldest versions that explain the row."""
        row = self.row
        if row is None:
            ends = {Life.GONE} if strictly_gone else {Life.GONE, Life.ARCHIVED}
            floor = self._first(invariant, [LIFE], lambda s: s.life in ends)
            self._floors = {c: max(f, floor) for c, f in self._floors.items()}
        elif self._whole:
            floor = self._first(invariant, COLUMNS, lambda s: self._explains(s, row, COLUMNS))
            self._floors = dict.fromkeys(COLUMNS, floor)
        else:
            for column in COLUMNS:
                if column not in self.unknown:
                    self._floors[column] = self._first(
                        invariant, [column], lambda s, c=column: self._explains(s, row, [c])
                    )

    @staticmethod
    def _explains(state: State, row: Row, columns) -> bool:
        gone = state.life is Life.GONE
        return not gone and all(_had(state, c) == row.shows(c) for c in columns)

    def _first(self, invariant: str, columns, explains) -> int:
        states = self.record.states
        for version in range(max(self._floors[c] for c in columns), len(states)):
            if explains(states[version]):
                return version
        raise self._violation(invariant, list(columns))

    def _violation(self, invariant: str, columns: list[str] | None = None) -> Violation:
        states = [f"{n}:{s.life}{s.values}" for n, s in enumerate(self.record.states)]
        return Violation(
            f"{invariant}: {self.record.id} shows {self.row}"
            f" (unknown {sorted(self.unknown)}, {columns}, floors {self._floors});"
            f" upstream had {'; '.join(states)}"
        )
