"""Records to be created, updated or deleted, on their way to an API and back.

A mutation says what is to become of some records of one collection, in a form that is the
same for every provider. `providers.wanted` makes of it what an API can be asked for, or says
what is wrong with it; the provider (`MutationDialect`) makes requests of that, and tells from
the answers what became of each record. Nothing here does I/O: who sends the requests decides
what is sent, and whether a batch is divided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from providers.http import Request, Response
from providers.record import EMPTY, JSON, Collection, Field, Schema


class MutationKind(StrEnum):
    """What is to become of the records. UPSERT updates what its match finds, and creates
    the rest."""

    CREATE = "create"
    UPDATE = "update"
    UPSERT = "upsert"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Aim:
    """What is to become of records of one collection, whichever they are.

    match     ids of the fields that an UPSERT finds records by
    typecast  the API is to make of any value what the field can hold
    """

    collection: Collection
    kind: MutationKind
    match: tuple[str, ...] = ()
    typecast: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """One record of a mutation. `place` is its number in what the caller gave.

    key     names the record; None where the API chooses (CREATE) or finds it (UPSERT)
    values  field id -> value, as the API takes it
    more    what is asked for it beside its fields (`MutationDialect.members`), as the API takes
            it
    """

    place: int
    key: tuple[str, ...] | None
    values: Mapping[str, JSON]
    more: Mapping[str, JSON] = field(default_factory=lambda: EMPTY)

    @property
    def record_id(self) -> str | None:
        return None if self.key is None else ":".join(self.key)


@dataclass(frozen=True, slots=True)
class Batch:
    """One request, what it aims at, and the records that it is about."""

    request: Request
    aim: Aim
    records: tuple[Wanted, ...]


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


# What a member's value is in a request. Raises ValueError, whose words follow "takes".
Reading = Callable[[JSON], JSON]


def _no_members(_collection: Collection, _schema: Schema) -> Mapping[str, Reading]:
    return {}


@dataclass(frozen=True, slots=True)
class MutationDialect:
    """How an API is asked to change records.

    kinds       what can be done to the records of a collection
    written     (field, value that its column takes) -> as a request spells it. Raises
                ValueError if it cannot be spelled
    most_match  how many fields an UPSERT may find records by
    compose     (aim, records) -> batches, each of a size that the API takes, with the
                records in their order
    outcomes    (batch, answer) -> what became of its records, in their order; of an answer
                below 500
    blame       whose fault an answer between 300 and 499 is
    typecasts   it has an option to make of any value what a field can hold
    members     (collection, schema of the sync) -> what a record that is CREATED, or a pair
                that is UPSERTED, can have beside its fields, by name
    """

    kinds: Callable[[Collection], frozenset[MutationKind]]
    written: Callable[[Field, JSON], JSON]
    most_match: int
    compose: Callable[[Aim, Sequence[Wanted]], tuple[Batch, ...]]
    outcomes: Callable[[Batch, Response], tuple[Outcome, ...]]
    blame: Callable[[Response], Blame]
    typecasts: bool = False
    members: Callable[[Collection, Schema], Mapping[str, Reading]] = _no_members


# --- what providers share ---------------------------------------------------------------


def chunks(
    records: Iterable[Wanted], size: int, match: Sequence[str] = ()
) -> Iterator[tuple[Wanted, ...]]:
    """The records in their order, `size` at most in each; none names a record twice, as
    an API does not say which of two changes would count. Nor do two have the same values
    in `match`: the second of them is to find what the first one makes."""
    chunk: list[Wanted] = []
    named: set[tuple[str, ...]] = set()
    for each in records:
        name = each.key or tuple(str(each.values.get(i)).casefold() for i in match)
        if len(chunk) == size or name in named:
            yield tuple(chunk)
            chunk, named = [], set()
        chunk.append(each)
        if name:
            named.add(name)
    if chunk:
        yield tuple(chunk)


# What these statuses say no to is the token, the plan or the moment, whatever the records are.
OF_THE_CALLER: Final = frozenset({401, 402, 403, 405, 408, 425, 429})


def all_of(batch: Batch, outcome: Outcome) -> tuple[Outcome, ...]:
    """The same for every record of a batch, under the id by which it was named."""
    return tuple(replace(outcome, record_id=each.record_id) for each in batch.records)
