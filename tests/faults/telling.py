"""A violation, told with everything that was seen of its record, in the order of time."""

from __future__ import annotations

from collections.abc import Iterator

from tests.faults.checker import Violation, shown
from tests.faults.history import Call, History

_MOST = 60  # lines


def told(history: History, violation: Violation) -> str:
    """Some lines: what is wrong, then what API, client, row and readers saw."""
    head = f"{violation.invariant} {violation.place or ''} {violation.operation}"
    seen = sorted(_seen(history, violation))[-_MOST:]
    return "\n".join([f"{head}: {violation.text}", *(f"    {a:11.3f} {t}" for a, t in seen)])


def _seen(history: History, violation: Violation) -> Iterator[tuple[float, str]]:
    place, operation = violation.place, violation.operation
    for change in history.changes:
        if change.place == place or (operation and change.operation == operation):
            what = f"api    version {change.version} by {change.operation}: "
            yield change.at, what + shown(change.values)
    for call in history.calls:
        if call.operation == operation or place in call.writes:
            yield call.ended, f"client {_said(call)}"
    for stroke in history.strokes:
        if stroke.place == place:
            yield stroke.at, f"row    {shown(stroke.row)}"
    for look in history.looks:
        if place in look.rows:
            yield look.at, f"select {look.operation}: {shown(look.rows[place])}"


def _said(call: Call) -> str:
    said = f"{call.operation} {call.kind} {call.outcome} {call.status} {call.receipt}"
    said += f" {call.code} keyed" if call.keyed else f" {call.code}"
    return f"{said} sent={call.sent}" if call.sent else said
