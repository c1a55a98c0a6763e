"""Runs mutations: from what is asked for to what became of each record.

    read     the sync's collection, the fields, the values: everything wrong is told at once
    claim    the caller's idempotency key, for this mutation as a whole
    send     its batches, through the exchange (`sending`)
    await    who is to have the result before the answer

What is wrong with a mutation is found before anything is sent. What was sent is told in any
case: from then on nothing here is an error but what became of no record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final, TypeVar

from httpproxy.exchange.directory.syncs import Directory, Live, tables_of
from httpproxy.exchange.forwarding import idempotency
from httpproxy.exchange.forwarding.dryrun import DryRun
from httpproxy.exchange.problems import Rejected
from httpproxy.management.models import Wrong
from httpproxy.management.naming import collection_named, public_id_of
from httpproxy.management.problems import Declined
from httpproxy.mutations.documents import (
    Kind,
    Mutated,
    RecordError,
    RecordResult,
    RecordsToChange,
)
from httpproxy.mutations.previewing import preview
from httpproxy.mutations.sending import Halt, Sender, Sending, Task, Told
from httpproxy.store.errors import StoreError
from httpproxy.store.registry import Registry, Sync
from httpproxy.store.replicas import Replica, Replicas, position
from providers.http import Headers, Request
from providers.mutating import ApiError, Batch, MutationKind
from providers.mutating import Mutations as ProviderMutations
from providers.record import Collection, Field
from providers.wanted import Asked, Faulty, wanted

T = TypeVar("T")

REPLICA: Final = "replica:"
MOST_NAMED: Final = 5  # of what is wrong, in the sentence
MANY: Final = 500  # records, of some 30 µs each


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and how: `headers` may hold an Idempotency-Key."""

    request_id: str
    headers: Headers


@dataclass(frozen=True, slots=True)
class _Work:
    """A mutation that was understood."""

    live: Live
    collection: Collection
    kind: Kind
    batches: tuple[Batch, ...]
    task: Task
    waits: tuple[Replica, ...]


class Mutations:
    """Runs mutations of any sync, with its stored credential."""

    def __init__(
        self,
        sender: Sender,
        dry_run: DryRun,
        directory: Directory,
        registry: Registry,
        replicas: Replicas,
    ) -> None:
        self._sender = sender
        self._dry_run = dry_run
        self._directory = directory
        self._registry = registry
        self._replicas = replicas
        self._halt = Halt()
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def halt(self) -> None:
        """From now on no call begins; mutations under way end with what they have."""
        self._halt.is_over = True

    async def drain(self, seconds: float) -> None:
        """Waits for the calls that are under way, so long at most; none begins."""
        self.halt()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._under_way += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def run(
        self, sync: Sync, asked: RecordsToChange, kind: Kind, caller: Caller
    ) -> Mutated:
        """What became of each record.

        Raises Declined for what is wrong with the mutation, and for a key whose earlier
        call is not settled; Rejected if nothing was sent, for a reason of ours; OSError.
        """
        key = _key_of(caller.headers)
        work = await self._understood(sync, asked, kind, caller)
        if asked.dry_run:
            return await self._previewed(work)
        task = work.task if key is None else await self._claimed(work, key)
        sending = Sending(self._sender, task, self._halt)
        with self._counted():
            await sending.send(work.batches)
        count = len(asked.data)
        results = await _aside(count, lambda: _results(work, sending.told, count))
        awaited = await self._awaited(work, results, asked.await_consumers_timeout)
        return _document(work).model_copy(update={"results": results, "awaited": awaited})

    # --- what is asked for ---------------------------------------------------------------

    async def _understood(
        self, sync: Sync, asked: RecordsToChange, kind: Kind, caller: Caller
    ) -> _Work:
        live = await self._live(sync)
        tables = await tables_of(live, self._registry)
        name = asked.collection_id
        collection = collection_named(live.provider, tables.schema, name, "collection_id")
        names = tables.tables[collection.id].names
        columns = {column: field_id for field_id, column in names.items()}
        spelled = Asked(collection, MutationKind(kind), asked.data, asked.match, columns)
        waits = tuple(self._waited_for(asked.await_consumer_ids))
        api = live.provider.mutations
        batches, match = await _aside(len(asked.data), lambda: _composed(spelled, api))
        task = Task(live, caller.request_id, match)
        return _Work(live, collection, kind, batches, task, waits)

    async def _live(self, sync: Sync) -> Live:
        """The sync as this process knows it; one that was just made is heard of now."""
        live = self._directory.of(sync.id)
        if live is None:
            await self._directory.refresh()
            live = self._directory.of(sync.id)
        if live is None:
            raise Declined("unknown_sync", f"The sync {sync.name!r} is gone.", "sync_id")
        return live

    def _waited_for(self, ids: Sequence[str]) -> list[Replica]:
        """Who is to have the result. Raises Declined."""
        found = []
        for at, id_ in enumerate(dict.fromkeys(ids)):
            replica = self._replicas.get(id_.removeprefix(REPLICA))
            if not id_.startswith(REPLICA) or replica is None:
                there = ", ".join(f"{REPLICA}{name}" for name in sorted(self._replicas.names()))
                raise Declined(
                    "unknown_consumer",
                    f"Nobody of this name can be awaited; there are: {there or 'none'}."
                    " The setting `replicas` names them.",
                    f"await_consumer_ids[{at}]",
                )
            found.append(replica)
        return found

    async def _claimed(self, work: _Work, key: str) -> Task:
        """The task with the caller's key, which stands for this very mutation from now on.

        Raises Declined (422) if it stands for another.
        """
        mark = _mark_of(work.batches)
        sync_id = work.live.sync.id
        before = await self._sender.claims.claim(sync_id, f"mutation {key}", mark)
        if before not in (None, mark):
            raise Declined(
                "idempotency_key_reused",
                "This Idempotency-Key belongs to a mutation of other records or values, or the"
                " fields have changed since. Nothing was sent; use a new key.",
                "Idempotency-Key",
            )
        task = work.task
        return Task(task.live, task.request_id, task.match, key, before is not None)

    # --- what becomes of it --------------------------------------------------------------

    async def _previewed(self, work: _Work) -> Mutated:
        sending = Sending(self._sender, work.task)
        told = await preview(work.batches, lambda batch: sending.shown(batch, self._dry_run))
        return _document(work).model_copy(update={"dry_run": True, "preview": told})

    async def _awaited(
        self, work: _Work, results: Sequence[RecordResult], seconds: float
    ) -> bool | None:
        """Whether all who were to be awaited have what was committed; None for nobody."""
        if not work.waits:
            return None
        if any(result.committed == "deferred" for result in results):
            return False  # there is nothing yet that they could have
        try:
            reached = position(await self._sender.claims.position())
        except (StoreError, ValueError):
            return False
        waits = (replica.reaches(reached, seconds) for replica in work.waits)
        return all(each.reached for each in await asyncio.gather(*waits))


async def _aside(count: int, work: Callable[[], T]) -> T:
    """The work's result; with many records it is done in a thread, for others go on."""
    return await asyncio.to_thread(work) if count > MANY else work()


def _composed(
    asked: Asked, api: ProviderMutations
) -> tuple[tuple[Batch, ...], tuple[Field, ...]]:
    """The batches, and the fields that an upsert finds records by. Raises Declined."""
    try:
        records, match = wanted(asked, api)
    except Faulty as faulty:
        raise _declined(faulty) from faulty
    return api.compose(asked.collection, asked.kind, records, match), match


def _results(work: _Work, told: Mapping[int, Told], count: int) -> list[RecordResult]:
    return [_result(work, place, told.get(place)) for place in range(count)]


def _key_of(headers: Headers) -> str | None:
    """The caller's idempotency key. Raises Declined."""
    try:
        claim = idempotency.claim_of(Request("", "", "", headers), lambda: b"")
    except Rejected as rejected:
        raise Declined("bad_parameter", rejected.detail, idempotency.HEADER) from rejected
    return None if claim is None else claim.key


def _mark_of(batches: Sequence[Batch]) -> bytes:
    """Tells whether two mutations are the same: all that they ask the API for is."""
    marks = (idempotency.fingerprint(batch.request) for batch in batches)
    return idempotency.fingerprint(Request("", "", "", body=b"".join(marks)))


def _declined(faulty: Faulty) -> Declined:
    """Everything that is wrong, member by member; nothing was sent."""
    wrongs = [Wrong(member=f.member, detail=f.said) for f in faulty.faults]
    said = " ".join(f"{each.member}: {each.detail}" for each in wrongs[:MOST_NAMED])
    more = len(wrongs) - MOST_NAMED
    return Declined(
        "bad_body",
        f"{said} And {more} more." if more > 0 else said,
        wrongs[0].member,
        errors=[each.model_dump() for each in wrongs],
    )


def _document(work: _Work) -> Mutated:
    return Mutated(
        mutation_id=work.task.request_id,
        sync_id=work.live.sync.id,
        collection_id=public_id_of(work.live.provider, work.collection),
        kind=work.kind,
    )


def _result(work: _Work, place: int, told: Told | None) -> RecordResult:
    if told is None or told.outcome is None:
        said = None if told is None else _said(told)
        return RecordResult(index=place, status="not_sent", upstream_id=None, error=said)
    outcome = told.outcome
    data = None
    if outcome.data is not None:
        data = work.live.provider.plain(work.collection, outcome.data)
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
    error: ApiError | None = told.error
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
