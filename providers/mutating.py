"""Records to be created, updated or deleted, on their way to an API and back.

A mutation says what is to become of some records of one collection, in a form that is the
same for every provider. `providers.wanted` makes of it what an API can be asked for, or says
what is wrong with it; the provider (`Mutations`) makes requests of that, and tells from the
answers what became of each record. Nothing here does I/O: who sends the requests decides
what is sent, and whether a batch is divided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from providers.http import Request, Response
from providers.record import JSON, Collection, Field


class MutationKind(StrEnum):
    """What is to become of the records. UPSERT updates what its match finds, and creates
    the rest."""

    CREATE = "create"
    UPDATE = "update"
    UPSERT = "upsert"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One record of a mutation. `place` is its number in what the caller gave.

    key     names the record; None where the API chooses (CREATE) or finds it (UPSERT)
    values  field id -> value, as the API takes it
    """

    place: int
    key: tuple[str, ...] | None
    values: Mapping[str, JSON]

    @property
    def record_id(self) -> str | None:
        return None if self.key is None else ":".join(self.key)


@dataclass(frozen=True, slots=True)
class Batch:
    """One request, and the records that it is about. `match`: ids of the fields that an
    UPSERT finds them by."""

    request: Request
    collection: Collection
    kind: MutationKind
    records: tuple[Wanted, ...]
    match: tuple[str, ...] = ()


class Status(StrEnum):
    """What became of a record. UNKNOWN: the answer does not tell."""

    APPLIED = "applied"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ApiError:
    """An API's no, in its own words. `body` is what it said in full, None if that is no JSON.

    `together`: it was said to so many records at once, and not all need be at fault.
    """

    status: int
    message: str
    body: JSON = None
    together: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one record.

    `data` is the record as the API spelled it, None if it was not told. `created`: whether
    an UPSERT made it, None for other kinds and if that was not told.
    """

    status: Status
    record_id: str | None = None
    data: JSON = None
    error: ApiError | None = None
    created: bool | None = None


class Blame(StrEnum):
    """Whom an answer that is no 2xx puts the blame on. Nothing of its batch was written.

    RECORDS  a record, or several: without them the others may pass
    CALLER   whatever the records are: the token, its scopes, a quota
    """

    RECORDS = "records"
    CALLER = "caller"


@dataclass(frozen=True, slots=True)
class Mutations:
    """How an API is asked to change records.

    kinds       what can be done to the records of a collection
    written     (field, value that its column takes) -> as a request spells it. Raises
                ValueError if it cannot be spelled
    most_match  how many fields an UPSERT may find records by
    compose     (collection, kind, records, match) -> batches, each of a size that the API
                takes, with the records in their order
    outcomes    (batch, answer) -> what became of its records, in their order; of an answer
                below 500
    blame       whose fault an answer between 300 and 499 is
    """

    kinds: Callable[[Collection], frozenset[MutationKind]]
    written: Callable[[Field, JSON], JSON]
    most_match: int
    compose: Callable[
        [Collection, MutationKind, Sequence[Wanted], Sequence[Field]], tuple[Batch, ...]
    ]
    outcomes: Callable[[Batch, Response], tuple[Outcome, ...]]
    blame: Callable[[Response], Blame]


# --- what providers share ---------------------------------------------------------------


def chunks(records: Iterable[Wanted], size: int) -> Iterator[tuple[Wanted, ...]]:
    """The records in their order, `size` at most in each; none names a record twice, as
    an API does not say which of two changes would count."""
    chunk: list[Wanted] = []
    named: set[tuple[str, ...]] = set()
    for each in records:
        if len(chunk) == size or (each.key is not None and each.key in named):
            yield tuple(chunk)
            chunk, named = [], set()
        chunk.append(each)
        if each.key is not None:
            named.add(each.key)
    if chunk:
        yield tuple(chunk)


# What these statuses say no to is the token, the plan or the moment, whatever the records are.
OF_THE_CALLER: Final = frozenset({401, 402, 403, 405, 408, 425, 429})


def all_of(batch: Batch, outcome: Outcome) -> tuple[Outcome, ...]:
    """The same for every record of a batch, under the id by which it was named."""
    return tuple(replace(outcome, record_id=each.record_id) for each in batch.records)
