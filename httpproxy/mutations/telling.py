"""What became of a mutation, as documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from httpproxy.management.naming import public_id_of
from httpproxy.mutations.carrying import Task
from httpproxy.mutations.documents import Mutated, RecordError, RecordResult
from httpproxy.mutations.sending import Told
from providers.mutating import Aim
from providers.spec import Provider


def document(task: Task, aim: Aim) -> Mutated:
    """A mutation of which nothing is told yet."""
    sync = task.live.sync
    return Mutated(
        mutation_id=task.request_id,
        sync_id=sync.id,
        collection_id=public_id_of(task.live.provider, aim.collection),
        kind=aim.kind.value,
    )


def results(
    provider: Provider, aim: Aim, told: Mapping[int, Told], count: int
) -> list[RecordResult]:
    """What became of each of `count` records, in their order."""
    return [_result(provider, aim, place, told.get(place)) for place in range(count)]


def _result(provider: Provider, aim: Aim, place: int, told: Told | None) -> RecordResult:
    if told is None or told.outcome is None:
        said = None if told is None else _said(told)
        return RecordResult(index=place, status="not_sent", upstream_id=None, error=said)
    outcome = told.outcome
    data = None
    if outcome.data is not None:
        data = provider.plain(aim.collection, outcome.data)
    return RecordResult(
        index=place,
        status=outcome.status.value,
        upstream_id=outcome.record_id,
        created=outcome.created,
        data=data,
        error=_said(told),
        committed=told.committed,
    )


def _said(told: Told) -> RecordError | None:
    error = told.error
    if error is None:
        return None
    return RecordError(
        status=error.status,
        message=error.message,
        code=told.code,
        body=error.body,
        together=error.together,
    )


def counted(results: Sequence[RecordResult]) -> Mapping[str, int]:
    """How many records there are of each status, of those that there are."""
    found: dict[str, int] = {}
    for result in results:
        found[result.status] = found.get(result.status, 0) + 1
    return found
