"""What was seen in a run, by those who have no reason to lie. Values only.

    Received   a request as the authority got it, and what it answered
    Change     a version of a record: who made it, and what the record was then
    Call       an operation of the load: what its client was told, if anything
    Look       a SELECT after an answer
    Stroke     a change of a row, noted by the audit trigger in the row's own transaction
    Tables     all rows of a moment at which everything was at rest

A place is a provider's name and a record id. Every value that an operation writes is its
own: nobody else writes it, so a value in a column tells which version it comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Place = tuple[str, str]
Value = str | int | None
Values = Mapping[str, Value]


class Outcome(StrEnum):
    """What a client came to know."""

    ANSWERED = "answered"  # the API's own answer, whole
    PROBLEM = "problem"  # the proxy's own answer
    LOST = "lost"  # the connection ended before the whole answer was there
    GONE_EARLY = "gone early"  # the client left before it had sent the whole request
    GONE = "gone"  # the client left afterwards


@dataclass(slots=True)
class Received:
    """`status` None: nothing was answered. `order` counts all requests of the run."""

    order: int
    operation: str
    head: str
    body: str
    status: int | None = None
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """Version `version` of a record. `values` None: it was deleted."""

    place: Place
    version: int
    operation: str
    at: float
    values: Values | None


@dataclass(slots=True)
class Call:
    """`writes`: what the answer says of each record, None that it is deleted.

    `receipt` is the first word of ours, `code` that of a problem; `head`, `body` and
    `answer` are fingerprints, to be compared with those of the authority. What is `keyed`
    has an Idempotency-Key and was sent again until it had an end, which is what is told.
    """

    operation: str
    kind: str
    head: str
    body: str
    outcome: Outcome = Outcome.LOST
    status: int = 0
    answer: str = ""
    sent: str = ""
    receipt: str = ""
    writes: Mapping[Place, Values | None] = field(default_factory=dict)
    began: float = 0.0
    ended: float = 0.0
    keyed: bool = False
    code: str = ""

    @property
    def acknowledged(self) -> bool:
        return self.outcome is Outcome.ANSWERED and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Look:
    """The rows that a SELECT showed after the answer to `operation`; None: no row."""

    operation: str
    at: float
    rows: Mapping[Place, Values | None]


@dataclass(frozen=True, slots=True)
class Stroke:
    """A row as its change left it, None if it was deleted."""

    place: Place
    at: float
    row: Values | None


@dataclass(frozen=True, slots=True)
class Tables:
    """All rows at rest. `excused` are records that are marked to be read again ("": all of
    a provider's), which counts at `rest`, and not any more at the `end`, after a full
    cycle of the sync."""

    when: str
    at: float
    rows: Mapping[Place, Values]
    excused: frozenset[Place] = frozenset()
    intents: int = 0
    marks: int = 0


@dataclass(slots=True)
class History:
    """A run as it was seen."""

    received: list[Received] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    strokes: list[Stroke] = field(default_factory=list)
    tables: list[Tables] = field(default_factory=list)


def at_end(when: str) -> bool:
    """Whether tables were read after a full cycle of the sync."""
    return when.startswith("end")
