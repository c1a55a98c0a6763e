"""How a sync stands: the values that `progress` reads and hands out. Pure.

    Run              a listing under way: where it is, and the fence of its deletes
    Held, Missing    what a listing did not show, and that it is too much to delete
    Trouble          what went wrong last
    Compared         how often a sample differed from the API
    CollectionState  all of it for one collection
    Marked           records that are to be read again
    FeedStep         what a feed told, and where it goes on

Times are seconds since 1970, by the database's clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from providers.record import JSON, Dirty


class RunKind(StrEnum):
    """The first listing of a collection fills its table; later ones find deletes."""

    BACKFILL = "backfill"
    SWEEP = "sweep"


@dataclass(frozen=True, slots=True)
class Run:
    """A listing that is under way.

    start    the clock when it began: what was committed later is none of its deletes
    after    where the next page begins. With `pages` 0 it has not begun; with pages and
             no `after` it has come to its end, and what is missing can be told
    records  how many it has seen, repetitions included
    mark     the collection's dirty mark that it answers
    fence    what its writes are made under (`owners`), None: nobody owns the sync
    """

    number: int
    kind: RunKind
    thorough: bool
    start: int
    after: str | None
    pages: int
    records: int
    began_at: float
    mark: int | None
    fence: int | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """How many of a collection's `rows` a listing did not show."""

    missing: int
    rows: int


@dataclass(frozen=True, slots=True)
class Held:
    """A run that would delete too much and waits for the operator."""

    missing: int
    rows: int
    since: float
    approved: bool


@dataclass(frozen=True, slots=True)
class Trouble:
    """The last of `failures` in a row, the first of them at `since`: the API's own words,
    and what the operator can do."""

    error: str
    remedy: str
    since: float
    failures: int


@dataclass(frozen=True, slots=True)
class Unrefreshed:
    """Why the tokens of a sync's credential were not refreshed at the last try; `spent`: nor
    will they be, until there are others."""

    credential_id: str
    why: str
    spent: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """How many rows were compared with the API, and how many differed."""

    checked: int
    drifted: int
    at: float | None


@dataclass(frozen=True, slots=True)
class CollectionState:
    """How one collection of a sync stands.

    number         the collection's id in the registry; `collection` the provider's
    backfilled_at  its first complete listing; `listed_at` the last one
    heard_at       the last word of its feed
    succeeded_at   the last thing that went well
    whole_mark     the mark by which the whole collection is to be listed again
    dirty          records that are to be read again; counted up to 10,000
    rows           exact up to 10,000, beyond that an estimate
    requests       to the API, by class
    wants_thorough the operator asked for a resync
    removed        gone upstream
    unrefreshed    what is wrong with the tokens of its sync's credential
    """

    sync_id: str
    number: int
    collection: str
    name: str
    table_name: str
    run: Run | None
    held: Held | None
    trouble: Trouble | None
    backfilled_at: float | None
    listed_at: float | None
    heard_at: float | None
    succeeded_at: float | None
    whole_mark: int | None
    whole_since: float | None
    dirty: int
    rows: int
    requests: Mapping[str, int]
    truth: Compared
    wants_thorough: bool
    removed: bool
    unrefreshed: Unrefreshed | None = None


@dataclass(frozen=True, slots=True)
class DirtyKinds:
    """What of a sync is to be read again: single records, whole collections, or both."""

    records: bool
    wholes: bool


@dataclass(frozen=True, slots=True)
class Marked:
    """Records of one collection that are to be read again.

    `marks` are the numbers of the keys' marks: a record that was marked again while it
    was read has another.
    """

    number: int
    collection: str
    keys: tuple[tuple[str, ...], ...]
    marks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FeedStep:
    """What a feed told in one listening, and so where it goes on.

    before       the state that it was listened with, None if it is new
    state        the one to listen with next
    collections  provider's ids of those that it told of
    marks        what is to be read again for it
    fence        what it is written under, as with a run
    """

    feed: str
    before: JSON
    state: JSON
    collections: tuple[str, ...]
    marks: tuple[Dirty, ...] = ()
    fence: int | None = None


Row = Mapping[str, Any]


def run_of(row: Row) -> Run:
    """A row of httpproxy.run."""
    return Run(
        row["run"],
        RunKind(row["kind"]),
        row["thorough"],
        row["start_seq"],
        row["after"],
        row["pages"],
        row["records"],
        row["began_at"],
        row["mark"],
    )


def state_of(row: Row) -> CollectionState:
    """A row of the statement `read_states`."""
    return CollectionState(
        row["sync_id"],
        row["number"],
        row["upstream_id"],
        row["name"],
        row["table_name"],
        None if row["run"] is None else run_of(row),
        _held(row),
        _trouble(row),
        row["backfilled_at"],
        row["listed_at"],
        row["heard_at"],
        row["succeeded_at"],
        row["whole_mark"],
        row["whole_since"],
        row["dirty"],
        row["rows"],
        row["requests"],
        Compared(row["checked"], row["drifted"], row["checked_at"]),
        row["wants_thorough"],
        row["removed"],
        _unrefreshed(row),
    )


def _held(row: Row) -> Held | None:
    if row["held_at"] is None:
        return None
    return Held(row["held_missing"], row["held_rows"], row["held_at"], row["held_approved"])


def _trouble(row: Row) -> Trouble | None:
    if row["error"] is None:
        return None
    return Trouble(row["error"], row["remedy"], row["failed_at"], row["failures"])


def _unrefreshed(row: Row) -> Unrefreshed | None:
    if row["unrefreshed"] is None:
        return None
    return Unrefreshed(row["credential_id"], row["unrefreshed"], row["spent"])
