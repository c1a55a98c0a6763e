"""One call of a mutation, carried through the exchange like any proxied write.

With an idempotency key of the caller's each call has a key of its own, made of that key and
of the records' places, so that a repeat of the mutation sends no call twice. A 429 that
passes is waited out here: whoever sends a mutation has given the matter out of hand.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from multidict import CIMultiDict, CIMultiDictProxy

from httpproxy.exchange.attempt import Call, Receipt
from httpproxy.exchange.authorization.standin import StandIn
from httpproxy.exchange.directory.syncs import Live
from httpproxy.exchange.forwarding.idempotency import HEADER
from httpproxy.exchange.forwarding.write import Writes
from httpproxy.exchange.problems import Rejected
from httpproxy.store.intents.claims import Claims
from httpproxy.telemetry.course import Course, follow
from httpproxy.telemetry.watch import Watch
from providers.http import Response
from providers.mutating import Batch

MOST_REPEATS: Final = 2  # of a call that was answered 429
FREED_SECONDS: Final = 5

# In the place of a caller's own: whoever may repeat a mutation may be told of its calls.
_MARK: Final = sha256(b"mutation").digest()


@dataclass(frozen=True, slots=True)
class Sender:
    """What carries a mutation's calls."""

    writes: Writes
    standin: StandIn
    claims: Claims
    watch: Watch


@dataclass(frozen=True, slots=True)
class Task:
    """A mutation that is to be sent.

    key       the caller's own idempotency key, None without one
    repeated  it was claimed before: batches may have been sent, and divided
    """

    live: Live
    request_id: str
    key: str | None = None
    repeated: bool = False


class Halt:
    """Whether calls may still begin: a process that is about to end begins none."""

    def __init__(self) -> None:
        self._over = asyncio.Event()

    @property
    def is_over(self) -> bool:
        return self._over.is_set()

    def call(self) -> None:
        """From now on none begins."""
        self._over.set()

    async def within(self, seconds: float) -> bool:
        """Waits so long, less if it is over before: whether it is."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._over.wait()
        return self.is_over


@dataclass
class Carrier:
    """Carries the calls of one mutation. `reached`: the API may have seen one of them."""

    sender: Sender
    task: Task
    halt: Halt
    reached: bool = False
    _calls: int = 0

    async def carried(self, batch: Batch) -> tuple[Response, Receipt]:
        """The API's answer; one that says "later" is asked for again, a few times.

        Raises Rejected if the call was not sent, or was and no answer came; OSError.
        """
        provider = self.task.live.provider
        for _ in range(MOST_REPEATS):
            response, receipt = await self._carry(batch)
            pause = provider.pause(response) if response.status == 429 else None
            if pause is None:
                return response, receipt
            await self._freed(batch)
            # A pause may be longer than anybody's turn is waited for.
            if await self.halt.within(pause):
                return response, receipt
        return await self._carry(batch)

    async def _freed(self, batch: Batch) -> None:
        """Waits until the key of a call that was answered 429 is free: nobody else waits
        for that, so it is soon and not at once."""
        task = self.task
        if task.key is None:
            return
        intents, key = self.sender.writes.intents, key_of(task.key, batch)
        for _ in range(FREED_SECONDS * 20):
            if await intents.kept(task.live.sync.id, key) is None:
                return
            await asyncio.sleep(0.05)

    async def _carry(self, batch: Batch) -> tuple[Response, Receipt]:
        """One call through the exchange, watched like any other call of the application."""
        self._calls += 1
        live, watch = self.task.live, self.sender.watch
        course = Course(f"{self.task.request_id}-{self._calls}")
        course.belongs(live.sync.id, live.provider.name)
        follow(course)
        method = batch.request.method
        try:
            response, receipt = await self.sender.writes.carry(await self.call(batch, course))
        except Rejected as rejected:
            status, code = rejected.kind.status, rejected.code
            watch.refused(course, method, status, code, rejected.sent)
            self.reached = self.reached or rejected.sent != "no"
            raise
        self.reached = True
        watch.answered(course, method, response.status, receipt.outcome)
        return response, receipt

    async def call(self, batch: Batch, course: Course) -> Call:
        """The call as the exchange takes it, with the sync's stored credential."""
        live, request = self.task.live, batch.request
        match = live.api.router.match(request.method, request.host, request.path)
        if match is None:
            raise ValueError(f"no route of {live.provider.name} takes {request!r}")
        course.routed(match.route)
        if self.task.key is not None:
            headers = CIMultiDict(request.headers)
            headers[HEADER] = key_of(self.task.key, batch)
            request = replace(request, headers=CIMultiDictProxy(headers))
        call = Call(live, match, request, course.request_id, True, course, origin="mutation")
        return await self.sender.standin.ready(call, _MARK)


def key_of(key: str, batch: Batch, divided: int = 0) -> str:
    """The key of a batch's call, or of the mark that it was `divided` (1): the same for
    every repeat, and no other batch's."""
    places = ",".join(str(each.place) for each in batch.records)
    hashed = sha256(b"\0".join(each.encode() for each in (key, places, str(divided))))
    return f"mutation {hashed.hexdigest()}"
