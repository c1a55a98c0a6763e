"""The batches of one mutation, sent in order.

    batch -> the exchange -> what became of its records
                 │ refused whole, for its records: sent again in halves
                 │ 429 that passes: nothing was done; again, when the lane lets it go
                 └ refused whatever the records are, or no answer: the rest is not sent

A batch that an API refuses was not written, no part of it; so halves of it may be sent until
the record at fault is alone. That is bounded: at the bound, what is refused together fails
together. With an idempotency key each call has a key of its own, made of that key and of the
records' places, so that a repeat of the mutation sends no call twice. That a batch was
divided is kept as well: the API's no alone would not say so, as not every no is kept.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Final, Literal

from multidict import CIMultiDict, CIMultiDictProxy

from httpproxy.exchange.attempt import Call, Receipt
from httpproxy.exchange.authorization.standin import StandIn
from httpproxy.exchange.directory.syncs import Live
from httpproxy.exchange.forwarding.dryrun import DryRun
from httpproxy.exchange.forwarding.idempotency import HEADER
from httpproxy.exchange.forwarding.write import Writes
from httpproxy.exchange.problems import Rejected
from httpproxy.management.problems import Declined
from httpproxy.store.errors import Unavailable
from httpproxy.store.intents.claims import Claims
from httpproxy.telemetry.course import Course, follow
from httpproxy.telemetry.watch import Watch
from providers.http import Response
from providers.mutating import ApiError, Batch, Blame, Outcome, Status, Wanted
from providers.record import JSON, Field
from providers.spec import Provider

MOST_DIVISIONS: Final = 100  # of one mutation; a batch of ten with one bad record takes four
MOST_REPEATS: Final = 2  # of a call that was answered 429
FREED_SECONDS: Final = 5

_UNSETTLED: Final = ("idempotency_in_flight", "idempotency_uncertain", "idempotency_key_reused")
_DIVIDED: Final = b"divided"
# In the place of a caller's own: whoever may repeat a mutation may be told of its calls.
_MARK: Final = sha256(b"mutation").digest()

_ENDING: Final = ApiError(
    503, "This process is about to end. With an Idempotency-Key, a repeat goes on from here."
)

Committed = Literal["applied", "deferred"]


@dataclass(frozen=True, slots=True)
class Sender:
    """What carries a mutation's calls."""

    writes: Writes
    standin: StandIn
    claims: Claims
    watch: Watch


@dataclass(slots=True)
class Halt:
    """Whether calls may still begin: a process that is about to end begins none."""

    is_over: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """A mutation that is to be sent. `match` are the fields that an upsert finds records by.

    key       the caller's own idempotency key, None without one
    repeated  it was claimed before: batches may have been sent, and divided
    """

    live: Live
    request_id: str
    match: Sequence[Field]
    key: str | None = None
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """What became of one record. `outcome` None: it was not sent, and `error` may say why.

    `code`: the error is our word, not the API's.
    """

    outcome: Outcome | None
    committed: Committed | None = None
    error: ApiError | None = None
    code: str | None = None


@dataclass
class Sending:
    """One mutation on its way. `told` fills by the records' places."""

    sender: Sender
    task: Task
    halt: Halt = field(default_factory=Halt)
    told: dict[int, Told] = field(default_factory=dict)
    _calls: int = 0
    _reached: bool = False  # whether the API may have seen a call of this mutation
    _divisions: int = 0

    @property
    def provider(self) -> Provider:
        return self.task.live.provider

    async def send(self, batches: Iterable[Batch]) -> None:
        """Sends the batches, until there is no sense in sending more.

        Raises Declined if an earlier call with the same key is not settled yet; Rejected and
        Unavailable if nothing at all was sent.
        """
        waiting = deque(batches)
        while waiting:
            batch = waiting.popleft()
            if self.halt.is_over:
                self._unsent(batch, _ENDING, "draining")
                return
            try:
                halves = await self._halves_of(batch) or await self._one(batch)
            except Unavailable:
                if not self._reached and not self.told:
                    raise
                return
            if halves is None:
                return
            waiting.extendleft(reversed(halves))

    async def _halves_of(self, batch: Batch) -> Sequence[Batch] | None:
        """The halves of a batch that was divided when the mutation was sent before."""
        task = self.task
        if task.key is None or not task.repeated or len(batch.records) == 1:
            return None
        divided = await self.sender.claims.claimed(task.live.sync.id, _key(task.key, batch, 1))
        return None if divided is None else self._divided(batch)

    async def _one(self, batch: Batch) -> Sequence[Batch] | None:
        """Sends one batch; the halves to be sent in its place, if it is to be divided. None
        if what follows is not to be sent."""
        try:
            response, receipt = await self._carried(batch)
        except Rejected as rejected:
            return self._rejected(batch, rejected)
        outcomes = self.provider.mutations.outcomes(batch, response)
        if response.status >= 500:
            self._note(batch, [replace(each, status=Status.UNKNOWN) for each in outcomes])
            return None
        if response.ok:
            self._note(batch, outcomes, _committed(receipt))
            return ()
        self._note(batch, outcomes)
        if response.status < 400 or self._blame(response) is Blame.CALLER:
            return None
        if len(batch.records) == 1 or self._divisions >= MOST_DIVISIONS:
            return ()
        return await self._divide(batch)

    def _blame(self, response: Response) -> Blame:
        return self.provider.mutations.blame(response)

    async def _divide(self, batch: Batch) -> Sequence[Batch]:
        """The halves, once it is kept that there are halves."""
        self._divisions += 1
        task = self.task
        if task.key is not None:
            sync_id = task.live.sync.id
            await self.sender.claims.claim(sync_id, _key(task.key, batch, 1), _DIVIDED)
        return self._divided(batch)

    def _divided(self, batch: Batch) -> Sequence[Batch]:
        middle = len(batch.records) // 2
        compose, match = self.provider.mutations.compose, self.task.match
        return [
            half
            for records in (batch.records[:middle], batch.records[middle:])
            for half in compose(batch.collection, batch.kind, records, match)
        ]

    async def shown(self, batch: Batch, dry_run: DryRun) -> dict[str, JSON]:
        """What sending a batch would do. Raises Rejected."""
        course = Course(self.task.request_id)
        return await dry_run.preview(await self._call(batch, course))

    # --- one call ------------------------------------------------------------------------

    async def _carried(self, batch: Batch) -> tuple[Response, Receipt]:
        """The API's answer; one that says "later" is asked for again, a few times."""
        for _ in range(MOST_REPEATS):
            response, receipt = await self._carry(batch)
            if response.status != 429 or self.provider.pause(response) is None:
                return response, receipt
            await self._freed(batch)
        return await self._carry(batch)

    async def _freed(self, batch: Batch) -> None:
        """Waits until the key of a call that was answered 429 is free: nobody else waits
        for that, so it is soon and not at once."""
        task = self.task
        if task.key is None:
            return
        intents, key = self.sender.writes.intents, _key(task.key, batch, 0)
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
            response, receipt = await self.sender.writes.carry(await self._call(batch, course))
        except Rejected as rejected:
            status, code = rejected.kind.status, rejected.code
            watch.refused(course, method, status, code, rejected.sent)
            self._reached = self._reached or rejected.sent != "no"
            raise
        self._reached = True
        watch.answered(course, method, response.status, receipt.outcome)
        return response, receipt

    async def _call(self, batch: Batch, course: Course) -> Call:
        """The call as the exchange takes it, with the sync's stored credential."""
        live, request = self.task.live, batch.request
        match = live.api.router.match(request.method, request.host, request.path)
        if match is None:
            raise ValueError(f"no route of {live.provider.name} takes {request!r}")
        course.routed(match.route)
        if self.task.key is not None:
            headers = CIMultiDict(request.headers)
            headers[HEADER] = _key(self.task.key, batch, 0)
            request = replace(request, headers=CIMultiDictProxy(headers))
        call = Call(live, match, request, course.request_id, True, course, origin="mutation")
        return await self.sender.standin.ready(call, _MARK)

    def _rejected(self, batch: Batch, rejected: Rejected) -> Sequence[Batch] | None:
        """What our own no means for the batch's records. Raises Declined, Rejected."""
        code = rejected.code
        if code in _UNSETTLED:
            declined = Declined(code, rejected.detail, "Idempotency-Key")
            if rejected.retry_after is not None:
                declined.headers["Retry-After"] = str(round(rejected.retry_after))
            raise declined
        if code == "already_applied":
            self._note(batch, _found(batch, rejected.records), "applied")
            return ()
        said = ApiError(rejected.kind.status, rejected.detail, together=len(batch.records))
        if code == "outcome_unclear" or rejected.sent != "no":
            unknown = Outcome(Status.UNKNOWN, error=said)
            self._note(batch, [_named(unknown, each) for each in batch.records], code=code)
            # What was looked into to the end is over; what was lost now may go on.
            return () if code == "outcome_unclear" else None
        if not self._reached and not self.told:
            raise rejected
        self._unsent(batch, said, code)
        return None

    def _unsent(self, batch: Batch, said: ApiError, code: str) -> None:
        for each in batch.records:
            self.told[each.place] = Told(None, error=said, code=code)

    def _note(
        self,
        batch: Batch,
        outcomes: Sequence[Outcome],
        committed: Committed | None = None,
        *,
        code: str | None = None,
    ) -> None:
        for each, outcome in zip(batch.records, outcomes, strict=True):
            done = committed if outcome.status is Status.APPLIED else None
            self.told[each.place] = Told(outcome, done, outcome.error, code)


def _committed(receipt: Receipt) -> Committed | None:
    if receipt.outcome == "deferred":
        return "deferred"
    return "applied" if receipt.outcome in ("applied", "replayed") else None


def _found(batch: Batch, records: Sequence[str]) -> list[Outcome]:
    """Outcomes of a call whose effect was found by reading; `records` in their order."""
    told = len(records) == len(batch.records)
    return [
        Outcome(Status.APPLIED, each.record_id or (records[at] if told else None))
        for at, each in enumerate(batch.records)
    ]


def _named(outcome: Outcome, one: Wanted) -> Outcome:
    return replace(outcome, record_id=one.record_id)


def _key(key: str, batch: Batch, divided: int) -> str:
    """The key of a batch's call, or of the mark that it was divided: the same for every
    repeat, and no other batch's."""
    places = ",".join(str(each.place) for each in batch.records)
    hashed = sha256(b"\0".join(each.encode() for each in (key, places, str(divided))))
    return f"mutation {hashed.hexdigest()}"
