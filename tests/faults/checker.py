"""Whether a history keeps the invariants. Pure, and linear in the length of the history.

The authority numbers the changes of a record, and what an operation writes nobody else
writes. So each value in a column was born at one version, and a row is checked by looking
its values up. The *floor* of a column is the version of what it showed last; it never goes
back. (The model of the interval rule, tests/model, checks rows in the same way.)

    I1   at the end the tables are what the APIs have, field by field
    I2   a SELECT after an answer shows that write, or a later version of the record
    I3   no row goes back to an older version
    I4   every row is what the API really had: as a whole, or where answers are partial
         column by column
    I5   at rest, what the API did for a call is in the table, or marked to be read again
    I6   a call that the API refused changes nothing
    I7   no call is received twice; what was "not sent" was not received at all; and what
         was sent again under its key is done once
    I8   what looks like the API's answer is the API's answer
    I9   a deleted record does not come back
    I11  at rest no intent is left, and at the end no mark
    I15  the API receives what the client sent
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.faults.history import (
    Change,
    History,
    Outcome,
    Place,
    Received,
    Value,
    Values,
    at_end,
)

ARCHIVED: Final = "archived"
WHOLE: Final = frozenset({"airtable"})  # whose answers name all fields of a record
_TOO_MANY: Final = 429  # was answered, and not done: such a call may be sent again


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold, and whose history tells why."""

    invariant: str
    text: str
    place: Place | None = None
    operation: str = ""


class Truth:
    """What a record was, version by version."""

    def __init__(self, changes: Iterable[Change]) -> None:
        self.versions: dict[int, Values | None] = {}
        self.born: dict[tuple[str, Value], int] = {}
        self.deleted_at: float | None = None
        for change in changes:
            self.versions[change.version] = change.values
            if change.values is None:
                self.deleted_at = change.at
            for column, value in (change.values or {}).items():
                self.born.setdefault((column, value), change.version)


class Watch:
    """Follows one row. `see` raises LookupError with the invariant and what is wrong."""

    def __init__(self, truth: Truth, *, whole: bool) -> None:
        self._truth, self._whole = truth, whole
        self._floors: dict[str, int] = {}
        self._gone = False

    def see(self, row: Values | None) -> None:
        """The next state of the row in its committed history."""
        if is_gone(row):
            if self._truth.deleted_at is None:
                raise _broken("I4", "deleted here, and never at the API")
            self._gone = True
            return
        assert row is not None
        if self._gone:
            raise _broken("I9", f"is back after its deletion, as {shown(row)}")
        for column, value in row.items():
            if column != ARCHIVED:
                self._show(column, value)
        if self._whole and self._truth.versions.get(_version(row)) != row:
            raise _broken("I4", f"no version ever was {shown(row)}")

    def _show(self, column: str, value: Value) -> None:
        floor = self._floors.get(column, -1)
        if value is None and floor < 0 and not self._whole:
            return  # no answer has named this column yet
        born = self._truth.born.get((column, value))
        if born is None:
            raise _broken("I4", f"{column} never was {value!r}")
        if born < floor:
            raise _broken(
                "I3", f"{column} goes back to {value!r} of version {born} from version {floor}"
            )
        self._floors[column] = born


def is_gone(row: Values | None) -> bool:
    """Whether a table says that the record is deleted: no row, or an archived one."""
    return row is None or row.get(ARCHIVED) is True


def check(history: History) -> list[Violation]:
    """All violations, in the order of the rules."""
    truths = truths_of(history.changes)
    return [violation for rule in RULES for violation in rule(history, truths)]


def truths_of(changes: Iterable[Change]) -> dict[Place, Truth]:
    """What each record was."""
    by_place: dict[Place, list[Change]] = defaultdict(list)
    for change in changes:
        by_place[change.place].append(change)
    return {place: Truth(found) for place, found in by_place.items()}


Truths = Mapping[Place, Truth]
Rule = Callable[[History, Truths], Iterator[Violation]]
_NOTHING: Final = Truth(())


def once(history: History, _: Truths) -> Iterator[Violation]:
    """I7, I15: each call arrives at most once, as it was sent; `sent=no` means not at all."""
    arrived = _by_operation(history.received)
    for call in history.calls:
        got = [r for r in arrived.get(call.operation, ()) if r.status != _TOO_MANY]
        if any((r.head, r.body) != (call.head, call.body) for r in got):
            yield Violation("I15", "received differently", operation=call.operation)
        if call.keyed:
            continue
        if len(got) > 1:
            yield Violation("I7", f"received {len(got)} times", operation=call.operation)
        if got and call.outcome is Outcome.GONE_EARLY:
            yield Violation("I7", "received, and never sent whole", operation=call.operation)
        if got and call.sent == "no":
            yield Violation("I7", "received, and said not to be", operation=call.operation)


def keyed(history: History, _: Truths) -> Iterator[Violation]:
    """I7, I8: a call with a key is done once, and done if that is said."""
    made = Counter(change.operation for change in history.changes)
    for call in history.calls:
        if call.keyed and made[call.operation] > 1:
            text = f"done {made[call.operation]} times under one key"
            yield Violation("I7", text, operation=call.operation)
        if call.keyed and call.code == "already_applied" and not made[call.operation]:
            yield Violation("I8", "said to be done, and is not", operation=call.operation)


def honest(history: History, _: Truths) -> Iterator[Violation]:
    """I8: an answer in the API's name is one that the API gave to this call."""
    arrived = _by_operation(history.received)
    for call in history.calls:
        given = {(r.status, r.answer) for r in arrived.get(call.operation, ())}
        if call.outcome is Outcome.ANSWERED and (call.status, call.answer) not in given:
            yield Violation(
                "I8", f"answer {call.status} is not the API's", None, call.operation
            )
        if call.acknowledged and call.receipt not in ("applied", "deferred", "replayed"):
            text = f"a write was answered with the receipt {call.receipt!r}"
            yield Violation("I2", text, operation=call.operation)


def refused(history: History, _: Truths) -> Iterator[Violation]:
    """I6: where all that the API ever said to a call is no, nothing has changed."""
    by_operation = _by_operation(history.received)
    changing = {change.operation for change in history.changes}
    for operation, received in by_operation.items():
        if operation in changing and all(400 <= (r.status or 0) < 500 for r in received):
            yield Violation("I6", "refused, and yet done", operation=operation)


def forward(history: History, truths: Truths) -> Iterator[Violation]:
    """I3, I4, I9: the committed history of each row."""
    watches: dict[Place, Watch] = {}
    broken: set[Place] = set()
    for stroke in history.strokes:
        place = stroke.place
        watch = watches.get(place)
        if watch is None:
            whole = place[0] in WHOLE
            watch = watches[place] = Watch(truths.get(place, _NOTHING), whole=whole)
        try:
            watch.see(stroke.row)
        except LookupError as error:
            if place not in broken:  # one violation of a row is enough to read about
                yield Violation(*error.args, place)
            broken.add(place)


def visible(history: History, truths: Truths) -> Iterator[Violation]:
    """I2: what was applied is seen by whoever looks afterwards."""
    calls = {call.operation: call for call in history.calls}
    for look in history.looks:
        for place, written in calls[look.operation].writes.items():
            truth, row = truths.get(place, _NOTHING), look.rows.get(place)
            if why := _hidden(truth, written, row, look.at):
                yield Violation("I2", why, place, look.operation)


def _hidden(truth: Truth, written: Values | None, row: Values | None, at: float) -> str:
    """What of a write a row does not show; "" if nothing."""
    if is_gone(row):
        deleted = truth.deleted_at is not None and truth.deleted_at <= at
        return "" if deleted else "no row, and the record is not deleted"
    if written is None:
        return f"deleted, and still there as {shown(row)}"
    for column, value in written.items():
        there = None if row is None else row.get(column)
        if truth.born.get((column, there), -1) < truth.born.get((column, value), 0):
            return f"{column} shows {there!r} after {value!r} was applied"
    return ""


def equal(history: History, _: Truths) -> Iterator[Violation]:
    """I1, I5: the tables at rest, and after a full cycle of the sync."""
    for tables in history.tables:
        invariant = "I1" if at_end(tables.when) else "I5"
        excused = frozenset[Place]() if at_end(tables.when) else tables.excused
        records = {c.place: c.values for c in history.changes if c.at <= tables.at}
        for place in sorted((records.keys() | tables.rows.keys()) - excused):
            if (place[0], "") in excused:
                continue
            last, row = records.get(place), tables.rows.get(place)
            same = is_gone(row) if last is None else _same(last, row)
            if not same:
                text = f"{tables.when}: the row is {shown(row)}, the record {shown(last)}"
                yield Violation(invariant, text, place)


def _same(values: Values, row: Values | None) -> bool:
    return row is not None and all(row.get(c) == v for c, v in values.items())


def drained(history: History, _: Truths) -> Iterator[Violation]:
    """I11: nothing is left undone."""
    for tables in history.tables:
        if tables.intents:
            yield Violation("I11", f"{tables.when}: {tables.intents} intents are left")
        if at_end(tables.when) and tables.marks:
            yield Violation("I10", f"{tables.when}: {tables.marks} marks are left")


RULES: Final[Sequence[Rule]] = (
    once, keyed, honest, refused, forward, visible, equal, drained,
)  # fmt: skip


def _by_operation(received: Iterable[Received]) -> dict[str, list[Received]]:
    found: dict[str, list[Received]] = defaultdict(list)
    for each in received:
        found[each.operation].append(each)
    return found


def _broken(invariant: str, text: str) -> LookupError:
    return LookupError(invariant, text)


def _version(row: Values) -> int:
    version = row.get("version")
    return version if isinstance(version, int) else -1


def shown(row: Values | None) -> str:
    """A row or record, for people."""
    if row is None:
        return "nothing"
    return "{" + ", ".join(f"{column} {value}" for column, value in row.items()) + "}"
