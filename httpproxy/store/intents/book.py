"""Intents: written before the first byte of a call leaves, so that no crash forgets it.

A call that is about to change something upstream is written down first (`pen`). Its intent
ends with the commit of its answer, in that transaction (`commits`); or here, if there is
nothing to commit; or it is uncertain, and somebody looks what became of it (`ledger`). If
this process ends, another one finds its intents and looks after them.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from httpproxy.store.intents.columns import columns_of, head_of
from httpproxy.store.intents.ledger import Ledger
from httpproxy.store.intents.pen import QUEUE_INTENTS, Pen
from httpproxy.store.intents.values import (
    COUNT_BITS,
    Doubt,
    Intent,
    Kept,
    KeyInUse,
    OpenIntent,
    Outcome,
)
from providers.http import Response


class Intents:
    """The intents of this process. Open it with `async with`; its task is the caller's own.

    `number` tells this process's number, which may change; ids of new intents have it.
    """

    def __init__(
        self, dsn: str, number: Callable[[], int], *, queue_intents: int = QUEUE_INTENTS
    ) -> None:
        self._number = number
        # Anywhere: should a number ever be given twice, the ids would still differ.
        self._count = secrets.randbits(COUNT_BITS)
        self._pen = Pen(dsn, queue_intents=queue_intents)
        self._ledger = Ledger(dsn)

    def __repr__(self) -> str:
        return f"Intents(available={self.available}, waiting={self.waiting})"

    @property
    def available(self) -> bool:
        """False while the database is known to be away, or a group hangs."""
        return self._pen.available

    @property
    def waiting(self) -> int:
        """How many intents wait to be written."""
        return self._pen.waiting

    async def __aenter__(self) -> Self:
        await self._pen.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._pen.__aexit__(kind, error, traceback)
        finally:
            await self._ledger.__aexit__(kind, error, traceback)

    async def begin(self, intent: Intent) -> int:
        """Writes an intent down; returns its id when it is durable.

        Waits for as long as the database is away: bound it with `asyncio.timeout`. An
        intent whose caller stopped waiting is ended if it has been written. Raises
        KeyInUse, and Unavailable if it was not even queued (the queue is full, this is
        closed) or cannot be written.
        """
        columns, claim = columns_of(intent), intent.claim
        while True:
            intent_id = self._next_id()
            if await self._pen.write(intent_id, columns) or claim is None:
                return intent_id
            kept = await self._ledger.kept(intent.sync_id, claim.key)
            if kept is not None:  # else it was freed a moment ago
                raise KeyInUse(kept)

    def end(self, intent_id: int) -> None:
        """Ends an intent, soon, and frees its key unless an answer is kept for it."""
        self._pen.end(intent_id)

    def answer(self, intent_id: int, response: Response) -> None:
        """Ends an intent, soon; whoever repeats its key is told this answer."""
        self._pen.answer(intent_id, (head_of(response), response.body))

    def doubt(self, intent_id: int, why: str, answer: Response | None = None) -> None:
        """Nobody knows what became of the call: somebody is to look, now. With an answer,
        whoever repeats its key is told that in the meantime."""
        told = None if answer is None else (head_of(answer), answer.body)
        self._pen.doubt(intent_id, why, told)

    async def due(self, limit: int = 20) -> list[Doubt]:
        """Takes intents to be looked at; see `Ledger.due`. Raises Unavailable."""
        return await self._ledger.due(self._number(), limit)

    async def looked(
        self,
        intent_id: int,
        why: str,
        again_in: float | None,
        *,
        outcome: Outcome | None = None,
        records: Sequence[str] = (),
    ) -> None:
        """What a look at an intent has brought; see `Ledger.looked`. Raises Unavailable."""
        await self._ledger.looked(intent_id, why, again_in, outcome=outcome, records=records)

    async def kept(self, sync_id: str, key: str) -> Kept | None:
        """What is known of a key, None if it is free. Raises Unavailable."""
        return await self._ledger.kept(sync_id, key)

    async def open(self, limit: int = 100) -> list[OpenIntent]:
        """The intents that stand, of all processes, oldest first. Raises Unavailable."""
        return await self._ledger.open(limit)

    async def count(self) -> Mapping[str, float]:
        """`open`, `uncertain`, `oldest_seconds` of all processes. Raises Unavailable."""
        return await self._ledger.count()

    async def prune(self, older_than_seconds: float) -> int:
        """Forgets keys that were claimed before; returns how many. Raises Unavailable."""
        return await self._ledger.prune(older_than_seconds)

    def _next_id(self) -> int:
        self._count = (self._count + 1) & ((1 << COUNT_BITS) - 1)
        return self._number() << COUNT_BITS | self._count
