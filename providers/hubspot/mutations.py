"""Records and associations changed at HubSpot, in batches.

Every input of a record carries a trace id, which makes HubSpot write what it can and tell
of the rest input by input (207). Some batches it refuses whole all the same: upserts by
email, two inputs with one unique value. Results come in no certain order, so they are told
apart by trace id, or by what they say.

Associations are made by their default type or with labels, and taken away with all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Final

from providers.http import Request, Response
from providers.hubspot.batches import PAIRS, RECORDS
from providers.hubspot.calls import error_body, post, segment
from providers.hubspot.fields import to_property
from providers.hubspot.linking import LABELS, members
from providers.hubspot.objects import is_pair
from providers.hubspot.plain import pair_data
from providers.hubspot.shapes import id_of, object_of, objects_of, partly_failed
from providers.mutating import (
    OF_THE_CALLER,
    Aim,
    ApiError,
    Batch,
    Blame,
    MutationDialect,
    MutationKind,
    Outcome,
    Status,
    Wanted,
    all_of,
    chunks,
)
from providers.record import JSON, Collection, ColumnType, Field

_TRACE: Final = "objectWriteTraceId"
_OF_THE_CALLER: Final = OF_THE_CALLER | {477}  # the portal is being moved
_STATUSES: Final = {"VALIDATION_ERROR": 400, "OBJECT_NOT_FOUND": 404, "CONFLICT": 409}
_VERBS: Final = {
    MutationKind.CREATE: "create",
    MutationKind.UPDATE: "update",
    MutationKind.UPSERT: "upsert",
    MutationKind.DELETE: "archive",
}


def kinds(collection: Collection) -> frozenset[MutationKind]:
    """An association has nothing that could be updated."""
    everything = frozenset(MutationKind)
    return everything - {MutationKind.UPDATE} if is_pair(collection) else everything


def written(field: Field, value: JSON) -> JSON:
    """The text of a property's value. Raises ValueError."""
    if field.column_type is not ColumnType.JSONB and isinstance(value, dict):
        raise ValueError("a value that is no object")
    if isinstance(value, list) and any(";" in str(each) for each in value):
        raise ValueError('options without ";", which separates them')
    if field.column_type is ColumnType.TIMESTAMPTZ and isinstance(value, str):
        return _in_utc(value)
    return to_property(field.column_type, value)


def _in_utc(moment: str) -> str:
    """A moment as HubSpot documents it, in UTC. Raises ValueError."""
    try:
        return datetime.fromisoformat(moment).astimezone(UTC).isoformat().replace("+00:00", "Z")
    except OverflowError as error:
        raise ValueError("a moment of the years 1 to 9999") from error


def compose(aim: Aim, records: Sequence[Wanted]) -> tuple[Batch, ...]:
    """The requests that do it, a hundred records in each, or two thousand associations."""
    if is_pair(aim.collection):
        return tuple(_pair_batches(aim, records))
    found = chunks(records, RECORDS, aim.match)
    return tuple(Batch(_records_request(aim, chunk), aim, chunk) for chunk in found)


def _records_request(aim: Aim, records: Sequence[Wanted]) -> Request:
    path = f"/crm/v3/objects/{segment(aim.collection.id)}/batch/{_VERBS[aim.kind]}"
    return post(path, {"inputs": [_input(aim, each) for each in records]})


def _input(aim: Aim, each: Wanted) -> JSON:
    if aim.kind is MutationKind.DELETE:
        return {"id": each.record_id}
    named: dict[str, JSON] = {} if each.key is None else {"id": each.key[0]}
    values = dict(each.values)
    for name in aim.match:
        named = {"id": values.pop(name), "idProperty": name}
    return {**named, "properties": values, **each.more, _TRACE: str(each.place)}


def _pair_batches(aim: Aim, records: Sequence[Wanted]) -> Iterator[Batch]:
    """Batches of pairs: with labels they take another call than without."""
    for labelled, group in groupby(records, lambda each: bool(each.more.get(LABELS))):
        for chunk in chunks(group, PAIRS):
            yield Batch(_pairs_request(aim, chunk, labelled=labelled), aim, chunk)


def _pairs_request(aim: Aim, records: Sequence[Wanted], *, labelled: bool) -> Request:
    left, right = (segment(field.type) for field in aim.collection.fields[:2])
    path = f"/crm/v4/associations/{left}/{right}/batch"
    keys = [each.key for each in records if each.key is not None]
    if aim.kind is MutationKind.DELETE:
        gone: list[JSON] = [{"from": {"id": one}, "to": [{"id": other}]} for one, other in keys]
        return post(f"{path}/archive", {"inputs": gone})
    types = [{"types": each.more[LABELS]} if labelled else {} for each in records]
    made: list[JSON] = [
        {"from": {"id": one}, "to": {"id": other}, **type_}
        for (one, other), type_ in zip(keys, types, strict=True)
    ]
    verb = "create" if labelled else "associate/default"
    return post(f"{path}/{verb}", {"inputs": made})


# --- answers ----------------------------------------------------------------------------


def outcomes(batch: Batch, response: Response) -> tuple[Outcome, ...]:
    """What became of the batch's records."""
    body = error_body(response)
    if not response.ok:
        told = _error(response.status, body, len(batch.records))
        return all_of(batch, Outcome(Status.FAILED, error=told))
    read = _Answer(batch, body, partly=partly_failed(response))
    return tuple(read.outcome(each) for each in batch.records)


class _Answer:
    """A batch's answer, sorted by what its results and errors are about."""

    def __init__(self, batch: Batch, body: Mapping[str, JSON], *, partly: bool) -> None:
        self._batch = batch
        self._partly = partly
        self._results = list(objects_of(body.get("results")))
        self._errors = list(objects_of(body.get("errors")))
        self._is_pair = is_pair(batch.aim.collection)
        self._by_name = {name: r for r in self._results for name in self._names_of(r)}
        self._failed = {name: e for e in self._errors for name in _context(e, self._is_pair)}
        named = {id(error) for error in self._failed.values()}
        self._others = [error for error in self._errors if id(error) not in named]

    def outcome(self, one: Wanted) -> Outcome:
        """What the answer says of one record."""
        names = tuple(self._names_for(one))
        result = next((self._by_name[name] for name in names if name in self._by_name), None)
        error = next((self._failed[name] for name in names if name in self._failed), None)
        if result is None and len(self._batch.records) == len(self._results) == 1:
            result = self._results[0]
        if result is not None:
            return self._applied(one, result)
        if error is None and self._tells_of_all:
            error = next(iter(self._others), None)
        if error is not None:
            status = _STATUSES.get(id_of(error.get("category")), 207)
            return Outcome(Status.FAILED, one.record_id, error=_error(status, error, 1))
        # A batch that did not fail in part was done, whether or not the answer lists it.
        done = not self._partly or (self._archives and bool(self._failed))
        return Outcome(Status.APPLIED if done else Status.UNKNOWN, one.record_id)

    def _applied(self, one: Wanted, result: dict[str, JSON]) -> Outcome:
        if self._is_pair:
            labels = result.get("labels")
            told = pair_data(one.key or (), labels if isinstance(labels, list) else None)
            return Outcome(Status.APPLIED, one.record_id, told)
        created = result.get("new") if self._batch.aim.kind is MutationKind.UPSERT else None
        return Outcome(
            Status.APPLIED,
            id_of(result.get("id")) or one.record_id,
            result,
            created=created if isinstance(created, bool) else None,
        )

    @property
    def _archives(self) -> bool:
        return self._batch.aim.kind is MutationKind.DELETE

    @property
    def _tells_of_all(self) -> bool:
        """Whether a record that the results leave out has failed."""
        return self._partly and not self._archives

    def _names_for(self, one: Wanted) -> Iterator[tuple[str, ...]]:
        """How results and errors may name a record."""
        yield ("trace", str(one.place))
        if one.key is not None:
            yield one.key
        for name in self._batch.aim.match:
            yield (name, str(one.values.get(name)).lower())

    def _names_of(self, result: Mapping[str, JSON]) -> Iterator[tuple[str, ...]]:
        if self._is_pair:
            yield from _ends(result)
            return
        if trace := id_of(result.get(_TRACE)):
            yield ("trace", trace)
            return
        if self._batch.aim.kind is not MutationKind.CREATE:
            yield (id_of(result.get("id")),)
        properties = object_of(result.get("properties"))
        for name in self._batch.aim.match:
            yield (name, str(properties.get(name)).lower())


def _ends(result: Mapping[str, JSON]) -> Iterator[tuple[str, ...]]:
    """A pair's two ids; answers tell each direction, or one."""
    one = id_of(result.get("fromObjectId")) or id_of(object_of(result.get("from")).get("id"))
    other = id_of(result.get("toObjectId")) or id_of(object_of(result.get("to")).get("id"))
    yield (one, other)


def _context(error: Mapping[str, JSON], is_pair_: bool) -> Iterator[tuple[str, ...]]:
    """Which records an error of a partly failed batch is about."""
    context = object_of(error.get("context"))
    traces, ids = _texts(context.get(_TRACE)), _texts(context.get("ids"))
    yield from (("trace", trace) for trace in traces)
    if is_pair_:
        yield tuple(ids)
    else:
        yield from ((each,) for each in ids)


def _texts(value: JSON) -> list[str]:
    return [id_of(each) for each in value] if isinstance(value, list) else []


def _error(status: int, body: Mapping[str, JSON], together: int) -> ApiError:
    said = body.get("message")
    message = said if isinstance(said, str) and said else f"HubSpot answered {status}"
    return ApiError(status, message, dict(body) or None, together)


def blame(response: Response) -> Blame:
    """Whose fault an answer that is no 2xx is."""
    return Blame.CALLER if response.status in _OF_THE_CALLER else Blame.RECORDS


MUTATIONS: Final = MutationDialect(
    kinds=kinds,
    written=written,
    most_match=1,
    compose=compose,
    outcomes=outcomes,
    blame=blame,
    members=members,
)
