"""Runs mutations: from what is asked for to what became of each record.

    repeat   was it begun before, under its key? (`repeating`)
    read     the collection, the fields, the values: everything wrong is told (`asking`)
    send     its batches, through the exchange (`sending`, `carrying`)
    await    who is to have the result before the answer (`awaiting`)

What is wrong with a mutation is found before anything is sent. What was sent is told in any
case: from then on nothing here is an error but what became of no record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final, TypeVar

from httpproxy.exchange.directory.syncs import Directory, Live, tables_of
from httpproxy.exchange.forwarding.dryrun import DryRun
from httpproxy.management.problems import Declined
from httpproxy.mutations import asking, awaiting, repeating, telling
from httpproxy.mutations.asking import Understood
from httpproxy.mutations.carrying import Halt, Sender, Task
from httpproxy.mutations.documents import Kind, Mutated, RecordsToChange
from httpproxy.mutations.previewing import preview
from httpproxy.mutations.repeating import Key
from httpproxy.mutations.sending import Sending
from httpproxy.store.database import Database
from httpproxy.store.layouts.tables import SyncTables
from httpproxy.store.registry import Registry, Sync
from httpproxy.store.replicas import Replicas
from providers.http import Headers

T = TypeVar("T")

MANY: Final = 500  # records, of some 30 µs each


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and how: `headers` may hold an Idempotency-Key."""

    request_id: str
    headers: Headers


class Mutations:
    """Runs mutations of any sync, with its stored credential."""

    def __init__(
        self,
        sender: Sender,
        dry_run: DryRun,
        directory: Directory,
        registry: Registry,
        replicas: Replicas,
        database: Database,
    ) -> None:
        self._sender = sender
        self._dry_run = dry_run
        self._directory = directory
        self._registry = registry
        self._replicas = replicas
        self._database = database
        self._halt = Halt()
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def halt(self) -> None:
        """From now on no call begins; mutations under way end with what they have."""
        self._halt.call()

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
        text = repeating.text_of(caller.headers)
        waits = awaiting.named(self._replicas, asked.await_consumer_ids)
        live = await self._live(sync)
        task = Task(live, caller.request_id)
        if asked.dry_run:
            return await self._previewed(task, await self._understood(live, asked, kind))
        if text is None:
            aim, records = await self._understood(live, asked, kind)
        else:
            (aim, records), repeated = await self._claimed(live, asked, kind, text)
            task = Task(live, caller.request_id, text, repeated)
        provider, count = live.provider, len(records)
        batches = await _aside(count, lambda: provider.mutations.compose(aim, records))
        sending = Sending(self._sender, task, self._halt)
        with self._counted():
            await sending.send(batches)
        told = sending.told
        results = await _aside(count, lambda: telling.results(provider, aim, told, count))
        seconds = asked.await_consumers_timeout
        awaited = await awaiting.have_it(waits, self._database, results, seconds)
        members = {"results": results, "awaited": awaited}
        return telling.document(task, aim).model_copy(update=members)

    # --- what is asked for ---------------------------------------------------------------

    async def _live(self, sync: Sync) -> Live:
        """The sync as this process knows it; one that was just made is heard of now."""
        live = self._directory.of(sync.id)
        if live is None:
            await self._directory.refresh()
            live = self._directory.of(sync.id)
        if live is None:
            raise Declined("unknown_sync", f"The sync {sync.name!r} is gone.", "sync_id")
        return live

    async def _understood(self, live: Live, asked: RecordsToChange, kind: Kind) -> Understood:
        """What the API is to be asked for, by the schema as it is now. Raises Declined."""
        tables = await tables_of(live, self._registry)
        return await _read(live, tables, asked, kind)

    async def _claimed(
        self, live: Live, asked: RecordsToChange, kind: Kind, text: str
    ) -> tuple[Understood, bool]:
        """The same, under the caller's key, which stands for this mutation from now on; and
        whether it did before. Raises Declined."""
        claims, count = self._sender.claims, len(asked.data)
        mark = await _aside(count, lambda: repeating.mark_of(asked, kind))
        key = Key(live.sync.id, text, mark)
        tables = await tables_of(live, self._registry)
        found = await repeating.before(claims, key, tables.schema)
        if found is not None:
            return found, True
        understood = await _read(live, tables, asked, kind)
        found = await repeating.claim(claims, key, understood, tables.schema)
        return (understood, False) if found is None else (found, True)

    # --- what becomes of it --------------------------------------------------------------

    async def _previewed(self, task: Task, understood: Understood) -> Mutated:
        aim, records = understood
        sending = Sending(self._sender, task)
        compose = task.live.provider.mutations.compose
        batches = await _aside(len(records), lambda: compose(aim, records))
        told = await preview(batches, lambda batch: sending.shown(batch, self._dry_run))
        members = {"dry_run": True, "preview": told}
        return telling.document(task, aim).model_copy(update=members)


async def _read(
    live: Live, tables: SyncTables, asked: RecordsToChange, kind: Kind
) -> Understood:
    spelled = asking.spelled_by(live.provider, tables, asked, kind)
    return await _aside(len(asked.data), lambda: asking.understood(spelled, live.provider))


async def _aside(count: int, work: Callable[[], T]) -> T:
    """The work's result; with many records it is done in a thread, for others go on."""
    return await asyncio.to_thread(work) if count > MANY else work()
