"""The batches of one mutation, sent in order.

    batch -> the exchange (`carrying`) -> what became of its records
                 │ refused whole, for its records: sent again in halves
                 │ 429 that passes: nothing was done; again, when the lane lets it go
                 └ refused whatever the records are, or no answer: the rest is not sent

A batch that an API refuses was not written, no part of it; so halves of it may be sent until
the record at fault is alone. That is bounded: at the bound, what is refused together fails
together. That a batch was divided is kept beside the keys of its calls: the API's no alone
would not say so, as not every no is kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from httpproxy.exchange.attempt import Receipt
from httpproxy.exchange.forwarding.dryrun import DryRun
from httpproxy.exchange.problems import Rejected
from httpproxy.management.problems import Declined
from httpproxy.mutations.carrying import Carrier, Halt, Sender, Task, key_of
from httpproxy.store.errors import Unavailable
from httpproxy.telemetry.course import Course
from providers.mutating import ApiError, Batch, Blame, MutationDialect, Outcome, Status, Wanted
from providers.record import JSON

MOST_DIVISIONS: Final = 100  # of one mutation; a batch of ten with one bad record takes four

_UNSETTLED: Final = ("idempotency_in_flight", "idempotency_uncertain", "idempotency_key_reused")
_DIVIDED: Final = b"divided"

_ENDING: Final = ApiError(
    503, "This process is about to end. With an Idempotency-Key, a repeat goes on from here."
)

Committed = Literal["applied", "deferred"]


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
    _divisions: int = 0

    def __post_init__(self) -> None:
        self._carrier = Carrier(self.sender, self.task, self.halt)

    @property
    def _api(self) -> MutationDialect:
        return self.task.live.provider.mutations

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
                if not self._carrier.reached and not self.told:
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
        divided = await self.sender.claims.claimed(
            task.live.sync.id, key_of(task.key, batch, 1)
        )
        return None if divided is None else self._divided(batch)

    async def _one(self, batch: Batch) -> Sequence[Batch] | None:
        """Sends one batch; the halves to be sent in its place, if it is to be divided. None
        if what follows is not to be sent."""
        try:
            response, receipt = await self._carrier.carried(batch)
        except Rejected as rejected:
            return self._rejected(batch, rejected)
        outcomes = self._api.outcomes(batch, response)
        if response.status >= 500:
            self._note(batch, [replace(each, status=Status.UNKNOWN) for each in outcomes])
            return None
        if response.ok:
            self._note(batch, outcomes, _committed(receipt))
            return ()
        self._note(batch, outcomes)
        if response.status < 400 or self._api.blame(response) is Blame.CALLER:
            return None
        if len(batch.records) == 1 or self._divisions >= MOST_DIVISIONS:
            return ()
        return await self._divide(batch)

    async def _divide(self, batch: Batch) -> Sequence[Batch]:
        """The halves, once it is kept that there are halves."""
        self._divisions += 1
        task = self.task
        if task.key is not None:
            sync_id = task.live.sync.id
            await self.sender.claims.claim(sync_id, key_of(task.key, batch, 1), _DIVIDED)
        return self._divided(batch)

    def _divided(self, batch: Batch) -> Sequence[Batch]:
        middle = len(batch.records) // 2
        return [
            half
            for records in (batch.records[:middle], batch.records[middle:])
            for half in self._api.compose(batch.aim, records)
        ]

    async def shown(self, batch: Batch, dry_run: DryRun) -> dict[str, JSON]:
        """What sending a batch would do. Raises Rejected."""
        course = Course(self.task.request_id)
        return await dry_run.preview(await self._carrier.call(batch, course))

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
        if not self._carrier.reached and not self.told:
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
