"""Records changed at Airtable, ten in a call.

A batch is written whole or not at all, and answered with the complete records in their
order. Fields are named by their ids, both ways, so that a rename changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Final
from urllib.parse import quote

from providers.airtable.asking import BATCH
from providers.airtable.calls import json_request, request, table_path
from providers.airtable.fields import from_column
from providers.airtable.records import records_in
from providers.airtable.refusals import said, words
from providers.body import read_json
from providers.http import Request, Response
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
from providers.record import JSON, Field
from providers.spec import Unreadable

_MOST_MERGED: Final = 3
_KINDS: Final = frozenset(MutationKind)
_WHOLE: Final = 2**53  # beyond it, numbers have holes for Airtable as for everybody

# A 403 that may as well mean a missing record.
_MAY_BE_MISSING: Final = "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND"


def written(field: Field, value: JSON) -> JSON:
    """A cell's value as a request spells it. Raises ValueError."""
    spelled = from_column(field, value)
    if isinstance(spelled, int) and not -_WHOLE <= spelled <= _WHOLE:
        spelled = float(str(spelled))
    if isinstance(spelled, float) and not isfinite(spelled):
        raise ValueError("a number of at most 308 digits")
    return spelled


def compose(aim: Aim, records: Sequence[Wanted]) -> tuple[Batch, ...]:
    """The requests that do it, ten records in each. The collection is of `discover`."""
    found = chunks(records, BATCH, aim.match)
    return tuple(Batch(_request(aim, chunk), aim, chunk) for chunk in found)


def _request(aim: Aim, records: Sequence[Wanted]) -> Request:
    path = table_path(aim.collection)
    if aim.kind is MutationKind.DELETE:
        ids = (f"records%5B%5D={quote(each.record_id or '', safe='')}" for each in records)
        return request("DELETE", f"{path}?{'&'.join(ids)}")
    body: dict[str, JSON] = {
        "records": [_record(each) for each in records],
        "returnFieldsByFieldId": True,
    }
    if aim.typecast:
        body["typecast"] = True
    if aim.kind is MutationKind.UPSERT:
        body["performUpsert"] = {"fieldsToMergeOn": [*aim.match]}
    return json_request("POST" if aim.kind is MutationKind.CREATE else "PATCH", path, body)


def _record(each: Wanted) -> JSON:
    record: dict[str, JSON] = {"fields": dict(each.values)}
    return record if each.key is None else {"id": each.key[0], **record}


def outcomes(batch: Batch, response: Response) -> tuple[Outcome, ...]:
    """What became of the batch's records."""
    if not response.ok:
        return all_of(batch, Outcome(Status.FAILED, error=_error(batch, response)))
    try:
        answer = read_json(response)
        found = records_in(answer)
    except Unreadable:
        found = []
    if len(found) != len(batch.records):  # written, but of what shape nobody knows
        return all_of(batch, Outcome(Status.APPLIED))
    made = answer.get("createdRecords") if isinstance(answer, dict) else None
    return tuple(
        _applied(batch.aim.kind, one, record, made)
        for one, record in zip(batch.records, found, strict=True)
    )


def _applied(kind: MutationKind, one: Wanted, record: dict[str, JSON], made: JSON) -> Outcome:
    told = record.get("id")
    record_id = told if isinstance(told, str) else one.record_id
    created = None
    if kind is MutationKind.UPSERT and isinstance(made, list):
        created = record_id in made
    data = None if kind is MutationKind.DELETE else record
    return Outcome(Status.APPLIED, record_id, data, created=created)


def _error(batch: Batch, response: Response) -> ApiError:
    try:
        body = read_json(response)
    except Unreadable:
        body = None
    told = words(response) or f"Airtable answered {response.status}"
    return ApiError(response.status, told, body, len(batch.records))


def blame(response: Response) -> Blame:
    """Whose fault an answer that is no 2xx is."""
    if response.status == 403 and said(response)[0] == _MAY_BE_MISSING:
        return Blame.RECORDS
    return Blame.CALLER if response.status in OF_THE_CALLER else Blame.RECORDS


MUTATIONS: Final = MutationDialect(
    kinds=lambda _: _KINDS,
    written=written,
    most_match=_MOST_MERGED,
    compose=compose,
    outcomes=outcomes,
    blame=blame,
    typecasts=True,
)
