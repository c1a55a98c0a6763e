"""The checker finds what it is there to find: one planted violation of each kind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.faults.checker import check
from tests.faults.history import (
    Call,
    Change,
    History,
    Look,
    Outcome,
    Place,
    Received,
    Stroke,
    Tables,
    Values,
)
from tests.faults.telling import told

TASK: Place = ("airtable", "rec1")
CONTACT: Place = ("hubspot", "1")


def task(version: int, note: str) -> dict[str, str | int | None]:
    return {"name": "o1", "note": note, "version": version}


def contact(version: int, first: str, last: str) -> dict[str, str | int | None]:
    return {"firstname": first, "lastname": last, "version": version}


def good() -> History:
    """A record made, changed and deleted; a contact changed by parts, and archived."""
    one, two, three = task(1, "o1"), task(2, "o2"), contact(5, "o5", "o4")
    changes = [
        Change(TASK, 1, "o1", 1.0, one),
        Change(TASK, 2, "o2", 2.0, two),
        Change(TASK, 3, "o3", 3.0, None),
        Change(CONTACT, 4, "o4", 4.0, contact(4, "o4", "o4")),
        Change(CONTACT, 5, "o5", 5.0, three),
    ]
    written: list[tuple[str, dict[Place, Values | None]]] = [
        ("o1", {TASK: {"name": "o1", "note": "o1"}}),
        ("o2", {TASK: {"note": "o2"}}),
        ("o3", {TASK: None}),
        ("o4", {CONTACT: {"firstname": "o4", "lastname": "o4"}}),
        ("o5", {CONTACT: {"firstname": "o5"}}),
    ]
    calls = [
        Call(o, "write", f"head {o}", "body", Outcome.ANSWERED, 200, f"a {o}", "", "applied", w)
        for o, w in written
    ]
    shown = {"firstname": "o5", "lastname": None, "version": 5, "archived": False}
    looks = [
        Look("o1", 1.5, {TASK: one}),
        Look("o2", 2.5, {TASK: two}),
        Look("o3", 3.5, {TASK: None}),
        Look("o5", 5.5, {CONTACT: shown}),
    ]
    strokes = [
        Stroke(TASK, 1.4, one),
        Stroke(TASK, 2.4, two),
        Stroke(TASK, 3.4, None),
        Stroke(CONTACT, 5.4, shown),
        Stroke(CONTACT, 5.9, {**three, "archived": False}),
    ]
    received = [Received(n, f"o{n}", f"head o{n}", "body", 200, f"a o{n}") for n in range(1, 6)]
    tables = [Tables("end of the act", 9.0, {CONTACT: {**three, "archived": False}})]
    return History(received, changes, calls, looks, strokes, tables)


def found(history: History) -> set[str]:
    return {violation.invariant for violation in check(history)}


def test_a_good_history_has_no_violation():
    assert check(good()) == []


def again(history: History, operation: str, **changes: object) -> None:
    """Changes the call of an operation."""
    at = next(n for n, c in enumerate(history.calls) if c.operation == operation)
    history.calls[at] = replace(history.calls[at], **changes)


def sent_twice(history: History) -> None:
    history.received.append(Received(9, "o2", "head o2", "body", None))


def sent_although_not(history: History) -> None:
    again(history, "o2", outcome=Outcome.PROBLEM, sent="no", writes={})


def forwarded_in_part(history: History) -> None:
    again(history, "o2", outcome=Outcome.GONE_EARLY, writes={})


def sent_otherwise(history: History) -> None:
    history.received[0].body = "another body"


def answered_otherwise(history: History) -> None:
    again(history, "o2", answer="another")


def acknowledged_without_a_commit(history: History) -> None:
    again(history, "o2", receipt="none")


def done_twice_under_a_key(history: History) -> None:
    again(history, "o4", keyed=True)
    history.changes.append(Change(("hubspot", "2"), 6, "o4", 6.0, contact(6, "o4", "o4")))
    history.tables = []


def said_to_be_done(history: History) -> None:
    none = Call("o9", "write", "head o9", "body", Outcome.PROBLEM, 409, keyed=True)
    history.calls.append(replace(none, code="already_applied"))


def lost_before_the_look(history: History) -> None:
    history.looks[1] = Look("o2", 2.5, {TASK: task(1, "o1")})


def missing_at_the_look(history: History) -> None:
    history.looks[1] = Look("o2", 2.5, {TASK: None})


def still_there_at_the_look(history: History) -> None:
    history.looks[2] = Look("o3", 3.5, {TASK: task(2, "o2")})


def unnamed_at_the_look(history: History) -> None:
    history.looks[3] = Look("o5", 5.5, {CONTACT: contact(4, "o4", "o4")})


def undone(history: History) -> None:
    history.strokes.insert(2, Stroke(TASK, 2.6, task(1, "o1")))


def undone_in_part(history: History) -> None:
    history.strokes.append(Stroke(CONTACT, 6.0, contact(5, "o4", "o4")))


def invented(history: History) -> None:
    history.strokes.insert(1, Stroke(TASK, 1.6, task(2, "nobody")))


def mixed(history: History) -> None:
    history.strokes.insert(1, Stroke(TASK, 1.6, task(2, "o1")))


def of_nobody(history: History) -> None:
    history.strokes.append(Stroke(("airtable", "rec9"), 6.0, task(1, "o1")))


def deleted_by_us(history: History) -> None:
    history.strokes.append(Stroke(CONTACT, 6.0, None))


def back_from_the_dead(history: History) -> None:
    history.strokes.append(Stroke(TASK, 6.0, task(2, "o2")))


def refused_and_done(history: History) -> None:
    history.received[1].status = 404


def different_at_the_end(history: History) -> None:
    rows = {CONTACT: {**contact(4, "o4", "o4"), "archived": False}}
    history.tables = [Tables("end", 9.0, rows)]


def lost_at_rest(history: History) -> None:
    history.tables = [Tables("at rest", 9.0, {})]


def more_at_the_end(history: History) -> None:
    rows = {**history.tables[0].rows, TASK: task(2, "o2")}
    history.tables = [Tables("end", 9.0, rows)]


def intents_left(history: History) -> None:
    history.tables = [replace(history.tables[0], intents=1)]


def marks_left(history: History) -> None:
    history.tables = [replace(history.tables[0], marks=1)]


PLANTED = {
    sent_twice: {"I7"},
    sent_although_not: {"I7"},
    forwarded_in_part: {"I7"},
    sent_otherwise: {"I15"},
    answered_otherwise: {"I8"},
    acknowledged_without_a_commit: {"I2"},
    done_twice_under_a_key: {"I7"},
    said_to_be_done: {"I8"},
    lost_before_the_look: {"I2"},
    missing_at_the_look: {"I2"},
    still_there_at_the_look: {"I2"},
    unnamed_at_the_look: {"I2"},
    undone: {"I3"},
    undone_in_part: {"I3"},
    invented: {"I4"},
    mixed: {"I4"},
    of_nobody: {"I4"},
    deleted_by_us: {"I4"},
    back_from_the_dead: {"I9"},
    refused_and_done: {"I6", "I8"},
    different_at_the_end: {"I1"},
    lost_at_rest: {"I5"},
    more_at_the_end: {"I1"},
    intents_left: {"I11"},
    marks_left: {"I10"},
}


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_violation_is_found(plant):
    history = good()
    plant(history)
    assert found(history) == PLANTED[plant]


def test_a_marked_record_is_excused_at_rest_and_not_at_the_end():
    history = good()
    history.tables = [Tables("at rest", 9.0, {}, excused=frozenset({CONTACT}), marks=1)]
    assert found(history) == set()
    history.tables = [replace(history.tables[0], when="end", marks=0)]
    assert found(history) == {"I1"}


def test_a_call_that_was_answered_429_may_be_received_again():
    history = good()
    history.received.append(Received(9, "o2", "head o2", "body", 429))
    assert found(history) == set()


def test_a_violation_is_told_with_the_history_of_its_record():
    history = good()
    undone(history)
    (violation,) = check(history)
    text = told(history, violation)
    assert text.splitlines()[0].startswith("I3 ('airtable', 'rec1')")
    assert "version 2 by o2" in text
    assert "client o2 write answered 200 applied" in text
    assert "select o2" in text
